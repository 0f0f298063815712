//! Bare round trips between two processes: the limit (shared memory, both sides spinning) and the usual way (a Unix
//! stream socket).

use std::fs::{File, OpenOptions};
use std::hint::spin_loop;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use conformance::process::{Process, Start};
use conformance::until;
use conformance::wait::PATIENCE;

use crate::sys::SharedWords;

/// Bytes of one socket message.
const MESSAGE: usize = 8;
const PAGE_BYTES: u64 = 4096;
/// A round trip of bare memory that takes this long has no peer any more.
const LOST: Duration = Duration::from_secs(10);

/// Starts this program as the answering side of a benchmark.
pub(crate) fn answering(kind: &str, path: &Path, log: &Path) -> Result<Process> {
    let own = std::env::current_exe().context("this program does not know its own path")?;
    Start::new(kind, own).args(["bench", kind]).arg(path).spawn(log)
}

/// The asking side of the shared-memory ping-pong.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    words: SharedWords,
    round: u64,
    _peer: Process,
}

impl SharedMemory {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        // Memory, not a disk: writing back a mapped page would write-protect it again and again.
        let shared = Path::new("/dev/shm");
        let folder = if shared.is_dir() { shared } else { dir };
        let file = tempfile::Builder::new()
            .prefix("lintel-bench-")
            .tempfile_in(folder)?;
        file.as_file().set_len(PAGE_BYTES)?;
        let words = SharedWords::map(file.as_file().as_fd())?;
        let peer = answering(
            "answer-shared-memory",
            file.path(),
            &dir.join("shared-memory.log"),
        )?;
        let mut asking = Self {
            words,
            round: 0,
            _peer: peer,
        };
        asking
            .round_trip()
            .context("the answering side of the shared-memory ping-pong")?;
        Ok(asking)
    }

    /// One round trip.
    pub(crate) fn round_trip(&mut self) -> Result<()> {
        self.round += 1;
        self.words.request().store(self.round, Ordering::Release);
        let mut spins = 0_u32;
        let start = Instant::now();
        while self.words.reply().load(Ordering::Acquire) != self.round {
            spin_loop();
            spins = spins.wrapping_add(1);
            if spins.is_multiple_of(1 << 20) && start.elapsed() > LOST {
                bail!("no answer within {} s", LOST.as_secs());
            }
        }
        Ok(())
    }
}

/// Answers until it is killed.
pub(crate) fn answer_shared_memory(file: &Path) -> Result<()> {
    let file: File = OpenOptions::new().read(true).write(true).open(file)?;
    let words = SharedWords::map(file.as_fd())?;
    let mut last = 0;
    loop {
        let request = words.request().load(Ordering::Acquire);
        if request == last {
            spin_loop();
            continue;
        }
        last = request;
        words.reply().store(request, Ordering::Release);
    }
}

/// The asking side of the socket ping-pong.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: UnixStream,
    _peer: Process,
}

impl Socket {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let path = dir.join("ping.socket");
        let peer = answering("answer-socket", &path, &dir.join("socket.log"))?;
        let stream = until(PATIENCE, "the socket ping-pong to listen", || {
            Ok(UnixStream::connect(&path).ok())
        })?;
        Ok(Self { stream, _peer: peer })
    }

    /// One round trip.
    pub(crate) fn round_trip(&mut self) -> Result<()> {
        let mut message = [0; MESSAGE];
        self.stream.write_all(&message)?;
        self.stream.read_exact(&mut message)?;
        Ok(())
    }
}

/// Answers one connection until it ends.
pub(crate) fn answer_socket(path: &Path) -> Result<()> {
    let (mut stream, _) = UnixListener::bind(path)?.accept()?;
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).is_ok() {
        stream.write_all(&message)?;
    }
    Ok(())
}
