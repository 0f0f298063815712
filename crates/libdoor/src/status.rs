//! `stat` and its relatives, exported so that a door has a file type of its own: `S_IFDOOR`, which Linux lacks.
//!
//! To Linux a door is a socket: a descriptor of one that carries the mark of doors, an attached path a socket file with the
//! sticky bit, which means nothing else there. Whoever asks through these functions sees a door instead. Any other file
//! costs one comparison; a socket that is no door costs one system call more and stays a socket.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint};

use engine::engine as doors;

use crate::descriptor::borrow;
use crate::errno::{Errno, sheltered};

/// File type of a door, as on Solaris. No file of Linux has it.
const S_IFDOOR: libc::mode_t = 0o150_000;

/// A system call that answers 0 or an error.
fn done(result: libc::c_long) -> c_int {
    c_int::try_from(result).unwrap_or(-1)
}

/// The mode a program shall see. `fd`: the descriptor itself was asked about, not a name.
fn shown(mode: libc::mode_t, fd: Option<c_int>) -> libc::mode_t {
    if mode & libc::S_IFMT != libc::S_IFSOCK {
        return mode;
    }
    if mode & libc::S_ISVTX != 0 || fd.is_some_and(is_door) {
        mode & !(libc::S_IFMT | libc::S_ISVTX) | S_IFDOOR
    } else {
        mode
    }
}

fn is_door(fd: c_int) -> bool {
    let saved = Errno::last();
    let answer = sheltered(|| Ok(doors::is_door(borrow(fd)?)));
    saved.set();
    answer == Ok(true)
}

/// Rewrites the mode after a success.
fn see(result: c_int, status: *mut libc::stat, fd: Option<c_int>) -> c_int {
    if result == 0 {
        // SAFETY: the kernel has just filled it in, and it is the caller's, who waits.
        let status = unsafe { &mut *status };
        status.st_mode = shown(status.st_mode, fd);
    }
    result
}

fn status_at(directory: c_int, name: *const c_char, status: *mut libc::stat, flags: c_int) -> c_int {
    // SAFETY: the kernel checks all of it.
    let result = unsafe { libc::syscall(libc::SYS_newfstatat, directory, name, status, flags) };
    let result = done(result);
    // SAFETY: read only after the kernel has read it.
    let fd = (result == 0).then(|| unsafe { itself(directory, name, flags) });
    see(result, status, fd.flatten())
}

/// The descriptor, if an empty name says that it is asked about itself.
///
/// # Safety
/// The name is NULL or a C string.
unsafe fn itself(directory: c_int, name: *const c_char, flags: c_int) -> Option<c_int> {
    // SAFETY: as promised by the caller.
    let empty = || name.is_null() || unsafe { name.read() } == 0;
    (flags & libc::AT_EMPTY_PATH != 0 && directory >= 0 && empty()).then_some(directory)
}

fn status_of(fd: c_int, status: *mut libc::stat) -> c_int {
    // SAFETY: the kernel checks all of it.
    let result = unsafe { libc::syscall(libc::SYS_fstat, fd, status) };
    see(done(result), status, Some(fd))
}

/// `statx` of the C library, for doors too. statx(2).
///
/// # Safety
/// The name is a C string and `status` a place for the answer, or unmapped.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn statx(
    directory: c_int,
    name: *const c_char,
    flags: c_int,
    mask: c_uint,
    status: *mut libc::statx,
) -> c_int {
    // SAFETY: the kernel checks all of it.
    let result = done(unsafe { libc::syscall(libc::SYS_statx, directory, name, flags, mask, status) });
    if result == 0 {
        // SAFETY: the kernel has just filled it in, and it is the caller's, who waits.
        let status = unsafe { &mut *status };
        // SAFETY: the kernel has read the name too.
        let fd = unsafe { itself(directory, name, flags) };
        // File type and permissions fit in 16 bits.
        status.stx_mode = u16::try_from(shown(status.stx_mode.into(), fd)).unwrap_or(0);
    }
    result
}

/// Every name under which C programs reach stat(2): plain, with large files, and as compiled against a C library before 2.33,
/// where the first argument is a version of the structure.
macro_rules! stat_family {
    ($($name:ident($($argument:ident: $type:ty),*) = $do:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "` of the C library, for doors too. stat(2).")]
        ///
        /// # Safety
        /// The name is a C string and `status` a place for the answer, or unmapped.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name($($argument: $type),*) -> c_int {
            $do
        }
    )*};
}

type Name = *const c_char;
type Place = *mut libc::stat;

stat_family! {
    stat(name: Name, status: Place) = status_at(libc::AT_FDCWD, name, status, 0);
    stat64(name: Name, status: Place) = status_at(libc::AT_FDCWD, name, status, 0);
    lstat(name: Name, status: Place) = status_at(libc::AT_FDCWD, name, status, libc::AT_SYMLINK_NOFOLLOW);
    lstat64(name: Name, status: Place) = status_at(libc::AT_FDCWD, name, status, libc::AT_SYMLINK_NOFOLLOW);
    fstat(fd: c_int, status: Place) = status_of(fd, status);
    fstat64(fd: c_int, status: Place) = status_of(fd, status);
    fstatat(directory: c_int, name: Name, status: Place, flags: c_int) = status_at(directory, name, status, flags);
    fstatat64(directory: c_int, name: Name, status: Place, flags: c_int) = status_at(directory, name, status, flags);
    __xstat(_version: c_int, name: Name, status: Place) = status_at(libc::AT_FDCWD, name, status, 0);
    __xstat64(_version: c_int, name: Name, status: Place) = status_at(libc::AT_FDCWD, name, status, 0);
    __lxstat(_version: c_int, name: Name, status: Place) =
        status_at(libc::AT_FDCWD, name, status, libc::AT_SYMLINK_NOFOLLOW);
    __lxstat64(_version: c_int, name: Name, status: Place) =
        status_at(libc::AT_FDCWD, name, status, libc::AT_SYMLINK_NOFOLLOW);
    __fxstat(_version: c_int, fd: c_int, status: Place) = status_of(fd, status);
    __fxstat64(_version: c_int, fd: c_int, status: Place) = status_of(fd, status);
    __fxstatat(_version: c_int, directory: c_int, name: Name, status: Place, flags: c_int) =
        status_at(directory, name, status, flags);
    __fxstatat64(_version: c_int, directory: c_int, name: Name, status: Place, flags: c_int) =
        status_at(directory, name, status, flags);
}
