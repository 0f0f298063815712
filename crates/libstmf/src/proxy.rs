//! The proxy sessions of this process, by the handle the caller holds.
//!
//! The handle is a descriptor of the session door, so that it behaves as the manual page has it: closed on exec, and a
//! closed or foreign one is refused. The library keeps its own descriptor beside it and looks a handle up here before
//! using it; whether the caller has closed his, or the number now names another file, shows in the socket cookie.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd},
    sync::{Arc, PoisonError, RwLock},
};

use admin_proto::StmfStatus;
use stmf_client::{Client, ProxySession};

use crate::{
    convert::status_of,
    sys::{adopt, socket_cookie},
};

struct Installed {
    handle: RawFd,
    cookie: u64,
    session: Arc<ProxySession>,
}

impl Installed {
    /// Whether the caller's descriptor still is the session door.
    fn is_current(&self) -> bool {
        socket_cookie(self.handle) == Some(self.cookie)
    }
}

/// Rarely more than one: each is the session with a daemon, and a daemon has one.
static SESSIONS: RwLock<Vec<Installed>> = RwLock::new(Vec::new());

/// Installs the door `fd` and returns the handle.
pub(crate) fn install(fd: BorrowedFd<'_>) -> Result<RawFd, StmfStatus> {
    // A handle closed with close(2) ended its session as far as the caller can tell: let go of what is kept of it.
    let lost = take(|installed| !installed.is_current());
    drop(lost);
    let client = Client::connect(None).map_err(status_of)?;
    let session = client.init_proxy_door(fd).map_err(status_of)?;
    let handle = session
        .as_fd()
        .try_clone_to_owned()
        .map_err(|_| StmfStatus::Error)?;
    let cookie = socket_cookie(handle.as_raw_fd()).ok_or(StmfStatus::Error)?;
    let handle = handle.into_raw_fd();
    let installed = Installed {
        handle,
        cookie,
        session: Arc::new(session),
    };
    SESSIONS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .push(installed);
    Ok(handle)
}

/// Hands one message in. Allocates nothing.
pub(crate) fn post(handle: RawFd, message: &[u8]) -> Result<(), StmfStatus> {
    let session = {
        let sessions = SESSIONS.read().unwrap_or_else(PoisonError::into_inner);
        let found = sessions
            .iter()
            .find(|installed| installed.handle == handle && installed.is_current());
        Arc::clone(&found.ok_or(StmfStatus::PostMsgFailed)?.session)
    };
    session.post(message)
}

/// Ends the session of `handle` and closes it; does nothing to a descriptor that is not a session.
pub(crate) fn destroy(handle: RawFd) {
    for installed in take(|installed| installed.handle == handle) {
        // The handle is closed first, so that the number is free when the caller goes on, whatever the daemon does.
        let current = installed.is_current();
        let id = installed.session.id();
        if current {
            drop(adopt(installed.handle));
        }
        match Arc::try_unwrap(installed.session) {
            // A failure is a daemon that is gone, or does not let this user: either way closing is all there is to do.
            Ok(session) => drop(session.destroy()),
            // A thread is posting: its reference goes when it returns. The daemon is told by number.
            Err(_posting) => {
                drop(Client::connect(None).and_then(|client| client.destroy_proxy_door(id)));
            }
        }
    }
}

/// Takes the matching sessions out of the table.
fn take(matches: impl Fn(&Installed) -> bool) -> Vec<Installed> {
    let mut sessions = SESSIONS.write().unwrap_or_else(PoisonError::into_inner);
    sessions.extract_if(.., |installed| matches(installed)).collect()
}
