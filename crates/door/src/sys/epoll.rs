//! Bells, and waiting at an epoll instance, with every argument of the system call set: rustix leaves one out that the kernel does not
//! look at here, and valgrind's memcheck reports whatever happens to be in its register.

use std::os::fd::{AsFd, AsRawFd};

use rustix::event::epoll::Event;
use rustix::io::Errno;

/// Rings a bell, an eventfd that does not block. One that is full has been heard.
pub(crate) fn ring(bell: impl AsFd) {
    let ring = || rustix::io::write(&bell, &1u64.to_ne_bytes());
    #[cfg(not(loom))]
    let _ = ring();
    #[cfg(loom)]
    let _ = super::model::act(ring);
}

/// Waits for events: for ever, or only takes what is there.
pub(crate) fn wait(epoll: impl AsFd, events: &mut [Event], forever: bool) -> Result<usize, Errno> {
    wait_for(epoll, events, if forever { -1 } else { 0 })
}

/// Waits for events for so many milliseconds, or for ever if that is less than 0.
pub(crate) fn wait_for(epoll: impl AsFd, events: &mut [Event], milliseconds: i32) -> Result<usize, Errno> {
    #[cfg(loom)]
    return super::model::until(|| {
        Some(ask(&epoll, events, 0)).filter(|found| milliseconds == 0 || *found != Ok(0))
    });
    #[cfg(not(loom))]
    ask(epoll, events, milliseconds)
}

fn ask(epoll: impl AsFd, events: &mut [Event], milliseconds: i32) -> Result<usize, Errno> {
    let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
    let no_mask: *const libc::sigset_t = std::ptr::null();
    // SAFETY: `events` has that much room, and rustix's `Event` is the kernel's `struct epoll_event`.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait,
            epoll.as_fd().as_raw_fd(),
            events.as_mut_ptr(),
            room,
            milliseconds,
            no_mask,
            size_of::<u64>(),
        )
    };
    usize::try_from(count)
        .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

const _: () = assert!(size_of::<Event>() == size_of::<libc::epoll_event>());
