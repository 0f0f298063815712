//! What can go wrong, one enum per operation.

use std::io;

use crate::engine::FinishError;

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

impl CallError {
    /// The error number door_call(3C) would give.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::Revoked | Self::NotADoor => libc::EBADF,
            Self::Interrupted => libc::EINTR,
            Self::Again => libc::EAGAIN,
            Self::TimedOut => libc::ETIMEDOUT,
            Self::TooBig => libc::ENOBUFS,
            Self::ArgumentTooLarge => libc::E2BIG,
            Self::DescriptorsRefused => libc::ENOTSUP,
            Self::TooManyDescriptors => libc::ENFILE,
            Self::OutOfDescriptors => libc::EMFILE,
            Self::ReplyTooBig { .. } => libc::EOVERFLOW,
            Self::Os(error) => raw(error),
        }
    }

    /// True if the procedure did not run: the same call can be made again without being made twice.
    #[must_use]
    pub fn has_not_run(&self) -> bool {
        !matches!(
            self,
            Self::Interrupted
                | Self::TimedOut
                | Self::ReplyTooBig { .. }
                | Self::OutOfDescriptors
                | Self::Os(_)
        )
    }
}

/// Every error has a number; those the standard library makes up are input/output errors.
fn raw(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

impl From<CallError> for io::Error {
    /// Of the kind that goes with [`CallError::errno`]; the error itself is inside.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Os(error) => error,
            error => Self::new(Self::from_raw_os_error(error.errno()).kind(), error),
        }
    }
}

/// The descriptor given is not a door; it is handed back.
#[derive(Debug, thiserror::Error)]
#[error("the descriptor is not a door")]
pub struct NotADoor(pub std::os::fd::OwnedFd);

impl From<NotADoor> for io::Error {
    /// `ENXIO`; the descriptor is closed.
    fn from(_: NotADoor) -> Self {
        Self::from_raw_os_error(libc::ENXIO)
    }
}

/// Why an answer was not sent. door_return(3C), ERRORS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The caller takes no answer, or there are more than 1,024 descriptors (E2BIG).
    #[error("more than the caller can take")]
    TooBig,
    /// The system cannot carry the descriptors now (EMFILE).
    #[error("out of file descriptors")]
    OutOfDescriptors,
    /// The caller is gone or gave up: the answer was dropped.
    #[error("nobody waits for the answer")]
    CallerGone,
    /// The call has been answered before.
    #[error("the call was answered before")]
    Answered,
    /// The system refused.
    #[error(transparent)]
    Os(#[from] io::Error),
}

impl From<FinishError> for ReplyError {
    fn from(error: FinishError) -> Self {
        match error {
            FinishError::TooBig => Self::TooBig,
            FinishError::OutOfDescriptors => Self::OutOfDescriptors,
            FinishError::BadDescriptor => Self::Os(io::Error::from_raw_os_error(libc::EBADF)),
            FinishError::NoCaller => Self::CallerGone,
            FinishError::Os(error) => Self::Os(error),
        }
    }
}

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

impl CredentialError {
    /// The error number door_ucred(3C) would give.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::CallerGone => libc::EINVAL,
            Self::Unproven => libc::EAGAIN,
            Self::Os(error) => raw(error),
        }
    }
}

impl From<CredentialError> for io::Error {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Os(error) => error,
            error => Self::new(Self::from_raw_os_error(error.errno()).kind(), error),
        }
    }
}

impl AttachError {
    /// The error number fattach(3C) or fdetach(3C) would give.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::Busy => libc::EBUSY,
            Self::NotOurs | Self::NotAttached => libc::EINVAL,
            Self::NotOwner => libc::EPERM,
            Self::Os(error) => raw(error),
        }
    }
}

impl From<AttachError> for io::Error {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Os(error) => error,
            error => Self::new(Self::from_raw_os_error(error.errno()).kind(), error),
        }
    }
}
