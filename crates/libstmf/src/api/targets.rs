//! Target ports, sessions and device identifiers.

use std::ffi::{c_char, c_int, c_void};

use admin_proto::{StmfStatus, Target, canonical_name};

use super::connect;
use crate::{
    convert::{devid_of, devid_text, name_of, status_of},
    memory::{Out, copy_in, export, list_out, text_in},
    types::{StmfDevid, StmfSession, StmfTargetProperties},
};

/// `STMF_PROTOCOL_ISCSI`: the only protocol there is here.
const ISCSI: c_int = 5;

/// The longest iSCSI name, in bytes. RFC 7143 §4.2.7.
const MAX_ISCSI_NAME_BYTES: usize = 223;

/// The target port a caller names.
///
/// # Safety
/// `target` is NULL or points at a `stmfDevid`.
unsafe fn find(target: *const StmfDevid) -> Result<Target, StmfStatus> {
    // SAFETY: promised by the caller of this function.
    let name = devid_text(&unsafe { copy_in(target) }?)?;
    let name = canonical_name(&name).unwrap_or(name);
    let targets = connect()?.list_targets().map_err(status_of)?;
    targets
        .into_iter()
        .find(|target| target.name == name)
        .ok_or(StmfStatus::NotFound)
}

/// Lists the target ports, those of the peer included.
///
/// # Safety
/// `list` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetTargetList(list: *mut *mut c_void) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(list) }?;
        let targets = connect()?.list_targets().map_err(status_of)?;
        let devids: Vec<_> = targets
            .iter()
            .map(|target| devid_of(&target.name))
            .collect::<Result<_, _>>()?;
        list_out(&devids, out)
    })
}

/// Tells the properties of a target port.
///
/// # Safety
/// `target` is NULL or points at a `stmfDevid`; `properties` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetTargetProperties(
    target: *const StmfDevid,
    properties: *mut StmfTargetProperties,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(properties) }?;
        // SAFETY: promised by the caller.
        let target = unsafe { find(target) }?;
        out.set(StmfTargetProperties {
            provider_name: name_of(&target.provider),
            alias: name_of(target.alias.as_deref().unwrap_or_default()),
            status: u16::from(target.state as u8),
            protocol: ISCSI,
            devid: devid_of(&target.name)?,
        });
        Ok(())
    })
}

/// Lists the sessions of a target port.
///
/// # Safety
/// `target` is NULL or points at a `stmfDevid`; `list` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfGetSessionList(
    target: *const StmfDevid,
    list: *mut *mut c_void,
) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(list) }?;
        // SAFETY: promised by the caller.
        let target = unsafe { find(target) }?;
        let session = |session: &admin_proto::Session| {
            Ok(StmfSession {
                initiator: devid_of(&session.initiator)?,
                alias: name_of(session.alias.as_deref().unwrap_or_default()),
                creation_time: i64::try_from(session.since).unwrap_or(i64::MAX),
            })
        };
        let sessions: Vec<_> = target
            .sessions
            .iter()
            .map(session)
            .collect::<Result<_, StmfStatus>>()?;
        list_out(&sessions, out)
    })
}

/// Requests a target port online.
///
/// # Safety
/// `target` is NULL or points at a `stmfDevid`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfOnlineTarget(target: *const StmfDevid) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let name = devid_text(&unsafe { copy_in(target) }?)?;
        connect()?.online_target(&name).map_err(status_of)
    })
}

/// Requests a target port offline.
///
/// # Safety
/// `target` is NULL or points at a `stmfDevid`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfOfflineTarget(target: *const StmfDevid) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let name = devid_text(&unsafe { copy_in(target) }?)?;
        connect()?.offline_target(&name).map_err(status_of)
    })
}

/// Makes the device identifier of an iSCSI name: `iqn.` or `eui.` in lower case, at most 223 bytes.
///
/// # Safety
/// `name` is NULL or a string; `devid` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfDevidFromIscsiName(name: *const c_char, devid: *mut StmfDevid) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let name = unsafe { text_in(name) }?;
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(devid) }?;
        let rest = name.strip_prefix("iqn.").or_else(|| name.strip_prefix("eui."));
        if rest.is_none_or(str::is_empty) || name.len() > MAX_ISCSI_NAME_BYTES {
            return Err(StmfStatus::InvalidArg);
        }
        out.set(devid_of(name)?);
        Ok(())
    })
}

/// Makes the device identifier of a world-wide name: `wwn.` and 16 upper-case digits.
///
/// # Safety
/// `wwn` is NULL or points at 8 bytes; `devid` is NULL or may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn stmfDevidFromWwn(wwn: *const [u8; 8], devid: *mut StmfDevid) -> c_int {
    export(|| {
        // SAFETY: promised by the caller.
        let number = u64::from_be_bytes(unsafe { copy_in(wwn) }?);
        // SAFETY: promised by the caller.
        let out = unsafe { Out::new(devid) }?;
        out.set(devid_of(&format!("wwn.{number:016X}"))?);
        Ok(())
    })
}
