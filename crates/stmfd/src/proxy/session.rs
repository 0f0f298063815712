//! The installed proxy door and the session door that stands for it: `stmfInitProxyDoor` and its end.

use super::Proxy;
use crate::admin::is_privileged;
use admin_proto::StmfStatus;
use door::{Call, CallError, Door, DoorHandle, Invocation, Reply};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tracing::{info, warn};

/// A door server that does not answer for this long has failed the message.
const UPCALL_DEADLINE: Duration = Duration::from_secs(15);
/// "The peer is not connected now, it may come back" in the result word.
const AGAIN: u32 = 11;

static NEXT_SESSION: AtomicU64 = AtomicU64::new(1);

/// One transport, from its `stmfInitProxyDoor` to its `stmfDestroyProxyDoor` or its death.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    /// The transport's door.
    door: DoorHandle,
    /// The door its messages are posted to; revoked at the end.
    own: Door,
    over: AtomicBool,
}

/// Why a door was not installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    #[error("a proxy door is installed already")]
    Installed,
    #[error("the session door could not be made: {0}")]
    Door(std::io::Error),
}

/// What became of a message given to the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// On its way.
    Yes,
    /// The peer is not connected now.
    Again,
    /// Failed for good; the link may still be there.
    Failed,
    /// There is no transport (any more).
    NoDoor,
}

impl Session {
    /// Makes the session door; its last holder's end is the end of the session.
    pub(super) fn open(proxy: &Arc<Proxy>, door: DoorHandle) -> Result<(Arc<Self>, OwnedFd), InstallError> {
        let id = NEXT_SESSION.fetch_add(1, Ordering::Relaxed);
        let (posts, end): (Weak<Proxy>, Weak<Proxy>) = (Arc::downgrade(proxy), Arc::downgrade(proxy));
        let own = Door::builder()
            .refuse_descriptors(true)
            .max_argument_bytes(proxy_proto::MAX_MESSAGE_BYTES as u64)
            .on_unreferenced(move || {
                if let Some(proxy) = end.upgrade() {
                    info!(session = id, "the transport is gone");
                    proxy.uninstall(id);
                }
            })
            .create(move |call: Invocation<'_>| {
                let status = match posts.upgrade() {
                    Some(proxy) => post(&proxy, id, &call),
                    None => StmfStatus::PostMsgFailed,
                };
                Reply::bytes(status.to_word())
            })
            .map_err(|error| InstallError::Door(std::io::Error::other(error)))?;
        let lent = own.lend().map_err(InstallError::Door)?;
        Ok((
            Arc::new(Self {
                id,
                door,
                own,
                over: AtomicBool::new(false),
            }),
            lent,
        ))
    }

    /// The process that serves the transport's door.
    pub(super) fn pid(&self) -> Option<u32> {
        self.door.info().ok().and_then(|info| info.target)
    }

    /// Ends the session.
    pub(super) fn close(&self) {
        if !self.over.swap(true, Ordering::AcqRel) {
            self.own.revoke();
        }
    }

    /// Calls the transport's door with one message.
    pub(super) fn upcall(&self, message: &[u8]) -> Sent {
        if self.over.load(Ordering::Acquire) {
            return Sent::NoDoor;
        }
        match self.door.call_with(Call::new(message).timeout(UPCALL_DEADLINE)) {
            Ok(answer) => {
                let (data, descriptors) = answer.into_parts();
                if !descriptors.is_empty() {
                    warn!(
                        count = descriptors.len(),
                        "the transport's door passed descriptors; closed"
                    );
                }
                match <[u8; 4]>::try_from(data.as_slice()).map(u32::from_ne_bytes) {
                    Ok(0) => Sent::Yes,
                    Ok(AGAIN) => Sent::Again,
                    Ok(value) => {
                        warn!(value, "the transport's door did not take a message");
                        Sent::Failed
                    }
                    Err(_) => {
                        warn!(
                            bytes = data.len(),
                            "the transport's door answered with something else than 4 bytes"
                        );
                        Sent::Failed
                    }
                }
            }
            Err(failed) if matches!(failed.error, CallError::Revoked | CallError::NotADoor) => Sent::NoDoor,
            Err(failed) => {
                warn!(error = %failed, "the call of the transport's door failed");
                Sent::Failed
            }
        }
    }
}

/// `stmfPostProxyMsg`: privilege is checked each time, for the poster may have dropped it. It proved itself when it
/// installed its door, so the kernel's word about its process is enough here.
fn post(proxy: &Arc<Proxy>, session: u64, call: &Invocation<'_>) -> StmfStatus {
    match call.process_euid() {
        Ok(euid) if is_privileged(euid) => proxy.post(session, call.argument()),
        Ok(_) => StmfStatus::Perm,
        Err(error) => {
            warn!(%error, "the poster cannot be identified");
            StmfStatus::Perm
        }
    }
}
