//! `cargo xtask soak`: much of everything at once, for as long as one likes.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::build::{self, Profile};

/// What is soaked.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Which {
    /// Doors: calls of any size, with descriptors, given up, interrupted and cancelled, between Rust and C processes, some of which are
    /// killed in the middle. Fails if a reply is lost, doubled or mixed up, or if memory, descriptors or threads stay behind. Ctrl-C
    /// ends it early; what was made until then is checked as well.
    Doors {
        /// Calls of all processes together.
        #[arg(long, default_value_t = 1_000_000)]
        calls: u64,
        /// Where every random number comes from [default: the clock].
        #[arg(long)]
        seed: Option<u64>,
    },
}

/// Builds `door-soak` and becomes it, so that Ctrl-C reaches it and nobody else.
pub(crate) fn run(which: &Which) -> Result<()> {
    let Which::Doors { calls, seed } = which;
    build::package("libdoor", Profile::Release)?;
    let folder = build::package("door-soak", Profile::Release)?;
    let mut soak = Command::new(folder.join("door-soak"));
    soak.args(["run", "--calls", &calls.to_string(), "--library"])
        .arg(folder);
    if let Some(seed) = seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    Err(soak.exec()).context("cannot start door-soak")
}
