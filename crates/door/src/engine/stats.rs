//! Counting what a door does, for next to nothing.
//!
//! A call may take less than 200 ns: no word that several processors write may be written on its way. Each thread that serves a door
//! counts the door's calls in words of its own; what happens rarely is counted in words all share. The clock is read for calls
//! that had to wake a thread, which cost microseconds anyway, and for one in [`PERIOD`] of the others.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::object::lock;
use super::wire::Status;
use crate::statistics::{Histogram, Statistics};
use crate::sys::barrier;
use crate::sys::process::monotonic_ns;

/// Threads that count in words of their own, per door. Others share.
const OWN: usize = 16;
/// Calls that woke no thread and are not timed, for one that is. A prime number: callers have habits of two, four, and ten.
const PERIOD: u32 = 61;

/// What one thread counts of one door.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Tally {
    begun: AtomicU64,
    ended: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// Procedures of the Rust interface that have begun and not returned.
    inside: AtomicU64,
    shared: bool,
}

impl Tally {
    #[inline]
    fn add(&self, word: &AtomicU64, value: u64) {
        if self.shared {
            word.fetch_add(value, Ordering::AcqRel);
        } else {
            // Whoever holds the tally is the only one that writes: see `DoorStats::tally`.
            let now = word.load(Ordering::Relaxed).wrapping_add(value);
            word.store(now, Ordering::Release);
        }
    }

    /// A procedure is about to run.
    #[inline]
    pub(crate) fn begin(&self, bytes: usize) {
        self.add(&self.begun, 1);
        if bytes > 0 {
            self.add(&self.bytes_in, bytes as u64);
        }
    }

    /// A procedure has ended.
    #[inline]
    pub(crate) fn end(&self, bytes: usize) {
        self.add(&self.ended, 1);
        if bytes > 0 {
            self.add(&self.bytes_out, bytes as u64);
        }
    }

    /// It has not ended: the caller turned its answer down.
    pub(crate) fn resume(&self, bytes: usize) {
        self.add(&self.ended, 1u64.wrapping_neg());
        self.add(&self.bytes_out, (bytes as u64).wrapping_neg());
    }

    /// A procedure of the Rust interface begins. Whether it may is to be looked at after this.
    #[inline]
    pub(crate) fn enter(&self) {
        self.add(&self.inside, 1);
        barrier::light();
    }

    /// It has returned. Whether somebody waits for that is to be looked at after this.
    #[inline]
    pub(crate) fn leave(&self) {
        self.add(&self.inside, 1u64.wrapping_neg());
        barrier::light();
    }

    /// Calls that run now. The thread that counts goes on meanwhile, perhaps many times; but it runs only one at a time, and where
    /// several count it helps to look again.
    fn running(&self) -> u64 {
        let difference = || {
            let ended = self.ended.load(Ordering::Acquire);
            self.begun.load(Ordering::Acquire).saturating_sub(ended)
        };
        if self.shared {
            (0..4).map(|_| difference()).min().unwrap_or(0)
        } else {
            difference().min(1)
        }
    }
}

/// When a call that is timed began, in nanoseconds of the monotonic clock, and in the lowest bit whether it stands for [`PERIOD`] calls
/// or for itself. One word, because it travels with every invocation, timed or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed(NonZeroU64);

impl Timed {
    fn now(stands_for_many: bool) -> Option<Self> {
        NonZeroU64::new(monotonic_ns() << 1 | u64::from(stands_for_many)).map(Self)
    }

    fn weight(self) -> u64 {
        if self.0.get() & 1 == 1 { PERIOD.into() } else { 1 }
    }

    fn elapsed(self) -> Duration {
        // Compared as they are kept: without the highest bit.
        Duration::from_nanos((monotonic_ns() << 1).wrapping_sub(self.0.get() & !1) >> 1)
    }
}

/// Chooses the calls of a thread that are timed.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    passed: u32,
    woken: bool,
}

impl Sampler {
    /// The thread was woken for the call that comes next.
    #[inline]
    pub(crate) fn woken(&mut self) {
        self.woken = true;
    }

    /// To be asked once per call.
    #[inline]
    pub(crate) fn choose(&mut self) -> Option<Timed> {
        self.passed += 1;
        if self.passed < PERIOD && !self.woken {
            return None;
        }
        self.chosen()
    }

    #[cold]
    fn chosen(&mut self) -> Option<Timed> {
        if self.woken {
            self.woken = false;
            self.passed -= 1;
            return Timed::now(false);
        }
        self.passed = 0;
        Timed::now(true)
    }
}

/// The counters of a door.
#[derive(Debug, Default)]
pub(crate) struct DoorStats {
    tallies: Mutex<Vec<Arc<Tally>>>,
    most_running: AtomicU64,
    refused: AtomicU64,
    revoked: AtomicU64,
    aborted: AtomicU64,
    failed: AtomicU64,
    descriptors_in: AtomicU64,
    descriptors_out: AtomicU64,
    unreferenced: AtomicU64,
    clients: AtomicU64,
    run_time: OnceLock<Box<[AtomicU64; Histogram::CLASSES]>>,
}

impl DoorStats {
    /// A tally for a thread that begins to serve the door: its own for as long as it holds on to it.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        let mut tallies = lock(&self.tallies);
        // One that only this list holds has no writer any more; counting goes on from where it stands.
        if let Some(free) = tallies
            .iter_mut()
            .position(|tally| Arc::get_mut(tally).is_some_and(|tally| !tally.shared))
        {
            return Arc::clone(&tallies[free]);
        }
        if let Some(shared) = tallies.get(OWN) {
            return Arc::clone(shared);
        }
        let tally = Arc::new(Tally {
            shared: tallies.len() == OWN,
            ..Tally::default()
        });
        tallies.push(Arc::clone(&tally));
        tally
    }

    /// Looks how many calls run now, if that was never seen before.
    pub(crate) fn look(&self) -> u64 {
        let running = lock(&self.tallies).iter().map(|tally| tally.running()).sum();
        self.most_running.fetch_max(running, Ordering::Relaxed);
        running
    }

    /// True if no procedure of the Rust interface is inside, to one who has seen to it that no other comes, with a
    /// [heavy barrier](barrier::heavy) in between.
    pub(crate) fn is_empty(&self) -> bool {
        let tallies = lock(&self.tallies);
        tallies
            .iter()
            .all(|tally| tally.inside.load(Ordering::Acquire) == 0)
    }

    /// A call ended without its procedure having run, or without an answer of its own.
    #[cold]
    pub(crate) fn error(&self, status: Status) {
        let word = match status {
            Status::Done | Status::Stale => return,
            Status::Revoked => &self.revoked,
            Status::Interrupted => &self.aborted,
            Status::TooBig
            | Status::DescriptorsRefused
            | Status::TooManyDescriptors
            | Status::ArgumentTooLarge
            | Status::OutOfDescriptors
            | Status::NoMemory => &self.refused,
        };
        word.fetch_add(1, Ordering::Relaxed);
    }

    /// A procedure ended without an answer, and not because of its caller.
    #[cold]
    pub(crate) fn procedure_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// An unreferenced invocation begins.
    pub(crate) fn unreferenced(&self) {
        self.unreferenced.fetch_add(1, Ordering::Relaxed);
    }

    /// A procedure is given descriptors.
    pub(crate) fn descriptors_in(&self, count: usize) {
        self.descriptors_in.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// A procedure has answered with descriptors.
    pub(crate) fn descriptors_out(&self, count: usize) {
        self.descriptors_out.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// It has not: they were turned down.
    pub(crate) fn descriptors_turned_down(&self, count: usize) {
        self.descriptors_out.fetch_sub(count as u64, Ordering::Relaxed);
    }

    /// A timed call has ended.
    #[cold]
    pub(crate) fn timed(&self, timed: Timed) {
        let classes = self
            .run_time
            .get_or_init(|| Box::new([const { AtomicU64::new(0) }; Histogram::CLASSES]));
        let class = Histogram::class_of(timed.elapsed());
        classes[class].fetch_add(timed.weight(), Ordering::Relaxed);
    }

    /// What has been counted here; of pool and references nothing is known.
    pub(crate) fn read(&self) -> Statistics {
        let running = self.look();
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let mut read = Statistics {
            running,
            most_running: word(&self.most_running),
            refused: word(&self.refused),
            revoked: word(&self.revoked),
            aborted: word(&self.aborted),
            failed: word(&self.failed),
            descriptors_in: word(&self.descriptors_in),
            descriptors_out: word(&self.descriptors_out),
            unreferenced: word(&self.unreferenced),
            clients: word(&self.clients),
            ..Statistics::default()
        };
        for tally in lock(&self.tallies).iter() {
            read.calls += word(&tally.begun);
            read.bytes_in += word(&tally.bytes_in);
            read.bytes_out += word(&tally.bytes_out);
        }
        if let Some(classes) = self.run_time.get() {
            read.run_time.classes = std::array::from_fn(|class| word(&classes[class]));
        }
        read
    }
}

/// One way callers come to a door, for as long as a link knows the door.
#[derive(Debug)]
pub(crate) struct Client(Arc<super::object::DoorObject>);

impl Client {
    pub(crate) fn new(door: &Arc<super::object::DoorObject>) -> Self {
        door.stats.clients.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(door))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.stats.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_let_go_leave_their_counts_to_the_next() {
        let stats = DoorStats::default();
        for _ in 0..100 {
            let tally = stats.tally();
            tally.begin(3);
            tally.end(5);
        }
        assert_eq!(lock(&stats.tallies).len(), 1);
        let read = stats.read();
        assert_eq!((read.calls, read.running), (100, 0));
        assert_eq!((read.bytes_in, read.bytes_out), (300, 500));
    }

    #[test]
    fn more_threads_than_words_lose_no_count() {
        let stats = DoorStats::default();
        let ready = std::sync::Barrier::new(OWN + 8);
        std::thread::scope(|scope| {
            for _ in 0..OWN + 8 {
                scope.spawn(|| {
                    let tally = stats.tally();
                    tally.begin(1);
                    // All hold their tally at the same time.
                    ready.wait();
                    stats.look();
                    ready.wait();
                    for _ in 0..1000 {
                        tally.begin(1);
                        tally.end(0);
                    }
                    tally.end(0);
                });
            }
        });
        assert_eq!(lock(&stats.tallies).len(), OWN + 1);
        let read = stats.read();
        assert_eq!((read.calls, read.bytes_in), (24 * 1001, 24 * 1001));
        assert_eq!((read.running, read.most_running), (0, 24));
    }

    #[test]
    fn the_calls_that_are_timed_stand_for_all() {
        let mut sampler = Sampler::default();
        let calls = u64::from(PERIOD) * 10;
        let weights = |sampler: &mut Sampler| -> u64 {
            (0..calls)
                .filter_map(|_| sampler.choose())
                .map(Timed::weight)
                .sum()
        };
        assert_eq!(weights(&mut sampler), calls);
        sampler.woken();
        assert_eq!(sampler.choose().map(Timed::weight), Some(1));
        assert_eq!(weights(&mut sampler), calls);
    }
}
