//! Descriptors that are numbers the caller made up, or gives back.

use std::{
    ffi::c_int,
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

/// A number no two sockets of this system ever share; `None` when `fd` is not an open socket, as every door is.
///
/// Looks at no file: a descriptor of something slow cannot block it. socket(7), `SO_COOKIE`.
pub(crate) fn socket_cookie(fd: RawFd) -> Option<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).ok()?;
    // SAFETY: `cookie` and `length` outlive the call and `length` is the size of `cookie`; the kernel checks `fd` itself.
    let rc: c_int = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    (rc == 0).then_some(cookie)
}

/// A descriptor of our own for the caller's, close-on-exec; `EBADF` when his is none.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) takes any number and checks it.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if copy == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made `copy` for us and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Owns again a handle that the library released to the caller.
///
/// Only for a handle that has just been taken out of the table of sessions, so that nobody else adopts it, and whose
/// cookie shows that the number still is that descriptor.
pub(crate) fn adopt(handle: RawFd) -> OwnedFd {
    // SAFETY: the library made this descriptor and released it to the caller, who gives it back by destroying the
    // session; see above for why it still is that one.
    unsafe { OwnedFd::from_raw_fd(handle) }
}
