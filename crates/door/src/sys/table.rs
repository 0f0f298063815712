//! Descriptor tables: the application's, and one that only the engine's own threads see.
//!
//! The control thread starts with a copy of the application's table and closes everything in it but its end of the channel to the other
//! threads. What it opens from then on counts against no limit of the application's, is closed by no loop of its, and is inherited
//! by no child: fork(2) copies the table of the thread that forks.

use std::cell::Cell;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Whose table a descriptor's number is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// The one the application's threads share.
    Application,
    /// The control thread's.
    Private,
}

thread_local! {
    static HERE: Cell<Table> = const { Cell::new(Table::Application) };
}

/// The table of this thread.
#[inline]
pub(crate) fn here() -> Table {
    HERE.get()
}

/// A new thread shares the table of the one that has started it.
pub(crate) fn inherit(table: Table) {
    HERE.set(table);
}

/// Gives this thread a table of its own, with `keep` in it and nothing else of the application's. Linux 5.9.
///
/// # Errors
/// The thread still has the application's table then.
pub(crate) fn leave(keep: RawFd) -> io::Result<OwnedFd> {
    const CLOSE_RANGE_UNSHARE: u32 = 2;
    if super::valgrind::watches() {
        // It keeps one list of what is open for the whole process.
        return Err(io::ErrorKind::Unsupported.into());
    }
    let number = libc::c_uint::try_from(keep).map_err(|_| io::ErrorKind::InvalidInput)?;
    // What lies above is not even copied.
    close_range(number + 1, libc::c_uint::MAX, CLOSE_RANGE_UNSHARE)?;
    HERE.set(Table::Private);
    if number > 0 {
        close_range(0, number - 1, 0)?;
    }
    // Whatever writes a diagnostic must not find one of ours at its number.
    for _ in 0..3 {
        // SAFETY: makes a descriptor, which stays for as long as the table does.
        unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    }
    // SAFETY: the number was copied into this thread's own table, where nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(keep) })
}

fn close_range(first: libc::c_uint, last: libc::c_uint, flags: u32) -> io::Result<()> {
    // SAFETY: the table is this thread's own from the first call on, in which the range names nothing that is used.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
