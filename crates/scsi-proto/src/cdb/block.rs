//! Commands of direct access block devices. SBC-3 r36 clause 5.

use super::{Cdb, CdbError, require};
use crate::fields::Fields;

/// The range and flags of a READ or WRITE. DPO is accepted and means nothing here; the PROTECT field is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// LOGICAL BLOCK ADDRESS.
    pub lba: u64,
    /// TRANSFER LENGTH, in blocks; 0 means no transfer (a 6-byte CDB with 0 means 256 and is given as 256).
    pub blocks: u32,
    /// FUA: the data must be on (come from) the medium.
    pub fua: bool,
}

impl Transfer {
    pub(super) fn six(f: Fields<'_>) -> Self {
        let blocks = match f.u8(4) {
            0 => 256,
            n => u32::from(n),
        };
        Self {
            lba: u64::from(f.u32(0) & 0x001F_FFFF),
            blocks,
            fua: false,
        }
    }

    pub(super) fn ten(f: Fields<'_>) -> Result<Self, CdbError> {
        Self::checked(f, u64::from(f.u32(2)), u32::from(f.u16(7)))
    }

    pub(super) fn twelve(f: Fields<'_>) -> Result<Self, CdbError> {
        Self::checked(f, u64::from(f.u32(2)), f.u32(6))
    }

    pub(super) fn sixteen(f: Fields<'_>) -> Result<Self, CdbError> {
        Self::checked(f, f.u64(2), f.u32(10))
    }

    fn checked(f: Fields<'_>, lba: u64, blocks: u32) -> Result<Self, CdbError> {
        require_no_protection(f)?;
        Ok(Self {
            lba,
            blocks,
            fua: f.bit(1, 3),
        })
    }
}

/// BYTCHK: what is compared with the medium. SBC-3 r36 table 116.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteCheck {
    /// 00b: the medium is read, nothing is compared.
    MediumOnly,
    /// 01b: the medium is compared with the data-out buffer.
    DataOut,
}

/// The range of a VERIFY or WRITE AND VERIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verify {
    /// LOGICAL BLOCK ADDRESS.
    pub lba: u64,
    /// VERIFICATION or TRANSFER LENGTH, in blocks; 0 means nothing.
    pub blocks: u32,
    /// BYTCHK.
    pub byte_check: ByteCheck,
}

impl Verify {
    pub(super) fn ten(f: Fields<'_>) -> Result<Self, CdbError> {
        Self::checked(f, u64::from(f.u32(2)), u32::from(f.u16(7)))
    }

    pub(super) fn twelve(f: Fields<'_>) -> Result<Self, CdbError> {
        Self::checked(f, u64::from(f.u32(2)), f.u32(6))
    }

    pub(super) fn sixteen(f: Fields<'_>) -> Result<Self, CdbError> {
        Self::checked(f, f.u64(2), f.u32(10))
    }

    fn checked(f: Fields<'_>, lba: u64, blocks: u32) -> Result<Self, CdbError> {
        require_no_protection(f)?;
        let byte_check = match (f.u8(1) >> 1) & 0x03 {
            0b00 => ByteCheck::MediumOnly,
            0b01 => ByteCheck::DataOut,
            _ => return Err(CdbError::InvalidField),
        };
        Ok(Self {
            lba,
            blocks,
            byte_check,
        })
    }
}

/// SYNCHRONIZE CACHE. IMMED is accepted: a status that comes only after the flush is allowed as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynchronizeCache {
    /// LOGICAL BLOCK ADDRESS.
    pub lba: u64,
    /// NUMBER OF LOGICAL BLOCKS; 0 means up to the end.
    pub blocks: u32,
}

impl SynchronizeCache {
    pub(super) fn ten(f: Fields<'_>) -> Self {
        Self {
            lba: u64::from(f.u32(2)),
            blocks: u32::from(f.u16(7)),
        }
    }

    pub(super) fn sixteen(f: Fields<'_>) -> Self {
        Self {
            lba: f.u64(2),
            blocks: f.u32(10),
        }
    }
}

/// WRITE SAME. SBC-3 r36 §5.45, §5.46. WRPROTECT and ANCHOR are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteSame {
    /// LOGICAL BLOCK ADDRESS.
    pub lba: u64,
    /// NUMBER OF LOGICAL BLOCKS; what 0 means is for the block limits page to say (WSNZ).
    pub blocks: u32,
    /// UNMAP: the blocks may be deallocated if they then read as the data.
    pub unmap: bool,
    /// NDOB: there is no data-out buffer, the data is zeros. 16-byte form only.
    pub no_data_out: bool,
}

impl WriteSame {
    pub(super) fn ten(f: Fields<'_>) -> Result<Self, CdbError> {
        require(f.u8(1) & 0x03 == 0)?;
        Self::checked(f, u64::from(f.u32(2)), u32::from(f.u16(7)), false)
    }

    pub(super) fn sixteen(f: Fields<'_>) -> Result<Self, CdbError> {
        Self::checked(f, f.u64(2), f.u32(10), f.bit(1, 0))
    }

    fn checked(f: Fields<'_>, lba: u64, blocks: u32, no_data_out: bool) -> Result<Self, CdbError> {
        // WRPROTECT, ANCHOR and the obsolete PBDATA and LBDATA bits.
        require(f.u8(1) & 0xF6 == 0)?;
        Ok(Self {
            lba,
            blocks,
            unmap: f.bit(1, 3),
            no_data_out,
        })
    }
}

/// UNMAP. SBC-3 r36 §5.28. ANCHOR is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmap {
    /// PARAMETER LIST LENGTH, in bytes: 0, or at least the 8 of the header.
    pub parameter_list_length: u16,
}

impl Unmap {
    pub(super) fn parse(f: Fields<'_>) -> Result<Self, CdbError> {
        require(!f.bit(1, 0))?;
        let parameter_list_length = f.u16(7);
        if (1..8).contains(&parameter_list_length) {
            return Err(CdbError::ParameterListLength);
        }
        Ok(Self {
            parameter_list_length,
        })
    }
}

pub(super) fn lba_status(f: Fields<'_>) -> Result<Cdb, CdbError> {
    Ok(Cdb::GetLbaStatus {
        lba: f.u64(2),
        allocation_length: f.u32(10),
    })
}

/// RDPROTECT, WRPROTECT and VRPROTECT: there is no protection information, so only 000b is valid.
fn require_no_protection(f: Fields<'_>) -> Result<(), CdbError> {
    require(f.u8(1) & 0xE0 == 0)
}
