//! Child processes that never outlive the test.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::sys::{self, ChildLimits};

/// A running (or dead) program with its output in a log file. Killed on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// How to start a [`Process`]: program, arguments, environment, limits.
#[derive(Debug)]
pub struct Start {
    name: String,
    command: Command,
    limits: ChildLimits,
}

impl Start {
    /// A program that will be called `name` in messages.
    pub fn new(name: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        Self {
            name: name.into(),
            command: Command::new(program),
            limits: ChildLimits::default(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = I>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Limits the number of open descriptors (`RLIMIT_NOFILE`).
    #[must_use]
    pub fn descriptors(mut self, limit: u64) -> Self {
        self.limits.descriptors = Some(limit);
        self
    }

    /// Runs it as another user, with no privilege left. Needs root.
    #[must_use]
    pub fn user(mut self, uid: u32) -> Self {
        self.limits.uid = Some(uid);
        self
    }

    /// Starts it; everything it prints is appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn spawn(mut self, log: &Path) -> Result<Process> {
        let out = append(log)?;
        let err = out.try_clone().context("cannot duplicate the log descriptor")?;
        self.command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = spawn_tied(self.command, self.limits)
            .with_context(|| format!("cannot start {} (is it built and installed?)", self.name))?;
        Ok(Process {
            name: self.name,
            child,
            log: log.to_path_buf(),
        })
    }

    /// Starts it with its input and output connected to pipes (`child.stdin`, `child.stdout`); errors go to `log`.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub fn spawn_piped(mut self, log: &Path) -> Result<Process> {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(append(log)?);
        let child = spawn_tied(self.command, self.limits)
            .with_context(|| format!("cannot start {} (is it built and installed?)", self.name))?;
        Ok(Process {
            name: self.name,
            child,
            log: log.to_path_buf(),
        })
    }
}

impl Process {
    /// The name given at start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The pipes, when it was started with [`Start::spawn_piped`].
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Everything it has printed so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        read_lossy(&self.log)
    }

    /// The path of its log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal; a process that is already gone is no error.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // ESRCH only: the child is ours and not reaped before `wait`.
            let _ = kill_process(pid, signal);
        }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end, at most `limit`.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for a child")? {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!(
                    "{} did not end within {} s; its log:\n{}",
                    self.name,
                    limit.as_secs(),
                    self.tail()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to end (SIGTERM), waits, and kills it when it does not.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        match self.wait(limit) {
            Ok(status) => status,
            Err(_) => {
                self.kill9();
                ExitStatus::from_raw(Signal::KILL.as_raw())
            }
        }
    }

    /// The last lines of its log, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Reads a file as text, whatever bytes are in it; empty when it is not there.
#[must_use]
pub fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

fn append(log: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(log);
    file.with_context(|| format!("cannot open the log {}", log.display()))
}

type Order = (Command, ChildLimits, Sender<io::Result<Child>>);

/// Starts `command` from a thread that lives as long as this process: the kernel kills a child when the *thread* that
/// started it ends, and a test's thread ends long before a pair that other tests share.
fn spawn_tied(command: Command, limits: ChildLimits) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, limits, reply) in inbox {
                sys::tie_to_parent(&mut command, limits);
                // A test that was cancelled meanwhile no longer wants its child: dropping it is right.
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (reply, answer) = channel();
    let sent = spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, limits, reply));
    sent.map_err(|_| io::Error::other("the spawning thread is gone"))?;
    answer
        .recv()
        .map_err(|_| io::Error::other("the spawning thread is gone"))?
}

/// What a finished command left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }
}

/// Runs a command to its end, at most `limit`, with its output collected; it is killed when the time is up.
///
/// # Errors
/// When it cannot be started or does not end in time. A failing exit status is *not* an error here.
pub fn run(start: Start, limit: Duration) -> Result<Finished> {
    let Start {
        name,
        mut command,
        limits,
    } = start;
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    command
        .stdin(Stdio::null())
        .stdout(append(&out)?)
        .stderr(append(&err)?);
    let child = spawn_tied(command, limits)
        .with_context(|| format!("cannot start {name}: install it (`cargo xtask test` does) or build it"))?;
    let mut process = Process {
        name,
        child,
        log: err.clone(),
    };
    let status = process.wait(limit)?;
    Ok(Finished {
        status,
        stdout: read_lossy(&out),
        stderr: read_lossy(&err),
    })
}

/// [`run`], and a failing exit status is an error that shows what the command said.
///
/// # Errors
/// As [`run`], or when the exit status is not 0.
pub fn run_ok(start: Start, limit: Duration) -> Result<String> {
    let name = start.name.clone();
    let shown = format!("{:?}", start.command);
    let finished = run(start, limit)?;
    if !finished.success() {
        bail!(
            "{name} failed ({}): {shown}\n{}{}",
            finished.status,
            finished.stdout,
            finished.stderr
        );
    }
    Ok(finished.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_killed_at_its_limit() {
        let error = run(
            Start::new("sleeper", "sleep").arg("600"),
            Duration::from_millis(50),
        );
        assert!(error.expect_err("too slow").to_string().contains("sleeper"));
    }

    #[test]
    fn a_process_started_by_a_finished_thread_still_runs() {
        let dir = tempfile::tempdir().expect("dir");
        let log = dir.path().join("log");
        let spawn = move || Start::new("cat", "cat").spawn_piped(&log);
        let mut process = std::thread::spawn(spawn).join().expect("thread").expect("cat");
        assert!(process.is_running());
        drop(process.child().stdin.take());
        assert!(process.wait(crate::wait::PATIENCE).expect("ends").success());
    }

    #[test]
    fn a_failure_shows_what_the_command_said() {
        let start = Start::new("ls", "ls").arg("/no such folder");
        let error = run_ok(start, crate::wait::PATIENCE).expect_err("fails");
        assert!(error.to_string().contains("no such folder"), "{error}");
    }
}
