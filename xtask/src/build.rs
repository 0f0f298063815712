//! Calls of cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The cargo that started us, so that the same toolchain builds everything.
fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The root of the source tree.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The target directory, wherever the user's settings put it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output();
    let output = output.context("cannot run cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)))?;
    let directory = metadata
        .get("target_directory")
        .and_then(serde_json::Value::as_str);
    Ok(PathBuf::from(
        directory.context("cargo metadata names no target directory")?,
    ))
}

/// A build profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

impl Profile {
    /// Where cargo puts what it builds.
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Builds every program and library; gives the folder they are in.
pub(crate) fn workspace(profile: Profile) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--workspace"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    passed(command, "cargo build")?;
    Ok(target_dir()?.join(profile.folder()))
}

/// Builds one package; gives the folder its programs and libraries are in.
pub(crate) fn package(name: &str, profile: Profile) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--package", name]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    passed(command, "cargo build")?;
    Ok(target_dir()?.join(profile.folder()))
}

/// Builds `call-bench` in its own workspace, with or without the peers of doors; gives its path.
pub(crate) fn call_bench(peers: bool) -> Result<PathBuf> {
    let mut command = cargo();
    command
        .current_dir(root().join("benchmarks"))
        .args(["build", "--release"]);
    if peers {
        command.args(["--features", "peers"]);
    }
    // Beside the main workspace's, so that both are found and cleaned in one place.
    let target = target_dir()?.join("benchmarks");
    command.arg("--target-dir").arg(&target);
    passed(command, "cargo build in benchmarks/")?;
    Ok(target.join("release/call-bench"))
}

/// Builds libdoor, and the engine in it, for ThreadSanitizer; gives the folder it is in. The compiler's stable release can do that, but
/// keeps it for itself.
pub(crate) fn libdoor_for_thread_sanitizer() -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = target_dir()?.join("sanitize");
    let mut command = cargo();
    command
        .args(["build", "--package", "libdoor", "--target", &triple])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTC_BOOTSTRAP", "1")
        // The standard library is not compiled for it: `crates/libdoor/link/tsan.supp` and door's `sync::lock` say what follows.
        .env(
            "RUSTFLAGS",
            "--cfg thread_sanitizer -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
        );
    passed(command, "cargo build for ThreadSanitizer")?;
    Ok(target.join(triple).join("debug"))
}

/// `cargo test` of the whole workspace with the programs of `bin_dir`.
pub(crate) fn test_workspace(bin_dir: &Path) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command.env(conformance::binaries::BIN_DIR_VARIABLE, bin_dir);
    passed(command, "cargo test")?;
    let mut command = cargo();
    command.args([
        "test",
        "--package",
        "door",
        "--features",
        "usdt",
        "--test",
        "probes",
    ]);
    passed(command, "cargo test of the probes")
}

/// A test program.
pub(crate) struct TestProgram {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Where cargo would run it.
    pub(crate) folder: PathBuf,
}

/// Builds the test programs of some packages; gives them all.
pub(crate) fn test_programs(packages: &[&str]) -> Result<Vec<TestProgram>> {
    let mut command = cargo();
    command.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    command.args(packages.iter().flat_map(|package| ["--package", package]));
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.context("cannot run cargo test --no-run")?;
    if !output.status.success() {
        bail!("cargo test --no-run failed ({})", output.status);
    }
    let mut programs = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let text = |pointer: &str| message.pointer(pointer).and_then(serde_json::Value::as_str);
        let (Some(name), Some(path), Some(manifest)) =
            (text("/target/name"), text("/executable"), text("/manifest_path"))
        else {
            continue;
        };
        if message.pointer("/profile/test") == Some(&serde_json::Value::Bool(true)) {
            programs.push(TestProgram {
                name: name.to_owned(),
                path: path.into(),
                folder: Path::new(manifest)
                    .parent()
                    .unwrap_or_else(|| Path::new("/"))
                    .into(),
            });
        }
    }
    Ok(programs)
}

fn passed(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {what}"))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}

/// Runs a step, printing its name and how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let value = work().with_context(|| name.to_owned())?;
    let took = start.elapsed();
    println!("  {name:<66} {:>8.3} s", took.as_secs_f64());
    Ok((value, took))
}
