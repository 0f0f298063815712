//! Bytes of a message, version 1. All numbers little-endian.
//!
//! ```text
//!  0  4  magic "LNTP"
//!  4  2  version
//!  6  2  type
//!  8  8  boot id of the sender
//! 16  8  message id: one count per boot, no gaps
//! 24  8  task id, or zero
//! 32  4  body length: typed fields
//! 36  4  data length: bulk data after the body
//! 40     body, then data, then nothing
//! ```
//!
//! - A message is exactly as long as its header says; one byte more or less refuses it.
//! - Fields may be appended to a body by a later minor revision: a reader takes the fields it knows and skips the rest
//!   of the body. A known field that is missing refuses the message.
//! - Bulk data is only allowed in the five types that carry it.
//! - Header and HELLO keep their layout in every version, so that two nodes can always say why they do not match.
//! - Strings are a 2-byte length and UTF-8; byte strings a 2-byte length and bytes.

mod decode;
mod encode;
mod wire;

use crate::error::DecodeError;
use crate::message::Message;
use alloc::vec::Vec;
use bytes::Bytes;

pub(crate) const MAGIC: [u8; 4] = *b"LNTP";

/// Numbers of the message types.
pub(crate) mod kind {
    pub(crate) const HELLO: u16 = 1;
    pub(crate) const PING: u16 = 2;
    pub(crate) const PONG: u16 = 3;
    pub(crate) const ACCEPTED: u16 = 4;
    pub(crate) const REFUSED: u16 = 5;
    pub(crate) const REGISTER_PORT: u16 = 6;
    pub(crate) const DEREGISTER_PORT: u16 = 7;
    pub(crate) const REGISTER_LUN: u16 = 8;
    pub(crate) const DEREGISTER_LUN: u16 = 9;
    pub(crate) const LUN_ACTIVE: u16 = 10;
    pub(crate) const INVENTORY_END: u16 = 11;
    pub(crate) const SCSI_COMMAND: u16 = 12;
    pub(crate) const DATA_IN: u16 = 13;
    pub(crate) const CREDIT: u16 = 14;
    pub(crate) const R2T: u16 = 15;
    pub(crate) const DATA_OUT: u16 = 16;
    pub(crate) const STATUS: u16 = 17;
    pub(crate) const ABORT_TASK: u16 = 18;
    pub(crate) const TASK_ABORTED: u16 = 19;
    pub(crate) const TASK_MANAGEMENT: u16 = 20;
    pub(crate) const TASK_MANAGEMENT_DONE: u16 = 21;
    pub(crate) const SESSION_DESTROY: u16 = 22;
    pub(crate) const FAILOVER_REQUEST: u16 = 23;
    pub(crate) const HAND_OVER: u16 = 24;
    pub(crate) const HAND_OVER_DONE: u16 = 25;
}

/// A message with who sent it and under which number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Boot id of the sender.
    pub boot_id: u64,
    /// The sender's number for this message.
    pub message_id: u64,
    /// What it says.
    pub message: Message,
}

impl Envelope {
    /// Reads one whole message. Bulk data stays in `bytes`; it is sliced, not copied.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that is not exactly one message of this protocol. Memory is only taken for bytes
    /// that are there.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        decode::envelope(bytes)
    }
}

impl Message {
    /// The bytes of this message. Lists and strings longer than their limits are the caller's mistake and are cut to
    /// the limit, never written in a form the peer cannot read.
    #[must_use]
    pub fn encode(&self, boot_id: u64, message_id: u64) -> Vec<u8> {
        encode::message(self, boot_id, message_id)
    }

    /// Name of the message for logs and counters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "HELLO",
            Self::Ping => "PING",
            Self::Pong { .. } => "PONG",
            Self::Accepted { .. } => "ACCEPTED",
            Self::Refused { .. } => "REFUSED",
            Self::RegisterPort { .. } => "REGISTER_PORT",
            Self::DeregisterPort { .. } => "DEREGISTER_PORT",
            Self::RegisterLun { .. } => "REGISTER_LUN",
            Self::DeregisterLun { .. } => "DEREGISTER_LUN",
            Self::LunActive { .. } => "LUN_ACTIVE",
            Self::InventoryEnd { .. } => "INVENTORY_END",
            Self::ScsiCommand(_) => "SCSI_COMMAND",
            Self::DataIn { .. } => "DATA_IN",
            Self::Credit { .. } => "CREDIT",
            Self::R2t { .. } => "R2T",
            Self::DataOut { .. } => "DATA_OUT",
            Self::Status { .. } => "STATUS",
            Self::AbortTask { .. } => "ABORT_TASK",
            Self::TaskAborted { .. } => "TASK_ABORTED",
            Self::TaskManagement(_) => "TASK_MANAGEMENT",
            Self::TaskManagementDone { .. } => "TASK_MANAGEMENT_DONE",
            Self::SessionDestroy { .. } => "SESSION_DESTROY",
            Self::FailoverRequest { .. } => "FAILOVER_REQUEST",
            Self::HandOver { .. } => "HAND_OVER",
            Self::HandOverDone { .. } => "HAND_OVER_DONE",
        }
    }
}

/// A [`Message::DataIn`] whose data is filled in place, so that a store can read straight into the message.
#[derive(Debug)]
pub struct DataFrame {
    bytes: Vec<u8>,
    start: usize,
}

impl DataFrame {
    /// A frame for `length` bytes at `offset` of the task's read data, all zero for now.
    #[must_use]
    pub fn data_in(boot_id: u64, message_id: u64, task: u64, offset: u64, length: u32) -> Self {
        let (bytes, start) = encode::data_in_frame(boot_id, message_id, task, offset, length);
        Self { bytes, start }
    }

    /// Where the data goes.
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// The finished message.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
