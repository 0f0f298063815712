//! `door_call`. door_call(3C).
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use engine::engine as doors;
use engine::engine::{Attributes, CallError, CallReply, CallRequest, ReplySink, Source};

use crate::asleep;
use crate::cancel;
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
    asleep::begin();
    cancel::point();
    let state = cancel::disable();
    asleep::looked(state.is_enabled());
    let result = caught(|| call(d, params));
    asleep::end();
    let Err(errno) = result else {
        cancel::restore(state);
        return 0;
    };
    if errno.0 == libc::EINTR || errno.0 == libc::EAGAIN {
        cancel::act_on_pending(state);
    }
    cancel::restore(state);
    errno.set();
    -1
}

fn call(d: c_int, params: *mut DoorArg) -> Result<(), Errno> {
    let given = match params.is_null() {
        true => None,
        false if !memory::writable(params.cast_const().cast(), size_of::<DoorArg>()) => {
            return Err(Errno(libc::EFAULT));
        }
        // SAFETY: found to be there; it need not be aligned.
        false => Some(unsafe { params.read_unaligned() }),
    };
    let door = descriptor::borrow(d)?;
    let Some(given) = given else {
        return exchange(
            door,
            None,
            &[],
            &Outgoing::default(),
            &mut Results::into(&DoorArg::EMPTY),
        )
        .map(|_| ());
    };
    let outgoing = match read_request(&given) {
        Ok(outgoing) => outgoing,
        // What the door itself refuses comes first, doors.md §3.4.1.
        Err(errno) => return Err(refusal(door, given.data_size, given.desc_num).unwrap_or(errno)),
    };
    if !outgoing.is_sound() {
        return Err(refusal(door, given.data_size, given.desc_num).unwrap_or_else(|| outgoing.spoil()));
    }
    let borrowed;
    let descriptors: &[BorrowedFd<'_>] = if outgoing.len() == 0 {
        &[]
    } else {
        borrowed = outgoing.borrowed();
        &borrowed
    };
    let mut results = Results::into(&given);
    let reply = exchange(door, Some(&given), descriptors, &outgoing, &mut results)?;
    results.deliver(params, reply);
    Ok(())
}

/// Makes sure that what is to be sent is there.
fn read_request(given: &DoorArg) -> Result<Outgoing, Errno> {
    if given.desc_num as usize > crate::types::DESCRIPTORS_MAX {
        return Err(Errno(libc::E2BIG));
    }
    if given.data_size > 0 && !memory::readable(given.data_ptr.cast_const().cast(), given.data_size) {
        return Err(Errno(libc::EFAULT));
    }
    Outgoing::read(given.desc_ptr, given.desc_num)
}

/// Why the door would refuse the request whatever is in it: steps 2 to 6 of doors.md §3.4.1.
fn refusal(door: BorrowedFd<'_>, size: usize, descriptors: c_uint) -> Option<Errno> {
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

/// Calls; the result goes into `results`. `given` is `None` for `params == NULL`.
#[inline]
fn exchange(
    door: BorrowedFd<'_>,
    given: Option<&DoorArg>,
    descriptors: &[BorrowedFd<'_>],
    outgoing: &Outgoing,
    results: &mut Results,
) -> Result<CallReply, Errno> {
    let arg = given.unwrap_or(&DoorArg::EMPTY);
    let data = if arg.data_size == 0 {
        Source::from(&[][..])
    } else {
        // SAFETY: found readable; by contract nobody changes it during the call. It may be the reply buffer too.
        unsafe { Source::from_raw(arg.data_ptr.cast_const().cast(), arg.data_size) }
    };
    let request = CallRequest {
        data,
        descriptors,
        deadline: None,
        interruptible: true,
        results: given.is_some(),
        abort: None,
    };
    crate::interpose::called(door.as_raw_fd());
    match doors::call(door, &request, results) {
        Ok(reply) => {
            outgoing.release();
            Ok(reply)
        }
        Err(failure) => {
            if failure.consumed {
                outgoing.release();
            }
            Err(of_call(&failure.error))
        }
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

    fn placed(&mut self, _data: usize) {}
}

impl Results {
    fn into(arg: &DoorArg) -> Self {
        Self {
            rbuf: arg.rbuf.cast(),
            rsize: arg.rsize,
            at: std::ptr::null_mut(),
            room: 0,
            mapping: None,
        }
    }

    /// Puts the descriptors behind the data and says in `params` where everything is, doors.md §3.4.3. Only what changes is written,
    /// each by itself: whoever reads it next reads it so.
    fn deliver(self, params: *mut DoorArg, reply: CallReply) {
        /// The application need not align its structure.
        #[repr(C, packed)]
        struct Anywhere(DoorArg);
        // SAFETY: found writable before the call.
        let params = unsafe { &mut *params.cast::<Anywhere>() };
        params.0.data_size = reply.data_len;
        params.0.desc_num = 0;
        if reply.data_len > 0 {
            params.0.data_ptr = self.at.cast();
        }
        if !reply.descriptors.is_empty() {
            let list: *mut DoorDesc = self
                .at
                .wrapping_byte_add(descriptor_offset(reply.data_len))
                .cast();
            params.0.desc_ptr = list;
            for (i, fd) in reply.descriptors.into_iter().take(self.room).enumerate() {
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
