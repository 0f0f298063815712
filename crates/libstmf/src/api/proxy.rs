//! ALUA and the proxy service.

use std::{
    ffi::{c_int, c_void},
    os::fd::AsFd,
    slice,
};

use admin_proto::StmfStatus;

use super::{by_guid, connect};
use crate::{
    convert::status_of,
    memory::{Out, export},
    proxy,
    sys::duplicate,
    types::{Boolean, StmfGuid},
};

/// Enables the proxy service with the door `fd` and puts the handle of the session into `*hdl`; −1 after any failure.
///
/// # Safety
/// `hdl` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfInitProxyDoor(hdl: *mut c_int, fd: c_int) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let handle = unsafe { Out::new(hdl) }?;
        handle.set(-1);
        let door = duplicate(fd).map_err(|error| match error.raw_os_error() {
            Some(libc::EBADF) => StmfStatus::InvalidArg,
            _ => StmfStatus::Error,
        })?;
        handle.set(proxy::install(door.as_fd())?);
        Ok(())
    })
}

/// Hands in one message that came from the peer.
///
/// # Safety
/// `buf` is NULL or points at `buflen` bytes nobody writes meanwhile.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfPostProxyMsg(hdl: c_int, buf: *mut c_void, buflen: u32) -> c_int {
    export(|| {
        if buf.is_null() {
            return Err(StmfStatus::InvalidArg);
        }
        let length = usize::try_from(buflen).map_err(|_| StmfStatus::PostMsgFailed)?;
        // SAFETY: not NULL, and the caller promises `buflen` bytes.
        let message = unsafe { slice::from_raw_parts(buf.cast::<u8>().cast_const(), length) };
        proxy::post(hdl, message)
    })
}

/// Ends the session and waits until it is gone. A handle that is none is ignored.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn stmfDestroyProxyDoor(hdl: c_int) {
    export(|| {
        proxy::destroy(hdl);
        Ok(())
    });
}

/// Enables (1) or disables (0) ALUA as node 0 or 1.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn stmfSetAluaState(enabled: Boolean, node: u32) -> c_int {
    export(|| {
        let enabled = match enabled {
            0 => false,
            1 => true,
            _ => return Err(StmfStatus::InvalidArg),
        };
        if node > 1 {
            return Err(StmfStatus::InvalidArg);
        }
        connect()?.set_alua_state(enabled, node).map_err(status_of)
    })
}

/// Tells whether ALUA is enabled, and the number of this node.
///
/// # Safety
/// Both are NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetAluaState(enabled: *mut Boolean, node: *mut u32) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let enabled_out = unsafe { Out::new(enabled) }?;
        // SAFETY: promised by the caller.
        let node_out = unsafe { Out::new(node) }?;
        let (enabled, node) = connect()?.alua_state().map_err(status_of)?;
        enabled_out.set(enabled.into());
        node_out.set(node);
        Ok(())
    })
}

/// Demotes an active logical unit.
///
/// # Safety
/// `lu_guid` is NULL or points at a `stmfGuid`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfLuStandby(lu_guid: *const StmfGuid) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { by_guid(lu_guid, |client, guid| client.lu_standby(guid)) }
}
