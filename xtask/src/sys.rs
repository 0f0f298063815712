//! The only `unsafe` of this crate: waiting for a signal, and shared memory between two processes.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Signals kept for [`Signals::wait`]: Ctrl-C and the polite request to end.
#[derive(Debug)]
pub(crate) struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks SIGINT and SIGTERM in this thread and those it starts later. Call it first in `main`; programs started
    /// by `std::process` do not inherit the mask.
    pub(crate) fn hold() -> io::Result<Self> {
        // SAFETY: all bytes zero is a valid `sigset_t`, which sigemptyset then sets up properly.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` is ours and lives through the call.
        unsafe { libc::sigemptyset(&raw mut set) };
        for signal in [libc::SIGINT, libc::SIGTERM] {
            // SAFETY: as above; the signal numbers are valid.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        // SAFETY: `set` is initialised; the old mask is not asked for.
        let rc = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if rc == 0 {
            Ok(Self(set))
        } else {
            Err(io::Error::from_raw_os_error(rc))
        }
    }

    /// Waits for one of them.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let mut signal = 0;
        // SAFETY: the set is initialised and `signal` outlives the call.
        let rc = unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
        if rc == 0 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(rc))
        }
    }
}

/// Two words on cache lines of their own, shared with another process: the bare ping-pong.
#[derive(Debug)]
pub(crate) struct SharedWords {
    memory: NonNull<libc::c_void>,
}

const MAP_BYTES: usize = 4096;
const SPACING_BYTES: usize = 128;

impl SharedWords {
    /// Maps the first page of `file`, which must be that long and must not shrink.
    pub(crate) fn map(file: BorrowedFd<'_>) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address the kernel picks touches no memory of ours.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                MAP_BYTES,
                protection,
                MapFlags::SHARED,
                file,
                0,
            )
        }?;
        let memory = NonNull::new(memory).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { memory })
    }

    /// The word the caller of a round trip writes.
    pub(crate) fn request(&self) -> &AtomicU64 {
        // SAFETY: the mapping is a page, aligned, zero-filled by the kernel, and lives as long as `self`.
        unsafe { self.memory.cast::<AtomicU64>().as_ref() }
    }

    /// The word the answering side writes.
    pub(crate) fn reply(&self) -> &AtomicU64 {
        // SAFETY: the offset stays inside the page.
        let word = unsafe { self.memory.byte_add(SPACING_BYTES) };
        // SAFETY: as in `request`; 128 is a multiple of the alignment.
        unsafe { word.cast::<AtomicU64>().as_ref() }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and no reference outlives `self`.
        let _ = unsafe { munmap(self.memory.as_ptr(), MAP_BYTES) };
    }
}
