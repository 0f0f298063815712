//! `door_call`. door_call(3C).
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use engine::engine as doors;
use engine::engine::{Attributes, CallError, CallRequest, Outcome, Patience, ReplySink, Source, Unfinished};

use crate::asleep::Stay;
use crate::descriptor::{self, Outgoing};
use crate::errno::{Errno, caught, of_call};
use crate::memory::{self, Mapping};
use crate::types::{DoorArg, DoorDesc};

/// `door_call`: runs the procedure of a door with `params`, and rewrites them with its result.
///
/// A cancellation point, like anything that blocks. On failure `params` is as it was.
///
/// # Safety
/// `params` is NULL or a `door_arg_t`, and its buffers are what it says, or unmapped, which is noticed. Nobody changes
/// them during the call.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn door_call(d: c_int, params: *mut DoorArg) -> c_int {
    let mut stay = Stay::begin();
    let Err(errno) = caught(|| call(d, params, &mut stay)) else {
        stay.end(false);
        return 0;
    };
    stay.end(errno.0 == libc::EINTR || errno.0 == libc::EAGAIN);
    errno.set();
    -1
}

fn call(d: c_int, params: *mut DoorArg, stay: &mut Stay) -> Result<(), Errno> {
    if params.is_null() {
        let door = descriptor::borrow(d)?;
        return exchange(door, None, &mut Results::into(&DoorArg::EMPTY), stay).map(drop);
    }
    if !memory::writable(params.cast_const().cast(), size_of::<DoorArg>()) {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: found to be there.
    let given = unsafe { Anywhere::read(params) };
    let door = descriptor::borrow(d)?;
    let mut results = Results::into(&given);
    let bytes = if given.desc_num > 0 {
        pass(door, &given, &mut results, stay)?
    } else if is_argument_readable(&given) {
        exchange(door, Some(&given), &mut results, stay)?
    } else {
        return Err(refusal(door, &given).unwrap_or(Errno(libc::EFAULT)));
    };
    results.deliver(params, bytes);
    Ok(())
}

/// Calls with descriptors, and closes those that are to be released if the server has taken them.
#[cold]
fn pass(
    door: BorrowedFd<'_>,
    given: &DoorArg,
    results: &mut Results,
    stay: &mut Stay,
) -> Result<usize, Errno> {
    stay.sleep()?;
    let outgoing = match read_descriptors(given) {
        Ok(outgoing) => outgoing,
        // What the door itself refuses comes first, doors.md §3.4.1.
        Err(errno) => return Err(refusal(door, given).unwrap_or(errno)),
    };
    if !outgoing.is_sound() {
        return Err(refusal(door, given).unwrap_or_else(|| outgoing.spoil()));
    }
    crate::interpose::called(door.as_raw_fd());
    let outcome = doors::call(door, &request(Some(given), &outgoing.borrowed()), results);
    if outcome.as_ref().err().is_none_or(|failure| failure.consumed) {
        outgoing.release();
    }
    outcome.map_err(|failure| of_call(&failure.error))
}

/// The application need not align its structure.
#[repr(C, packed)]
struct Anywhere(DoorArg);

impl Anywhere {
    /// Reads each member by itself. They have just been written so, and the processor would wait for several of them to reach memory before
    /// it could fetch them as one.
    ///
    /// # Safety
    /// It is there.
    #[inline]
    unsafe fn read(params: *const DoorArg) -> DoorArg {
        // SAFETY: as the caller vouches.
        let params = unsafe { &*params.cast::<Self>() };
        DoorArg {
            data_ptr: params.0.data_ptr,
            data_size: params.0.data_size,
            desc_ptr: params.0.desc_ptr,
            desc_num: params.0.desc_num,
            rbuf: params.0.rbuf,
            rsize: params.0.rsize,
        }
    }
}

fn is_argument_readable(given: &DoorArg) -> bool {
    given.data_size == 0 || memory::readable(given.data_ptr.cast_const().cast(), given.data_size)
}

/// Makes sure that what is to be sent is there.
fn read_descriptors(given: &DoorArg) -> Result<Outgoing, Errno> {
    if given.desc_num as usize > crate::types::DESCRIPTORS_MAX {
        return Err(Errno(libc::E2BIG));
    }
    if !is_argument_readable(given) {
        return Err(Errno(libc::EFAULT));
    }
    Outgoing::read(given.desc_ptr, given.desc_num)
}

/// Why the door would refuse the request whatever is in it: steps 2 to 6 of doors.md §3.4.1.
#[cold]
fn refusal(door: BorrowedFd<'_>, given: &DoorArg) -> Option<Errno> {
    let (size, descriptors) = (given.data_size, given.desc_num);
    let info = match doors::info(door) {
        Ok(info) => info,
        Err(error) => return Some(error.into()),
    };
    if info.target.is_none() || info.attributes.contains(Attributes::REVOKED) {
        Some(Errno(libc::EBADF))
    } else if (size as u64) < info.limits.data_min || size as u64 > info.limits.data_max {
        Some(Errno(libc::ENOBUFS))
    } else if descriptors > 0 && info.attributes.contains(Attributes::REFUSE_DESC) {
        Some(Errno(libc::ENOTSUP))
    } else if descriptors > info.limits.descriptors_max {
        Some(Errno(libc::ENFILE))
    } else {
        None
    }
}

/// Calls without descriptors; the result goes into `results`.
#[inline]
fn exchange(
    door: BorrowedFd<'_>,
    given: Option<&DoorArg>,
    results: &mut Results,
    stay: &mut Stay,
) -> Result<usize, Errno> {
    let request = request(given, &[]);
    crate::interpose::called(door.as_raw_fd());
    let outcome = match doors::attempt(door, &request, results) {
        Ok(outcome) => outcome,
        Err(unfinished) => finish(unfinished, door, &request, results, stay),
    };
    outcome.map_err(|failure| of_call(&failure.error))
}

/// Does what has to be done, or waited for, after an attempt.
#[cold]
fn finish(
    unfinished: Unfinished,
    door: BorrowedFd<'_>,
    request: &CallRequest<'_>,
    results: &mut Results,
    stay: &mut Stay,
) -> Outcome {
    match stay.sleep() {
        Ok(()) => doors::finish(unfinished, door, request, results),
        Err(_) => Err(unfinished.give_up()),
    }
}

/// `given` is `None` for `params == NULL`.
#[inline]
fn request<'a>(given: Option<&DoorArg>, descriptors: &'a [BorrowedFd<'a>]) -> CallRequest<'a> {
    let data = match given {
        // SAFETY: found readable; by contract nobody changes it during the call. It may be the reply buffer too.
        Some(given) => unsafe { Source::from_raw(given.data_ptr.cast_const().cast(), given.data_size) },
        None => Source::from(&[][..]),
    };
    CallRequest {
        data,
        descriptors,
        patience: Patience {
            deadline: None,
            interruptible: true,
            abort: None,
        },
        results: given.is_some(),
    }
}

/// Where the result goes: the caller's `rbuf`, or a new mapping if that is too small.
struct Results {
    rbuf: *mut c_void,
    rsize: usize,
    at: *mut c_void,
    /// Entries there is room for.
    room: usize,
    mapping: Option<Mapping>,
    descriptors: Vec<OwnedFd>,
}

/// Offset of the descriptors behind `data` bytes.
fn descriptor_offset(data: usize) -> usize {
    data.next_multiple_of(size_of::<DoorDesc>())
}

impl ReplySink for Results {
    fn place(&mut self, data: usize, descriptors: usize) -> Result<&mut [MaybeUninit<u8>], CallError> {
        let os = |errno: Errno| CallError::Os(std::io::Error::from_raw_os_error(errno.0));
        let needed = match descriptors {
            0 => data,
            n => descriptor_offset(data) + n * size_of::<DoorDesc>(),
        };
        self.at = if needed > self.rsize {
            self.mapping.insert(Mapping::new(needed).map_err(os)?).start()
        } else if memory::writable(self.rbuf, needed) {
            self.rbuf
        } else {
            return Err(os(Errno(libc::EFAULT)));
        };
        self.room = descriptors;
        // SAFETY: our own mapping, or memory of the caller that was just found writable and is ours for the call.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.at.cast(), data) })
    }

    fn placed(&mut self, _data: usize, descriptors: Vec<OwnedFd>) {
        self.descriptors = descriptors;
    }
}

impl Results {
    fn into(arg: &DoorArg) -> Self {
        Self {
            rbuf: arg.rbuf.cast(),
            rsize: arg.rsize,
            at: std::ptr::null_mut(),
            room: 0,
            mapping: None,
            descriptors: Vec::new(),
        }
    }

    /// Puts the descriptors behind the data and says in `params` where everything is, doors.md §3.4.3. Only what changes is written,
    /// each by itself: whoever reads it next reads it so.
    fn deliver(self, params: *mut DoorArg, bytes: usize) {
        // SAFETY: found writable before the call.
        let params = unsafe { &mut *params.cast::<Anywhere>() };
        params.0.data_size = bytes;
        params.0.desc_num = 0;
        if bytes > 0 {
            params.0.data_ptr = self.at.cast();
        }
        if !self.descriptors.is_empty() {
            let list: *mut DoorDesc = self.at.wrapping_byte_add(descriptor_offset(bytes)).cast();
            params.0.desc_ptr = list;
            for (i, fd) in self.descriptors.into_iter().take(self.room).enumerate() {
                let entry = list.wrapping_add(i);
                // SAFETY: `place` made room for all of them; the place need not be aligned.
                unsafe { entry.write_unaligned(descriptor::hand_over(fd)) };
                params.0.desc_num += 1;
            }
        }
        if let Some(mapping) = self.mapping {
            params.0.rbuf = mapping.start().cast();
            params.0.rsize = mapping.keep();
        }
    }
}
