//! What can be wrong with bytes, and what can be said against a message.

use core::fmt;

/// Why bytes are not a message. Nothing of such a message has been acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Shorter than the header, or than the header says; `have` and `need` in bytes.
    Short {
        /// Bytes present.
        have: usize,
        /// Bytes the message claims.
        need: usize,
    },
    /// Longer than its header says.
    Long {
        /// Bytes present.
        have: usize,
        /// Bytes the message claims.
        need: usize,
    },
    /// Does not begin with `LNTP`.
    Magic,
    /// A version this crate does not speak (and not a HELLO).
    Version(u16),
    /// A message type of no known message.
    UnknownType(u16),
    /// More bytes than any message may have.
    TooBig {
        /// Bytes claimed.
        claimed: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// A field ends after the body does.
    Truncated {
        /// The message type.
        kind: u16,
    },
    /// A field holds a value outside its range.
    Field {
        /// The message type.
        kind: u16,
        /// Name of the field.
        field: &'static str,
    },
    /// Data after a message that carries none.
    UnexpectedData {
        /// The message type.
        kind: u16,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { have, need } => write!(f, "message cut short: {have} of {need} bytes"),
            Self::Long { have, need } => write!(f, "{have} bytes where the header says {need}"),
            Self::Magic => f.write_str("not a proxy message"),
            Self::Version(v) => write!(f, "protocol version {v} is not spoken here"),
            Self::UnknownType(t) => write!(f, "unknown message type {t}"),
            Self::TooBig { claimed, limit } => write!(f, "{claimed} bytes claimed, {limit} allowed"),
            Self::Truncated { kind } => write!(f, "message type {kind} lacks a field"),
            Self::Field { kind, field } => write!(f, "message type {kind}: {field} out of range"),
            Self::UnexpectedData { kind } => write!(f, "message type {kind} carries no data"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why a request was refused; travels in [`crate::Message::Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// No common protocol version (ST-115).
    VersionUnsupported,
    /// Both nodes claim the same node number (ST-116).
    SameNode,
    /// The nodes belong to different pairs.
    ClusterMismatch,
    /// The sender has not greeted, or its link was given up; it must send HELLO.
    NotGreeted,
    /// ALUA is disabled at the receiver (ST-029).
    AluaDisabled,
    /// A target port of that name exists at the receiver (ST-120).
    PortNameTaken,
    /// The relative target port identifier is in use at the receiver.
    RelativePortTaken,
    /// The claim's epoch is lower than, or equal to, the one the receiver knows (ST-106).
    StaleEpoch,
    /// The receiver does not know that logical unit.
    UnknownLogicalUnit,
    /// The receiver does not own the logical unit.
    NotOwner,
    /// The receiver is busy with another operation on it.
    Busy,
    /// No room for another task.
    QueueFull,
    /// A task of that number has been seen before.
    Duplicate,
    /// Over a limit announced in HELLO.
    LimitExceeded,
    /// Understood, but not done by this node.
    NotSupported,
    /// The new owner could not activate; the old owner takes the logical unit back.
    ActivationFailed,
    /// The old owner could not drain, flush or close.
    DrainFailed,
    /// The message belongs to an inventory or link that is over.
    Stale,
    /// No such task.
    UnknownTask,
    /// A code this version does not know.
    Other(u16),
}

impl Refusal {
    const TABLE: [(Self, u16); 19] = [
        (Self::VersionUnsupported, 1),
        (Self::SameNode, 2),
        (Self::ClusterMismatch, 3),
        (Self::NotGreeted, 4),
        (Self::AluaDisabled, 5),
        (Self::PortNameTaken, 6),
        (Self::RelativePortTaken, 7),
        (Self::StaleEpoch, 8),
        (Self::UnknownLogicalUnit, 9),
        (Self::NotOwner, 10),
        (Self::Busy, 11),
        (Self::QueueFull, 12),
        (Self::Duplicate, 13),
        (Self::LimitExceeded, 14),
        (Self::NotSupported, 15),
        (Self::ActivationFailed, 16),
        (Self::DrainFailed, 17),
        (Self::Stale, 18),
        (Self::UnknownTask, 19),
    ];

    /// Its number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        if let Self::Other(code) = self {
            return code;
        }
        Self::TABLE
            .iter()
            .find(|(r, _)| *r == self)
            .map_or(u16::MAX, |(_, code)| *code)
    }

    /// The refusal of that number; an unknown number is kept as it is.
    #[must_use]
    pub fn from_code(code: u16) -> Self {
        Self::TABLE
            .iter()
            .find(|(_, c)| *c == code)
            .map_or(Self::Other(code), |(r, _)| *r)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionUnsupported => "no common protocol version",
            Self::SameNode => "both nodes have the same node number",
            Self::ClusterMismatch => "the nodes belong to different pairs",
            Self::NotGreeted => "the peers have not greeted each other",
            Self::AluaDisabled => "ALUA is disabled",
            Self::PortNameTaken => "target port name in use",
            Self::RelativePortTaken => "relative target port identifier in use",
            Self::StaleEpoch => "ownership epoch is not the highest",
            Self::UnknownLogicalUnit => "unknown logical unit",
            Self::NotOwner => "not the owner of the logical unit",
            Self::Busy => "busy with another operation",
            Self::QueueFull => "no room for another task",
            Self::Duplicate => "task seen before",
            Self::LimitExceeded => "over an announced limit",
            Self::NotSupported => "not supported",
            Self::ActivationFailed => "the new owner could not activate",
            Self::DrainFailed => "the old owner could not let go",
            Self::Stale => "belongs to an exchange that is over",
            Self::UnknownTask => "no such task",
            Self::Other(code) => return write!(f, "refused with code {code}"),
        })
    }
}

/// Why [`crate::Peer::handle`] dropped a well-formed message. It is a report, not a fault of the caller: the message
/// was accepted for processing and is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// No door is installed, so nothing could be answered.
    NoDoor,
    /// ALUA is disabled here (ST-029).
    AluaDisabled,
    /// Sent by an instance of the peer that is gone, or that never greeted.
    UnknownSender {
        /// Boot id in the message.
        boot_id: u64,
    },
    /// Sent before the present link was agreed upon.
    OldLink,
    /// This very message was handled before.
    Duplicate,
    /// Sent by this node itself: the transport is looped.
    Own,
    /// Refused with this code; the peer has been told.
    Refused(Refusal),
    /// An answer to nothing that was asked.
    Unsolicited,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDoor => f.write_str("no proxy door is installed"),
            Self::AluaDisabled => f.write_str("ALUA is disabled"),
            Self::UnknownSender { boot_id } => write!(f, "sender {boot_id:016X} has not greeted"),
            Self::OldLink => f.write_str("message of a link that is over"),
            Self::Duplicate => f.write_str("message received twice"),
            Self::Own => f.write_str("message of this node came back to it"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unsolicited => f.write_str("answer to nothing that was asked"),
        }
    }
}

impl core::error::Error for Rejected {}
