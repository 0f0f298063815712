//! Parameter data of READ CAPACITY and GET LBA STATUS. SBC-3 r36 §5.16, §5.17, §5.6.

use alloc::vec;
use alloc::vec::Vec;

use crate::fields::put;

/// READ CAPACITY(10): the last LBA, or FFFFFFFFh when it needs more than 32 bits, and the block length.
#[must_use]
pub fn read_capacity_10(blocks: u64, block_size: u32) -> Vec<u8> {
    let last = u32::try_from(blocks.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut data = last.to_be_bytes().to_vec();
    data.extend_from_slice(&block_size.to_be_bytes());
    data
}

/// What READ CAPACITY(16) tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Number of logical blocks.
    pub blocks: u64,
    /// Bytes in a logical block.
    pub block_size: u32,
    /// LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT, 0 to 15.
    pub physical_exponent: u8,
    /// LBPME and LBPRZ: blocks can be deallocated, and then read as zeros.
    pub unmap: bool,
}

/// READ CAPACITY(16), 32 bytes.
#[must_use]
pub fn read_capacity_16(capacity: &Capacity) -> Vec<u8> {
    let mut data = vec![0; 32];
    put(&mut data, 0, &capacity.blocks.saturating_sub(1).to_be_bytes());
    put(&mut data, 8, &capacity.block_size.to_be_bytes());
    put(
        &mut data,
        13,
        &[
            capacity.physical_exponent & 0x0F,
            if capacity.unmap { 0xC0 } else { 0 },
        ],
    );
    data
}

/// GET LBA STATUS with one descriptor: `blocks` from `lba` on are mapped or of unknown state (status 0h).
#[must_use]
pub fn lba_status_unknown(lba: u64, blocks: u32) -> Vec<u8> {
    let mut data = vec![0; 24];
    put(&mut data, 0, &20u32.to_be_bytes());
    put(&mut data, 8, &lba.to_be_bytes());
    put(&mut data, 16, &blocks.to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn st_146_a_capacity_beyond_32_bits_reads_as_all_ones_in_the_short_form() {
        let blocks = 3 * (1u64 << 40) / 512;
        assert_eq!(
            read_capacity_10(blocks, 512),
            [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 2, 0]
        );
        let long = read_capacity_16(&Capacity {
            blocks,
            block_size: 512,
            physical_exponent: 3,
            unmap: true,
        });
        assert_eq!(
            long[..16],
            [0, 0, 0, 1, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 2, 0, 0, 3, 0xC0, 0]
        );
        assert_eq!(long.len(), 32);
    }

    #[test]
    fn the_last_lba_is_one_less_than_the_number_of_blocks() {
        assert_eq!(read_capacity_10(2048, 4096), [0, 0, 0x07, 0xFF, 0, 0, 0x10, 0]);
        assert_eq!(
            read_capacity_10(1 << 32, 512)[..4],
            [0xFF; 4],
            "last LBA FFFFFFFFh exactly"
        );
        assert_eq!(
            read_capacity_10((1 << 32) - 1, 512)[..4],
            [0xFF, 0xFF, 0xFF, 0xFE]
        );
    }

    #[test]
    fn an_lba_status_of_unknown_state_is_one_descriptor() {
        let data = lba_status_unknown(0x10, 0x20);
        assert_eq!(data[..12], [0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(data[12..], [0, 0, 0, 0x10, 0, 0, 0, 0x20, 0, 0, 0, 0]);
    }
}
