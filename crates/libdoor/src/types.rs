//! Rust mirror of `include/door.h`. The layouts are pinned here and again by the C compilers in the tests.

use core::ffi::{c_char, c_int, c_uint, c_void};
use core::mem::{align_of, offset_of, size_of};

/// `door_attr_t`: `DOOR_*` bits.
pub(crate) type DoorAttr = c_uint;

pub(crate) const DOOR_UNREF: DoorAttr = 0x01;
pub(crate) const DOOR_PRIVATE: DoorAttr = 0x02;
pub(crate) const DOOR_UNREF_MULTI: DoorAttr = 0x10;
pub(crate) const DOOR_REFUSE_DESC: DoorAttr = 0x40;
pub(crate) const DOOR_NO_CANCEL: DoorAttr = 0x80;
pub(crate) const DOOR_NO_DEPLETION_CB: DoorAttr = 0x100;
pub(crate) const DOOR_PRIVCREATE: DoorAttr = 0x200;
pub(crate) const DOOR_DEPLETION_CB: DoorAttr = 0x400;
/// Every bit that may reach the creation of a door, `DOOR_CREATE_MASK`.
pub(crate) const DOOR_CREATE_MASK: DoorAttr = DOOR_UNREF
    | DOOR_PRIVATE
    | DOOR_UNREF_MULTI
    | DOOR_REFUSE_DESC
    | DOOR_NO_CANCEL
    | DOOR_NO_DEPLETION_CB
    | DOOR_PRIVCREATE;
const _: () = assert!(DOOR_CREATE_MASK == 0x3d3);

pub(crate) const DOOR_DESCRIPTOR: DoorAttr = 0x1_0000;
pub(crate) const DOOR_RELEASE: DoorAttr = 0x4_0000;

/// `door_info(DOOR_QUERY, …)`: the door the calling thread is bound to.
pub(crate) const DOOR_QUERY: c_int = -2;
/// `argp` of an unreferenced invocation.
pub(crate) const DOOR_UNREF_DATA: *mut c_char = core::ptr::without_provenance_mut(1);

pub(crate) const DOOR_PARAM_DESC_MAX: c_int = 1;
pub(crate) const DOOR_PARAM_DATA_MAX: c_int = 2;
pub(crate) const DOOR_PARAM_DATA_MIN: c_int = 3;

/// Most descriptors one call or one result may carry.
pub(crate) const DESCRIPTORS_MAX: usize = 1024;

/// `door_desc_t`: 24 bytes aligned to 4, so that 32- and 64-bit programs agree.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(crate) struct DoorDesc {
    /// `DOOR_DESCRIPTOR`, with `DOOR_RELEASE` when sent and the door's attributes when received.
    pub(crate) attributes: DoorAttr,
    /// The descriptor.
    pub(crate) descriptor: c_int,
    /// Identity of the door; 0 for a descriptor that is not a door. Ignored when sent.
    pub(crate) id: u64,
    /// The rest of `d_resv`.
    pub(crate) reserved: [c_int; 2],
}
const _: () = {
    assert!(size_of::<DoorDesc>() == 24 && align_of::<DoorDesc>() == 4);
    assert!(offset_of!(DoorDesc, attributes) == 0 && offset_of!(DoorDesc, descriptor) == 4);
    assert!(offset_of!(DoorDesc, id) == 8 && offset_of!(DoorDesc, reserved) == 16);
};

/// `door_info_t`: 48 bytes aligned to 4.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(crate) struct DoorInfo {
    /// The owner's process, -1 once it is gone.
    pub(crate) target: libc::pid_t,
    /// Address of the server procedure in the owner.
    pub(crate) proc: u64,
    /// Cookie.
    pub(crate) data: u64,
    /// `DOOR_*` bits.
    pub(crate) attributes: DoorAttr,
    /// Identity of the door.
    pub(crate) uniquifier: u64,
    /// Zero.
    pub(crate) reserved: [c_int; 4],
}
const _: () = {
    assert!(size_of::<DoorInfo>() == 48 && align_of::<DoorInfo>() == 4);
    assert!(offset_of!(DoorInfo, target) == 0 && offset_of!(DoorInfo, proc) == 4);
    assert!(offset_of!(DoorInfo, data) == 12);
    assert!(offset_of!(DoorInfo, attributes) == 20 && offset_of!(DoorInfo, uniquifier) == 24);
    assert!(offset_of!(DoorInfo, reserved) == 32);
};

/// `door_arg_t`: 48 bytes aligned to 8.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct DoorArg {
    /// Argument, then result.
    pub(crate) data_ptr: *mut c_char,
    /// Bytes at `data_ptr`.
    pub(crate) data_size: usize,
    /// Descriptors sent, then received.
    pub(crate) desc_ptr: *mut DoorDesc,
    /// Entries at `desc_ptr`.
    pub(crate) desc_num: c_uint,
    /// Where results go.
    pub(crate) rbuf: *mut c_char,
    /// Bytes at `rbuf`.
    pub(crate) rsize: usize,
}

impl DoorArg {
    /// What a call without arguments has.
    pub(crate) const EMPTY: Self = Self {
        data_ptr: std::ptr::null_mut(),
        data_size: 0,
        desc_ptr: std::ptr::null_mut(),
        desc_num: 0,
        rbuf: std::ptr::null_mut(),
        rsize: 0,
    };
}

const _: () = {
    assert!(size_of::<DoorArg>() == 48 && align_of::<DoorArg>() == 8);
    assert!(offset_of!(DoorArg, data_ptr) == 0 && offset_of!(DoorArg, data_size) == 8);
    assert!(offset_of!(DoorArg, desc_ptr) == 16 && offset_of!(DoorArg, desc_num) == 24);
    assert!(offset_of!(DoorArg, rbuf) == 32 && offset_of!(DoorArg, rsize) == 40);
};

/// `door_cred_t`: 36 bytes aligned to 4. `dc_resv` is never written and therefore not named here.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct DoorCred {
    /// Effective user.
    pub(crate) euid: libc::uid_t,
    /// Effective group.
    pub(crate) egid: libc::gid_t,
    /// Real user.
    pub(crate) ruid: libc::uid_t,
    /// Real group.
    pub(crate) rgid: libc::gid_t,
    /// Process.
    pub(crate) pid: libc::pid_t,
    reserved: [c_int; 4],
}
const _: () = {
    assert!(size_of::<DoorCred>() == 36 && align_of::<DoorCred>() == 4);
    assert!(offset_of!(DoorCred, euid) == 0 && offset_of!(DoorCred, egid) == 4);
    assert!(offset_of!(DoorCred, ruid) == 8 && offset_of!(DoorCred, rgid) == 12);
    assert!(offset_of!(DoorCred, pid) == 16 && offset_of!(DoorCred, reserved) == 20);
};

/// `door_server_procedure_t *`. It may leave through `door_return`, `pthread_exit` or a cancellation.
pub(crate) type ServerProcedure = unsafe extern "C-unwind" fn(
    cookie: *mut c_void,
    argp: *mut c_char,
    arg_size: usize,
    dp: *mut DoorDesc,
    n_desc: c_uint,
);

/// `door_server_func_t *`: makes server threads for the pool that `info` names, NULL for the process pool.
pub(crate) type ServerFunc = unsafe extern "C-unwind" fn(info: *mut DoorInfo);

/// Start routine of a thread.
pub(crate) type StartFunc = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;

/// `door_xcreate_server_func_t *`: makes one thread that runs `start(start_argument)`.
pub(crate) type XcreateFunc = unsafe extern "C-unwind" fn(
    info: *mut DoorInfo,
    start: StartFunc,
    start_argument: *mut c_void,
    crcookie: *mut c_void,
) -> c_int;

/// `door_xcreate_thrsetup_func_t *`: prepares a thread before it is bound.
pub(crate) type ThreadSetupFunc = unsafe extern "C-unwind" fn(crcookie: *mut c_void);
