//! `cargo xtask bench`: every figure stands next to its peer or its limit, measured in the same run.
//!
//! Rounds are interleaved (one short measurement of each kind, then again), because the machine's mood changes by the
//! minute: trust the ratios, not the times.

mod door_call;
mod iscsi;
mod load;
mod ping_pong;
mod report;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use conformance::binaries;

use crate::build::{self, Profile};
use crate::packages;
use report::Report;

/// Parts of a benchmark that run as processes of their own.
#[derive(Debug, Clone, Subcommand)]
#[command(hide = true)]
pub(crate) enum Inner {
    /// The measurement itself, in the release build.
    #[command(hide = true)]
    Measure,
    /// The answering side of the shared-memory ping-pong.
    #[command(hide = true)]
    AnswerSharedMemory { file: PathBuf },
    /// The answering side of the Unix-socket ping-pong.
    #[command(hide = true)]
    AnswerSocket { path: PathBuf },
    /// A door server whose procedure does nothing.
    #[command(hide = true)]
    AnswerDoor { path: PathBuf },
}

/// Builds in release mode and measures there.
pub(crate) fn run(rounds: u32) -> Result<()> {
    packages::ensure()?;
    let bin_dir = build::workspace(Profile::Release)?;
    let mut command = Command::new(bin_dir.join("xtask"));
    command.args(["bench", "--rounds", &rounds.to_string(), "measure"]);
    command.env(binaries::BIN_DIR_VARIABLE, &bin_dir);
    let status = command
        .status()
        .context("cannot start the release build of xtask")?;
    if !status.success() {
        bail!("the measurement failed ({status})");
    }
    Ok(())
}

/// One of the inner processes.
pub(crate) fn run_inner(rounds: u32, inner: Inner) -> Result<()> {
    match inner {
        Inner::Measure => measure(rounds.max(1)),
        Inner::AnswerSharedMemory { file } => ping_pong::answer_shared_memory(&file),
        Inner::AnswerSocket { path } => ping_pong::answer_socket(&path),
        Inner::AnswerDoor { path } => door_call::answer(&path),
    }
}

fn measure(rounds: u32) -> Result<()> {
    let mut report = Report::default();
    door_call::measure(rounds, &mut report)?;
    iscsi::measure(rounds, &mut report)?;
    report.print();
    let path = build::target_dir()?.join("bench.tsv");
    report.write(&path)?;
    println!("\nwritten to {}", path.display());
    Ok(())
}
