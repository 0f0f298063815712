//! Commands of every device type. SPC-4 r37 clause 6.

use super::{Cdb, CdbError, require};
use crate::fields::Fields;
use crate::report_luns::SelectReport;

/// The two forms of the mode commands: their headers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModeForm {
    /// 6-byte CDB, 4-byte mode parameter header.
    Six,
    /// 10-byte CDB, 8-byte mode parameter header.
    Ten,
}

impl ModeForm {
    /// The length of the mode parameter header, in bytes. SPC-4 r37 §7.5.5.
    #[must_use]
    pub const fn header_length(self) -> usize {
        match self {
            Self::Six => 4,
            Self::Ten => 8,
        }
    }
}

/// PC: which values of the mode pages are asked for. SPC-4 r37 table 147.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageControl {
    /// 00b.
    Current,
    /// 01b: a mask of the bits MODE SELECT may change.
    Changeable,
    /// 10b.
    Default,
    /// 11b.
    Saved,
}

/// MODE SENSE. SPC-4 r37 §6.13, §6.14. DBD is not kept: there are never block descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModeSense {
    /// 6 or 10 bytes.
    pub form: ModeForm,
    /// PC.
    pub control: PageControl,
    /// PAGE CODE, 00h to 3Fh.
    pub page: u8,
    /// SUBPAGE CODE.
    pub subpage: u8,
    /// ALLOCATION LENGTH.
    pub allocation_length: u16,
}

/// MODE SELECT. SPC-4 r37 §6.11, §6.12. PF is always one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModeSelect {
    /// 6 or 10 bytes.
    pub form: ModeForm,
    /// SP: the new values are to be saved as well.
    pub save_pages: bool,
    /// PARAMETER LIST LENGTH, in bytes.
    pub parameter_list_length: u16,
}

/// LOG SENSE. SPC-4 r37 §6.8. SP and PPC are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSense {
    /// PAGE CODE.
    pub page: u8,
    /// SUBPAGE CODE.
    pub subpage: u8,
    /// PARAMETER POINTER.
    pub pointer: u16,
    /// ALLOCATION LENGTH.
    pub allocation_length: u16,
}

pub(super) fn request_sense(f: Fields<'_>) -> Result<Cdb, CdbError> {
    require(f.u8(1) & 0xFE == 0 && f.u16(2) == 0)?;
    Ok(Cdb::RequestSense {
        descriptor: f.bit(1, 0),
        allocation_length: f.u8(4),
    })
}

/// CMDDT and the CONTROL byte must be zero, and so must the page code without EVPD.
pub(super) fn inquiry(f: Fields<'_>) -> Result<Cdb, CdbError> {
    let (evpd, page) = (f.bit(1, 0), f.u8(2));
    require(f.u8(1) & 0xFE == 0 && f.u8(5) == 0 && (evpd || page == 0))?;
    Ok(Cdb::Inquiry {
        vpd: evpd.then_some(page),
        allocation_length: f.u16(3),
    })
}

pub(super) fn mode_sense(f: Fields<'_>, form: ModeForm) -> Result<Cdb, CdbError> {
    let control = match f.u8(2) >> 6 {
        0 => PageControl::Current,
        1 => PageControl::Changeable,
        2 => PageControl::Default,
        _ => PageControl::Saved,
    };
    let allocation_length = match form {
        ModeForm::Six => u16::from(f.u8(4)),
        ModeForm::Ten => f.u16(7),
    };
    Ok(Cdb::ModeSense(ModeSense {
        form,
        control,
        page: f.u8(2) & 0x3F,
        subpage: f.u8(3),
        allocation_length,
    }))
}

pub(super) fn mode_select(f: Fields<'_>, form: ModeForm) -> Result<Cdb, CdbError> {
    require(f.u8(1) & 0xFE == 0x10)?;
    let parameter_list_length = match form {
        ModeForm::Six => u16::from(f.u8(4)),
        ModeForm::Ten => f.u16(7),
    };
    Ok(Cdb::ModeSelect(ModeSelect {
        form,
        save_pages: f.bit(1, 0),
        parameter_list_length,
    }))
}

pub(super) fn log_sense(f: Fields<'_>) -> Result<Cdb, CdbError> {
    require(f.u8(1) & 0x03 == 0)?;
    Ok(Cdb::LogSense(LogSense {
        page: f.u8(2) & 0x3F,
        subpage: f.u8(3),
        pointer: f.u16(5),
        allocation_length: f.u16(7),
    }))
}

/// POWER CONDITION, POWER CONDITION MODIFIER and LOEJ must be zero.
pub(super) fn start_stop_unit(f: Fields<'_>) -> Result<Cdb, CdbError> {
    require(f.u8(3) & 0x0F == 0 && f.u8(4) & 0xF2 == 0)?;
    Ok(Cdb::StartStopUnit { start: f.bit(4, 0) })
}

/// SELF-TEST CODE, DEVOFFL, UNITOFFL and PARAMETER LIST LENGTH must be zero.
pub(super) fn send_diagnostic(f: Fields<'_>) -> Result<Cdb, CdbError> {
    require(f.u8(1) & 0xE3 == 0 && f.u16(3) == 0)?;
    Ok(Cdb::SendDiagnostic)
}

pub(super) fn report_luns(f: Fields<'_>) -> Result<Cdb, CdbError> {
    let select = SelectReport::from_code(f.u8(2)).ok_or(CdbError::InvalidField)?;
    let allocation_length = f.u32(6);
    require(allocation_length >= 16)?;
    Ok(Cdb::ReportLuns {
        select,
        allocation_length,
    })
}
