//! `cargo xtask bench`: every figure stands next to its peer or its limit, measured in the same run.
//!
//! Rounds are interleaved (one short measurement of each kind, then again), because the machine's mood changes by the
//! minute: trust the ratios, not the times.

mod doors;
mod iscsi;
mod load;
mod report;

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use conformance::binaries;

use crate::build::{self, Profile};
use crate::packages;
use report::Report;

/// The benchmarks.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Which {
    /// Calls through doors, next to their limits and to other ways to call.
    Doors(doors::Options),
    /// Random reads over iSCSI, next to another target, and through the standby node.
    Iscsi {
        /// Rounds per measurement; the median counts.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
    /// `iscsi` itself, in the release build.
    #[command(hide = true)]
    MeasureIscsi { rounds: u32 },
}

/// Runs one benchmark, or all.
pub(crate) fn run(which: Option<Which>) -> Result<()> {
    match which {
        Some(Which::Doors(options)) => doors::run(&options),
        Some(Which::Iscsi { rounds }) => run_iscsi(rounds),
        Some(Which::MeasureIscsi { rounds }) => measure_iscsi(rounds.max(1)),
        None => {
            run_iscsi(5)?;
            doors::run(&doors::Options::default())
        }
    }
}

/// Builds in release mode and measures there.
fn run_iscsi(rounds: u32) -> Result<()> {
    packages::ensure()?;
    let bin_dir = build::workspace(Profile::Release)?;
    let mut command = Command::new(bin_dir.join("xtask"));
    command.args(["bench", "measure-iscsi", &rounds.to_string()]);
    command.env(binaries::BIN_DIR_VARIABLE, &bin_dir);
    let status = command
        .status()
        .context("cannot start the release build of xtask")?;
    if !status.success() {
        bail!("the measurement failed ({status})");
    }
    Ok(())
}

fn measure_iscsi(rounds: u32) -> Result<()> {
    let mut report = Report::default();
    iscsi::measure(rounds, &mut report)?;
    report.print();
    let path = build::target_dir()?.join("bench-iscsi.tsv");
    report.write(&path)?;
    println!("\nwritten to {}", path.display());
    Ok(())
}
