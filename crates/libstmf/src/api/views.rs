//! View entries.

use std::ffi::{c_int, c_void};

use super::{by_guid, connect, guid_in};
use crate::{
    convert::{entry_of, status_of, view_of},
    memory::{Out, copy_in, export, list_out},
    types::{StmfGuid, StmfViewEntry},
};

/// Adds a view entry; index and LUN are filled in. The caller's index is not looked at.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`; `entry` is NULL or may be read and written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfAddViewEntry(
    lu_guid: *const StmfGuid,
    entry: *mut StmfViewEntry,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let guid = unsafe { guid_in(lu_guid) }?;
        // SAFETY: promised by the caller.
        let asked = unsafe { copy_in(entry.cast_const()) }?;
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(entry) }?;
        let added = connect()?.add_view(guid, view_of(&asked)?).map_err(status_of)?;
        let entry = entry_of(&added);
        out.set(StmfViewEntry {
            lun: entry.lun,
            lun_valid: 1,
            index: entry.index,
            index_valid: 1,
            ..asked
        });
        Ok(())
    })
}

/// Removes a view entry.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfRemoveViewEntry(lu_guid: *const StmfGuid, index: u32) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { by_guid(lu_guid, |client, guid| client.remove_view(guid, index)) }
}

/// Lists the view entries of a logical unit, sorted by index; none is success with count 0.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`; `list` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetViewEntryList(
    lu_guid: *const StmfGuid,
    list: *mut *mut c_void,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let guid = unsafe { guid_in(lu_guid) }?;
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(list) }?;
        let views = connect()?.list_views(guid).map_err(status_of)?;
        let entries: Vec<_> = views.iter().map(entry_of).collect();
        list_out(&entries, out)
    })
}

/// Runs the rules for a view entry without adding it; the LUN it would get is filled in.
///
/// # Safety
/// `entry` is NULL or may be read and written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfValidateView(entry: *mut StmfViewEntry) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let asked = unsafe { copy_in(entry.cast_const()) }?;
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(entry) }?;
        let valid = connect()?.validate_view(view_of(&asked)?).map_err(status_of)?;
        out.set(StmfViewEntry {
            lun: entry_of(&valid).lun,
            lun_valid: 1,
            ..asked
        });
        Ok(())
    })
}
