//! The structures of `libstmf.h`, member for member. 64-bit layouts are asserted beside each (illumos LP64).

use std::ffi::{c_char, c_int};

/// `boolean_t`: an `int` on illumos, read as one so that any value the caller left there is a value.
pub(crate) type Boolean = c_int;

/// `stmfGroupName` and `stmfProviderName`.
pub(crate) type Name = [c_char; 256];

/// `stmfGuid`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct StmfGuid {
    pub(crate) guid: [u8; 16],
}
const _: () = assert!(size_of::<StmfGuid>() == 16);

/// `stmfState`.
#[repr(C)]
pub(crate) struct StmfState {
    pub(crate) operational_state: c_int,
    pub(crate) config_state: c_int,
}
const _: () = assert!(size_of::<StmfState>() == 8);

/// `stmfDevid`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct StmfDevid {
    pub(crate) ident_length: u8,
    pub(crate) ident: [u8; 255],
}
const _: () = assert!(size_of::<StmfDevid>() == 256);

/// `stmfSession`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct StmfSession {
    pub(crate) initiator: StmfDevid,
    pub(crate) alias: Name,
    pub(crate) creation_time: i64,
}
const _: () = assert!(size_of::<StmfSession>() == 520);

/// `stmfViewEntry`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct StmfViewEntry {
    pub(crate) index_valid: Boolean,
    pub(crate) index: u32,
    pub(crate) all_hosts: Boolean,
    pub(crate) host_group: Name,
    pub(crate) all_targets: Boolean,
    pub(crate) target_group: Name,
    pub(crate) lun_valid: Boolean,
    pub(crate) lun: [u8; 8],
}
const _: () = assert!(size_of::<StmfViewEntry>() == 540);

/// `stmfTargetProperties`.
#[repr(C)]
pub(crate) struct StmfTargetProperties {
    pub(crate) provider_name: Name,
    pub(crate) alias: Name,
    pub(crate) status: u16,
    pub(crate) protocol: c_int,
    pub(crate) devid: StmfDevid,
}
const _: () = assert!(size_of::<StmfTargetProperties>() == 776);

/// `stmfLogicalUnitProperties`.
#[repr(C)]
pub(crate) struct StmfLogicalUnitProperties {
    pub(crate) alias: Name,
    pub(crate) vendor: [u8; 8],
    pub(crate) product: [u8; 16],
    pub(crate) revision: [u8; 4],
    pub(crate) status: u32,
    pub(crate) provider_name: Name,
    pub(crate) luid: StmfGuid,
}
const _: () = assert!(size_of::<StmfLogicalUnitProperties>() == 560);
