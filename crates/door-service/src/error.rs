//! What can go wrong between a client and a service, apart from what its methods say.

use door::{CallError, FailedCall};

/// Why a call of a service brought no result. What a method itself complains about is part of its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call failed as a call: see [`CallError`], which says whether the method may have run.
    #[error(transparent)]
    Door(#[from] CallError),
    /// What answers there is another service. The method has not run.
    #[error("the door belongs to another service")]
    OtherService,
    /// The server has another version of the service. The method has not run.
    #[error("the server has version {theirs} of the service")]
    OtherVersion {
        /// The server's version.
        theirs: u32,
    },
    /// The server has no such method: it is older or newer, or its method takes or gives something else. Nothing has run.
    #[error("the server has no such method")]
    UnknownMethod,
    /// The server could not make sense of the parameters. The method has not run.
    #[error("the server does not understand the parameters")]
    Malformed,
    /// The parameters cannot be sent. The method has not run.
    #[error("the parameters cannot be sent: {0}")]
    Unsendable(String),
    /// The method has run, but its result could not be sent.
    #[error("the server cannot send the result")]
    Unanswerable,
    /// The method may have run, but what came back is no result of it.
    #[error("the server answered with something else than a result")]
    Garbled,
}

impl From<FailedCall> for Error {
    fn from(failed: FailedCall) -> Self {
        Self::Door(failed.error)
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Door(error) => error.into(),
            error => Self::other(error),
        }
    }
}
