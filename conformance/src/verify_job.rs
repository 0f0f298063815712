//! A job that writes patterns through one portal and reads them back, over and over, with a real initiator.
//!
//! It drives one `qemu-io` through its standard input, so the session stays the same for the whole job, and notes
//! how long the slowest command took: that is the stall an application would see.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::process::{Process, Start};

/// The part of the logical unit a job may change. Two jobs must not share bytes.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// First byte, a multiple of the chunk.
    pub offset: u64,
    /// Bytes, a multiple of the chunk.
    pub length: u64,
}

/// Bytes of one write and one read of the job.
pub const CHUNK_BYTES: u64 = 65_536;

/// What a job did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// Write and read-back pairs done.
    pub rounds: u64,
    /// The slowest single command.
    pub longest: Duration,
}

/// A running job.
#[derive(Debug)]
pub struct VerifyJob {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    worker: Option<JoinHandle<Result<Report>>>,
}

impl VerifyJob {
    /// Opens `url` and starts; `log` takes what `qemu-io` says on standard error.
    ///
    /// # Errors
    /// When `qemu-io` cannot be started.
    pub fn start(url: &str, region: Region, log: &Path) -> Result<Self> {
        let start = Start::new("qemu-io", "qemu-io").args(["-f", "raw"]).arg(url);
        let mut shell = Shell::new(start.spawn_piped(log)?)?;
        let stop = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicU64::new(0));
        let (inner_stop, inner_rounds) = (Arc::clone(&stop), Arc::clone(&rounds));
        let worker = std::thread::spawn(move || work(&mut shell, region, &inner_stop, &inner_rounds));
        Ok(Self {
            stop,
            rounds,
            worker: Some(worker),
        })
    }

    /// Write and read-back pairs done so far.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Whether it ended by itself: it never does unless something failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.worker.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until `more` further rounds are done.
    ///
    /// # Errors
    /// When the job fails, or does not get there in time.
    pub fn advance(&mut self, more: u64) -> Result<()> {
        let goal = self.rounds() + more;
        crate::until(crate::wait::PATIENCE, "the verify job to go on", || {
            Ok((self.rounds() >= goal || self.has_failed()).then_some(()))
        })?;
        if self.rounds() >= goal {
            return Ok(());
        }
        Err(self
            .stop()
            .err()
            .unwrap_or_else(|| anyhow!("the verify job ended by itself")))
    }

    /// Ends it and gives its report.
    ///
    /// # Errors
    /// When any command failed or read something else than was written.
    pub fn stop(&mut self) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let worker = self.worker.take().context("the verify job was already stopped")?;
        worker.join().map_err(|_| anyhow!("the verify job panicked"))?
    }
}

impl Drop for VerifyJob {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn work(shell: &mut Shell, region: Region, stop: &AtomicBool, rounds: &AtomicU64) -> Result<Report> {
    let mut report = Report::default();
    let chunks = (region.length / CHUNK_BYTES).max(1);
    while !stop.load(Ordering::Relaxed) {
        let at = region.offset + report.rounds % chunks * CHUNK_BYTES;
        let pattern = 1 + report.rounds % 250;
        for verb in ["write", "read"] {
            let command = format!("{verb} -P {pattern} {at} {CHUNK_BYTES}");
            let took = shell
                .command(&command)
                .with_context(|| format!("round {}", report.rounds))?;
            report.longest = report.longest.max(took);
        }
        report.rounds += 1;
        rounds.store(report.rounds, Ordering::Relaxed);
    }
    Ok(report)
}

/// `qemu-io` behind its prompt.
#[derive(Debug)]
struct Shell {
    process: Process,
    out: ChildStdout,
}

const PROMPT: &[u8] = b"qemu-io> ";

impl Shell {
    fn new(mut process: Process) -> Result<Self> {
        let out = process
            .child()
            .stdout
            .take()
            .context("qemu-io has no output pipe")?;
        let mut shell = Self { process, out };
        shell
            .until_prompt()
            .context("qemu-io does not open the logical unit")?;
        Ok(shell)
    }

    /// Runs one command; gives how long it took.
    fn command(&mut self, line: &str) -> Result<Duration> {
        let start = Instant::now();
        let input = self
            .process
            .child()
            .stdin
            .as_mut()
            .context("qemu-io has no input pipe")?;
        writeln!(input, "{line}").context("qemu-io is gone")?;
        let text = self.until_prompt().with_context(|| format!("in `{line}`"))?;
        if text.contains("failed") || !text.contains("bytes at offset") {
            bail!("`{line}`: {text}{}", self.process.tail());
        }
        Ok(start.elapsed())
    }

    fn until_prompt(&mut self) -> Result<String> {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = self.out.read(&mut chunk).context("cannot read from qemu-io")?;
            if read == 0 {
                bail!(
                    "qemu-io ended: {}{}",
                    String::from_utf8_lossy(&text),
                    self.process.tail()
                );
            }
            text.extend_from_slice(&chunk[..read]);
            if text.ends_with(PROMPT) {
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
        }
    }
}
