//! `cargo xtask fuzz` and `cargo xtask model`: looking for what tests do not think of.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::build;

/// The fuzz targets: what each takes stands in `fuzz/fuzz_targets`.
const TARGETS: [&str; 6] = [
    "records",
    "bound_name",
    "status_file",
    "words",
    "client",
    "server",
];

/// Runs each fuzz target for so many seconds, from the seeds in `fuzz/corpus`. What is found on the way stays in the target
/// folder, and a failing input in `fuzz/artifacts`.
pub(crate) fn fuzz(seconds: u32, only: Option<&str>) -> Result<()> {
    if let Some(only) = only
        && !TARGETS.contains(&only)
    {
        bail!("no fuzz target {only}; there are {}", TARGETS.join(", "));
    }
    let program = cargo_fuzz()?;
    let found = build::target_dir()?.join("fuzz");
    for target in TARGETS
        .into_iter()
        .filter(|target| only.is_none_or(|only| only == *target))
    {
        println!("fuzz {target}: {seconds} s");
        let found = found.join(target);
        std::fs::create_dir_all(&found)?;
        let mut run = Command::new(&program);
        // Coverage is a feature of the compiler that its stable release has, but keeps for itself. Addresses are watched, leaks are not:
        // threads and links live on when an input is over.
        run.args(["fuzz", "run", "--fuzz-dir", "fuzz", target])
            .arg(&found)
            .arg(build::root().join("fuzz/corpus").join(target))
            .args(["--", "-timeout=60", "-detect_leaks=0", "-print_final_stats=1"])
            .arg(format!("-max_total_time={seconds}"))
            .arg("-max_len=2000")
            .env("RUSTC_BOOTSTRAP", "1")
            // A server may announce a reply of any size: the client is told that there is no memory for it.
            .env("ASAN_OPTIONS", "allocator_may_return_null=1")
            .current_dir(build::root());
        passed(run, &format!("fuzz target {target}"))?;
    }
    Ok(())
}

/// `cargo-fuzz`, installed in the target folder if the user has none.
fn cargo_fuzz() -> Result<PathBuf> {
    let there = Command::new("cargo-fuzz").arg("--version").output();
    if there.is_ok_and(|output| output.status.success()) {
        return Ok("cargo-fuzz".into());
    }
    let tools = build::target_dir()?.join("tools");
    let program = tools.join("bin/cargo-fuzz");
    if !program.exists() {
        println!("installing cargo-fuzz into {}", tools.display());
        let mut install = Command::new("cargo");
        install
            .args(["install", "--locked", "--quiet", "cargo-fuzz", "--root"])
            .arg(&tools);
        passed(install, "cargo install cargo-fuzz")?;
    }
    Ok(program)
}

/// Runs the models of what threads share: loom tries the orders in which they can meet. They are built apart from everything else, once.
pub(crate) fn model() -> Result<()> {
    let mut test = Command::new("cargo");
    test.args(["test", "--locked", "--package", "door", "--lib", "models"])
        .arg("--target-dir")
        .arg(build::target_dir()?.join("loom"))
        .env("RUSTFLAGS", "--cfg loom")
        .current_dir(build::root());
    passed(test, "the models")
}

fn passed(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {what}"))?;
    if status.success() {
        Ok(())
    } else {
        bail!("{what} failed: {status}")
    }
}
