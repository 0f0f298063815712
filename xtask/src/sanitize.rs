//! `cargo xtask sanitize`: the C library's stress programs with libdoor and the engine compiled for ThreadSanitizer.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::build::{self, root, step};
use crate::packages;

/// Programs of `crates/libdoor/tests/c/programs`, and what their client is given besides the path.
const PROGRAMS: [(&str, &[&str]); 2] = [("stress", &[]), ("churn", &["30"])];

/// Runs them; an error is a race.
pub(crate) fn run() -> Result<()> {
    packages::ensure()?;
    let lib = build::libdoor_for_thread_sanitizer()?;
    let mut races = Vec::new();
    for (name, arguments) in PROGRAMS {
        let (found, _) = step(&format!("{name} under ThreadSanitizer"), || {
            under(name, arguments, &lib)
        })?;
        races.extend(found);
    }
    for race in &races {
        println!("{race}");
    }
    ensure!(races.is_empty(), "ThreadSanitizer reports {} races", races.len());
    println!("ThreadSanitizer has nothing to report");
    Ok(())
}

/// The reports of one program, its server's and its client's.
fn under(name: &str, arguments: &[&str], lib: &Path) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let program = compile(name, lib, folder.path())?;
    // Reports go to the standard error: a log's number would be another file in the table of the engine's control thread.
    let options = format!(
        "suppressions={}:history_size=7:exitcode=0",
        root().join("crates/libdoor/link/tsan.supp").display()
    );
    let (door, log) = (folder.path().join("door"), folder.path().join("log"));
    let command = || {
        let mut command = Command::new(&program);
        // cargo's setting would show the ordinary library.
        command.env_remove("LD_LIBRARY_PATH");
        command.env("TSAN_OPTIONS", &options).arg(&door);
        command
    };
    let server = Server::start(command(), &log)?;
    let output = command().arg("client").args(arguments).output()?;
    drop(server);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}\n{said}", output.status);
    let mut races = reports(&said);
    races.extend(reports(&fs::read_to_string(log)?));
    Ok(races)
}

fn compile(name: &str, lib: &Path, folder: &Path) -> Result<PathBuf> {
    let (program, libdoor) = (folder.join(name), root().join("crates/libdoor"));
    let mut cc = Command::new("gcc");
    cc.args(["-fsanitize=thread", "-fno-builtin", "-g", "-O1", "-I"])
        .arg(libdoor.join("include"))
        .arg(libdoor.join(format!("tests/c/programs/{name}.c")))
        .arg(libdoor.join("tests/c/tsan.c"))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(lib)
        .args(["-ldoor", "-lpthread"])
        .arg(format!("-Wl,-rpath,{}", lib.display()));
    let output = cc.output().context("cannot run gcc")?;
    if !output.status.success() {
        bail!("{cc:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(program)
}

/// The reports of a log that are about memory. Those about numbers of descriptors are none: the engine's control thread has a table of
/// its own, where the same number is another file.
fn reports(log: &str) -> Vec<String> {
    log.split("==================\n")
        .filter(|report| report.contains("WARNING: ThreadSanitizer"))
        .filter(|report| !is_about_numbers(report))
        .map(str::to_owned)
        .collect()
}

/// True if both accesses of a report are system calls that make, use or close descriptors: ThreadSanitizer takes each for an access to what
/// it knows of the number.
fn is_about_numbers(report: &str) -> bool {
    const CALLS: [&str; 16] = [
        "accept4",
        "close",
        "connect",
        "dup",
        "epoll_ctl",
        "epoll_wait",
        "eventfd",
        "open",
        "open64",
        "pipe",
        "read",
        "recvmsg",
        "sendmsg",
        "socket",
        "socketpair",
        "write",
    ];
    let tops = report
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("#0 "));
    let mut accesses = tops
        .filter_map(|top| top.split_whitespace().next())
        .take(2)
        .peekable();
    accesses.peek().is_some() && accesses.all(|call| CALLS.contains(&call))
}

/// A server that has said it is ready; killed at the end.
struct Server(Child);

impl Server {
    fn start(mut command: Command, log: &Path) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(fs::File::create(log)?);
        let mut child = command.spawn()?;
        let said = child.stdout.take().context("its output is ours")?;
        let server = Self(child);
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        ensure!(line == "ready\n", "the server says '{line}'");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    const LOG: &str = "==================
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 8 at 0x7b0400000830 by main thread:
    #0 close tsan_interceptors_posix.cpp:1578
    #1 main churn.c:71
  Previous write of size 8 at 0x7b0400000830 by thread T2:
    #0 recvmsg sanitizer_common_interceptors.inc:3062
    #1 receive socket.rs:90
  Thread T2 created by main thread at:
    #0 pthread_create tsan_interceptors_posix.cpp:1001
==================
==================
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 8 at 0x7b2000004100 by thread T1:
    #0 free tsan_interceptors_posix.cpp:706
  Previous read of size 8 at 0x7b2000004100 by thread T2:
    #0 read sanitizer_common_interceptors.inc:1019
==================
ThreadSanitizer: reported 2 warnings
";

    #[test]
    fn races_are_told_from_numbers_of_descriptors() {
        let reports = super::reports(LOG);
        assert_eq!(reports.len(), 1);
        assert!(reports[0].contains("#0 free"));
    }
}
