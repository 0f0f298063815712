//! Descriptors the engine keeps for itself.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::undertaker;
use crate::sys::fork;
use crate::sys::table::{self, Table};

/// Internal descriptors in the application's table live from here on, if the limits allow, so that small numbers stay the application's.
const BASE: i32 = 400;

/// Descriptors in the private table.
static PRIVATE: AtomicUsize = AtomicUsize::new(0);

/// A close-on-exec descriptor, in the table of the thread that made it; in the application's with a high number, and known to the fork
/// handling: a child closes it at once.
#[derive(Debug)]
pub(crate) struct InternalFd {
    fd: ManuallyDrop<OwnedFd>,
    generation: u32,
    table: Table,
}

impl InternalFd {
    /// Takes `fd` and moves it out of the application's way.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let (generation, table) = (fork::generation(), table::here());
        let fd = match table {
            Table::Application => {
                let fd = rustix::io::fcntl_dupfd_cloexec(&fd, base()).unwrap_or(fd);
                fork::track(fd.as_raw_fd());
                fd
            }
            Table::Private => {
                PRIVATE.fetch_add(1, Ordering::Relaxed);
                fd
            }
        };
        Self {
            fd: ManuallyDrop::new(fd),
            generation,
            table,
        }
    }

    /// True if this thread can use it.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.table == table::here()
    }

    /// A second descriptor, not the engine's.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }
}

/// Where numbers of internal descriptors begin: where few of the application's are, whatever its limit.
fn base() -> i32 {
    let limit = limit();
    if limit > 512 {
        BASE
    } else {
        i32::try_from(limit / 4 * 3).unwrap_or(BASE)
    }
}

/// Descriptors a table of this process may have.
pub(crate) fn limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
}

/// True if the private table will have room for what is on its way.
pub(crate) fn has_private_room(on_its_way: usize) -> bool {
    const SPARE: usize = 16;
    PRIVATE.load(Ordering::Relaxed) + on_its_way + SPARE < limit()
}

impl AsFd for InternalFd {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        assert!(
            self.is_here(),
            "the number means something else in this thread's table"
        );
        self.fd.as_fd()
    }
}

impl Drop for InternalFd {
    fn drop(&mut self) {
        // In a forked child it was closed already, and the number may be somebody else's.
        if self.generation != fork::last_generation() {
            return;
        }
        match self.table {
            Table::Application => fork::untrack(self.fd.as_raw_fd()),
            Table::Private => drop(PRIVATE.fetch_sub(1, Ordering::Relaxed)),
        }
        let fd = fork::take_now(&mut self.fd);
        if self.is_here() {
            drop(fd);
        } else {
            undertaker::bury_in(self.table, fd);
        }
    }
}
