//! A door descriptor, as a caller remembers it.

use std::io;
use std::os::fd::BorrowedFd;

use super::ClientLink;
use super::peers::{ServerName, forget_everywhere};
use crate::engine::object::lock;
use crate::engine::route::Route;
use crate::engine::server::server_id_of;
use crate::sys::socket;

/// A door descriptor, looked at once; for owners that know their descriptor does not change.
#[derive(Debug)]
pub struct Target {
    /// Number of the descriptor's socket.
    pub(super) cookie: u64,
    pub(super) server: ServerName,
    /// Link by which the door was reached last, and its handle there.
    pub(super) route: Route,
}

impl Target {
    /// Of a door that is only called over one link.
    #[cfg(all(test, loom))]
    pub(in crate::engine) fn of_model() -> Self {
        Self {
            cookie: 0,
            server: (0, 0),
            route: Route::unknown(),
        }
    }

    /// Looks at a descriptor.
    ///
    /// # Errors
    /// `EBADF` if it is not a door.
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let id = server_id_of(fd).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        let server = (socket::peer_ids(fd)?.pid, id);
        Ok(Self {
            cookie: socket::cookie(fd)?,
            server,
            route: Route::unknown(),
        })
    }

    /// The number of the descriptor's socket, and the process of the server.
    #[inline]
    pub(crate) fn numbers(&self) -> (u64, u32) {
        (self.cookie, self.server.0)
    }

    /// True if `fd` is the descriptor this was made from, or a duplicate.
    pub(crate) fn is(&self, fd: BorrowedFd<'_>) -> bool {
        socket::cookie(fd).is_ok_and(|cookie| cookie == self.cookie)
    }

    /// The server does not know the handle any more.
    pub(crate) fn forget(&self, link: &ClientLink) {
        self.route.set(0, 0);
        lock(&link.handles).remove(&self.cookie);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Links outlive the descriptors that were called over them.
        if self.route.link() != 0 {
            forget_everywhere(self.server, self.cookie);
        }
    }
}
