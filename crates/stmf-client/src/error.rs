//! Why a request was not carried out.

use std::{fmt, io, path::PathBuf};

use admin_proto::{Answer, DecodeError, Reply, StmfStatus};
use door::CallError;

/// Why a request was not carried out. The text says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody serves the control door.
    #[error(
        "stmfd is not running: no door answers at {}. Start stmfd, or name its control door with --control or STMF_CONTROL",
        path.display()
    )]
    NotRunning {
        /// Path of the control door.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This user may not open the control door.
    #[error("permission denied: {}. Ask as root or as a member of the group stmfd serves", path.display())]
    Permission {
        /// Path of the control door.
        path: PathBuf,
    },
    /// The daemon refused the request, or failed to carry it out.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The daemon did not answer within the deadline; the request may still be carried out.
    #[error("stmfd did not answer within {seconds} s; the request may still be carried out")]
    TimedOut {
        /// The deadline, in seconds.
        seconds: u64,
    },
    /// The answer is not one of this version.
    #[error("stmfd gave an answer this program does not understand: {0}")]
    Answer(#[from] DecodeError),
    /// The answer is of the wrong kind.
    #[error("stmfd answered something else than was asked")]
    UnexpectedReply,
    /// What was given as the door of the proxy service is not one.
    #[error("the descriptor is not a door")]
    NotADoor,
    /// The call of the control door failed.
    #[error("the control door could not be called: {0}")]
    Call(CallError),
    /// The system refused something the request needs.
    #[error(transparent)]
    Os(#[from] io::Error),
}

impl ClientError {
    /// The status a function of libstmf(3LIB) returns for this error.
    pub fn status(&self) -> StmfStatus {
        match self {
            Self::Permission { .. } => StmfStatus::Perm,
            Self::Refused(refusal) => refusal.status,
            Self::NotADoor => StmfStatus::InvalidArg,
            Self::NotRunning { .. }
            | Self::TimedOut { .. }
            | Self::Answer(_)
            | Self::UnexpectedReply
            | Self::Call(_)
            | Self::Os(_) => StmfStatus::Error,
        }
    }
}

/// A status other than success, with what the daemon said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status; never success.
    pub status: StmfStatus,
    /// For people.
    pub message: Option<String>,
    /// What the daemon said all the same: `import_lu` of an active logical unit names it.
    pub reply: Option<Box<Reply>>,
}

impl Refusal {
    /// The reply of an answer, or its refusal.
    pub(crate) fn judge(answer: Answer) -> Result<Option<Reply>, Self> {
        let Answer {
            status,
            message,
            reply,
        } = answer;
        match status.into_result() {
            Ok(()) => Ok(reply),
            Err(status) => Err(Self {
                status,
                message,
                reply: reply.map(Box::new),
            }),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.status),
            None => self.status.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}
