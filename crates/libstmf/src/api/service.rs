//! The service as a whole, and the memory of lists.

use std::ffi::{c_int, c_void};

use super::connect;
use crate::{
    convert::status_of,
    memory::{self, Out, export},
    types::StmfState,
};

/// Tells the operational state and the configuration state.
///
/// # Safety
/// `state` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetState(state: *mut StmfState) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(state) }?;
        let status = connect()?.state().map_err(status_of)?;
        out.set(StmfState {
            operational_state: c_int::from(status.service as u8),
            config_state: c_int::from(status.configuration as u8),
        });
        Ok(())
    })
}

/// Takes the service online.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn stmfOnline() -> c_int {
    export(|| connect()?.set_service_online(true).map_err(status_of))
}

/// Takes the service offline.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn stmfOffline() -> c_int {
    export(|| connect()?.set_service_online(false).map_err(status_of))
}

/// Frees a list this library handed out.
///
/// # Safety
/// `memory` is NULL, or comes from this library and has not been freed.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfFreeMemory(memory: *mut c_void) {
    // SAFETY: promised by the caller.
    unsafe { memory::free(memory) };
}
