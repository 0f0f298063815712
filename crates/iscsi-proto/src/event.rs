//! What a connection tells the daemon, and what the daemon answers.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{fmt, ops::Deref};

use bytes::Bytes;

use crate::error::{CloseReason, LoginStatus};

/// Something the daemon must know or do. Taken from [`Connection::poll_event`](crate::Connection::poll_event).
#[derive(Debug)]
pub enum Event {
    /// An initiator wants in. Answer with [`Connection::login_verdict`](crate::Connection::login_verdict).
    Login(LoginRequest),
    /// Login is over: the session exists.
    SessionOpened(SessionOpened),
    /// The initiator asks for targets. Answer with [`Connection::send_targets`](crate::Connection::send_targets).
    SendTargets(SendTargets),
    /// A command. Answer with [`Connection::complete`](crate::Connection::complete), for data first with
    /// [`Connection::request_data`](crate::Connection::request_data).
    Command(ScsiCommand),
    /// The data asked for by [`Connection::request_data`](crate::Connection::request_data).
    DataOut {
        /// Initiator task tag of the command.
        tag: u32,
        /// The data in order. Shorter in total than asked for when the command's expected length is.
        data: Vec<Bytes>,
    },
    /// A task management function. Answer with
    /// [`Connection::complete_task_management`](crate::Connection::complete_task_management).
    TaskManagement(TaskManagement),
    /// The initiator logged out; every task is over. [`Event::Closed`] follows.
    Logout,
    /// The last event: send what [`Connection::poll_transmit`](crate::Connection::poll_transmit) has left
    /// and close the socket. Every task is over.
    Closed(CloseReason),
}

/// A leading login request, complete enough to decide on. RFC 7143 §11.12.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// InitiatorName, lower case.
    pub initiator: String,
    /// TargetName, lower case; always there for a normal session.
    pub target: Option<String>,
    /// The initiator's half of the session identifier.
    pub isid: [u8; 6],
    /// 0 for a new session (or one that replaces the session of the same initiator, ISID and target);
    /// otherwise the session to join. With one connection a session that can only mean replacing the
    /// connection `cid` of that session.
    pub tsih: u16,
    /// Connection identifier.
    pub cid: u16,
    /// True for a discovery session.
    pub discovery: bool,
}

/// The daemon's consent to a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginGrant {
    /// Handle of the session, not 0 for a normal session.
    pub tsih: u16,
    /// TargetAlias to declare.
    pub target_alias: Option<String>,
}

/// The daemon's refusal and consent in one.
pub type LoginVerdict = Result<LoginGrant, LoginStatus>;

/// The session that login has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOpened {
    /// As in the request.
    pub initiator: String,
    /// As in the request.
    pub target: Option<String>,
    /// As in the request.
    pub isid: [u8; 6],
    /// As granted.
    pub tsih: u16,
    /// As in the request.
    pub cid: u16,
    /// True for a discovery session.
    pub discovery: bool,
}

/// Which targets the initiator asks for. RFC 7143 appendix C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendTargets {
    /// Every target it may see.
    All,
    /// This one. `SendTargets=` without a value in a normal session arrives here with the session's target.
    Name(String),
}

/// One target of a SendTargets answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRecord {
    /// TargetName.
    pub name: String,
    /// `address:port` (IPv6 in brackets) and portal group tag, in the order they are to be shown.
    pub portals: Vec<(String, u16)>,
}

/// Task attribute of a command. RFC 7143 §11.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskAttribute {
    /// 0: no attribute; treated as simple.
    Untagged,
    /// 1
    Simple,
    /// 2
    Ordered,
    /// 3
    HeadOfQueue,
    /// 4
    Aca,
}

/// A command descriptor block of any length up to 260 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Cdb {
    first: [u8; 16],
    whole: Option<Box<[u8]>>,
}

impl Cdb {
    /// A block of the 16 bytes every SCSI Command PDU has; a shorter CDB is padded with zeros.
    #[must_use]
    pub fn new(first: [u8; 16]) -> Self {
        Self { first, whole: None }
    }

    /// A block continued in an additional header segment.
    pub(crate) fn extended(first: [u8; 16], rest: &[u8]) -> Self {
        let mut whole = Vec::with_capacity(first.len().saturating_add(rest.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(rest);
        Self {
            first,
            whole: Some(whole.into_boxed_slice()),
        }
    }
}

impl Deref for Cdb {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.whole.as_deref().unwrap_or(&self.first)
    }
}

impl AsRef<[u8]> for Cdb {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Cdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cdb(")?;
        for byte in self.iter() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// A SCSI command. RFC 7143 §11.3. Never bidirectional: those are rejected before they get here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScsiCommand {
    /// Initiator task tag: names the command in every later call.
    pub tag: u32,
    /// Eight bytes as on the wire.
    pub lun: [u8; 8],
    /// Dereferences to the bytes.
    pub cdb: Cdb,
    /// Task attribute.
    pub attribute: TaskAttribute,
    /// The initiator expects data.
    pub read: bool,
    /// The initiator has data.
    pub write: bool,
    /// Bytes the initiator has room for; 0 unless `read`.
    pub expected_data_in: u32,
    /// Bytes the initiator has; 0 unless `write`.
    pub expected_data_out: u32,
    /// Data that came with the command. Also the first part of what
    /// [`Connection::request_data`](crate::Connection::request_data) collects, so most daemons ignore it.
    pub immediate: Bytes,
    /// CmdSN, for RefCmdSN of a later ABORT TASK.
    pub command_sn: u32,
}

/// The end of a command.
#[derive(Debug, Clone, Default)]
pub struct ScsiResponse {
    /// SCSI status byte.
    pub status: u8,
    /// Sense data, without the length field iSCSI puts before it. Empty when there is none; cut to 65535 bytes.
    pub sense: Vec<u8>,
    /// All data for the initiator, in order; what exceeds the expected length is cut and told as overflow.
    pub data_in: Vec<Bytes>,
}

/// Task management function. RFC 7143 §11.5.1. CLEAR ACA (3) and TASK REASSIGN (8) are answered here and
/// never reach the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskManagementFunction {
    /// 1
    AbortTask,
    /// 2
    AbortTaskSet,
    /// 4
    ClearTaskSet,
    /// 5
    LogicalUnitReset,
    /// 6
    TargetWarmReset,
    /// 7: after the response the connection is closed by the daemon.
    TargetColdReset,
}

/// A task management request. RFC 7143 §11.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskManagement {
    /// Initiator task tag of the request.
    pub tag: u32,
    /// What to do.
    pub function: TaskManagementFunction,
    /// Logical unit, eight bytes as on the wire; not meaningful for the target resets.
    pub lun: [u8; 8],
    /// Initiator task tag of the task to abort (ABORT TASK only).
    pub referenced_tag: u32,
}

/// Answer to a task management request. RFC 7143 §11.6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskManagementResponse {
    /// Function complete.
    Complete = 0,
    /// Task does not exist.
    TaskDoesNotExist = 1,
    /// LUN does not exist.
    LunDoesNotExist = 2,
    /// Task still allegiant.
    TaskStillAllegiant = 3,
    /// Task allegiance reassignment not supported.
    ReassignmentNotSupported = 4,
    /// Task management function not supported.
    NotSupported = 5,
    /// Function authorization failed.
    AuthorizationFailed = 6,
    /// Function rejected.
    Rejected = 255,
}

/// How the daemon ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Ask the initiator to log out and wait `logout_timeout` for it (asynchronous message, event 1).
    RequestLogout,
    /// Tell the initiator that the session is gone (asynchronous message, event 3) and close.
    Now,
}
