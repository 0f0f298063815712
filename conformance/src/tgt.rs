//! Debian's `tgt` in user space, without kernel modules: the peer that figures are compared with, and a target that is
//! not ours to check this harness with.

use std::net::SocketAddr;
use std::path::Path;

use crate::ports::Port;
use crate::process::{self, Process, Start};
use crate::until;
use crate::wait::PATIENCE;
use anyhow::{Context as _, Result};

/// Name of its target.
pub const TARGET: &str = "iqn.2026-11.org.example.peer:tgt";
/// `tgt` puts its controller at LUN 0.
pub const LUN: u16 = 1;

/// A running `tgtd` with one file-backed logical unit.
#[derive(Debug)]
pub struct Tgt {
    port: Port,
    process: Process,
}

impl Tgt {
    /// Starts it in the foreground on a port of its own and exports `file`; needs root, as `tgtd` does.
    ///
    /// # Errors
    /// When the Debian package `tgt` is missing or `tgtd` does not come up.
    pub fn start(dir: &Path, file: &Path) -> Result<Self> {
        let port = Port::reserve()?;
        // The control socket's name is this and a number; the port is ours alone, so the number is too.
        let control = port.number().to_string();
        let socket = dir.join("tgtd.socket");
        let process = Start::new("tgtd", "tgtd")
            .env("TGT_IPC_SOCKET", &socket)
            .args(["-f", "-C", &control, "--iscsi"])
            .arg(format!("portal={}", port.address()))
            .spawn(&dir.join("tgtd.log"))?;
        let admin = |arguments: &[&str]| {
            let start = Start::new("tgtadm", "tgtadm")
                .args(["-C", &control, "--lld", "iscsi"])
                .args(arguments);
            process::run_ok(start.env("TGT_IPC_SOCKET", &socket), PATIENCE)
        };
        let new = ["--op", "new", "--mode", "target", "--tid", "1", "-T", TARGET];
        until(PATIENCE, "tgtd to answer", || admin(&new).map(Some)).with_context(|| process.tail())?;
        let file = file.to_str().context("the path of the file is not UTF-8")?;
        let lun = LUN.to_string();
        admin(&[
            "--op",
            "new",
            "--mode",
            "logicalunit",
            "--tid",
            "1",
            "--lun",
            &lun,
            "-b",
            file,
        ])?;
        admin(&["--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL"])?;
        Ok(Self { port, process })
    }

    /// Its portal.
    #[must_use]
    pub fn portal(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}
