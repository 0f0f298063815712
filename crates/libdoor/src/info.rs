//! `door_info`, `door_revoke`, `door_getparam`, `door_setparam`.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;

use engine::engine as doors;
use engine::engine::{Attributes, Limits};

use crate::descriptor;
use crate::errno::{Errno, guard};
use crate::memory;
use crate::types::{DOOR_PARAM_DATA_MAX, DOOR_PARAM_DATA_MIN, DOOR_PARAM_DESC_MAX, DOOR_QUERY, DoorInfo};
use crate::worker;

/// The engine's answer in the layout of `<door.h>`.
pub(crate) fn c_info(info: &doors::DoorInfo) -> DoorInfo {
    DoorInfo {
        target: info
            .target
            .and_then(|pid| libc::pid_t::try_from(pid).ok())
            .unwrap_or(-1),
        proc: info.procedure,
        data: info.cookie,
        attributes: info.attributes.bits(),
        uniquifier: info.unique,
        reserved: [0; 4],
    }
}

/// Writes an answer to memory of the application. `EFAULT` if it cannot be written.
fn store<T>(place: *mut T, value: T) -> Result<c_int, Errno> {
    if !memory::writable(place.cast_const().cast(), size_of::<T>()) {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: found writable just above; it need not be aligned.
    unsafe { place.write_unaligned(value) };
    Ok(0)
}

/// `door_info`: what a door is. door_info(3C).
///
/// # Safety
/// `info` is a place for a `door_info_t`, or unmapped, which is noticed.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn door_info(d: c_int, info: *mut DoorInfo) -> c_int {
    guard(|| {
        let found = if d == DOOR_QUERY {
            worker::with_binding(|pool| pool.door_info().ok_or(Errno(libc::EBADF)))?
        } else {
            doors::info(descriptor::borrow(d)?)?
        };
        store(info, c_info(&found))
    })
}

/// `door_revoke`: nobody can call the door any more; closes the descriptor. door_revoke(3C).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn door_revoke(d: c_int) -> c_int {
    guard(|| {
        doors::revoke(descriptor::borrow(d)?)?;
        descriptor::close(d);
        Ok(0)
    })
}

/// `door_getparam`: a limit on requests. door_getparam(3C).
///
/// # Safety
/// `out` is a place for a `size_t`, or unmapped, which is noticed.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn door_getparam(d: c_int, param: c_int, out: *mut usize) -> c_int {
    guard(|| {
        let limits = doors::info(descriptor::borrow(d)?)?.limits;
        let value = match param {
            DOOR_PARAM_DESC_MAX => u64::from(limits.descriptors_max),
            DOOR_PARAM_DATA_MAX => limits.data_max,
            DOOR_PARAM_DATA_MIN => limits.data_min,
            _ => return Err(Errno(libc::EINVAL)),
        };
        store(out, usize::try_from(value).map_err(|_| Errno(libc::EOVERFLOW))?)
    })
}

/// `door_setparam`: changes a limit on requests that come from now on. door_setparam(3C).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn door_setparam(d: c_int, param: c_int, val: usize) -> c_int {
    guard(|| {
        let door = descriptor::borrow(d)?;
        let attributes = doors::info(door)?.attributes;
        if attributes.contains(Attributes::REVOKED) {
            return Err(Errno(libc::EBADF)); // comes first, whoever asks: doors.md §3.9
        }
        let refuses = attributes.contains(Attributes::REFUSE_DESC);
        doors::set_limits(door, &mut |limits| {
            *limits = changed(*limits, refuses, param, val)
                .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
            Ok(())
        })?;
        Ok(0)
    })
}

/// The rules of doors.md §3.9.
fn changed(mut limits: Limits, refuses_descriptors: bool, param: c_int, val: usize) -> Result<Limits, Errno> {
    let value = val as u64;
    match param {
        DOOR_PARAM_DATA_MIN if value > limits.data_max => return Err(Errno(libc::EINVAL)),
        DOOR_PARAM_DATA_MIN => limits.data_min = value,
        DOOR_PARAM_DATA_MAX if value < limits.data_min => return Err(Errno(libc::EINVAL)),
        DOOR_PARAM_DATA_MAX => limits.data_max = value,
        DOOR_PARAM_DESC_MAX => {
            let value = i32::try_from(value).map_err(|_| Errno(libc::ERANGE))?;
            if refuses_descriptors && value != 0 {
                return Err(Errno(libc::ENOTSUP));
            }
            limits.descriptors_max = value.unsigned_abs();
        }
        _ => return Err(Errno(libc::EINVAL)),
    }
    Ok(limits)
}
