//! What all processes of a run write and read, in a file each of them maps; `c/soak.h` has the same places.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::sys;

/// Places where threads sit: one for each that may be there at once, in [`Seat`]s.
pub(crate) const SEATS: usize = 64;
/// A thread's forked child sits so far from it.
pub(crate) const CHILD: usize = SEATS / 2;

const NUMBERS: usize = 64;
const SEAT: usize = 8;
/// Words of the file.
const WORDS: usize = NUMBERS + SEATS * SEAT;

/// Numbers that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Number {
    /// What is to be done, see [`Phase`].
    Phase = 0,
    /// Calls that a living server may have got, whatever became of them.
    Calls = 1,
    Answered = 2,
    /// By a signal, or because the server was killed.
    Interrupted = 3,
    /// Not taken when a signal came.
    Again = 4,
    /// By a dead server's door.
    Revoked = 5,
    TimedOut = 6,
    /// By `pthread_cancel`.
    Cancelled = 7,
    /// Forked children that called, and ended well.
    Children = 8,
    /// Descriptors that came with requests, and with answers.
    There = 9,
    Back = 10,
    Bytes = 11,
    /// The number of the next life.
    Lives = 12,
    /// Doors that came with answers, and were called.
    Offspring = 13,
    /// Calls in which the server called the caller's process.
    CalledBack = 14,
}

/// What a thread does now.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(crate) enum Seat {
    Thread = 0,
    /// When its call began, in milliseconds of the monotonic clock; 0 if it makes none.
    Since = 1,
    /// Number of the server it calls.
    Peer = 2,
    /// Number of the call.
    Serial = 3,
    /// The last rest it has reached; that of a process's first thread is reached when all its threads have.
    Rest = 4,
    /// Bytes the process has allocated at that rest.
    Allocated = 5,
}

/// Calls are made, nobody calls, or the run ends. Each rest has its own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Calling,
    Rest(u64),
    End,
}

/// The file of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared(&'static [AtomicU64; WORDS]);

impl Shared {
    /// Makes the file of a run.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        std::fs::write(folder.join("shared"), [0; WORDS * 8])?;
        Self::open(folder)
    }

    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(folder.join("shared"))?;
        ensure!(
            file.metadata()?.len() == WORDS as u64 * 8,
            "the shared file has another length"
        );
        Ok(Self(sys::map_words(&file)?))
    }

    /// Counts, and gives what it was before.
    pub(crate) fn add(self, number: Number, amount: u64) -> u64 {
        self.0[number as usize].fetch_add(amount, Ordering::Relaxed)
    }

    /// Counts a call. A dead server's door is none that was called.
    pub(crate) fn add_call(self, outcome: Number) {
        self.add(outcome, 1);
        if outcome != Number::Revoked {
            self.add(Number::Calls, 1);
        }
    }

    pub(crate) fn get(self, number: Number) -> u64 {
        self.0[number as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn phase(self) -> Phase {
        match self.0[Number::Phase as usize].load(Ordering::Acquire) {
            0 => Phase::Calling,
            u64::MAX => Phase::End,
            rest => Phase::Rest(rest),
        }
    }

    pub(crate) fn set_phase(self, phase: Phase) {
        let word = match phase {
            Phase::Calling => 0,
            Phase::End => u64::MAX,
            Phase::Rest(rest) => rest,
        };
        self.0[Number::Phase as usize].store(word, Ordering::Release);
    }

    fn word(self, seat: usize, what: Seat) -> &'static AtomicU64 {
        &self.0[NUMBERS + (seat % SEATS) * SEAT + what as usize]
    }

    pub(crate) fn seat(self, seat: usize, what: Seat) -> u64 {
        self.word(seat, what).load(Ordering::Acquire)
    }

    pub(crate) fn set_seat(self, seat: usize, what: Seat, value: u64) {
        self.word(seat, what).store(value, Ordering::Release);
    }

    /// Says that this thread sits there.
    pub(crate) fn sits(self, seat: usize) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.set_seat(seat, Seat::Thread, thread.unsigned_abs().into());
    }

    /// Says which call begins.
    pub(crate) fn calls(self, seat: usize, peer: usize, serial: u64) {
        self.set_seat(seat, Seat::Peer, peer as u64);
        self.set_seat(seat, Seat::Serial, serial);
        self.set_seat(seat, Seat::Since, now());
    }

    /// In a thread that makes no call: waits until the rest is over.
    pub(crate) fn rest(self, seat: usize, rest: u64) {
        self.set_seat(seat, Seat::Rest, rest);
        while self.phase() == Phase::Rest(rest) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Milliseconds of the clock all processes share; never 0.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1000 + now.tv_nsec / 1_000_000).map_or(1, |now| now.max(1))
}
