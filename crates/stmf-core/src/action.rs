//! What a logical unit wants done about a command, and how it answers.

use alloc::vec::Vec;

use scsi_proto::cdb::ModeForm;
use scsi_proto::sense::SenseKey;
use scsi_proto::{Sense, Status};

use crate::unit_attention::UnitAttention;

/// The next step of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is finished.
    Respond(Response),
    /// Carry this out on the backing store, then call [`LogicalUnit::medium_done`](crate::LogicalUnit::medium_done).
    Medium(MediumOp),
    /// Collect exactly `length` bytes from the initiator, then call
    /// [`LogicalUnit::resume`](crate::LogicalUnit::resume).
    ///
    /// `length` is never zero and never above the command's `expected_data_out`. When the initiator announced less
    /// than the CDB needs, [`AfterData::transfer_length`] is larger; the difference is the overflow residual.
    DataOut {
        /// Bytes to collect.
        length: u32,
        /// What to hand back with them.
        then: AfterData,
    },
    /// Forward the command to the peer and relay its answer.
    Proxy,
    /// A planned hand-over is running: keep the command and call `execute` again when the access state changed.
    Hold,
}

/// What a command does once its data has arrived. Opaque: hand it back to `resume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterData {
    pub(crate) step: Step,
    pub(crate) transfer_length: u64,
}

impl AfterData {
    /// The bytes the CDB asked for; more than [`Action::DataOut`]'s `length` when the initiator announced less.
    #[must_use]
    pub const fn transfer_length(&self) -> u64 {
        self.transfer_length
    }

    /// Does `resume` look at the bytes? For a WRITE or VERIFY it does not (pass an empty slice: the bytes stay with
    /// the caller, who needs them for the [`MediumOp`]); for parameter lists and WRITE SAME it does.
    #[must_use]
    pub const fn needs_contents(&self) -> bool {
        !matches!(self.step, Step::Medium(_))
    }
}

/// The kinds of [`AfterData`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The data stays with the caller.
    Medium(MediumOp),
    ModeSelect {
        form: ModeForm,
        save_pages: bool,
    },
    Unmap,
    WriteSame {
        offset: u64,
        length: u64,
        unmap: bool,
    },
}

/// A range of the logical unit, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes, not zero.
    pub length: u64,
}

/// An operation on the backing store. Offsets and lengths are bytes, whole blocks, and within the capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediumOp {
    /// Read; the data is the answer's data-in.
    Read {
        /// First byte.
        offset: u64,
        /// At most [`MAX_TRANSFER_BYTES`](crate::MAX_TRANSFER_BYTES).
        length: u32,
    },
    /// Write the collected data.
    Write {
        /// First byte.
        offset: u64,
        /// As many as were collected.
        length: u32,
        /// Done only when the data is on stable storage (FUA, or the write cache is off).
        fua: bool,
    },
    /// Write the collected data to stable storage, read it back, and with `compare` compare it.
    WriteVerify {
        /// First byte.
        offset: u64,
        /// As many as were collected.
        length: u32,
        /// A difference is [`MediumError::Miscompare`].
        compare: bool,
    },
    /// Write `block` again and again over the range.
    WriteSame {
        /// First byte.
        offset: u64,
        /// A multiple of the length of `block`.
        length: u64,
        /// One logical block.
        block: Vec<u8>,
        /// The range may be deallocated instead, if `block` is all zeros and the range then reads as zeros.
        unmap: bool,
        /// Done only when on stable storage.
        fua: bool,
    },
    /// Deallocate. What was deallocated reads as zeros ever after (LBPRZ=1); what was not keeps its data.
    Unmap(Vec<Extent>),
    /// Bring everything acknowledged so far to stable storage.
    Flush,
    /// Read the range to see whether it can be read.
    Verify {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u32,
    },
    /// Compare the range with the collected data.
    Compare {
        /// First byte.
        offset: u64,
        /// As many as were collected.
        length: u32,
    },
}

/// Why an operation on the backing store failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediumError {
    /// Reading failed.
    Read,
    /// Writing, flushing or deallocating failed.
    Write,
    /// No room left in the backing store.
    NoSpace,
    /// The data differs; `offset` is the first differing byte, counted from the start of the command's data.
    Miscompare {
        /// Bytes from the start of the data.
        offset: u64,
    },
    /// The store is not open here (any more).
    Gone,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// SCSI status.
    pub status: Status,
    /// Sense data; there is some exactly when the status is CHECK CONDITION.
    pub sense: Option<Sense>,
    /// Data-in, cut to the allocation length, not to what the transport expects.
    pub data: Vec<u8>,
    /// Set when the command wanted data-out and the initiator announced less than one block, so that none was
    /// collected: how many bytes the CDB asks for. What was not announced of them is the overflow residual.
    pub transfer_length: Option<u64>,
}

impl Response {
    /// GOOD without data.
    #[must_use]
    pub const fn good() -> Self {
        Self::status(Status::Good)
    }

    /// GOOD with data-in.
    #[must_use]
    pub fn data(data: Vec<u8>) -> Self {
        Self {
            data,
            ..Self::status(Status::Good)
        }
    }

    /// CHECK CONDITION.
    #[must_use]
    pub fn check(sense: Sense) -> Self {
        Self {
            sense: Some(sense),
            ..Self::status(Status::CheckCondition)
        }
    }

    /// A status that has neither sense data nor data.
    #[must_use]
    pub const fn status(status: Status) -> Self {
        Self {
            status,
            sense: None,
            data: Vec::new(),
            transfer_length: None,
        }
    }

    /// The unit attention this answer reports, if it is one. After REPORTED LUNS DATA HAS CHANGED was reported on
    /// one logical unit, the caller clears it on the others of the session.
    #[must_use]
    pub fn unit_attention(&self) -> Option<UnitAttention> {
        let sense = self.sense.filter(|sense| sense.key == SenseKey::UnitAttention)?;
        UnitAttention::ALL
            .into_iter()
            .find(|attention| attention.additional() == sense.additional)
    }

    /// The sense data as bytes, empty when there is none.
    #[must_use]
    pub fn sense_bytes(&self) -> Vec<u8> {
        self.sense.as_ref().map_or_else(Vec::new, Sense::encode)
    }
}

impl From<Response> for Action {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}

impl From<Sense> for Action {
    fn from(sense: Sense) -> Self {
        Self::Respond(Response::check(sense))
    }
}
