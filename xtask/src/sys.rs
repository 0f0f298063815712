//! The only `unsafe` of this crate: waiting for a signal.
#![allow(unsafe_code)]

use std::io;

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
