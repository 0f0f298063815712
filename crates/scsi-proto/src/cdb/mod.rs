//! Typed CDBs: a command is parsed once, with every check on its fields done, and bytes are never looked at again.
//!
//! The forms of one command (6, 10, 12, 16 bytes) make one value; what differs is only how wide its fields were.

mod block;
mod maintenance;
mod primary;

pub use block::{ByteCheck, SynchronizeCache, Transfer, Unmap, Verify, WriteSame};
pub use maintenance::{IdentifyingInformation, OperationCodes, ReportingOptions};
pub use primary::{LogSense, ModeForm, ModeSelect, ModeSense, PageControl};

use crate::fields::Fields;
use crate::opcode::{self, Operation};
use crate::report_luns::SelectReport;
use crate::sense::Sense;

/// A parsed command. Transfer lengths are in logical blocks, allocation and parameter list lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cdb {
    /// TEST UNIT READY. SPC-4 r37 §6.47.
    TestUnitReady,
    /// REQUEST SENSE. SPC-4 r37 §6.39.
    RequestSense {
        /// DESC: descriptor format wanted.
        descriptor: bool,
        /// ALLOCATION LENGTH.
        allocation_length: u8,
    },
    /// INQUIRY. SPC-4 r37 §6.6.
    Inquiry {
        /// The VPD page asked for, or `None` for standard data.
        vpd: Option<u8>,
        /// ALLOCATION LENGTH.
        allocation_length: u16,
    },
    /// MODE SENSE(6) and (10).
    ModeSense(ModeSense),
    /// MODE SELECT(6) and (10).
    ModeSelect(ModeSelect),
    /// LOG SENSE.
    LogSense(LogSense),
    /// RESERVE(6), of the whole logical unit, for the sender. SPC-2 r20 §7.21.
    Reserve6,
    /// RELEASE(6), likewise.
    Release6,
    /// START STOP UNIT without power condition and without load or eject. SBC-3 r36 §5.25.
    StartStopUnit {
        /// START.
        start: bool,
    },
    /// SEND DIAGNOSTIC: the default self-test, or nothing at all. SPC-4 r37 §6.42.
    SendDiagnostic,
    /// PREVENT ALLOW MEDIUM REMOVAL. SBC-3 r36 §5.15.
    PreventAllowMediumRemoval {
        /// PREVENT is not zero.
        prevent: bool,
    },
    /// READ CAPACITY(10).
    ReadCapacity10,
    /// READ CAPACITY(16).
    ReadCapacity16 {
        /// ALLOCATION LENGTH.
        allocation_length: u32,
    },
    /// GET LBA STATUS.
    GetLbaStatus {
        /// STARTING LOGICAL BLOCK ADDRESS.
        lba: u64,
        /// ALLOCATION LENGTH.
        allocation_length: u32,
    },
    /// READ(6), (10), (12), (16).
    Read(Transfer),
    /// WRITE(6), (10), (12), (16).
    Write(Transfer),
    /// WRITE AND VERIFY(10), (12), (16).
    WriteAndVerify(Verify),
    /// VERIFY(10), (12), (16).
    Verify(Verify),
    /// SYNCHRONIZE CACHE(10) and (16).
    SynchronizeCache(SynchronizeCache),
    /// WRITE SAME(10) and (16).
    WriteSame(WriteSame),
    /// UNMAP.
    Unmap(Unmap),
    /// REPORT LUNS. SPC-4 r37 §6.33.
    ReportLuns {
        /// SELECT REPORT.
        select: SelectReport,
        /// ALLOCATION LENGTH, at least 16.
        allocation_length: u32,
    },
    /// REPORT TARGET PORT GROUPS. SPC-4 r37 §6.37.
    ReportTargetPortGroups {
        /// Extended header wanted (parameter data format 001b).
        extended_header: bool,
        /// ALLOCATION LENGTH.
        allocation_length: u32,
    },
    /// REPORT SUPPORTED OPERATION CODES.
    ReportSupportedOperationCodes(OperationCodes),
    /// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS. SPC-4 r37 §6.36.
    ReportSupportedTaskManagementFunctions {
        /// REPD: the 16-byte form is wanted.
        extended: bool,
        /// ALLOCATION LENGTH, at least 4.
        allocation_length: u32,
    },
    /// REPORT IDENTIFYING INFORMATION. SPC-4 r37 §6.32.
    ReportIdentifyingInformation {
        /// IDENTIFYING INFORMATION TYPE.
        kind: IdentifyingInformation,
        /// ALLOCATION LENGTH, at least 4.
        allocation_length: u32,
    },
}

/// Why bytes are not a command of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdbError {
    /// No row of [`opcode::TABLE`] has this operation code and service action, or there are no bytes at all.
    UnknownOperation,
    /// The bytes end before the CDB does.
    Truncated,
    /// A field holds a value this target does not accept.
    InvalidField,
    /// A parameter list too short to hold what its header needs.
    ParameterListLength,
}

impl CdbError {
    /// The sense data that answers it.
    #[must_use]
    pub const fn sense(self) -> Sense {
        match self {
            Self::UnknownOperation => Sense::INVALID_OPCODE,
            Self::Truncated | Self::InvalidField => Sense::INVALID_FIELD_IN_CDB,
            Self::ParameterListLength => Sense::PARAMETER_LIST_LENGTH_ERROR,
        }
    }
}

impl Cdb {
    /// Parses a CDB; bytes after its length are ignored (transports pad to 16).
    ///
    /// # Errors
    /// [`CdbError`], whose [`sense`](CdbError::sense) belongs in a CHECK CONDITION.
    pub fn parse(bytes: &[u8]) -> Result<Self, CdbError> {
        let row = opcode::lookup(bytes).ok_or(CdbError::UnknownOperation)?;
        let bytes = bytes.get(..row.length()).ok_or(CdbError::Truncated)?;
        let naca = bytes.last().is_some_and(|control| control & 0x04 != 0);
        let f = Fields(bytes);
        require(!naca)?;
        match row.operation {
            Operation::TestUnitReady => Ok(Self::TestUnitReady),
            Operation::RequestSense => primary::request_sense(f),
            Operation::Inquiry => primary::inquiry(f),
            Operation::ModeSense6 => primary::mode_sense(f, ModeForm::Six),
            Operation::ModeSense10 => primary::mode_sense(f, ModeForm::Ten),
            Operation::ModeSelect6 => primary::mode_select(f, ModeForm::Six),
            Operation::ModeSelect10 => primary::mode_select(f, ModeForm::Ten),
            Operation::LogSense => primary::log_sense(f),
            Operation::Reserve6 => require(f.u8(1) == 0).map(|()| Self::Reserve6),
            Operation::Release6 => require(f.u8(1) == 0).map(|()| Self::Release6),
            Operation::StartStopUnit => primary::start_stop_unit(f),
            Operation::SendDiagnostic => primary::send_diagnostic(f),
            Operation::PreventAllowMediumRemoval => Ok(Self::PreventAllowMediumRemoval {
                prevent: f.u8(4) & 0x03 != 0,
            }),
            Operation::ReadCapacity10 => Ok(Self::ReadCapacity10),
            Operation::ReadCapacity16 => Ok(Self::ReadCapacity16 {
                allocation_length: f.u32(10),
            }),
            Operation::GetLbaStatus => block::lba_status(f),
            Operation::Read6 => Ok(Self::Read(Transfer::six(f))),
            Operation::Read10 => Transfer::ten(f).map(Self::Read),
            Operation::Read12 => Transfer::twelve(f).map(Self::Read),
            Operation::Read16 => Transfer::sixteen(f).map(Self::Read),
            Operation::Write6 => Ok(Self::Write(Transfer::six(f))),
            Operation::Write10 => Transfer::ten(f).map(Self::Write),
            Operation::Write12 => Transfer::twelve(f).map(Self::Write),
            Operation::Write16 => Transfer::sixteen(f).map(Self::Write),
            Operation::WriteAndVerify10 => Verify::ten(f).map(Self::WriteAndVerify),
            Operation::WriteAndVerify12 => Verify::twelve(f).map(Self::WriteAndVerify),
            Operation::WriteAndVerify16 => Verify::sixteen(f).map(Self::WriteAndVerify),
            Operation::Verify10 => Verify::ten(f).map(Self::Verify),
            Operation::Verify12 => Verify::twelve(f).map(Self::Verify),
            Operation::Verify16 => Verify::sixteen(f).map(Self::Verify),
            Operation::SynchronizeCache10 => Ok(Self::SynchronizeCache(SynchronizeCache::ten(f))),
            Operation::SynchronizeCache16 => Ok(Self::SynchronizeCache(SynchronizeCache::sixteen(f))),
            Operation::WriteSame10 => WriteSame::ten(f).map(Self::WriteSame),
            Operation::WriteSame16 => WriteSame::sixteen(f).map(Self::WriteSame),
            Operation::Unmap => Unmap::parse(f).map(Self::Unmap),
            Operation::ReportLuns => primary::report_luns(f),
            Operation::ReportTargetPortGroups => maintenance::report_target_port_groups(f),
            Operation::ReportSupportedOperationCodes => maintenance::operation_codes(f),
            Operation::ReportSupportedTaskManagementFunctions => maintenance::task_management(f),
            Operation::ReportIdentifyingInformation => maintenance::identifying_information(f),
        }
    }

    /// The most parameter data a reply may hold: the ALLOCATION LENGTH. `None` for commands without that field.
    #[must_use]
    pub fn allocation_length(&self) -> Option<u64> {
        match *self {
            Self::RequestSense {
                allocation_length, ..
            } => Some(allocation_length.into()),
            Self::Inquiry {
                allocation_length, ..
            } => Some(allocation_length.into()),
            Self::ModeSense(ModeSense {
                allocation_length, ..
            }) => Some(allocation_length.into()),
            Self::LogSense(LogSense {
                allocation_length, ..
            }) => Some(allocation_length.into()),
            Self::ReadCapacity16 { allocation_length }
            | Self::GetLbaStatus {
                allocation_length, ..
            }
            | Self::ReportLuns {
                allocation_length, ..
            }
            | Self::ReportTargetPortGroups {
                allocation_length, ..
            }
            | Self::ReportSupportedOperationCodes(OperationCodes {
                allocation_length, ..
            })
            | Self::ReportSupportedTaskManagementFunctions {
                allocation_length, ..
            }
            | Self::ReportIdentifyingInformation {
                allocation_length, ..
            } => Some(allocation_length.into()),
            _ => None,
        }
    }
}

/// A check on a field.
fn require(holds: bool) -> Result<(), CdbError> {
    if holds {
        Ok(())
    } else {
        Err(CdbError::InvalidField)
    }
}

#[cfg(test)]
mod tests;
