//! Logical units that exist.

use std::ffi::{c_char, c_int, c_void};

use admin_proto::{LuName, LuProperty, ModifyLu, Reply, StmfStatus};
use stmf_client::{ClientError, Refusal};

use super::{by_guid, connect, guid_in};
use crate::{
    convert::{name_of, padded, status_of},
    memory::{Out, export, list_out, text_in},
    types::{StmfGuid, StmfLogicalUnitProperties},
};

/// The only type of a logical unit: `STMF_DISK`.
const DISK: u16 = 0;

/// Imports the logical unit whose metadata is at `fname`, or makes it active here. Its GUID goes to `luGuid` unless that
/// is NULL; also when it is active here already (`STMF_ERROR_FILE_IN_USE`).
///
/// # Safety
/// `fname` is NULL or a string; `lu_guid` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfImportLu(
    dtype: u16,
    fname: *const c_char,
    lu_guid: *mut StmfGuid,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let path = unsafe { text_in(fname) }?;
        if dtype != DISK || path.is_empty() {
            return Err(StmfStatus::InvalidArg);
        }
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(lu_guid) }.ok();
        let imported = connect()?.import_lu(path);
        let found = match &imported {
            Ok(guid) => Some(*guid),
            Err(ClientError::Refused(Refusal {
                reply: Some(reply), ..
            })) => match **reply {
                Reply::Lu { guid } => Some(guid),
                _ => None,
            },
            Err(_) => None,
        };
        if let (Some(out), Some(guid)) = (out, found) {
            out.set(StmfGuid { guid: guid.0 });
        }
        imported.map(drop).map_err(status_of)
    })
}

/// Changes one property of a logical unit.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`; `value` is NULL or a string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfModifyLu(
    lu_guid: *const StmfGuid,
    property: u32,
    value: *const c_char,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let lu = LuName::Guid(unsafe { guid_in(lu_guid) }?);
        // SAFETY: promised by the caller.
        modify(lu, property, unsafe { text_in(value) }?)
    })
}

/// Changes one property of the logical unit whose metadata is at `fname`.
///
/// # Safety
/// `fname` and `value` are NULL or strings.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfModifyLuByFname(
    dtype: u16,
    fname: *const c_char,
    property: u32,
    value: *const c_char,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let path = unsafe { text_in(fname) }?;
        // SAFETY: promised by the caller.
        let value = unsafe { text_in(value) }?;
        if dtype != DISK || path.is_empty() {
            return Err(StmfStatus::InvalidArg);
        }
        modify(LuName::File(path.to_owned()), property, value)
    })
}

fn modify(lu: LuName, property: u32, value: &str) -> Result<(), StmfStatus> {
    let property = LuProperty::from_number(property).ok_or(StmfStatus::InvalidProperty)?;
    let mut changes = ModifyLu::new(lu);
    changes.set(property, value)?;
    connect()?.modify_lu(changes).map_err(status_of)
}

/// Deletes a logical unit; its backing store and its view entries stay.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfDeleteLu(lu_guid: *const StmfGuid) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { by_guid(lu_guid, |client, guid| client.delete_lu(guid, true)) }
}

/// Requests a logical unit online.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfOnlineLogicalUnit(lu_guid: *const StmfGuid) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { by_guid(lu_guid, |client, guid| client.online_lu(guid)) }
}

/// Requests a logical unit offline.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfOfflineLogicalUnit(lu_guid: *const StmfGuid) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { by_guid(lu_guid, |client, guid| client.offline_lu(guid)) }
}

/// Lists logical units that are registered or have view entries, sorted by GUID.
///
/// # Safety
/// `list` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetLogicalUnitList(list: *mut *mut c_void) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(list) }?;
        let lus = connect()?.list_lus().map_err(status_of)?;
        let guids: Vec<_> = lus.iter().map(|lu| StmfGuid { guid: lu.guid.0 }).collect();
        list_out(&guids, out)
    })
}

/// Tells what the framework knows of a logical unit; vendor, product and revision are spaces unless it is active here.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`; `properties` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetLogicalUnitProperties(
    lu_guid: *const StmfGuid,
    properties: *mut StmfLogicalUnitProperties,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let guid = unsafe { guid_in(lu_guid) }?;
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(properties) }?;
        let details = connect()?.lu_properties(guid).map_err(status_of)?;
        let (summary, disk) = (details.summary, details.disk);
        let name = |text: &Option<String>| name_of(text.as_deref().unwrap_or_default());
        out.set(StmfLogicalUnitProperties {
            alias: name(&summary.alias),
            vendor: padded(disk.as_ref().map_or("", |disk| &disk.vendor)),
            product: padded(disk.as_ref().map_or("", |disk| &disk.product)),
            revision: padded(disk.as_ref().map_or("", |disk| &disk.revision)),
            status: u32::from(summary.state as u8),
            provider_name: name(&summary.provider),
            luid: StmfGuid { guid: guid.0 },
        });
        Ok(())
    })
}
