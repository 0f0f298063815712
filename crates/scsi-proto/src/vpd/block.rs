//! Pages of block devices: B0h, B1h, B2h. SBC-3 r36 §6.6.3 to §6.6.5.

use alloc::vec::Vec;

use super::{BLOCK_CHARACTERISTICS, BLOCK_LIMITS, LOGICAL_BLOCK_PROVISIONING, page};
use crate::fields::put;

/// What the block limits page tells. Lengths are in logical blocks; zero means *not reported*, except for
/// COMPARE AND WRITE and UNMAP, where it means *not supported*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockLimits {
    /// WSNZ: WRITE SAME with zero blocks is refused.
    pub write_same_non_zero: bool,
    /// MAXIMUM COMPARE AND WRITE LENGTH.
    pub max_compare_and_write: u8,
    /// OPTIMAL TRANSFER LENGTH GRANULARITY.
    pub optimal_granularity: u16,
    /// MAXIMUM TRANSFER LENGTH.
    pub max_transfer: u32,
    /// OPTIMAL TRANSFER LENGTH.
    pub optimal_transfer: u32,
    /// MAXIMUM UNMAP LBA COUNT, of all descriptors together.
    pub max_unmap_blocks: u32,
    /// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT.
    pub max_unmap_descriptors: u32,
    /// OPTIMAL UNMAP GRANULARITY; alignment 0 is reported as valid with it.
    pub unmap_granularity: u32,
    /// MAXIMUM WRITE SAME LENGTH.
    pub max_write_same: u64,
}

/// Page B0h, 64 bytes.
#[must_use]
pub fn block_limits(limits: &BlockLimits) -> Vec<u8> {
    let mut body = [0; 60];
    put(
        &mut body,
        0,
        &[u8::from(limits.write_same_non_zero), limits.max_compare_and_write],
    );
    put(&mut body, 2, &limits.optimal_granularity.to_be_bytes());
    put(&mut body, 4, &limits.max_transfer.to_be_bytes());
    put(&mut body, 8, &limits.optimal_transfer.to_be_bytes());
    put(&mut body, 16, &limits.max_unmap_blocks.to_be_bytes());
    put(&mut body, 20, &limits.max_unmap_descriptors.to_be_bytes());
    put(&mut body, 24, &limits.unmap_granularity.to_be_bytes());
    if limits.unmap_granularity != 0 {
        put(&mut body, 28, &0x8000_0000u32.to_be_bytes()); // UGAVALID
    }
    put(&mut body, 32, &limits.max_write_same.to_be_bytes());
    page(BLOCK_LIMITS, &body)
}

/// MEDIUM ROTATION RATE, as far as a backing store can know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Rotation {
    /// 0000h: it rotates, or nobody knows.
    NotReported = 0x0000,
    /// 0001h: non-rotating medium.
    NonRotating = 0x0001,
}

/// Page B1h, 64 bytes.
#[must_use]
pub fn block_characteristics(rotation: Rotation) -> Vec<u8> {
    let mut body = [0; 60];
    put(&mut body, 0, &(rotation as u16).to_be_bytes());
    page(BLOCK_CHARACTERISTICS, &body)
}

/// Page B2h, 8 bytes: UNMAP and both WRITE SAME forms unmap (LBPU, LBPWS, LBPWS10), unmapped blocks read as zeros
/// (LBPRZ), thin provisioning, no thresholds.
#[must_use]
pub fn logical_block_provisioning() -> Vec<u8> {
    page(LOGICAL_BLOCK_PROVISIONING, &[0, 0xE4, 0x02, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_limits_fields_are_at_the_standards_offsets() {
        let data = block_limits(&BlockLimits {
            write_same_non_zero: true,
            max_compare_and_write: 0x11,
            optimal_granularity: 0x2223,
            max_transfer: 0x3334_3536,
            optimal_transfer: 0x4445_4647,
            max_unmap_blocks: 0x5556_5758,
            max_unmap_descriptors: 0x6667_6869,
            unmap_granularity: 0x7778_797A,
            max_write_same: 0x8889_8A8B_8C8D_8E8F,
        });
        let mut expected = std::vec![0, 0xB0, 0, 60, 1, 0x11, 0x22, 0x23];
        expected.extend_from_slice(&[0x33, 0x34, 0x35, 0x36, 0x44, 0x45, 0x46, 0x47, 0, 0, 0, 0]);
        expected.extend_from_slice(&[0x55, 0x56, 0x57, 0x58, 0x66, 0x67, 0x68, 0x69]);
        expected.extend_from_slice(&[0x77, 0x78, 0x79, 0x7A, 0x80, 0, 0, 0]);
        expected.extend_from_slice(&[0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F]);
        expected.resize(64, 0);
        assert_eq!(data, expected);
    }

    #[test]
    fn characteristics_and_provisioning_byte_for_byte() {
        let data = block_characteristics(Rotation::NonRotating);
        assert_eq!(data[..6], [0, 0xB1, 0, 60, 0, 1]);
        assert_eq!(data.len(), 64);
        assert_eq!(logical_block_provisioning(), [0, 0xB2, 0, 4, 0, 0xE4, 0x02, 0]);
    }
}
