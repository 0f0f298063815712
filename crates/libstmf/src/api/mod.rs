//! The exported functions, by subject. Each checks its pointers first, asks the daemon, then fills what it was given.

use std::ffi::c_int;

use admin_proto::{Guid, StmfStatus};
use stmf_client::Client;

use crate::{
    convert::status_of,
    memory::{copy_in, export},
    types::StmfGuid,
};

mod groups;
mod logical_units;
mod proxy;
mod resources;
mod service;
mod targets;
mod views;

/// A client of the daemon. Connected for each call: nothing is left to go stale when the daemon restarts.
fn connect() -> Result<Client, StmfStatus> {
    Client::connect(None).map_err(status_of)
}

/// The GUID a caller points at.
///
/// # Safety
/// `guid` is NULL or points at a `stmfGuid`.
unsafe fn guid_in(guid: *const StmfGuid) -> Result<Guid, StmfStatus> {
    // SAFETY: promised by the caller of this function.
    Ok(Guid(unsafe { copy_in(guid) }?.guid))
}

/// The body of a function that takes a GUID and answers with a status alone.
///
/// # Safety
/// `guid` is NULL or points at a `stmfGuid`.
unsafe fn by_guid(
    guid: *const StmfGuid,
    ask: impl FnOnce(&Client, Guid) -> Result<(), stmf_client::ClientError>,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller of this function.
        let guid = unsafe { guid_in(guid) }?;
        ask(&connect()?, guid).map_err(status_of)
    })
}
