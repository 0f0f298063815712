//! UNMAP parameter list. SBC-3 r36 §5.28.2.

use alloc::vec::Vec;

use crate::fields::Fields;

/// A range of logical blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRange {
    /// First LOGICAL BLOCK ADDRESS.
    pub lba: u64,
    /// NUMBER OF LOGICAL BLOCKS; 0 means nothing.
    pub blocks: u32,
}

/// What is wrong with an UNMAP parameter list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnmapListError {
    /// The list is shorter than its header or than its length fields say: 05/1A/00.
    Length,
    /// A length field is not consistent with the other, or not a multiple of 16: 05/26/00.
    Field,
}

/// Reads the block descriptors. An empty list of descriptors is valid and unmaps nothing.
///
/// # Errors
/// [`UnmapListError`].
pub fn parse_unmap_list(list: &[u8]) -> Result<Vec<BlockRange>, UnmapListError> {
    let (header, descriptors) = list.split_at_checked(8).ok_or(UnmapListError::Length)?;
    let data_length = usize::from(Fields(header).u16(0));
    let descriptor_length = usize::from(Fields(header).u16(2));
    if descriptor_length % 16 != 0 || data_length != descriptor_length + 6 {
        return Err(UnmapListError::Field);
    }
    let descriptors = descriptors
        .get(..descriptor_length)
        .ok_or(UnmapListError::Length)?;
    let range = |d: &[u8]| BlockRange {
        lba: Fields(d).u64(0),
        blocks: Fields(d).u32(8),
    };
    Ok(descriptors.chunks_exact(16).map(range).collect())
}

/// Builds the list [`parse_unmap_list`] reads; for tests and initiators. At most 4095 ranges.
#[must_use]
pub fn encode_unmap_list(ranges: &[BlockRange]) -> Vec<u8> {
    let ranges = ranges.get(..4095).unwrap_or(ranges);
    let descriptor_length = u16::try_from(ranges.len() * 16).unwrap_or(0);
    let mut list = (descriptor_length.saturating_add(6)).to_be_bytes().to_vec();
    list.extend_from_slice(&descriptor_length.to_be_bytes());
    list.extend_from_slice(&[0; 4]);
    for range in ranges {
        list.extend_from_slice(&range.lba.to_be_bytes());
        list.extend_from_slice(&range.blocks.to_be_bytes());
        list.extend_from_slice(&[0; 4]);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_descriptor_byte_for_byte() {
        let mut list = std::vec![0, 22, 0, 16, 0, 0, 0, 0];
        list.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0, 0]);
        let ranges = [BlockRange { lba: 256, blocks: 8 }];
        assert_eq!(parse_unmap_list(&list).unwrap(), ranges);
        assert_eq!(encode_unmap_list(&ranges), list);
    }

    #[test]
    fn lengths_that_do_not_agree_are_told_apart() {
        assert_eq!(parse_unmap_list(&[0; 7]), Err(UnmapListError::Length));
        assert_eq!(
            parse_unmap_list(&[0, 22, 0, 16, 0, 0, 0, 0]),
            Err(UnmapListError::Length)
        );
        assert_eq!(
            parse_unmap_list(&[0, 21, 0, 15, 0, 0, 0, 0]),
            Err(UnmapListError::Field)
        );
        assert_eq!(
            parse_unmap_list(&[0, 38, 0, 16, 0, 0, 0, 0]),
            Err(UnmapListError::Field)
        );
        assert_eq!(parse_unmap_list(&[0, 6, 0, 0, 0, 0, 0, 0]), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_without_a_panic(list: std::vec::Vec<u8>) {
            let _ = parse_unmap_list(&list);
        }

        #[test]
        fn ranges_survive(ranges in proptest::collection::vec((any::<u64>(), any::<u32>()), 0..40)) {
            let ranges: Vec<_> = ranges.into_iter().map(|(lba, blocks)| BlockRange { lba, blocks }).collect();
            prop_assert_eq!(parse_unmap_list(&encode_unmap_list(&ranges)).unwrap(), ranges);
        }
    }
}
