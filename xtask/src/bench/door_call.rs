//! The null door call between two processes, next to its limit and to a Unix socket.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use conformance::until;
use conformance::wait::PATIENCE;
use door::{Door, DoorHandle, Reply};

use super::ping_pong::{self, SharedMemory, Socket};
use super::report::Report;

const DOOR: &str = "null door call";
const SHARED_MEMORY: &str = "shared-memory ping-pong, both spinning";
const SOCKET: &str = "Unix stream socket ping-pong";

/// Round trips per sample of the fast kinds; a twentieth for the socket.
const BATCH: u32 = 20_000;
/// Samples of each kind per round.
const SAMPLES: u32 = 5;

/// Measures all three, interleaved.
pub(crate) fn measure(rounds: u32, report: &mut Report) -> Result<()> {
    println!("null door call against shared memory and a Unix socket, two processes each");
    let dir = tempfile::tempdir()?;
    for _ in 0..rounds {
        // Fresh processes per round: a spinning peer must not be there while the others are measured.
        let mut memory = SharedMemory::start(dir.path())?;
        sample(report, SHARED_MEMORY, BATCH, || memory.round_trip())?;
        drop(memory);
        let path = dir.path().join("null.door");
        let _server = ping_pong::answering("answer-door", &path, &dir.path().join("door.log"))?;
        let door = until(PATIENCE, "the door server", || Ok(DoorHandle::open(&path).ok()))?;
        let mut reply = [0; 8];
        let mut call = || {
            door.call_into(&[], &mut reply)
                .map(|_| ())
                .context("the null door call failed")
        };
        call()?;
        sample(report, DOOR, BATCH, call)?;
        let mut socket = Socket::start(dir.path())?;
        sample(report, SOCKET, BATCH / 20, || socket.round_trip())?;
        drop(socket);
        std::fs::remove_file(dir.path().join("ping.socket"))?;
    }
    report.ratio(
        "null door call / shared-memory ping-pong",
        DOOR,
        SHARED_MEMORY,
        "budget: at most 2",
    );
    report.ratio(
        "Unix socket ping-pong / null door call",
        SOCKET,
        DOOR,
        "times faster than a socket",
    );
    Ok(())
}

fn sample(
    report: &mut Report,
    name: &'static str,
    batch: u32,
    mut once: impl FnMut() -> Result<()>,
) -> Result<()> {
    for _ in 0..batch / 10 {
        once()?;
    }
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..batch {
            once()?;
        }
        report.add(
            name,
            "us per round trip",
            start.elapsed().as_secs_f64() * 1e6 / f64::from(batch),
        );
    }
    Ok(())
}

/// Serves the null door until it is killed.
pub(crate) fn answer(path: &Path) -> Result<()> {
    let door = Door::builder().create(|_| Reply::empty())?;
    let _attached = door.attach(path)?;
    loop {
        std::thread::park();
    }
}
