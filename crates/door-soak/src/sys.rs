//! What the system offers only without guarantees: a mapping, fork, a signal to a thread, the allocator's figures.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

/// Maps the words of a run.
pub(crate) fn map_words<const N: usize>(file: &File) -> io::Result<&'static [AtomicU64; N]> {
    use rustix::mm::{MapFlags, ProtFlags};
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing of ours.
    let base =
        unsafe { rustix::mm::mmap(std::ptr::null_mut(), N * 8, protection, MapFlags::SHARED, file, 0)? };
    // SAFETY: page aligned, of this size as the caller has checked, never unmapped, only accessed atomically.
    Ok(unsafe { &*base.cast::<[AtomicU64; N]>() })
}

/// Runs `body` in a forked child; true if it returned true there.
pub(crate) fn in_child(body: impl FnOnce() -> bool) -> io::Result<bool> {
    // SAFETY: the C library's locks are usable in the child; it only runs `body`, and leaves without running the parent's destructors.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        let well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!well)) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0)
}

/// Sends SIGUSR1 to a thread.
pub(crate) fn interrupt<T>(thread: &JoinHandle<T>) {
    // SAFETY: a thread that has not been joined has a valid name, also after its end.
    unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR1) };
}

/// Bytes the allocator has given out; what it keeps for later goes back to the system first.
pub(crate) fn allocated() -> u64 {
    // SAFETY: gives back what memory that is not in use holds.
    unsafe { libc::malloc_trim(0) };
    // SAFETY: reads figures.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}
