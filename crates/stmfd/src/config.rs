//! Settings: from a TOML file, each overridable on the command line.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use stmf_core::StandbyIo;

/// The SCSI target framework daemon: logical units, iSCSI front end, ALUA and the proxy service.
#[derive(Debug, Parser)]
#[command(name = "stmfd", version)]
pub(crate) struct Arguments {
    /// Settings file (TOML); every setting can also be given as an option.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Node number in the pair: 0 or 1.
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1))]
    node: Option<u16>,
    /// Folder for this node's state.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Path of the control door.
    #[arg(long, env = "STMF_CONTROL", value_name = "PATH")]
    control: Option<PathBuf>,
    /// Address and port to serve iSCSI on; may be given more than once.
    #[arg(long, value_name = "ADDR:PORT")]
    iscsi_listen: Vec<SocketAddr>,
    /// iSCSI name of the target.
    #[arg(long, value_name = "IQN")]
    target_name: Option<String>,
    /// What a standby logical unit does with media commands: full, compat or reject-reads.
    #[arg(long, value_name = "POLICY")]
    standby_io: Option<String>,
    /// Command that must exit 0 before a forced switch activates a logical unit here.
    #[arg(long, value_name = "COMMAND")]
    fencing_command: Option<String>,
    /// Bytes of command data held in memory at most; beyond it initiators get TASK SET FULL.
    #[arg(long, value_name = "BYTES")]
    memory_budget: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    node: Option<u16>,
    state_dir: Option<PathBuf>,
    control: Option<PathBuf>,
    iscsi_listen: Vec<SocketAddr>,
    target_name: Option<String>,
    standby_io: Option<String>,
    fencing_command: Option<String>,
    memory_budget: Option<usize>,
}

/// The settings in force.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Node number before an administrator or transport sets another.
    pub(crate) node: u16,
    /// Folder for this node's state.
    pub(crate) state_dir: PathBuf,
    /// Path of the control door.
    pub(crate) control: PathBuf,
    /// Portals.
    pub(crate) iscsi_listen: Vec<SocketAddr>,
    /// iSCSI name of the target.
    pub(crate) target_name: String,
    /// What a standby logical unit does with media commands.
    pub(crate) standby_io: StandbyIo,
    /// Verdict for forced switches.
    pub(crate) fencing_command: Option<String>,
    /// Bytes of command data in memory at most.
    pub(crate) memory_budget: usize,
}

impl Settings {
    /// Joins command line, file and defaults; the command line wins.
    pub(crate) fn load(arguments: Arguments) -> Result<Self> {
        let file = match &arguments.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let node = arguments.node.or(file.node).unwrap_or(0);
        if node > 1 {
            bail!("node must be 0 or 1, not {node}");
        }
        let target_name = arguments
            .target_name
            .or(file.target_name)
            .unwrap_or_else(|| format!("iqn.2026-11.org.lintel:node{node}"));
        check_name(&target_name)?;
        let mut iscsi_listen = arguments.iscsi_listen;
        if iscsi_listen.is_empty() {
            iscsi_listen = file.iscsi_listen;
        }
        if iscsi_listen.is_empty() {
            iscsi_listen.push(SocketAddr::from(([0, 0, 0, 0], 3260)));
        }
        let standby_io = match arguments.standby_io.or(file.standby_io).as_deref() {
            None | Some("full") => StandbyIo::Full,
            Some("compat") => StandbyIo::Compat,
            Some("reject-reads") => StandbyIo::RejectReads,
            Some(other) => bail!("standby-io must be full, compat or reject-reads, not `{other}`"),
        };
        Ok(Self {
            node,
            state_dir: arguments
                .state_dir
                .or(file.state_dir)
                .unwrap_or_else(|| "/var/lib/stmf".into()),
            control: arguments
                .control
                .or(file.control)
                .unwrap_or_else(|| "/run/stmf/control".into()),
            iscsi_listen,
            target_name,
            standby_io,
            fencing_command: arguments.fencing_command.or(file.fencing_command),
            memory_budget: arguments
                .memory_budget
                .or(file.memory_budget)
                .unwrap_or(256 << 20),
        })
    }
}

fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path).with_context(|| format!("settings file {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("settings file {}", path.display()))
}

fn check_name(name: &str) -> Result<()> {
    let known = ["iqn.", "eui.", "naa."]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if !known
        || name.len() > 223
        || name
            .bytes()
            .any(|b| b.is_ascii_uppercase() || !b.is_ascii_graphic())
    {
        bail!(
            "target name `{name}` is not an iSCSI name: iqn.…, eui.… or naa.…, lower case, at most 223 bytes"
        );
    }
    Ok(())
}
