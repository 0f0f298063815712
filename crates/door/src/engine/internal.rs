//! Descriptors the engine keeps for itself.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::sys::fork;

/// Internal descriptors live from here on, if the limits allow, so that small numbers stay the application's.
const BASE: i32 = 400;

/// A close-on-exec descriptor with a high number. Known to the fork handling: a child closes it at once.
#[derive(Debug)]
pub(crate) struct InternalFd {
    fd: ManuallyDrop<OwnedFd>,
    generation: u32,
}

impl InternalFd {
    /// Takes `fd` and moves it out of the way.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let generation = fork::generation();
        let fd = rustix::io::fcntl_dupfd_cloexec(&fd, BASE).unwrap_or(fd);
        fork::track(fd.as_raw_fd());
        Self {
            fd: ManuallyDrop::new(fd),
            generation,
        }
    }

    /// A second descriptor, not the engine's.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

impl AsFd for InternalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for InternalFd {
    fn drop(&mut self) {
        // In a forked child it was closed already, and the number may be somebody else's.
        if self.generation == fork::last_generation() {
            fork::untrack(self.fd.as_raw_fd());
            fork::close_now(&mut self.fd);
        }
    }
}
