//! Threads, processors and identities.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The processor this thread runs on, now.
#[inline]
pub(crate) fn current_cpu() -> i32 {
    // SAFETY: no arguments; with rseq it is a load from memory of this thread.
    unsafe { libc::sched_getcpu() }
}

/// Nanoseconds of the monotonic clock. Through the C library: rustix looks for the kernel's own page of code, which is not there under
/// valgrind.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `now` has room for the answer, and this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr()) };
    // SAFETY: filled in by the call above.
    let now = unsafe { now.assume_init() };
    now.tv_sec
        .cast_unsigned()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec.cast_unsigned())
}

/// Bytes of memory this machine has.
pub(crate) fn memory_bytes() -> usize {
    // SAFETY: asks only.
    let [pages, size] = [libc::_SC_PHYS_PAGES, libc::_SC_PAGESIZE].map(|name| unsafe { libc::sysconf(name) });
    usize::try_from(pages)
        .unwrap_or(0)
        .saturating_mul(usize::try_from(size).unwrap_or(0))
}

/// Starts a thread that never runs signal handlers of the application. It shares the descriptor table of this one.
pub(crate) fn spawn_without_signals(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    build_without_signals(std::thread::Builder::new().name(name.to_owned()), body)
}

/// The same, from a description of the thread.
pub(crate) fn build_without_signals(
    thread: std::thread::Builder,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let table = super::table::here();
    // A new thread inherits the mask.
    let spawned = without_signals(|| {
        thread.spawn(move || {
            super::table::inherit(table);
            body();
        })
    });
    spawned.map(drop)
}

/// Runs `body` with every signal blocked for this thread.
pub(crate) fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    /// Puts the mask of before back, also when `body` panics.
    struct Mask(libc::sigset_t);
    impl Drop for Mask {
        fn drop(&mut self) {
            // SAFETY: the set was filled by the system.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
        }
    }
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills the set it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` was filled, `before` has room.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: filled by the call above, which only fails for an unknown first argument.
    let _before = Mask(unsafe { before.assume_init() });
    body()
}

/// Real and effective ids of a process.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) euid: u32,
    pub(crate) egid: u32,
}

/// `struct pidfd_info` of Linux 6.13, linux/pidfd.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ruid: u32,
    rgid: u32,
    euid: u32,
    egid: u32,
    suid: u32,
    sgid: u32,
    fsuid: u32,
    fsgid: u32,
    exit_code: i32,
}
const _: () = assert!(size_of::<PidfdInfo>() == 64);

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::Ioctl = (3 << 30) | (64 << 16) | (0xFF << 8) | 11;
const PIDFD_INFO_PID: u64 = 1;
const PIDFD_INFO_CREDS: u64 = 2;

/// Ids the process behind `pidfd` has now. Linux 6.13.
///
/// # Errors
/// `ESRCH` once it has died; `ENOTTY` or `EINVAL` from kernels that do not know the question.
pub(crate) fn pidfd_ids(pidfd: BorrowedFd<'_>) -> io::Result<Ids> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_PID | PIDFD_INFO_CREDS,
        ..PidfdInfo::default()
    };
    // SAFETY: the request announces the size of the structure, which outlives the call.
    if unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if info.mask & PIDFD_INFO_CREDS == 0 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(Ids {
        pid: info.tgid,
        uid: info.ruid,
        gid: info.rgid,
        euid: info.euid,
        egid: info.egid,
    })
}

/// Keeps this thread off `cpu` for a moment, so that it lands on another one and may come back later.
pub(crate) fn leave_cpu(cpu: i32) {
    let Ok(cpu) = usize::try_from(cpu) else { return };
    let Ok(all) = rustix::thread::sched_getaffinity(None) else {
        return;
    };
    let mut others = all;
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return;
    }
    others.unset(cpu);
    if others.count() == 0 {
        return;
    }
    if rustix::thread::sched_setaffinity(None, &others).is_ok() {
        let _ = rustix::thread::sched_setaffinity(None, &all);
    }
}

/// 16 bytes nobody can guess.
pub(crate) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the kernel writes at most the length announced.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(got) == Ok(bytes.len()) {
        Ok(bytes)
    } else {
        Err(io::Error::last_os_error())
    }
}
