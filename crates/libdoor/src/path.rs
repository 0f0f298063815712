//! Names of doors: `fattach`, `fdetach`, and `open` for paths that a door is attached to.
//!
//! Linux answers `ENXIO` to `open` of a door's path, because what lies there is a socket. The `open` family is therefore
//! exported from here too: a plain system call first, and only after `ENXIO` a look whether it is a door, so that
//! every other file costs nothing. The kernel has checked the path's permissions by then.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use engine::engine as doors;
use engine::engine::{AttachOptions, DeadDoor};

use crate::cancel;
use crate::descriptor::{self, is_open};
use crate::errno::{Errno, guard, of_attach, sheltered};
use crate::interpose;
use crate::memory;

/// A path of the application. `ENOENT` for NULL and "", `EFAULT` if it is not readable, `ENAMETOOLONG`.
fn path<'a>(path: *const c_char) -> Result<&'a Path, Errno> {
    if path.is_null() {
        return Err(Errno(libc::ENOENT));
    }
    if !memory::readable(path.cast(), 1) {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: a C string by contract; it is not changed during the call.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    if bytes.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    if bytes.len() >= libc::PATH_MAX.unsigned_abs() as usize {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

/// `fattach`: gives a door of this process a name. fattach(3C).
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn fattach(fildes: c_int, name: *const c_char) -> c_int {
    guard(|| {
        if fildes < 0 || !is_open(fildes) {
            return Err(Errno(libc::EBADF));
        }
        let door = descriptor::borrow(fildes)?;
        if !doors::is_door(door) {
            return Err(Errno(libc::EINVAL));
        }
        let options = AttachOptions {
            create: false,
            replace_stale: false,
        };
        let name = path(name)?;
        if interpose::was_opened(fildes) {
            return Err(Errno(libc::EBUSY)); // it refers to an attached node already, doors.md §3.11
        }
        doors::attach(door, name, options).map_err(|error| of_attach(&error))?;
        Ok(0)
    })
}

/// `fdetach`: takes the name away; the path is the file it was. fdetach(3C).
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn fdetach(name: *const c_char) -> c_int {
    guard(|| {
        doors::detach(path(name)?).map_err(|error| of_attach(&error))?;
        Ok(0)
    })
}

/// openat(2), and a door where the kernel says `ENXIO`.
pub(crate) fn open_at(directory: c_int, name: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the kernel checks all of it.
    let fd = unsafe { libc::syscall(libc::SYS_openat, directory, name, flags, mode) };
    if fd >= 0 {
        let fd = c_int::try_from(fd).unwrap_or(-1);
        interpose::forget(fd);
        return fd;
    }
    if Errno::last().0 != libc::ENXIO || flags & libc::O_PATH != 0 {
        return -1;
    }
    let opened = sheltered(|| {
        let door = doors::open(&resolve(directory, path(name)?), DeadDoor::Yield)?.into_raw_fd();
        descriptor::set_close_on_exec(door, flags & libc::O_CLOEXEC != 0);
        interpose::opened(door);
        Ok(door)
    });
    match opened {
        Ok(door) => door,
        Err(errno) => {
            errno.set();
            -1
        }
    }
}

/// The same file by one path.
fn resolve(directory: c_int, name: &Path) -> PathBuf {
    if directory == libc::AT_FDCWD || name.is_absolute() {
        name.to_path_buf()
    } else {
        Path::new(&format!("/proc/self/fd/{directory}")).join(name)
    }
}

/// Every name under which C programs reach open(2): plain, with large files, and as compiled with `_FORTIFY_SOURCE`.
///
/// In C the mode is a variable argument, present only if a file may be created; reading it without is harmless in the
/// calling conventions this library supports, and the kernel ignores it then.
macro_rules! open_family {
    ($($name:ident($($directory:ident,)? ; $($flags:ident)?, $($mode:ident)?);)*) => {$(
        #[doc = concat!("`", stringify!($name), "` of the C library, for doors too. open(2).")]
        ///
        /// # Safety
        /// The path is a C string, or unmapped.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name(
            $($directory: c_int,)? name: *const c_char, $($flags: c_int,)? $($mode: c_uint,)?
        ) -> c_int {
            cancel::point();
            #[allow(unused_mut, unused_assignments, reason = "not every member of the family has them")]
            let (mut directory, mut flags, mut mode) = (libc::AT_FDCWD, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, 0);
            $(directory = $directory;)?
            $(flags = $flags;)?
            $(mode = $mode;)?
            open_at(directory, name, flags, mode)
        }
    )*};
}

open_family! {
    open(; flags_given, mode_given);
    open64(; flags_given, mode_given);
    openat(directory_given, ; flags_given, mode_given);
    openat64(directory_given, ; flags_given, mode_given);
    __open_2(; flags_given,);
    __open64_2(; flags_given,);
    __openat_2(directory_given, ; flags_given,);
    __openat64_2(directory_given, ; flags_given,);
    creat(; , mode_given);
    creat64(; , mode_given);
}
