//! Two nodes that know each other: the system under test.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::node::{DaemonOptions, Node, NodeId, Program, TransportCommand};
use crate::ports::Port;
use crate::process::{self, Start};
use crate::wait::{PATIENCE, until};
use crate::{Cutter, binaries};

/// Which program carries messages between the nodes.
#[derive(Debug, Clone)]
pub enum Transport {
    /// `stmfproxyd`: TLS, identities made for this pair.
    Stmfproxyd,
    /// A compiled relay, by path: `relay CONTROL NODE listen|connect ADDRESS PORT`.
    Relay(PathBuf),
    /// None: the test plays the transport itself.
    None,
}

/// How a pair is put together.
#[derive(Debug)]
pub struct PairBuilder {
    dir: Option<PathBuf>,
    transport: Transport,
    cutter: bool,
    ports: Option<[u16; 2]>,
    options: [DaemonOptions; 2],
}

impl PairBuilder {
    /// Keeps everything in `dir` instead of a temporary folder.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_path_buf());
        self
    }

    /// Another transport.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Puts a [`Cutter`] between the two transports.
    #[must_use]
    pub fn with_cutter(mut self) -> Self {
        self.cutter = true;
        self
    }

    /// Fixed iSCSI ports for node 0 and node 1.
    #[must_use]
    pub fn iscsi_ports(mut self, ports: [u16; 2]) -> Self {
        self.ports = Some(ports);
        self
    }

    /// Options for one node's `stmfd`.
    #[must_use]
    pub fn options(mut self, id: NodeId, options: DaemonOptions) -> Self {
        self.options[id.number()] = options;
        self
    }

    /// Starts everything and waits until both nodes say that the channel is up.
    ///
    /// # Errors
    /// When anything does not come up; the message has the end of the logs.
    pub fn start(self) -> Result<Pair> {
        let (dir, temporary) = match self.dir {
            Some(dir) => (dir, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("lintel-").tempdir()?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        let [options_a, options_b] = self.options;
        let [port_a, port_b] = match self.ports {
            Some([a, b]) => [Port::fixed(a)?, Port::fixed(b)?],
            None => [Port::reserve()?, Port::reserve()?],
        };
        let a = Node::lay_out(NodeId::A, &dir.join("a"), port_a, options_a)?;
        let b = Node::lay_out(NodeId::B, &dir.join("b"), port_b, options_b)?;
        let channel_port = Port::reserve()?;
        let cutter = self
            .cutter
            .then(|| Cutter::start(channel_port.address()))
            .transpose()?;
        let mut pair = Pair {
            nodes: [a, b],
            cutter,
            channel_port,
            dir,
            has_transport: !matches!(self.transport, Transport::None),
            temporary,
        };
        pair.prepare_transport(&self.transport)?;
        pair.start_all()?;
        Ok(pair)
    }
}

/// A running pair. Dropping it kills every process and removes its temporary folder (kept when a test panics and
/// `LINTEL_KEEP` is set).
#[derive(Debug)]
pub struct Pair {
    nodes: [Node; 2],
    cutter: Option<Cutter>,
    channel_port: Port,
    dir: PathBuf,
    has_transport: bool,
    temporary: Option<tempfile::TempDir>,
}

/// A logical unit of a pair, visible as LUN `lun` through both nodes.
#[derive(Debug, Clone)]
pub struct Unit {
    /// 32 hexadecimal digits.
    pub guid: String,
    /// The logical unit number on both nodes.
    pub lun: u16,
    /// The file behind it.
    pub file: PathBuf,
    /// Bytes.
    pub bytes: u64,
}

impl Pair {
    /// A pair with `stmfproxyd`, ephemeral ports and a temporary folder, unless changed.
    #[must_use]
    pub fn builder() -> PairBuilder {
        PairBuilder {
            dir: None,
            transport: Transport::Stmfproxyd,
            cutter: false,
            ports: None,
            options: [DaemonOptions::default(), DaemonOptions::default()],
        }
    }

    /// The usual pair, running.
    ///
    /// # Errors
    /// As [`PairBuilder::start`].
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// One of the nodes.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.number()]
    }

    /// One of the nodes, to do something to it.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.number()]
    }

    /// Node 0.
    #[must_use]
    pub fn a(&self) -> &Node {
        self.node(NodeId::A)
    }

    /// Node 1.
    #[must_use]
    pub fn b(&self) -> &Node {
        self.node(NodeId::B)
    }

    /// The folder of the pair.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Address node A's transport listens on.
    #[must_use]
    pub fn channel_address(&self) -> SocketAddr {
        self.channel_port.address()
    }

    /// The forwarder between the transports.
    ///
    /// # Panics
    /// When the pair was built without one.
    #[must_use]
    pub fn cutter(&self) -> &Cutter {
        self.cutter.as_ref().expect("built without a cutter")
    }

    fn prepare_transport(&mut self, transport: &Transport) -> Result<()> {
        let listen = self.channel_port.address();
        let connect = self.cutter.as_ref().map_or(listen, Cutter::address);
        for id in [NodeId::A, NodeId::B] {
            let ends = if id == NodeId::A {
                ("listen", listen)
            } else {
                ("connect", connect)
            };
            let command = match transport {
                Transport::None => return Ok(()),
                Transport::Stmfproxyd => self.stmfproxyd(id, ends)?,
                Transport::Relay(program) => relay(program, self.node(id), ends),
            };
            self.node_mut(id).set_transport(command);
        }
        Ok(())
    }

    fn stmfproxyd(&self, id: NodeId, (verb, address): (&str, SocketAddr)) -> Result<TransportCommand> {
        let program = binaries::built("stmfproxyd")?;
        for owner in [NodeId::A, NodeId::B] {
            let dir = self.node(owner).dir();
            if !dir.join("cert.pem").exists() {
                let start = Start::new("stmfproxyd generate-identity", &program).arg("generate-identity");
                let start = start.arg("--dir").arg(dir);
                process::run_ok(start, PATIENCE)?;
            }
        }
        let (own, peer) = (self.node(id).dir(), self.node(id.peer()).dir());
        let path = |path: PathBuf| path.display().to_string();
        let arguments = vec![
            "--control".to_owned(),
            path(self.node(id).control()),
            format!("--{verb}"),
            address.to_string(),
            "--cert".to_owned(),
            path(own.join("cert.pem")),
            "--key".to_owned(),
            path(own.join("key.pem")),
            "--peer-cert".to_owned(),
            path(peer.join("cert.pem")),
        ];
        Ok(TransportCommand { program, arguments })
    }

    fn start_all(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.start(Program::Stmfd)?;
        }
        for node in &mut self.nodes {
            node.wait_ready()?;
        }
        if self.has_transport {
            for node in &mut self.nodes {
                node.start(Program::Transport)?;
            }
            self.wait_channel()?;
        }
        Ok(())
    }

    /// Waits until both nodes say that the channel is up.
    ///
    /// # Errors
    /// When they do not; the message has the end of all logs.
    pub fn wait_channel(&self) -> Result<()> {
        let up = until(PATIENCE, "the proxy channel to be up on both nodes", || {
            let up = self.a().channel()? == "up" && self.b().channel()? == "up";
            Ok(up.then_some(()))
        });
        up.with_context(|| self.logs())
    }

    /// The end of the log of every process, for messages.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            for program in [Program::Stmfd, Program::Transport] {
                let log = node.log_text(program);
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(20)..].join("\n");
                text.push_str(&format!("--- {:?} {program:?}\n{tail}\n", node.id()));
            }
        }
        text
    }

    /// Creates a logical unit of `bytes` on a new file, owned by node A, and maps it as `lun` on both nodes.
    ///
    /// # Errors
    /// When a command fails or node B does not learn of it.
    pub fn create_unit(&self, name: &str, bytes: u64, lun: u16) -> Result<Unit> {
        let file = self.dir.join(name);
        OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&file)?;
        let path = file.display().to_string();
        let text = self
            .a()
            .stmfadm(&["create-lu", "-s", &bytes.to_string(), &path])?;
        let guid = text.rsplit(':').next().unwrap_or_default().trim().to_owned();
        if guid.len() != 32 {
            bail!("create-lu printed no GUID: {text}");
        }
        let unit = Unit {
            guid,
            lun,
            file,
            bytes,
        };
        for node in &self.nodes {
            node.stmfadm(&["add-view", "-n", &lun.to_string(), &unit.guid])?;
        }
        if self.has_transport {
            self.wait_access(NodeId::B, &unit, "standby")?;
        }
        Ok(unit)
    }

    /// Waits until a node reports this access state for a logical unit.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_access(&self, id: NodeId, unit: &Unit, state: &str) -> Result<()> {
        let what = format!("{} to be {state} on node {id:?}", unit.guid);
        let reached = until(PATIENCE, &what, || {
            Ok((self.node(id).access_state(&unit.guid)?.as_deref() == Some(state)).then_some(()))
        });
        reached.with_context(|| self.logs())
    }

    /// Planned switch: makes node `to` the owner. Gives how long the command took.
    ///
    /// # Errors
    /// When it fails or the states do not follow.
    pub fn failover(&self, unit: &Unit, to: NodeId) -> Result<Duration> {
        let start = Instant::now();
        self.node(to)
            .stmfadm(&["failover", &unit.guid])
            .with_context(|| self.logs())?;
        let took = start.elapsed();
        self.wait_access(to, unit, "active")?;
        self.wait_access(to.peer(), unit, "standby")?;
        Ok(took)
    }

    /// kill -9 of one process.
    pub fn kill9(&mut self, id: NodeId, program: Program) {
        self.node_mut(id).kill9(program);
    }

    /// Starts one process again and waits until the pair is whole.
    ///
    /// # Errors
    /// When the process does not come up or the channel does not come back by itself.
    pub fn restart(&mut self, id: NodeId, program: Program) -> Result<()> {
        self.node_mut(id).start(program)?;
        if program == Program::Stmfd {
            let ready = self.node_mut(id).wait_ready();
            ready.with_context(|| self.logs())?;
        }
        self.wait_channel()
    }

    /// Ends every process properly.
    pub fn stop(&mut self) {
        for node in &mut self.nodes {
            node.stop_all();
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let keep = std::thread::panicking() && std::env::var_os("LINTEL_KEEP").is_some();
        if keep && let Some(dir) = self.temporary.take() {
            // A developer asked for it: the logs and state of the failed test stay.
            eprintln!("kept {}", dir.keep().display());
        }
    }
}

fn relay(program: &Path, node: &Node, (verb, address): (&str, SocketAddr)) -> TransportCommand {
    let arguments = vec![
        node.control().display().to_string(),
        node.id().number().to_string(),
        verb.to_owned(),
        address.ip().to_string(),
        address.port().to_string(),
    ];
    TransportCommand {
        program: program.to_path_buf(),
        arguments,
    }
}
