//! What can go wrong, one enum per operation.

use std::io;

/// Why a door call failed. door_call(3C), ERRORS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The door was revoked, or its server is gone; the procedure did not run (EBADF).
    #[error("the door was revoked or its server is gone")]
    Revoked,
    /// The server thread or process ended, or a signal arrived, after the procedure had been given the call (EINTR).
    #[error("the call was interrupted after the server had accepted it")]
    Interrupted,
    /// A signal arrived before any server thread took the call, or no lane was free; nothing ran (EAGAIN).
    #[error("no server thread took the call")]
    Again,
    /// The deadline passed. The procedure may still run; its answer is thrown away (ETIMEDOUT).
    #[error("the deadline passed before the server answered")]
    TimedOut,
    /// The argument is outside the door's DATA_MIN..=DATA_MAX (ENOBUFS).
    #[error("the argument is outside the size limits of the door")]
    TooBig,
    /// The argument or the list of descriptors is beyond what any door takes (E2BIG).
    #[error("the argument does not fit the server")]
    ArgumentTooLarge,
    /// The door does not take descriptors (ENOTSUP).
    #[error("the door refuses descriptors")]
    DescriptorsRefused,
    /// More descriptors than the door's DESC_MAX (ENFILE).
    #[error("more descriptors than the door takes")]
    TooManyDescriptors,
    /// One side has no room for the descriptors of this call (EMFILE).
    #[error("out of file descriptors")]
    OutOfDescriptors,
    /// The reply does not fit the buffer given; it is lost (EOVERFLOW).
    #[error("the reply needs {needed} bytes")]
    ReplyTooBig {
        /// Size of the reply in bytes.
        needed: usize,
    },
    /// The descriptor is not a door (EBADF).
    #[error("the descriptor is not a door")]
    NotADoor,
    /// The system refused something the call needs.
    #[error(transparent)]
    Os(#[from] io::Error),
}

impl From<CallError> for io::Error {
    fn from(error: CallError) -> Self {
        let kind = match &error {
            CallError::Os(_) => {
                let CallError::Os(inner) = error else {
                    unreachable!("matched just above")
                };
                return inner;
            }
            CallError::Interrupted => io::ErrorKind::Interrupted,
            CallError::Again => io::ErrorKind::WouldBlock,
            CallError::TimedOut => io::ErrorKind::TimedOut,
            CallError::DescriptorsRefused => io::ErrorKind::Unsupported,
            CallError::Revoked
            | CallError::TooBig
            | CallError::ArgumentTooLarge
            | CallError::TooManyDescriptors
            | CallError::OutOfDescriptors
            | CallError::ReplyTooBig { .. }
            | CallError::NotADoor => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The descriptor given is not a door; it is handed back.
#[derive(Debug, thiserror::Error)]
#[error("the descriptor is not a door")]
pub struct NotADoor(pub std::os::fd::OwnedFd);

/// Why the caller's credentials cannot be told. door_ucred(3C), ERRORS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The caller is gone or has given up (EINVAL).
    #[error("the caller is gone")]
    CallerGone,
    /// The caller did not prove who it is in time (EAGAIN).
    #[error("the caller did not prove its identity in time")]
    Unproven,
    /// The system refused the question.
    #[error(transparent)]
    Os(#[from] io::Error),
}

/// Why a door could not be attached to, or detached from, a path. fattach(3C), fdetach(3C), ERRORS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// A living door is attached there (EBUSY).
    #[error("a living door is attached there")]
    Busy,
    /// The descriptor is not a door of this process (EINVAL).
    #[error("not a door of this process")]
    NotOurs,
    /// Nothing is attached there (EINVAL).
    #[error("no door is attached there")]
    NotAttached,
    /// The caller does not own the file (EPERM).
    #[error("only the owner of the file may do this")]
    NotOwner,
    /// The system refused.
    #[error(transparent)]
    Os(#[from] io::Error),
}

impl From<rustix::io::Errno> for AttachError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Os(errno.into())
    }
}

impl From<rustix::io::Errno> for CallError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Os(errno.into())
    }
}

impl From<rustix::io::Errno> for CredentialError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Os(errno.into())
    }
}

impl From<AttachError> for io::Error {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Os(inner) => inner,
            AttachError::Busy => Self::from_raw_os_error(libc::EBUSY),
            AttachError::NotOurs | AttachError::NotAttached => Self::from_raw_os_error(libc::EINVAL),
            AttachError::NotOwner => Self::from_raw_os_error(libc::EPERM),
        }
    }
}
