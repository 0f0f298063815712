//! The processes of a run: started, stopped, killed and ended by number, whatever happens.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::waiting::Stuck;

/// A process of the run. It does not outlive this value.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
    /// It stands still until then.
    stopped: Option<Instant>,
}

impl Process {
    /// Starts `program`.
    pub(crate) fn start(program: &Path, name: &str, arguments: &[&str]) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What threads keep for themselves after it was freed would count as allocated.
            .env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
            // Ctrl-C is for this process alone.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            stopped: None,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that it is ready.
    pub(crate) fn ready(&mut self, patience: Duration) -> Result<()> {
        let mut line = String::new();
        let output = self.child.stdout.as_mut().context("a pipe was asked for")?;
        let mut polled = [PollFd::new(output, PollFlags::IN)];
        let patience = Timespec::try_from(patience)?;
        while let Err(errno) = poll(&mut polled, Some(&patience)) {
            ensure!(errno == Errno::INTR, errno);
        }
        if polled[0].revents().is_empty() {
            bail!(Stuck(format!("{} does not get ready", self.name)));
        }
        BufReader::new(output).read_line(&mut line)?;
        ensure!(
            line == "ready\n",
            "{} said {line:?} instead of being ready",
            self.name
        );
        Ok(())
    }

    /// Fails if it has ended.
    pub(crate) fn must_live(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself: {status}", self.name),
        }
    }

    /// Kills it in the middle of what it does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.must_live()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it stand still for a while.
    pub(crate) fn stop(&mut self, time: Duration) -> Result<()> {
        self.signal(Signal::STOP)?;
        self.stopped = Some(Instant::now() + time);
        Ok(())
    }

    /// Lets it go on once its time has come.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        if self.stopped.is_some_and(|until| Instant::now() >= until) {
            self.signal(Signal::CONT)?;
            self.stopped = None;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid().cast_signed()).context("0 is no process")?;
        rustix::process::kill_process(pid, signal)?;
        Ok(())
    }

    /// Waits for a good end; a server ends when its input does.
    pub(crate) fn end(mut self, patience: Duration) -> Result<()> {
        drop(self.child.stdin.take());
        let until = Instant::now() + patience;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} failed: {status}", self.name),
                None => ensure!(Instant::now() < until, "{} does not end", self.name),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is left alone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets this process not outlive the one that started it.
pub(crate) fn end_with_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Makes this process the parent of all whose own parent is killed.
pub(crate) fn adopt() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Children of killed clients that have not ended yet. Those that have are waited for.
pub(crate) fn orphans(own: &[u32]) -> Result<Vec<Pid>> {
    let mut living = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Some(orphan) = Pid::from_raw(pid.cast_signed()) else {
            continue;
        };
        if parent(pid) != Some(std::process::id()) || own.contains(&pid) {
            continue;
        }
        match rustix::process::waitpid(Some(orphan), WaitOptions::NOHANG)? {
            None => living.push(orphan),
            Some((_, status)) => ensure!(
                status.exit_status() == Some(0),
                "a forked child of a killed client failed: {status:?}"
            ),
        }
    }
    Ok(living)
}

/// The parent of a process, if that is there.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, also parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Kills those that are left when this process has no other children.
pub(crate) fn kill_orphans() {
    for orphan in orphans(&[]).unwrap_or_default() {
        let _ = rustix::process::kill_process(orphan, Signal::KILL);
        let _ = rustix::process::waitpid(Some(orphan), WaitOptions::empty());
    }
}
