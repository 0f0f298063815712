//! What two nodes can say to each other.

use crate::error::Refusal;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A logical unit's name on both nodes: 16 bytes, NAA-6.
pub type GuidBytes = [u8; 16];

/// Access state of a logical unit on the node that says so; numbers are libstmf's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AccessState {
    /// This node serves it from the store.
    Active = 0,
    /// This node is letting go of it (or has, and waits for the peer to take it).
    ActiveToStandby = 1,
    /// The other node serves it.
    Standby = 2,
    /// This node is opening the store.
    StandbyToActive = 3,
}

impl AccessState {
    /// The state of that number.
    #[must_use]
    pub fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Active,
            1 => Self::ActiveToStandby,
            2 => Self::Standby,
            3 => Self::StandbyToActive,
            _ => return None,
        })
    }
}

/// What a node takes; announced in HELLO, kept by the other side. Bytes and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most data bytes in one message, at least [`crate::MIN_DATA_BYTES`].
    pub max_data_bytes: u32,
    /// Most write data that may come with a command; the rest waits for R2T.
    pub max_immediate_bytes: u32,
    /// Most tasks of the peer in progress at once.
    pub max_tasks: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_data_bytes: 1 << 20,
            max_immediate_bytes: 1 << 20,
            max_tasks: 4096,
        }
    }
}

/// How far a node is with greeting; a HELLO below [`HelloStage::Up`] is answered with a HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum HelloStage {
    /// Does not know whether the receiver knows it.
    Greeting = 0,
    /// Has seen a HELLO that names its present link.
    Confirmed = 1,
    /// Has seen that the receiver has, too: messages may flow.
    Up = 2,
}

/// First message of each side, repeated until both know each other. Readable in every protocol version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Lowest version the sender speaks.
    pub min_version: u16,
    /// Highest version the sender speaks.
    pub max_version: u16,
    /// The sender's node number.
    pub node: u16,
    /// Which pair it belongs to; zero says nothing.
    pub cluster: u64,
    /// New at each start of the sender's framework.
    pub boot_id: u64,
    /// The receiver's boot id as far as the sender knows it, else zero.
    pub peer_boot_id: u64,
    /// The receiver's `first_message_id` as far as the sender knows it, else zero.
    pub peer_first_message_id: u64,
    /// How far the sender is.
    pub stage: HelloStage,
    /// First message id of the present link; anything numbered lower belongs to an earlier one.
    pub first_message_id: u64,
    /// Optional abilities, one bit each; unknown bits are ignored. None is defined in version 1.
    pub features: u64,
    /// What the sender takes.
    pub limits: Limits,
}

/// A target port of the sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortRecord {
    /// Port name (for iSCSI the target name, with its portal group where there is more than one).
    pub name: String,
    /// Relative target port identifier, never zero.
    pub relative_target_port: u16,
    /// Node number, which is the target port group.
    pub node: u16,
}

/// Bits of [`LuRecord::flags`].
pub mod lu_flags {
    /// Writes are refused.
    pub const WRITE_PROTECTED: u32 = 1 << 0;
    /// The write cache is on.
    pub const WRITE_CACHE: u32 = 1 << 1;
    /// The medium rotates.
    pub const ROTATIONAL: u32 = 1 << 2;
    /// UNMAP works.
    pub const UNMAP: u32 = 1 << 3;
}

/// A logical unit as its sender sees it: enough for a standby node to answer identity questions by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LuRecord {
    /// Which logical unit.
    pub guid: GuidBytes,
    /// Ownership epoch the sender knows; see [`crate::next_epoch`].
    pub epoch: u64,
    /// The sender's access state.
    pub access: AccessState,
    /// Path of the store on the sender.
    pub path: String,
    /// T10 vendor identification, space padded.
    pub vendor: [u8; 8],
    /// Product identification, space padded.
    pub product: [u8; 16],
    /// Product revision level, space padded.
    pub revision: [u8; 4],
    /// Unit serial number, if it has one.
    pub serial: Option<String>,
    /// Name for people.
    pub alias: String,
    /// Bytes per block.
    pub block_size: u32,
    /// Number of blocks.
    pub blocks: u64,
    /// See [`lu_flags`]; unknown bits are kept.
    pub flags: u32,
}

/// Task attribute of a command (SAM-5 §8.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TaskAttribute {
    /// No attribute given.
    #[default]
    Untagged = 0,
    /// SIMPLE.
    Simple = 1,
    /// ORDERED.
    Ordered = 2,
    /// HEAD OF QUEUE.
    HeadOfQueue = 3,
    /// ACA.
    Aca = 4,
}

impl TaskAttribute {
    /// The attribute of that number (the numbers of RFC 7143 §11.3.1).
    #[must_use]
    pub fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Untagged,
            1 => Self::Simple,
            2 => Self::Ordered,
            3 => Self::HeadOfQueue,
            4 => Self::Aca,
            _ => return None,
        })
    }
}

/// A command for a logical unit the receiver owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScsiCommand {
    /// Number the sender gave the task; never zero, never used twice under one boot id.
    pub task: u64,
    /// The logical unit: it is found by this, never by LUN.
    pub guid: GuidBytes,
    /// LUN the initiator used, for sense data and logs.
    pub lun: [u8; 8],
    /// Initiator port name.
    pub initiator: String,
    /// The target port the initiator is connected to.
    pub port: PortRecord,
    /// The sender's number for the I_T nexus.
    pub session: u64,
    /// Command descriptor block.
    pub cdb: Vec<u8>,
    /// Task attribute.
    pub attribute: TaskAttribute,
    /// Bytes the initiator expects to receive.
    pub expected_in: u32,
    /// Bytes the initiator expects to send.
    pub expected_out: u32,
    /// Bytes of read data that may be sent before the first [`Message::Credit`].
    pub read_credit: u32,
    /// Write data from offset 0, at most the receiver's `max_immediate_bytes`.
    pub immediate: Bytes,
}

/// Task management functions that cross nodes (SAM-5 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TaskManagementFunction {
    /// ABORT TASK SET: the tasks of the nexus on the logical unit.
    AbortTaskSet = 2,
    /// CLEAR TASK SET: all tasks on the logical unit.
    ClearTaskSet = 4,
    /// LOGICAL UNIT RESET.
    LogicalUnitReset = 5,
    /// I_T NEXUS LOSS or TARGET RESET as far as this logical unit is concerned.
    NexusLoss = 6,
}

impl TaskManagementFunction {
    /// The function of that number.
    #[must_use]
    pub fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            2 => Self::AbortTaskSet,
            4 => Self::ClearTaskSet,
            5 => Self::LogicalUnitReset,
            6 => Self::NexusLoss,
            _ => return None,
        })
    }
}

/// A task management function for a logical unit; answered with [`Message::TaskManagementDone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskManagement {
    /// Number the sender gave the request, out of the same count as tasks.
    pub task: u64,
    /// What to do.
    pub function: TaskManagementFunction,
    /// The logical unit.
    pub guid: GuidBytes,
    /// LUN the initiator used.
    pub lun: [u8; 8],
    /// Initiator port name.
    pub initiator: String,
    /// The target port it came through.
    pub port: PortRecord,
    /// The sender's number for the I_T nexus.
    pub session: u64,
}

/// Everything that can be said. The number in each line is the type on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// 1: who I am.
    Hello(Hello),
    /// 2: are you there?
    Ping,
    /// 3: I am.
    Pong {
        /// Message id of the ping.
        in_reply_to: u64,
    },
    /// 4: the request of that message id has been carried out.
    Accepted {
        /// Message id of the request.
        in_reply_to: u64,
    },
    /// 5: the request of that message id has not been carried out.
    Refused {
        /// Message id of the request.
        in_reply_to: u64,
        /// The task it concerned, or zero.
        task: u64,
        /// Why.
        code: Refusal,
        /// Highest epoch the refuser knows, where an epoch is the matter; else zero.
        epoch: u64,
    },
    /// 6: a target port of mine.
    RegisterPort {
        /// Inventory it belongs to.
        generation: u64,
        /// The port.
        port: PortRecord,
    },
    /// 7: that port is gone.
    DeregisterPort {
        /// Port name.
        name: String,
    },
    /// 8: a logical unit of mine.
    RegisterLun {
        /// Inventory it belongs to.
        generation: u64,
        /// The logical unit.
        lu: LuRecord,
    },
    /// 9: that logical unit is gone.
    DeregisterLun {
        /// Which one.
        guid: GuidBytes,
        /// Epoch under which the sender had it.
        epoch: u64,
    },
    /// 10: I serve this logical unit now.
    LunActive {
        /// Which one.
        guid: GuidBytes,
        /// Epoch of this ownership.
        epoch: u64,
    },
    /// 11: that was my whole inventory; forget what was not in it.
    InventoryEnd {
        /// The inventory that ends.
        generation: u64,
    },
    /// 12: a command.
    ScsiCommand(ScsiCommand),
    /// 13: read data.
    DataIn {
        /// Task it belongs to.
        task: u64,
        /// Byte offset in the task's read data.
        offset: u64,
        /// The data.
        data: Bytes,
    },
    /// 14: that many more bytes of read data may be sent.
    Credit {
        /// Task it belongs to.
        task: u64,
        /// Bytes.
        bytes: u32,
    },
    /// 15: send me this part of the write data.
    R2t {
        /// Task it belongs to.
        task: u64,
        /// Byte offset in the task's write data.
        offset: u64,
        /// Bytes.
        length: u32,
    },
    /// 16: write data.
    DataOut {
        /// Task it belongs to.
        task: u64,
        /// Byte offset in the task's write data.
        offset: u64,
        /// The data.
        data: Bytes,
    },
    /// 17: the task has ended. Read data may come along, so that a small read is one message each way.
    Status {
        /// Task that ended.
        task: u64,
        /// SCSI status.
        status: u8,
        /// Sense data, empty if none.
        sense: Vec<u8>,
        /// Bytes of read data the task has in all.
        data_in_total: u64,
        /// Byte offset of `data`; `data_offset + data.len()` is at most `data_in_total`.
        data_offset: u64,
        /// Read data that comes along, usually the last piece; empty if none.
        data: Bytes,
    },
    /// 18: end this task without status.
    AbortTask {
        /// Which one.
        task: u64,
    },
    /// 19: nothing of that task runs any more, and nothing more will be sent for it.
    TaskAborted {
        /// Which one.
        task: u64,
    },
    /// 20: a task management function.
    TaskManagement(TaskManagement),
    /// 21: it has been carried out.
    TaskManagementDone {
        /// Number of the request.
        task: u64,
        /// Response code of the function (SAM-5 §7.11): 0 complete, else the iSCSI code.
        response: u8,
    },
    /// 22: an I_T nexus of the sender is gone.
    SessionDestroy {
        /// The sender's number for it.
        session: u64,
    },
    /// 23: please hand this logical unit over to me.
    FailoverRequest {
        /// Which one.
        guid: GuidBytes,
        /// Number the asker gave the request.
        token: u64,
    },
    /// 24: I have let go of it: you own it under this epoch as soon as you have activated it.
    HandOver {
        /// Token of the request that caused it, or zero.
        token: u64,
        /// The logical unit; `lu.epoch` is the epoch of the new owner.
        lu: LuRecord,
        /// State that goes along, opaque here: reservations, unit attentions.
        state: Bytes,
    },
    /// 25: answer to it.
    HandOverDone {
        /// Which one.
        guid: GuidBytes,
        /// Epoch of the offer.
        epoch: u64,
        /// `None`: activated. Else it is not active here and will not be by this offer.
        error: Option<Refusal>,
    },
}

/// Who a message is for at the node that receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// [`crate::Peer`].
    Control,
    /// [`crate::Requester`]: the receiver asked for the task.
    Requester,
    /// [`crate::Responder`]: the receiver owns the logical unit.
    Responder,
}

impl Message {
    /// Who it is for.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::DataIn { .. }
            | Self::R2t { .. }
            | Self::Status { .. }
            | Self::TaskAborted { .. }
            | Self::TaskManagementDone { .. } => Role::Requester,
            Self::Refused { task, .. } if *task != 0 => Role::Requester,
            Self::ScsiCommand(_)
            | Self::Credit { .. }
            | Self::DataOut { .. }
            | Self::AbortTask { .. }
            | Self::TaskManagement(_)
            | Self::SessionDestroy { .. } => Role::Responder,
            _ => Role::Control,
        }
    }
}
