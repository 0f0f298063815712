//! Logical unit resources.

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use admin_proto::{LuProperty, StmfStatus};

use super::{connect, guid_in};
use crate::{
    convert::status_of,
    memory::{Out, export, text_in, text_out},
    resource::Resource,
    types::StmfGuid,
};

/// A handle as C has it: the number, never followed.
fn pointer(handle: usize) -> *mut c_void {
    ptr::without_provenance_mut(handle)
}

/// Makes an empty description of a disk.
///
/// # Safety
/// `hdl` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfCreateLuResource(dtype: u16, hdl: *mut *mut c_void) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(hdl) }?;
        if dtype != 0 {
            return Err(StmfStatus::InvalidArg);
        }
        out.set(pointer(Resource::described().keep()));
        Ok(())
    })
}

/// Sets a property of a description.
///
/// # Safety
/// `value` is NULL or a string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfSetLuProp(
    hdl: *mut c_void,
    property: u32,
    value: *const c_char,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let value = unsafe { text_in(value) }?;
        let property = LuProperty::from_number(property).ok_or(StmfStatus::InvalidProperty)?;
        Resource::set(hdl.addr(), property, value)
    })
}

/// Copies the text of a property to `value`, which has room for `*length` bytes; `*length` becomes the room needed.
///
/// # Safety
/// `length` is NULL or may be read and written; `value` is NULL or has room for `*length` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetLuProp(
    hdl: *mut c_void,
    property: u32,
    value: *mut c_char,
    length: *mut usize,
) -> c_int {
    export(|| {
        if length.is_null() {
            return Err(StmfStatus::InvalidArg);
        }
        let resource = Resource::find(hdl.addr())?;
        let property = LuProperty::from_number(property).ok_or(StmfStatus::InvalidProperty)?;
        let text = resource.text(property)?;
        // SAFETY: promised by the caller.
        unsafe { text_out(&text, value, length) }
    })
}

/// Frees a resource.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn stmfFreeLuResource(hdl: *mut c_void) -> c_int {
    export(|| Resource::free(hdl.addr()))
}

/// Takes a snapshot of the properties of a logical unit.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`; `hdl` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetLuResource(lu_guid: *const StmfGuid, hdl: *mut *mut c_void) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let guid = unsafe { guid_in(lu_guid) }?;
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(hdl) }?;
        let details = connect()?.lu_properties(guid).map_err(status_of)?;
        if details.summary.access.is_none() {
            // Only view entries exist under this GUID.
            return Err(StmfStatus::NotFound);
        }
        out.set(pointer(Resource::Snapshot(Box::new(details)).keep()));
        Ok(())
    })
}

/// Creates the logical unit described; its GUID goes to `luGuid` unless that is NULL.
///
/// # Safety
/// `lu_guid` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfCreateLu(hdl: *mut c_void, lu_guid: *mut StmfGuid) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(lu_guid) }.ok();
        let Resource::Described { create, .. } = Resource::find(hdl.addr())? else {
            return Err(StmfStatus::InvalidArg);
        };
        if create.data_file.is_none() {
            return Err(StmfStatus::MissingPropertyValue);
        }
        let guid = connect()?.create_lu(*create).map_err(status_of)?;
        if let Some(out) = out {
            out.set(StmfGuid { guid: guid.0 });
        }
        Ok(())
    })
}
