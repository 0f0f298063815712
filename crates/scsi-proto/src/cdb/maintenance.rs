//! MAINTENANCE IN. SPC-4 r37 §6.32 to §6.37.

use super::{Cdb, CdbError, require};
use crate::fields::Fields;

/// REPORTING OPTIONS of REPORT SUPPORTED OPERATION CODES, with what it asks about. SPC-4 r37 table 247.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportingOptions {
    /// 000b: every command.
    All,
    /// 001b: one operation code that has no service actions.
    Opcode(u8),
    /// 010b: one operation code with a service action.
    OpcodeAndAction(u8, u16),
    /// 011b: one operation code, with its service action if it has any.
    OpcodeAndPossibleAction(u8, u16),
}

/// REPORT SUPPORTED OPERATION CODES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationCodes {
    /// What is asked about.
    pub options: ReportingOptions,
    /// RCTD: command timeouts descriptors wanted.
    pub timeouts: bool,
    /// ALLOCATION LENGTH, at least 4.
    pub allocation_length: u32,
}

/// IDENTIFYING INFORMATION TYPE. SPC-4 r37 table 240.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentifyingInformation {
    /// 00h: peripheral device identifying information (none is ever set).
    Device,
    /// 02h: text: the alias of the logical unit.
    Text,
    /// 7Fh: the list of types.
    Supported,
}

pub(super) fn report_target_port_groups(f: Fields<'_>) -> Result<Cdb, CdbError> {
    let extended_header = match f.u8(1) >> 5 {
        0b000 => false,
        0b001 => true,
        _ => return Err(CdbError::InvalidField),
    };
    let allocation_length = f.u32(6);
    require(allocation_length == 0 || allocation_length >= 4)?;
    Ok(Cdb::ReportTargetPortGroups {
        extended_header,
        allocation_length,
    })
}

pub(super) fn operation_codes(f: Fields<'_>) -> Result<Cdb, CdbError> {
    let (opcode, action) = (f.u8(3), f.u16(4));
    let options = match f.u8(2) & 0x07 {
        0b000 => ReportingOptions::All,
        0b001 => ReportingOptions::Opcode(opcode),
        0b010 => ReportingOptions::OpcodeAndAction(opcode, action),
        0b011 => ReportingOptions::OpcodeAndPossibleAction(opcode, action),
        _ => return Err(CdbError::InvalidField),
    };
    let allocation_length = at_least_4(f)?;
    Ok(Cdb::ReportSupportedOperationCodes(OperationCodes {
        options,
        timeouts: f.bit(2, 7),
        allocation_length,
    }))
}

pub(super) fn task_management(f: Fields<'_>) -> Result<Cdb, CdbError> {
    let allocation_length = at_least_4(f)?;
    Ok(Cdb::ReportSupportedTaskManagementFunctions {
        extended: f.bit(2, 7),
        allocation_length,
    })
}

pub(super) fn identifying_information(f: Fields<'_>) -> Result<Cdb, CdbError> {
    let kind = match f.u8(10) >> 1 {
        0x00 => IdentifyingInformation::Device,
        0x02 => IdentifyingInformation::Text,
        0x7F => IdentifyingInformation::Supported,
        _ => return Err(CdbError::InvalidField),
    };
    let allocation_length = at_least_4(f)?;
    Ok(Cdb::ReportIdentifyingInformation {
        kind,
        allocation_length,
    })
}

fn at_least_4(f: Fields<'_>) -> Result<u32, CdbError> {
    let allocation_length = f.u32(6);
    require(allocation_length >= 4)?;
    Ok(allocation_length)
}
