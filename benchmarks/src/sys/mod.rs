//! The only `unsafe` of this crate: the processor's counter, shared memory, fork, the clock of another process, and the C
//! interface of doors.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::process::Pid;

pub(crate) mod libdoor;

/// The time stamp counter, after everything before it has been done.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has this instruction (SSE2).
    unsafe { std::arch::x86_64::_mm_lfence() };
    // SAFETY: as above; Linux lets user programs read the counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Nanoseconds since the first look, on processors whose counter is not read here.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn ticks() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(ORIGIN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Processor time that a process has used, of all its threads; none if it is gone.
pub(crate) fn processor_time(pid: Pid) -> Option<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is ours and lives through the call.
    let rc = unsafe { libc::clock_getcpuclockid(pid.as_raw_nonzero().get(), &raw mut clock) };
    if rc != 0 {
        return None;
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: as above; a clock of a process that has ended meanwhile gives an error.
    let rc = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (rc == 0).then(|| {
        Duration::new(
            time.tv_sec.cast_unsigned(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        )
    })
}

/// Runs `child` in a forked copy of this process, which ends with it, or with this process.
///
/// This process must have one thread only.
pub(crate) fn fork(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: with one thread no lock can be held by a thread that the child does not have.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if let Some(pid) = Pid::from_raw(pid) {
        return Ok(pid);
    }
    let tied = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    std::process::exit(if tied.is_ok() { child() } else { 1 })
}

/// Memory shared with another process. Who may touch which bytes is agreed through words of it.
#[derive(Debug)]
pub(crate) struct Shared {
    memory: NonNull<u8>,
    len: usize,
}

// SAFETY: it is only bytes; threads are kept apart by the same words as processes.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Maps the first `len` bytes of `file`, which must be that long and must not shrink.
    pub(crate) fn map(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address the kernel picks touches no memory of ours.
        let memory = unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, file, 0) }?;
        let memory = NonNull::new(memory.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { memory, len })
    }

    /// The word at `offset`, a multiple of 4 inside the mapping.
    #[inline]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len);
        // SAFETY: inside the mapping, as asserted.
        let word = unsafe { self.memory.add(offset) };
        // SAFETY: aligned as asserted, zero-filled by the kernel, mapped as long as `self` lives, only used as an atomic.
        unsafe { word.cast::<AtomicU32>().as_ref() }
    }

    /// Copies `from` to `offset`.
    #[inline]
    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset + from.len() <= self.len);
        // SAFETY: inside the mapping, as asserted.
        let to = unsafe { self.memory.add(offset) };
        // SAFETY: `from` is private memory, so they do not overlap; the other side looks only after a word has been released.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(from).cast(), from.len()) };
    }

    /// Copies from `offset` into `to`.
    #[inline]
    pub(crate) fn read(&self, offset: usize, to: &mut [u8]) {
        assert!(offset + to.len() <= self.len);
        // SAFETY: inside the mapping, as asserted.
        let from = unsafe { self.memory.add(offset) };
        // SAFETY: as in `write`; the other side wrote before it released the word that was acquired here.
        unsafe { from.copy_to_nonoverlapping(NonNull::from(&mut *to).cast(), to.len()) };
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and no reference outlives `self`.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.len) };
    }
}
