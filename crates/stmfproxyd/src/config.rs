//! Command line and TOML file: the same names in both; the command line wins.

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use serde::Deserialize;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// Port listened on where none is given.
pub const DEFAULT_PORT: u16 = 6543;

/// Carries proxy messages to the peer node over mutually authenticated TLS 1.3.
#[derive(Debug, Parser)]
#[command(name = "stmfproxyd", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings for serving.
    #[command(flatten)]
    pub serve: Serve,
}

/// Sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this node's certificate (cert.pem) and key (key.pem, mode 0600).
    GenerateIdentity {
        /// Folder to put them in; made if it is not there.
        #[arg(long)]
        dir: PathBuf,
        /// Name in the certificate, for people; it is not checked.
        #[arg(long, default_value = "lintel-node")]
        name: String,
        /// Overwrite files that are there.
        #[arg(long)]
        force: bool,
    },
}

/// Settings; each may stand in the file given by --config under the same name.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Serve {
    /// File with these settings (TOML).
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Control door of stmfd [default: $STMF_CONTROL or /run/stmf/control].
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Wait for the peer at this address; without a port, at 6543.
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "connect")]
    pub listen: Option<String>,
    /// Go to the peer at this address; without a port, at 6543.
    #[arg(long, value_name = "ADDR:PORT")]
    pub connect: Option<String>,
    /// This node's certificate chain (PEM).
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The peer's certificate, or the CA that issued it (PEM).
    #[arg(long, value_name = "FILE")]
    pub peer_cert: Option<PathBuf>,
    /// This node's number, 0 or 1 [default: the one stmfd was started with].
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1))]
    pub node: Option<u32>,
}

/// Which side opens the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The peer comes to this address.
    Listen(SocketAddr),
    /// This node goes to that address, looked up anew each time.
    Connect(String),
}

/// Settings with nothing missing.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Control door; `None` means the client's default.
    pub control: Option<PathBuf>,
    /// Which side opens the connection.
    pub side: Side,
    /// Certificate chain.
    pub cert: PathBuf,
    /// Key.
    pub key: PathBuf,
    /// Pinned certificate.
    pub peer_cert: PathBuf,
    /// Node number, if given.
    pub node: Option<u32>,
}

impl Serve {
    /// Reads the file, if one is named, and checks that nothing is missing.
    ///
    /// # Errors
    /// What is missing, or wrong with the file.
    pub fn settle(self) -> anyhow::Result<Settings> {
        let merged = match &self.config {
            None => self,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let file: Self = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
                self.over(file)
            }
        };
        let side = match (merged.listen, merged.connect) {
            (Some(listen), None) => Side::Listen(address(&with_port(&listen))?),
            (None, Some(connect)) => Side::Connect(with_port(&connect)),
            (None, None) => bail!("give --listen ADDR:PORT on one node and --connect ADDR:PORT on the other"),
            (Some(_), Some(_)) => bail!("--listen and --connect exclude each other"),
        };
        let node = merged.node;
        if node.is_some_and(|n| n > 1) {
            bail!("node must be 0 or 1");
        }
        Ok(Settings {
            control: merged.control,
            side,
            cert: needed(merged.cert, "--cert")?,
            key: needed(merged.key, "--key")?,
            peer_cert: needed(merged.peer_cert, "--peer-cert")?,
            node,
        })
    }

    fn over(self, file: Self) -> Self {
        // An address on the command line replaces either kind of address in the file.
        let side_given = self.listen.is_some() || self.connect.is_some();
        Self {
            config: None,
            control: self.control.or(file.control),
            listen: if side_given { self.listen } else { file.listen },
            connect: if side_given { self.connect } else { file.connect },
            cert: self.cert.or(file.cert),
            key: self.key.or(file.key),
            peer_cert: self.peer_cert.or(file.peer_cert),
            node: self.node.or(file.node),
        }
    }
}

fn needed(path: Option<PathBuf>, option: &str) -> anyhow::Result<PathBuf> {
    path.with_context(|| {
        format!("{option} is missing (`stmfproxyd generate-identity` makes a certificate and key)")
    })
}

fn with_port(address: &str) -> String {
    let has_port = address.parse::<SocketAddr>().is_ok()
        || (!address.starts_with('[') && address.matches(':').count() == 1)
        || (address.starts_with('[') && address.contains("]:"));
    if has_port {
        return address.to_owned();
    }
    let bare_v6 = !address.starts_with('[') && address.contains(':');
    if bare_v6 {
        format!("[{address}]:{DEFAULT_PORT}")
    } else {
        format!("{address}:{DEFAULT_PORT}")
    }
}

/// The first address `text` stands for.
///
/// # Errors
/// It stands for none.
pub fn address(text: &str) -> anyhow::Result<SocketAddr> {
    text.to_socket_addrs()
        .with_context(|| format!("cannot look up {text}"))?
        .next()
        .with_context(|| format!("{text} has no address"))
}

/// For messages: a path or the default.
#[must_use]
pub fn control_name(control: Option<&Path>) -> String {
    control.map_or_else(
        || "the default control door".to_owned(),
        |p| p.display().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_where_none_is_given() {
        for (given, meant) in [
            ("10.0.0.1", "10.0.0.1:6543"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("node-b", "node-b:6543"),
            ("node-b:7", "node-b:7"),
            ("::1", "[::1]:6543"),
            ("[::1]", "[::1]:6543"),
            ("[::1]:8", "[::1]:8"),
        ] {
            assert_eq!(with_port(given), meant);
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy.toml");
        std::fs::write(
            &path,
            "listen = \"127.0.0.1\"\ncert = \"a\"\nkey = \"b\"\npeer-cert = \"c\"\nnode = 0\n",
        )
        .unwrap();
        let path = path.to_str().unwrap();
        let line = [
            "stmfproxyd",
            "--config",
            path,
            "--connect",
            "peer:1",
            "--node",
            "1",
        ];
        let settings = Arguments::parse_from(line).serve.settle().unwrap();
        assert_eq!(settings.side, Side::Connect("peer:1".to_owned()));
        assert_eq!((settings.node, settings.cert), (Some(1), PathBuf::from("a")));
        let settings = Arguments::parse_from(["stmfproxyd", "--config", path])
            .serve
            .settle()
            .unwrap();
        assert_eq!(settings.side, Side::Listen("127.0.0.1:6543".parse().unwrap()));
    }

    #[test]
    fn unknown_names_in_the_file_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy.toml");
        std::fs::write(&path, "lisen = \"127.0.0.1\"\n").unwrap();
        let line = ["stmfproxyd", "--config", path.to_str().unwrap()];
        assert!(Arguments::parse_from(line).serve.settle().is_err());
    }
}
