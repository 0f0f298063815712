//! The tests of doors once more, as a user without rights, where `cargo xtask test` is run by root.
//!
//! The rows in C and the programs in `libdoor` do so by themselves. Here the test programs of the Rust crates, which cargo has
//! built, are run as nobody.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::build::{self, TestProgram};

/// A user and group that own nothing.
const NOBODY: u32 = 65534;
const PACKAGES: [&str; 3] = ["door", "door-service", "doorctl"];
/// Test programs that compile something: the toolchain and its folders are those of whoever builds.
const COMPILING: [&str; 3] = ["examples", "refusals", "ten_minutes"];

/// Runs them; an error names those that failed.
pub(crate) fn run() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        println!("tests without rights: that was all of them, as this is not root");
        return Ok(());
    }
    let mut failed = Vec::new();
    let mut skipped = BTreeSet::new();
    for program in build::test_programs(&PACKAGES)? {
        if COMPILING.contains(&program.name.as_str()) {
            println!("not as nobody: {}, which compiles", program.path.display());
        } else if !as_nobody(&program, &mut skipped)? {
            failed.push(program.path.display().to_string());
        }
    }
    println!("\nas nobody: {} tests skipped", skipped.len());
    skipped.iter().for_each(|line| println!("  {line}"));
    if !failed.is_empty() {
        bail!("failed as nobody: {}", failed.join(" "));
    }
    Ok(())
}

/// Runs one; false if it failed. What it says that it skipped is noted.
fn as_nobody(program: &TestProgram, skipped: &mut BTreeSet<String>) -> Result<bool> {
    println!("\nas nobody: {}", program.path.display());
    let mut child = Command::new(&program.path)
        .current_dir(&program.folder)
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("nobody cannot run {}", program.path.display()))?;
    for line in BufReader::new(child.stderr.take().context("its errors are piped")?).lines() {
        let line = line?;
        eprintln!("{line}");
        if let Some(what) = line.strip_prefix("skipped: ") {
            skipped.insert(what.to_owned());
        }
    }
    Ok(child.wait()?.success())
}
