//! The soak of doors, as far as a test's time goes: `cargo xtask soak doors` makes as many calls as are asked for.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The folder with `libdoor.a`, in the profile of this test. Cargo does not build it for a test of its own accord, because no Rust
/// program can link to it.
fn library() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_door-soak"));
    let folder = program.parent().expect("a program lies in a folder");
    let profile = folder
        .file_name()
        .and_then(|name| name.to_str())
        .expect("the folder has a name");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "libdoor", "--profile"])
        .arg(if profile == "debug" { "dev" } else { profile })
        .arg("--target-dir")
        .arg(folder.parent().expect("a profile lies in the target folder"))
        .status();
    assert!(
        built.expect("cargo can be run").success(),
        "libdoor cannot be built"
    );
    folder.to_path_buf()
}

fn soak(calls: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_door-soak"));
    command
        .args(["run", "--calls", &calls.to_string(), "--library"])
        .arg(library());
    command
}

#[test]
fn a_hundred_thousand_calls_lose_nothing_and_leave_nothing_behind() {
    let output = soak(100_000).output().expect("the soak can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("passed: no reply lost"), "{said}");
}

/// Starts a run without end, and waits until calls are made. Its processes have `folder` in their arguments.
fn endless(folder: &Path) -> Child {
    let mut run = soak(u64::MAX)
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the soak can be run");
    let mut lines = BufReader::new(run.stdout.as_mut().expect("it is a pipe")).lines();
    let going = lines.any(|line| line.is_ok_and(|line| line.contains("/s; ") && !line.starts_with("0 of")));
    assert!(going, "no call was made");
    assert!(processes(folder) >= 4, "the processes of the run are found");
    run
}

/// Processes with `folder` in their arguments.
fn processes(folder: &Path) -> usize {
    let folder = folder.to_str().expect("the path is text");
    let entries = std::fs::read_dir("/proc").expect("/proc can be read");
    let arguments = entries
        .flatten()
        .map(|entry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default());
    arguments
        .filter(|arguments| String::from_utf8_lossy(arguments).contains(folder))
        .count()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ctrl_c_ends_a_run_early_and_what_was_made_is_checked() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut run = endless(folder.path());
    let pid = Pid::from_child(&run);
    kill_process(pid, Signal::INT).expect("it is our child");
    let mut said = String::new();
    let output = run.stdout.take().expect("it is a pipe");
    BufReader::new(output)
        .read_to_string(&mut said)
        .expect("it is text");
    assert!(run.wait().expect("it is our child").success(), "{said}");
    assert!(said.contains("passed: no reply lost"), "{said}");
    assert_eq!(processes(folder.path()), 0);
    let left = std::fs::read_dir(folder.path()).expect("it is a folder").count();
    assert_eq!(left, 0, "files are left behind");
}

#[test]
fn a_killed_run_takes_its_processes_with_it() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut run = endless(folder.path());
    run.kill().expect("it is our child");
    run.wait().expect("it is our child");
    until("processes are left behind", || processes(folder.path()) == 0);
}
