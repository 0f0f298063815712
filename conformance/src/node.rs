//! One node: an `stmfd`, its transport, their control door, state, certificate, ports and logs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::ports::Port;
use crate::process::{self, Finished, Process, Start};
use crate::wait::{PATIENCE, until};
use crate::{binaries, tools};

/// Which of the two nodes: `A` is node 0 and owns the logical units at first, `B` is node 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeId {
    /// Node 0.
    A,
    /// Node 1.
    B,
}

impl NodeId {
    /// 0 or 1.
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// The other one.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// One of the two processes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The target framework daemon.
    Stmfd,
    /// The door server that carries messages to the peer.
    Transport,
}

/// How the node's transport is started: the command, so that it can be started again.
#[derive(Debug, Clone)]
pub struct TransportCommand {
    /// Path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What differs between one `stmfd` and another in tests.
#[derive(Debug, Clone, Default)]
pub struct DaemonOptions {
    /// Further arguments, as for `--standby-io compat`.
    pub arguments: Vec<String>,
    /// `RLIMIT_NOFILE`.
    pub descriptors: Option<u64>,
}

/// A node of a pair, or alone.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    dir: PathBuf,
    iscsi: Port,
    target: String,
    options: DaemonOptions,
    transport_command: Option<TransportCommand>,
    stmfd: Option<Process>,
    transport: Option<Process>,
}

const STOP_LIMIT: Duration = Duration::from_secs(20);

impl Node {
    /// Lays out a node in `dir` (made if missing) without starting anything.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn lay_out(id: NodeId, dir: &Path, iscsi: Port, options: DaemonOptions) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let letter = if id == NodeId::A { 'a' } else { 'b' };
        let target = format!("iqn.2026-11.org.example.lintel:{letter}");
        let dir = dir.to_path_buf();
        Ok(Self {
            id,
            dir,
            iscsi,
            target,
            options,
            transport_command: None,
            stmfd: None,
            transport: None,
        })
    }

    /// A node without transport, running and ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn alone(id: NodeId, dir: &Path) -> Result<Self> {
        let mut node = Self::lay_out(id, dir, Port::reserve()?, DaemonOptions::default())?;
        node.start(Program::Stmfd)?;
        node.wait_ready()?;
        Ok(node)
    }

    /// Which node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its folder: state, logs, certificate, control door.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path of its control door.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.dir.join("control")
    }

    /// Folder of its state.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Address of its iSCSI portal.
    #[must_use]
    pub fn portal(&self) -> SocketAddr {
        self.iscsi.address()
    }

    /// Name of its target.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The URL of a logical unit through this node.
    #[must_use]
    pub fn url(&self, lun: u16) -> String {
        tools::url(self.portal(), &self.target, lun)
    }

    /// Sets how the transport is started from now on.
    pub fn set_transport(&mut self, command: TransportCommand) {
        self.transport_command = Some(command);
    }

    /// Makes the transport talk to another control door from its next start on.
    pub fn use_control_for_transport(&mut self, control: &Path) {
        let own = self.control().display().to_string();
        let other = control.display().to_string();
        if let Some(command) = &mut self.transport_command {
            for argument in command.arguments.iter_mut().filter(|argument| **argument == own) {
                argument.clone_from(&other);
            }
        }
    }

    /// Further options for the next start of `stmfd`.
    pub fn set_options(&mut self, options: DaemonOptions) {
        self.options = options;
    }

    /// Starts one of its processes; does not wait until it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, program: Program) -> Result<()> {
        let log = self.log(program);
        match program {
            Program::Stmfd => {
                let mut start = Start::new(format!("stmfd {:?}", self.id), binaries::built("stmfd")?)
                    .args(["--node", &self.id.number().to_string()])
                    .arg("--state-dir")
                    .arg(self.state_dir())
                    .arg("--control")
                    .arg(self.control())
                    .args([
                        "--iscsi-listen",
                        &self.portal().to_string(),
                        "--target-name",
                        &self.target,
                    ])
                    .args(&self.options.arguments);
                if let Some(limit) = self.options.descriptors {
                    start = start.descriptors(limit);
                }
                self.stmfd = Some(start.spawn(&log)?);
            }
            Program::Transport => {
                let command = self
                    .transport_command
                    .as_ref()
                    .context("this node has no transport")?;
                let start = Start::new(format!("transport {:?}", self.id), &command.program)
                    .args(&command.arguments)
                    .env("STMF_CONTROL", self.control());
                self.transport = Some(start.spawn(&log)?);
            }
        }
        Ok(())
    }

    /// The log of one of its processes: all its lives in one file.
    #[must_use]
    pub fn log(&self, program: Program) -> PathBuf {
        self.dir.join(match program {
            Program::Stmfd => "stmfd.log",
            Program::Transport => "transport.log",
        })
    }

    /// What one of its processes has logged.
    #[must_use]
    pub fn log_text(&self, program: Program) -> String {
        process::read_lossy(&self.log(program))
    }

    /// One of its processes.
    ///
    /// # Panics
    /// When it was never started.
    pub fn process(&mut self, program: Program) -> &mut Process {
        let slot = match program {
            Program::Stmfd => &mut self.stmfd,
            Program::Transport => &mut self.transport,
        };
        slot.as_mut().expect("this process was never started")
    }

    /// kill -9.
    pub fn kill9(&mut self, program: Program) {
        self.process(program).kill9();
    }

    /// Asks it to end, and waits.
    pub fn stop(&mut self, program: Program) {
        self.process(program).terminate(STOP_LIMIT);
    }

    /// Ends what runs: transport first.
    pub fn stop_all(&mut self) {
        for process in [&mut self.transport, &mut self.stmfd].into_iter().flatten() {
            process.terminate(STOP_LIMIT);
        }
    }

    /// Waits until `stmfd` says that it is online.
    ///
    /// # Errors
    /// When it ends, or does not say so in time; the message has the end of its log.
    pub fn wait_ready(&mut self) -> Result<()> {
        let what = format!("stmfd {:?} to be online", self.id);
        let mut died = false;
        let ready = until(PATIENCE, &what, || {
            died = self.stmfd.as_mut().is_none_or(|process| !process.is_running());
            if died {
                return Ok(Some(()));
            }
            let state = self.stmfadm_json(&["list-state"])?;
            Ok((find(&state, "service").and_then(Value::as_str) == Some("online")).then_some(()))
        });
        if died || ready.is_err() {
            let tail = self.process(Program::Stmfd).tail();
            ready.with_context(|| format!("log of stmfd {:?}:\n{tail}", self.id))?;
            bail!("stmfd {:?} ended at its start; its log:\n{tail}", self.id);
        }
        Ok(())
    }

    /// Runs `stmfadm` on this node and gives whatever it did.
    ///
    /// # Errors
    /// When it cannot be run or does not end.
    pub fn stmfadm_raw(&self, arguments: &[&str]) -> Result<Finished> {
        let start = Start::new("stmfadm", binaries::built("stmfadm")?)
            .arg("--control")
            .arg(self.control());
        process::run(start.args(arguments), PATIENCE)
    }

    /// Runs `stmfadm` on this node; gives what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn stmfadm(&self, arguments: &[&str]) -> Result<String> {
        let start = Start::new("stmfadm", binaries::built("stmfadm")?)
            .arg("--control")
            .arg(self.control());
        process::run_ok(start.args(arguments), PATIENCE)
    }

    /// Runs a listing of `stmfadm` with `--json`.
    ///
    /// # Errors
    /// When it fails or prints no JSON.
    pub fn stmfadm_json(&self, arguments: &[&str]) -> Result<Value> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let text = self.stmfadm(&arguments)?;
        serde_json::from_str(&text).with_context(|| format!("stmfadm {arguments:?} printed no JSON: {text}"))
    }

    /// The proxy service's state and counters.
    ///
    /// # Errors
    /// When `stmfadm list-proxy` fails.
    pub fn proxy(&self) -> Result<Value> {
        self.stmfadm_json(&["list-proxy"])
    }

    /// `up`, `connecting`, `down`: the channel to the peer as this node sees it.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn channel(&self) -> Result<String> {
        let proxy = self.proxy()?;
        let channel = find(&proxy, "channel").and_then(Value::as_str);
        Ok(channel
            .with_context(|| format!("list-proxy has no channel: {proxy}"))?
            .to_lowercase())
    }

    /// One counter of the proxy service: `upcalls`, `posts`, …
    ///
    /// # Errors
    /// When the node does not answer or has no such counter.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let proxy = self.proxy()?;
        find(&proxy, name)
            .and_then(Value::as_u64)
            .with_context(|| format!("list-proxy has no {name}: {proxy}"))
    }

    /// Access state of a logical unit on this node (`active`, `standby`, …), or `None` while it is not known here.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn access_state(&self, guid: &str) -> Result<Option<String>> {
        let list = self.stmfadm_json(&["list-lu", "-v"])?;
        let lu = find_object(&list, "guid", guid);
        Ok(lu
            .and_then(|lu| find(lu, "access"))
            .and_then(Value::as_str)
            .map(str::to_lowercase))
    }
}

/// The first value with this key, anywhere in the document: the harness asks for names, not for layout.
#[must_use]
pub fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map
            .get(key)
            .or_else(|| map.values().find_map(|inner| find(inner, key))),
        Value::Array(list) => list.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

/// The largest object in a list that has `key` with this text somewhere inside.
fn find_object<'a>(value: &'a Value, key: &str, text: &str) -> Option<&'a Value> {
    match value {
        Value::Array(list) => list
            .iter()
            .find(|inner| find(inner, key).and_then(Value::as_str) == Some(text)),
        Value::Object(map) => {
            if map.get(key).and_then(Value::as_str) == Some(text) {
                return Some(value);
            }
            map.values().find_map(|inner| find_object(inner, key, text))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logical_unit_is_found_in_any_layout_of_the_list() {
        let flat = serde_json::json!([{"guid": "X", "access": "Standby"}, {"guid": "Y", "access": "Active"}]);
        let nested = serde_json::json!({"lus": [{"summary": {"guid": "Y", "access": "Active"}, "epoch": 1}]});
        for list in [flat, nested] {
            let lu = find_object(&list, "guid", "Y").expect("listed");
            assert_eq!(find(lu, "access").and_then(Value::as_str), Some("Active"));
        }
    }
}
