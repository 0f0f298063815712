//! The proxy session: installing the door that carries messages to the peer, and posting what comes from there.

use std::os::fd::{AsFd, BorrowedFd};

use admin_proto::{Reply, Request, StmfStatus};
use door::{CallError, DoorHandle};

use crate::{Client, ClientError};

impl Client {
    /// Installs `door` as the door of the proxy service: `stmfd` calls it with each message for the peer.
    ///
    /// The daemon keeps its own reference; the caller may close `door`. The procedure of the door returns 4 bytes: 0 when
    /// the message was sent, 11 when the peer is not connected now, anything else when it failed.
    ///
    /// # Errors
    /// Every [`ClientError`]; [`ClientError::NotADoor`], `DoorInstalled` when another session exists, `Perm`.
    pub fn init_proxy_door(&self, door: impl AsFd) -> Result<ProxySession, ClientError> {
        let door =
            DoorHandle::from_fd(door.as_fd().try_clone_to_owned()?).map_err(|_| ClientError::NotADoor)?;
        let copy = door.as_fd().try_clone_to_owned()?;
        let (reply, descriptors) = self.request_with(&Request::InitProxyDoor {}, Some(copy))?;
        let Some(Reply::ProxySession { session }) = reply else {
            return Err(ClientError::UnexpectedReply);
        };
        let session_door = descriptors
            .into_iter()
            .next()
            .ok_or(ClientError::UnexpectedReply)?;
        let session_door = DoorHandle::from_fd(session_door).map_err(|_| ClientError::UnexpectedReply)?;
        Ok(ProxySession {
            session,
            door: session_door,
            control: self.try_clone()?,
        })
    }

    /// Ends the proxy session of this number and waits until it is gone; see [`ProxySession::destroy`].
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`.
    pub fn destroy_proxy_door(&self, session: u64) -> Result<(), ClientError> {
        self.request(&Request::DestroyProxyDoor { session }).map(drop)
    }
}

/// The proxy service, enabled and with a door. May be shared by threads.
///
/// Dropping it disables the service without waiting; so does the end of the process.
#[derive(Debug)]
pub struct ProxySession {
    session: u64,
    door: DoorHandle,
    control: Client,
}

impl ProxySession {
    /// Number of the session.
    pub const fn id(&self) -> u64 {
        self.session
    }

    /// Hands in one message that came from the peer. Allocates nothing.
    ///
    /// `Ok` means accepted for processing, not executed. Concurrent posts have no order among each other.
    ///
    /// # Errors
    /// `PostMsgFailed` when the message is empty, too long or malformed, or the daemon is gone; `Perm` when the process
    /// has lost its privilege. After a lost daemon the session is of no use: drop it and install the door again.
    pub fn post(&self, message: &[u8]) -> Result<(), StmfStatus> {
        if message.is_empty() {
            return Err(StmfStatus::PostMsgFailed);
        }
        let mut word = [0; 4];
        match self.door.call_into(message, &mut word).map_err(CallError::from) {
            Ok(4) => StmfStatus::from_word(&word)
                .unwrap_or(StmfStatus::PostMsgFailed)
                .into_result(),
            Ok(_) => Err(StmfStatus::PostMsgFailed),
            Err(CallError::Os(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(StmfStatus::Perm)
            }
            Err(_) => Err(StmfStatus::PostMsgFailed),
        }
    }

    /// Ends the session: returns once the ports of the peer, their sessions and their tasks are gone.
    ///
    /// # Errors
    /// Every [`ClientError`]; the session ends all the same, then without waiting.
    pub fn destroy(self) -> Result<(), ClientError> {
        self.control.destroy_proxy_door(self.session)
    }
}

impl AsFd for ProxySession {
    /// The session door, close-on-exec.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.door.as_fd()
    }
}
