//! One process of a measurement: started, spoken to over its pipes, and ended.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use conformance::process::{Process, Start};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Set once the user wants it to end.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a wait looks whether the user wants it to end.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 250_000_000,
};
/// How long a side may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// A running side. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Side {
    process: Process,
    input: Option<ChildStdin>,
    output: ChildStdout,
    read: Vec<u8>,
}

impl Side {
    /// Starts it; what it says to its user goes to `log`.
    pub(crate) fn start(start: Start, log: &Path) -> Result<Self> {
        let mut process = start.spawn_piped(log)?;
        let child = process.child();
        let input = child.stdin.take();
        let output = child.stdout.take().context("a pipe was asked for")?;
        Ok(Self {
            process,
            input,
            output,
            read: Vec::new(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until it says that it is ready.
    pub(crate) fn until_ready(&mut self, limit: Duration) -> Result<()> {
        let line = self.line(limit)?;
        if line != "ready" {
            bail!("{} said {line:?} instead of being ready", self.process.name());
        }
        Ok(())
    }

    /// Tells it to begin at `when` of the monotonic clock.
    pub(crate) fn begin(&mut self, when: Duration) -> Result<()> {
        let mut input = self.input.as_ref().context("it was told to end already")?;
        let word = format!("{}\n", when.as_nanos());
        input.write_all(word.as_bytes()).context("it is gone")
    }

    /// The next line it prints.
    pub(crate) fn line(&mut self, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            if let Some(len) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=len).collect();
                return Ok(String::from_utf8_lossy(&line[..len]).into_owned());
            }
            if INTERRUPTED.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            if Instant::now() >= end {
                bail!(
                    "{} said nothing for {} s; {}",
                    self.process.name(),
                    limit.as_secs(),
                    self.process.tail()
                );
            }
            let mut polled = [PollFd::new(&self.output, PollFlags::IN)];
            match poll(&mut polled, Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(errno).context("cannot wait for a pipe"),
            }
            let mut piece = [0; 4096];
            let got = self.output.read(&mut piece)?;
            if got == 0 {
                bail!("{} ended: {}", self.process.name(), self.process.tail());
            }
            self.read.extend_from_slice(&piece[..got]);
        }
    }

    /// Asks it to end, and sees to it that it does.
    pub(crate) fn end(mut self) {
        self.input = None;
        // If it does not end in time it is killed, when `self` goes.
        let _ = self.process.wait(FAREWELL);
    }
}
