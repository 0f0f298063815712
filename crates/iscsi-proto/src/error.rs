//! What can go wrong, by who did it.

use core::fmt;

/// An offence of the initiator after which the connection cannot go on (error recovery level 0).
/// [`Event::Closed`](crate::Event::Closed) with the same value follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// A data segment longer than we declared. RFC 7143 §13.12.
    DataSegmentTooLong {
        /// Bytes announced.
        length: u32,
        /// Bytes allowed now.
        limit: u32,
    },
    /// Header digest does not match. RFC 7143 §7.8.
    HeaderDigestMismatch,
    /// Data digest does not match. RFC 7143 §7.8.
    DataDigestMismatch,
    /// An additional header segment that does not fit its own lengths. RFC 7143 §11.2.2.
    MalformedAdditionalHeader,
    /// A PDU other than a login request before login, or after login failed.
    NotLoggedIn {
        /// Opcode received.
        opcode: u8,
    },
    /// A login request while the answer to the one before is outstanding.
    LoginRequestOverlap,
    /// Login was refused with this status.
    LoginRefused(LoginStatus),
    /// A CmdSN inside the window but not the next one: with one connection nothing can fill the hole.
    CommandSequenceHole {
        /// CmdSN due.
        expected: u32,
        /// CmdSN received.
        received: u32,
    },
    /// Initiator task tag FFFFFFFFh where a task needs one.
    ReservedTaskTag,
    /// A reserved task attribute.
    ReservedTaskAttribute {
        /// The value.
        attribute: u8,
    },
    /// Immediate data although ImmediateData=No was negotiated.
    ImmediateDataNotAllowed,
    /// More immediate data than FirstBurstLength or than the command's expected length.
    ImmediateDataTooLong {
        /// Bytes received.
        length: u32,
        /// Bytes allowed.
        limit: u32,
    },
    /// A data segment on a command that does not write.
    DataWithoutWrite,
    /// A write command that announces unsolicited Data-Out although InitialR2T=Yes.
    UnsolicitedData,
    /// Data-Out for a running task but for none of its R2Ts.
    UnknownTransferTag {
        /// Target transfer tag received.
        tag: u32,
    },
    /// DataSN of a Data-Out is not the next one of its sequence.
    DataSequenceHole {
        /// DataSN due.
        expected: u32,
        /// DataSN received.
        received: u32,
    },
    /// Data-Out at another place than the next one (DataPDUInOrder=Yes).
    DataOffsetMismatch {
        /// Offset due.
        expected: u32,
        /// Offset received.
        received: u32,
    },
    /// Data-Out for a later sequence before the one under way is complete (DataSequenceInOrder=Yes).
    DataSequenceOutOfOrder,
    /// Data-Out beyond the end of what its R2T asked for.
    DataOutTooLong,
    /// Data-Out with F set before everything asked for has come, or the last piece without F, or an empty one.
    DataOutUnfinished,
    /// A text request while another one is being answered.
    TextRequestOverlap,
    /// Text longer than 64 KiB or of more than 256 keys, over all continuations.
    TextTooLong,
    /// Text that is not a list of key=value pairs.
    MalformedText(TextError),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataSegmentTooLong { length, limit } => {
                write!(f, "data segment of {length} bytes, limit {limit}")
            }
            Self::HeaderDigestMismatch => f.write_str("header digest mismatch"),
            Self::DataDigestMismatch => f.write_str("data digest mismatch"),
            Self::MalformedAdditionalHeader => f.write_str("malformed additional header segment"),
            Self::NotLoggedIn { opcode } => write!(f, "opcode {opcode:#04x} before login"),
            Self::LoginRequestOverlap => f.write_str("login request before the answer to the last one"),
            Self::LoginRefused(status) => write!(f, "login refused: {status}"),
            Self::CommandSequenceHole { expected, received } => {
                write!(f, "CmdSN {received} where {expected} is due")
            }
            Self::ReservedTaskTag => f.write_str("reserved initiator task tag"),
            Self::ReservedTaskAttribute { attribute } => write!(f, "reserved task attribute {attribute}"),
            Self::ImmediateDataNotAllowed => f.write_str("immediate data although it was not negotiated"),
            Self::ImmediateDataTooLong { length, limit } => {
                write!(f, "immediate data of {length} bytes, limit {limit}")
            }
            Self::DataWithoutWrite => f.write_str("data with a command that does not write"),
            Self::UnsolicitedData => f.write_str("unsolicited data although InitialR2T=Yes"),
            Self::UnknownTransferTag { tag } => write!(f, "Data-Out for unknown transfer tag {tag:#010x}"),
            Self::DataSequenceHole { expected, received } => {
                write!(f, "DataSN {received} where {expected} is due")
            }
            Self::DataOffsetMismatch { expected, received } => {
                write!(f, "Data-Out at offset {received} where {expected} is due")
            }
            Self::DataSequenceOutOfOrder => f.write_str("Data-Out sequences out of order"),
            Self::DataOutTooLong => f.write_str("Data-Out beyond what was asked for"),
            Self::DataOutUnfinished => f.write_str("Data-Out ends at the wrong place"),
            Self::TextRequestOverlap => f.write_str("text request before the answer to the last one"),
            Self::TextTooLong => f.write_str("text too long"),
            Self::MalformedText(e) => write!(f, "malformed text: {e}"),
        }
    }
}

impl core::error::Error for ProtocolError {}

/// Text that is not a list of key=value pairs. RFC 7143 §6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextError {
    /// No `=` in a pair.
    NoEqualsSign,
    /// A key that is empty, longer than 63 bytes or has other characters than letters, digits and `.-+@_/`.
    BadKey,
    /// A value longer than 8192 bytes or not UTF-8.
    BadValue,
    /// A pair not ended by a null byte.
    Unterminated,
    /// More than 256 pairs.
    TooManyKeys,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEqualsSign => "pair without equals sign",
            Self::BadKey => "bad key",
            Self::BadValue => "bad value",
            Self::Unterminated => "last pair not terminated",
            Self::TooManyKeys => "too many keys",
        })
    }
}

impl core::error::Error for TextError {}

/// Why a login fails: status class and detail. RFC 7143 §11.13.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum LoginStatus {
    /// 02/00: the initiator broke a rule.
    InitiatorError = 0x0200,
    /// 02/01
    AuthenticationFailed = 0x0201,
    /// 02/02: this initiator may not use this target.
    AuthorizationFailed = 0x0202,
    /// 02/03: no such target here.
    NotFound = 0x0203,
    /// 02/04: the target is being removed.
    TargetRemoved = 0x0204,
    /// 02/05
    UnsupportedVersion = 0x0205,
    /// 02/06
    TooManyConnections = 0x0206,
    /// 02/07: InitiatorName or TargetName is missing.
    MissingParameter = 0x0207,
    /// 02/08
    CannotIncludeInSession = 0x0208,
    /// 02/09
    SessionTypeNotSupported = 0x0209,
    /// 02/0A: no session has this TSIH.
    SessionDoesNotExist = 0x020A,
    /// 02/0B
    InvalidDuringLogin = 0x020B,
    /// 03/00: internal error.
    TargetError = 0x0300,
    /// 03/01: the target is not online.
    ServiceUnavailable = 0x0301,
    /// 03/02
    OutOfResources = 0x0302,
}

impl LoginStatus {
    /// Status class and status detail.
    #[must_use]
    pub fn class_and_detail(self) -> [u8; 2] {
        (self as u16).to_be_bytes()
    }
}

impl fmt::Display for LoginStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [class, detail] = self.class_and_detail();
        let text = match self {
            Self::InitiatorError => "initiator error",
            Self::AuthenticationFailed => "authentication failed",
            Self::AuthorizationFailed => "authorization failed",
            Self::NotFound => "target not found",
            Self::TargetRemoved => "target removed",
            Self::UnsupportedVersion => "unsupported version",
            Self::TooManyConnections => "too many connections",
            Self::MissingParameter => "missing parameter",
            Self::CannotIncludeInSession => "cannot include in session",
            Self::SessionTypeNotSupported => "session type not supported",
            Self::SessionDoesNotExist => "session does not exist",
            Self::InvalidDuringLogin => "invalid during login",
            Self::TargetError => "target error",
            Self::ServiceUnavailable => "service unavailable",
            Self::OutOfResources => "out of resources",
        };
        write!(f, "{class:02x}/{detail:02x} {text}")
    }
}

impl core::error::Error for LoginStatus {}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The initiator logged out.
    LoggedOut,
    /// Login was refused with this status.
    LoginRefused(LoginStatus),
    /// Login took too long.
    LoginTimedOut,
    /// No answer to a ping.
    PeerSilent,
    /// Data asked for did not come.
    DataOutTimedOut,
    /// The initiator was asked to log out and did not.
    LogoutTimedOut,
    /// The initiator broke a rule.
    Protocol(ProtocolError),
    /// The daemon wanted it.
    Requested,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedOut => f.write_str("logged out"),
            Self::LoginRefused(status) => write!(f, "login refused: {status}"),
            Self::LoginTimedOut => f.write_str("login timed out"),
            Self::PeerSilent => f.write_str("initiator silent"),
            Self::DataOutTimedOut => f.write_str("data from the initiator timed out"),
            Self::LogoutTimedOut => f.write_str("initiator did not log out when asked"),
            Self::Protocol(e) => write!(f, "protocol error: {e}"),
            Self::Requested => f.write_str("closed by the target"),
        }
    }
}

/// Why [`Connection::request_data`](crate::Connection::request_data) did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestDataError {
    /// No such task: it was aborted, or the connection is closed.
    UnknownTask,
    /// The command does not write.
    NotAWrite,
    /// Data of this task is being collected already.
    AlreadyCollecting,
    /// More than `max_data_out` bytes at once: ask for less, and again when it has come.
    TooLong {
        /// `max_data_out`.
        limit: u32,
    },
}

impl fmt::Display for RequestDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTask => f.write_str("no such task"),
            Self::NotAWrite => f.write_str("the command does not write"),
            Self::AlreadyCollecting => f.write_str("data is being collected already"),
            Self::TooLong { limit } => write!(f, "more than {limit} bytes at once"),
        }
    }
}

impl core::error::Error for RequestDataError {}

/// Reasons of Reject that we use. RFC 7143 §11.17.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RejectReason {
    SnackReject = 0x03,
    ProtocolError = 0x04,
    CommandNotSupported = 0x05,
    TooManyImmediateCommands = 0x06,
    TaskInProgress = 0x07,
    InvalidPduField = 0x09,
}
