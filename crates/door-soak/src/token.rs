//! Descriptors that can be told apart: each is an eventfd that holds a number.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that holds `number`.
pub(crate) fn make(number: u64) -> io::Result<OwnedFd> {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    rustix::io::write(&fd, &number.to_ne_bytes())?;
    Ok(fd)
}

/// The number a descriptor holds; it is 0 afterwards.
pub(crate) fn read(fd: impl AsFd) -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::io::read(fd, &mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}
