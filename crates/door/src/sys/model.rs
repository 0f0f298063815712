//! The kernel and the memory of a link, as models know them (`cargo xtask model`).
//!
//! Bells, epoll instances and sockets are the kernel's own: only waiting for them is replaced, by waiting until any thread of the model has
//! done something to one. Words are loom's, so that every value a thread may see is tried, and so is sleeping on them. No time passes.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};

use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex};
use rustix::io::Errno;
use rustix::time::Timespec;

use super::memory::Source;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The kernel: one thread at a time is in it.
struct Kernel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where threads sleep, and under which number.
    sleepers: Vec<(usize, u64)>,
    last: u64,
    naps_end: bool,
}

loom::lazy_static! {
    static ref KERNEL: Kernel = Kernel {
        state: Mutex::default(),
        changed: Condvar::new(),
    };
}

/// From now on whoever sleeps for less than a second has slept too long, and looks after other things.
pub(crate) fn end_naps() {
    KERNEL.state.lock().unwrap().naps_end = true;
}

fn address(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}

/// See [`futex::wait`](super::futex::wait).
pub(super) fn sleep(word: &AtomicU32, value: u32, time: Option<&Timespec>) -> Result<(), Errno> {
    let mut state = KERNEL.state.lock().unwrap();
    if word.load(Ordering::SeqCst) != value {
        return Err(Errno::AGAIN);
    }
    if state.naps_end && time.is_some_and(|time| time.tv_sec == 0) {
        return Err(Errno::TIMEDOUT);
    }
    state.last += 1;
    let number = state.last;
    state.sleepers.push((address(word), number));
    while state.sleepers.iter().any(|(_, sleeper)| *sleeper == number) {
        state = KERNEL.changed.wait(state).unwrap();
    }
    Ok(())
}

/// See [`futex::wake`](super::futex::wake).
pub(super) fn wake(word: &AtomicU32, count: u32) {
    let mut state = KERNEL.state.lock().unwrap();
    let before = state.sleepers.len();
    let mut left = count;
    state.sleepers.retain(|(at, _)| {
        let wakes = *at == address(word) && left > 0;
        left -= u32::from(wakes);
        !wakes
    });
    if state.sleepers.len() != before {
        KERNEL.changed.notify_all();
    }
}

/// Does something to a descriptor that others may wait for.
pub(super) fn act<T>(system_call: impl FnOnce() -> T) -> T {
    let _inside = KERNEL.state.lock().unwrap();
    let outcome = system_call();
    KERNEL.changed.notify_all();
    outcome
}

/// Repeats a system call that does not wait until it has found something.
pub(super) fn until<T>(mut system_call: impl FnMut() -> Option<T>) -> T {
    let mut state = KERNEL.state.lock().unwrap();
    loop {
        if let Some(found) = system_call() {
            return found;
        }
        state = KERNEL.changed.wait(state).unwrap();
    }
}

/// The memory of a link. Words come into being when they are named for the first time, which must be before there are other threads.
#[derive(Debug, Clone)]
pub(crate) struct Shared<const LEN: usize>(Arc<[OnceLock<Box<Place>>]>);

#[derive(Debug)]
enum Place {
    Word(AtomicU32),
    DoubleWord(AtomicU64),
    /// Whoever touches it while another thread writes is reported.
    Bytes(UnsafeCell<Vec<u8>>),
}

// SAFETY: loom reports every access to bytes that is not ordered with another thread's.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

/// Header and lanes; windows are not modelled.
const PLACES: usize = (4096 + 3 * (16 << 10)) / 4;

impl<const LEN: usize> Shared<LEN> {
    pub(crate) fn map(_: BorrowedFd<'_>) -> std::io::Result<Self> {
        Ok(Self((0..PLACES).map(|_| OnceLock::new()).collect()))
    }

    pub(crate) fn area<const BYTES: usize>(&self, offset: usize) -> Area<'_, BYTES> {
        Area {
            places: &self.0,
            offset,
        }
    }

    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        word(&self.0, offset)
    }

    pub(crate) fn double_word(&self, offset: usize) -> &AtomicU64 {
        double_word(&self.0, offset)
    }

    fn bytes(&self, offset: usize) -> &UnsafeCell<Vec<u8>> {
        match place(&self.0, offset, || Place::Bytes(UnsafeCell::new(Vec::new()))) {
            Place::Bytes(bytes) => bytes,
            other => panic!("bytes at {offset}, which is {other:?}"),
        }
    }

    pub(crate) fn read(&self, offset: usize, to: &mut [MaybeUninit<u8>]) {
        self.bytes(offset).with(|bytes| {
            // SAFETY: loom has made sure that nobody writes them now.
            for (to, byte) in to.iter_mut().zip(unsafe { &*bytes }) {
                to.write(*byte);
            }
        });
    }

    pub(crate) fn write(&self, offset: usize, from: Source<'_>) {
        self.bytes(offset).with_mut(|bytes| {
            // SAFETY: loom has made sure that nobody else touches them now.
            unsafe { (*bytes) = from.to_vec() };
        });
    }
}

fn place(places: &[OnceLock<Box<Place>>], offset: usize, make: impl FnOnce() -> Place) -> &Place {
    places[offset / 4].get_or_init(|| Box::new(make()))
}

fn word(places: &[OnceLock<Box<Place>>], offset: usize) -> &AtomicU32 {
    match place(places, offset, || Place::Word(AtomicU32::new(0))) {
        Place::Word(word) => word,
        other => panic!("a word at {offset}, which is {other:?}"),
    }
}

fn double_word(places: &[OnceLock<Box<Place>>], offset: usize) -> &AtomicU64 {
    match place(places, offset, || Place::DoubleWord(AtomicU64::new(0))) {
        Place::DoubleWord(word) => word,
        other => panic!("a double word at {offset}, which is {other:?}"),
    }
}

/// Part of the memory of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area<'a, const BYTES: usize> {
    places: &'a [OnceLock<Box<Place>>],
    offset: usize,
}

impl<'a, const BYTES: usize> Area<'a, BYTES> {
    pub(crate) fn word<const AT: usize>(self) -> &'a AtomicU32 {
        word(self.places, self.offset + AT)
    }

    pub(crate) fn double_word<const AT: usize>(self) -> &'a AtomicU64 {
        double_word(self.places, self.offset + AT)
    }
}
