//! `door_cred`, `door_ucred` and the `ucred_*` functions that read its answer.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use engine::engine::Credentials;

use crate::errno::{Errno, guard, of_credential};
use crate::memory;
use crate::types::DoorCred;
use crate::worker;

/// What `ucred_t` is behind the pointer. The groups follow, as many as the system allows.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Ucred {
    euid: libc::uid_t,
    ruid: libc::uid_t,
    suid: libc::uid_t,
    egid: libc::gid_t,
    rgid: libc::gid_t,
    sgid: libc::gid_t,
    pid: libc::pid_t,
    groups: c_int,
}

/// Most supplementary groups a process can have.
fn groups_max() -> usize {
    static MAX: OnceLock<usize> = OnceLock::new();
    *MAX.get_or_init(|| {
        // SAFETY: asks only.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_NGROUPS_MAX) }).unwrap_or(65536)
    })
}

/// What `ucred_t` holds of an id that is not known.
const UNKNOWN: u32 = u32::MAX;

/// Credentials of the caller of the invocation this thread runs. An unreferenced invocation has none: the server's own,
/// with process 0 (doors.md §3.10).
fn caller() -> Result<Credentials, Errno> {
    worker::with_invocation(|invocation| invocation.credentials().map_err(|error| of_credential(&error)))
}

fn pid(credentials: &Credentials) -> libc::pid_t {
    libc::pid_t::try_from(credentials.pid).unwrap_or(-1)
}

/// `door_cred`: who is calling, the short form. door_cred(3C).
///
/// # Safety
/// `info` is a place for a `door_cred_t`, or unmapped, which is noticed.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn door_cred(info: *mut DoorCred) -> c_int {
    guard(|| {
        let who = caller()?;
        if !memory::writable(info.cast_const().cast(), size_of::<DoorCred>()) {
            return Err(Errno(libc::EFAULT));
        }
        // SAFETY: found writable. `dc_resv` is left as it is, doors.md §2.3.
        let info = unsafe { &mut *info };
        (info.euid, info.egid, info.ruid, info.rgid) = (who.euid, who.egid, who.uid, who.gid);
        info.pid = pid(&who);
        Ok(0)
    })
}

/// `door_ucred`: who is calling, in full; allocates if `*info` is NULL. door_ucred(3C).
///
/// # Safety
/// `info` points to NULL or to a buffer of `ucred_size()` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn door_ucred(info: *mut *mut Ucred) -> c_int {
    guard(|| {
        let who = caller()?;
        if !memory::writable(info.cast_const().cast(), size_of::<*mut Ucred>()) {
            return Err(Errno(libc::EFAULT));
        }
        // SAFETY: found to be there.
        let mut place = unsafe { *info };
        if place.is_null() {
            // SAFETY: any size is fine; NULL is handled.
            place = unsafe { libc::malloc(ucred_size()) }.cast();
            if place.is_null() {
                return Err(Errno(libc::ENOMEM));
            }
        }
        let groups = &who.groups[..who.groups.len().min(groups_max())];
        let head = Ucred {
            euid: who.euid,
            ruid: who.uid,
            suid: UNKNOWN,
            egid: who.egid,
            rgid: who.gid,
            sgid: UNKNOWN,
            pid: pid(&who),
            groups: c_int::try_from(groups.len()).unwrap_or(0),
        };
        // SAFETY: by contract room for `ucred_size()` bytes, of which this is the start.
        unsafe { place.write(head) };
        // SAFETY: the groups lie behind the head, and there is room for `groups_max()` of them.
        let list = unsafe { place.add(1) }.cast::<libc::gid_t>();
        // SAFETY: as above; the two do not overlap.
        unsafe { list.copy_from_nonoverlapping(groups.as_ptr(), groups.len()) };
        // SAFETY: found writable above.
        unsafe { *info = place };
        Ok(0)
    })
}

/// `ucred_size`: bytes of a buffer for [`door_ucred`].
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn ucred_size() -> usize {
    size_of::<Ucred>() + groups_max() * size_of::<libc::gid_t>()
}

/// `ucred_free`: frees what [`door_ucred`] allocated.
///
/// # Safety
/// `uc` is NULL or comes from [`door_ucred`], and is not used any more.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn ucred_free(uc: *mut Ucred) {
    // SAFETY: from malloc, by contract.
    unsafe { libc::free(uc.cast::<c_void>()) }
}

/// Reads one member. `EINVAL` and all ones for NULL, and for what is not known.
fn member<T: Default + Copy + PartialEq + std::ops::Not<Output = T>>(
    uc: *const Ucred,
    read: impl FnOnce(&Ucred) -> T,
) -> T {
    // SAFETY: NULL or filled in by `door_ucred`, by contract of each accessor.
    let value = unsafe { uc.as_ref() }.map_or_else(|| !T::default(), read);
    if value == !T::default() {
        Errno(libc::EINVAL).set();
    }
    value
}

macro_rules! accessors {
    ($($name:ident: $type:ty = $member:ident, $what:literal;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`: ", $what, " of the caller.")]
        ///
        /// # Safety
        /// `uc` is NULL or was filled in by [`door_ucred`].
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name(uc: *const Ucred) -> $type {
            member(uc, |uc| uc.$member)
        }
    )*};
}

accessors! {
    ucred_geteuid: libc::uid_t = euid, "effective user";
    ucred_getruid: libc::uid_t = ruid, "real user";
    ucred_getsuid: libc::uid_t = suid, "saved user";
    ucred_getegid: libc::gid_t = egid, "effective group";
    ucred_getrgid: libc::gid_t = rgid, "real group";
    ucred_getsgid: libc::gid_t = sgid, "saved group";
    ucred_getpid: libc::pid_t = pid, "process";
}

/// `ucred_getgroups`: the supplementary groups, which live as long as `uc`. Returns how many.
///
/// # Safety
/// `uc` is NULL or was filled in by [`door_ucred`]; `groups` is a place for a pointer.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn ucred_getgroups(
    uc: *const Ucred,
    groups: *mut *const libc::gid_t,
) -> c_int {
    if uc.is_null() || groups.is_null() {
        Errno(libc::EINVAL).set();
        return -1;
    }
    // SAFETY: the list lies right behind the head.
    let list = unsafe { uc.add(1) }.cast();
    // SAFETY: a place for a pointer, by contract.
    unsafe { *groups = list };
    member(uc, |uc| uc.groups)
}
