//! `fopen` for doors: the C library opens the files of its streams behind the back of [`crate::path`].
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

use libc::FILE;

use crate::errno::Errno;
use crate::interpose;
use crate::next::Next;
use crate::path;

/// The C library's answer first; a door only where it says `ENXIO`.
unsafe fn open_stream(next: &Next, name: *const c_char, mode: *const c_char) -> *mut FILE {
    type Fopen = unsafe extern "C-unwind" fn(*const c_char, *const c_char) -> *mut FILE;
    if next.address() != 0 {
        // SAFETY: the symbol is a function of this type in every C library that has it.
        let next = unsafe { std::mem::transmute::<usize, Fopen>(next.address()) };
        // SAFETY: handed on as it came.
        let stream = unsafe { next(name, mode) };
        if !stream.is_null() || Errno::last().0 != libc::ENXIO {
            return stream;
        }
    }
    // SAFETY: a C string, by contract of fopen.
    let flags = flags_of(unsafe { CStr::from_ptr(mode) }.to_bytes());
    let fd = path::open_at(libc::AT_FDCWD, name, flags, 0o666);
    if fd < 0 {
        return std::ptr::null_mut();
    }
    interpose::streamed(fd);
    // SAFETY: opened for this stream only.
    let stream = unsafe { libc::fdopen(fd, mode) };
    if stream.is_null() {
        let why = Errno::last();
        interpose::close(fd);
        why.set();
    }
    stream
}

/// What fopen(3) opens a file with.
fn flags_of(mode: &[u8]) -> c_int {
    let has = |letter| mode.contains(&letter);
    let first = match mode.first() {
        Some(b'w') => libc::O_CREAT | libc::O_TRUNC,
        Some(b'a') => libc::O_CREAT | libc::O_APPEND,
        _ => 0,
    };
    let access = match (has(b'+'), mode.first()) {
        (true, _) => libc::O_RDWR,
        (false, Some(b'r')) => libc::O_RDONLY,
        _ => libc::O_WRONLY,
    };
    let exclusive = if has(b'x') { libc::O_EXCL } else { 0 };
    let close_on_exec = if has(b'e') { libc::O_CLOEXEC } else { 0 };
    first | access | exclusive | close_on_exec
}

/// `fopen` of the C library, for doors too. fopen(3).
///
/// # Safety
/// Both are C strings.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn fopen(name: *const c_char, mode: *const c_char) -> *mut FILE {
    static NEXT: Next = Next::new(c"fopen");
    // SAFETY: as promised by the caller.
    unsafe { open_stream(&NEXT, name, mode) }
}

/// [`fopen`] under its name with large files.
///
/// # Safety
/// As for [`fopen`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn fopen64(name: *const c_char, mode: *const c_char) -> *mut FILE {
    static NEXT: Next = Next::new(c"fopen64");
    // SAFETY: as promised by the caller.
    unsafe { open_stream(&NEXT, name, mode) }
}
