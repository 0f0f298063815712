//! Sleeping on a word of shared memory, and waking who sleeps there.

use rustix::io::Errno;
use rustix::time::Timespec;

use crate::sync::atomic::AtomicU32;

/// Sleeps if the word says `value`, until somebody [wakes](wake) a sleeper of it, a signal is handled (`EINTR`), or the time has passed
/// (`ETIMEDOUT`). `EAGAIN`: the word says something else.
#[cfg(not(loom))]
#[inline]
pub(crate) fn wait(word: &AtomicU32, value: u32, time: Option<&Timespec>) -> Result<(), Errno> {
    use rustix::thread::futex;
    futex::wait(word, futex::Flags::empty(), value, time)
}

/// Wakes at most `count` sleepers.
#[cfg(not(loom))]
#[inline]
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    use rustix::thread::futex;
    // Fails only for addresses that do not exist.
    let _ = futex::wake(word, futex::Flags::empty(), count);
}

#[cfg(loom)]
pub(crate) fn wait(word: &AtomicU32, value: u32, time: Option<&Timespec>) -> Result<(), Errno> {
    super::model::sleep(word, value, time)
}

#[cfg(loom)]
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    super::model::wake(word, count);
}
