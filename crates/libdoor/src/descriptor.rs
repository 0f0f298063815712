//! `door_desc_t` arrays: what is sent, what is released, what has arrived.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use engine::engine as doors;
use engine::engine::Attributes;

use crate::errno::Errno;
use crate::memory;
use crate::types::{DESCRIPTORS_MAX, DOOR_DESCRIPTOR, DOOR_RELEASE, DoorDesc};

/// Descriptors on their way out: a private copy of the application's array.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    entries: Vec<DoorDesc>,
}

impl Outgoing {
    /// Copies the array. `E2BIG` above 1024 entries, `EFAULT` if it cannot be read.
    pub(crate) fn read(start: *const DoorDesc, n: c_uint) -> Result<Self, Errno> {
        let n = n as usize;
        if n == 0 {
            return Ok(Self::default());
        }
        if n > DESCRIPTORS_MAX {
            return Err(Errno(libc::E2BIG));
        }
        if start.is_null() || !memory::readable(start.cast(), n * size_of::<DoorDesc>()) {
            return Err(Errno(libc::EFAULT));
        }
        let entries = (0..n)
            .map(|i| {
                // SAFETY: in bounds of the array that was just found readable.
                let entry = unsafe { start.add(i) };
                // SAFETY: as above; the application need not have aligned it.
                unsafe { entry.read_unaligned() }
            })
            .collect();
        Ok(Self { entries })
    }

    /// True if every entry could be sent if each were sent in turn.
    pub(crate) fn is_sound(&self) -> bool {
        self.entries.iter().enumerate().all(|(i, entry)| {
            let released_before = |earlier: &DoorDesc| {
                earlier.attributes & DOOR_RELEASE != 0 && earlier.descriptor == entry.descriptor
            };
            entry.attributes & DOOR_DESCRIPTOR != 0
                && is_open(entry.descriptor)
                && !self.entries[..i].iter().any(released_before)
        })
    }

    /// An array that is not sound has been processed: every entry marked for release is closed, doors.md §7.1.
    pub(crate) fn spoil(&self) -> Errno {
        self.release();
        Errno(libc::EINVAL)
    }

    /// The descriptors, for the engine. Only if they are [sound](Self::is_sound).
    pub(crate) fn borrowed(&self) -> Vec<BorrowedFd<'_>> {
        self.entries
            .iter()
            .map(|entry| {
                // SAFETY: open a moment ago, and the application must not close what it is passing.
                unsafe { BorrowedFd::borrow_raw(entry.descriptor) }
            })
            .collect()
    }

    /// Closes what the application marked with `DOOR_RELEASE`.
    pub(crate) fn release(&self) {
        for entry in self.entries.iter().filter(|entry| is_released(entry)) {
            close(entry.descriptor);
        }
    }

    /// True if there is anything to [release](Self::release).
    pub(crate) fn releases(&self) -> bool {
        self.entries.iter().any(is_released)
    }
}

/// True if the number is an open descriptor.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: asks only.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Closes a descriptor that belongs to the application.
pub(crate) fn close(fd: RawFd) {
    crate::interpose::forget(fd);
    // SAFETY: the application gave it up.
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

fn is_released(entry: &DoorDesc) -> bool {
    entry.attributes & DOOR_DESCRIPTOR != 0 && entry.attributes & DOOR_RELEASE != 0
}

/// Borrows the door an application names by number; `EBADF` for what cannot be a descriptor.
pub(crate) fn borrow<'a>(fd: c_int) -> Result<BorrowedFd<'a>, Errno> {
    if fd < 0 {
        return Err(Errno(libc::EBADF));
    }
    // SAFETY: not -1. If it is closed the system calls on it say so; nothing is assumed about it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Hands a descriptor that has arrived to the application: open across exec, and described.
pub(crate) fn hand_over(fd: OwnedFd) -> DoorDesc {
    set_close_on_exec(fd.as_raw_fd(), false);
    crate::interpose::forget(fd.as_raw_fd());
    let (mut attributes, mut id) = (DOOR_DESCRIPTOR, 0);
    if let Ok(info) = doors::info(fd.as_fd()) {
        attributes |= (info.attributes - Attributes::IS_UNREF).bits();
        id = info.unique;
    }
    crate::interpose::arrived(fd.as_raw_fd(), attributes);
    DoorDesc {
        attributes,
        descriptor: fd.into_raw_fd(),
        id,
        reserved: [0; 2],
    }
}

/// Sets or clears `FD_CLOEXEC`.
pub(crate) fn set_close_on_exec(fd: RawFd, on: bool) {
    // SAFETY: changes a flag of a descriptor that is ours to give away.
    unsafe { libc::fcntl(fd, libc::F_SETFD, if on { libc::FD_CLOEXEC } else { 0 }) };
}
