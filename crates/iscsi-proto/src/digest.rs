//! CRC32C, the digest of iSCSI. RFC 7143 §13.1.

/// Goes on with `crc` over `data`; start with 0.
#[cfg(feature = "accelerated-crc")]
pub(crate) fn append(crc: u32, data: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, data)
}

/// Goes on with `crc` over `data`; start with 0.
#[cfg(not(feature = "accelerated-crc"))]
pub(crate) fn append(crc: u32, data: &[u8]) -> u32 {
    table::append(crc, data)
}

/// The digest as it is on the wire: least significant byte first.
pub(crate) fn wire(crc: u32) -> [u8; 4] {
    crc.to_le_bytes()
}

#[cfg(any(test, not(feature = "accelerated-crc")))]
mod table {
    /// The Castagnoli polynomial 1EDC6F41h, bits reversed.
    const POLYNOMIAL: u32 = 0x82F6_3B78;

    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0u32;
        while byte < 256 {
            let mut crc = byte;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 {
                    crc >> 1 ^ POLYNOMIAL
                } else {
                    crc >> 1
                };
                bit += 1;
            }
            table[byte as usize] = crc;
            byte += 1;
        }
        table
    };

    pub(super) fn append(crc: u32, data: &[u8]) -> u32 {
        !data.iter().fold(!crc, |crc, &byte| {
            let [low, ..] = crc.to_le_bytes();
            crc >> 8 ^ TABLE[usize::from(low ^ byte)]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7143 appendix A.4.
    #[test]
    fn the_standards_examples_give_the_standards_digests() {
        let up: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        let down: [u8; 32] = core::array::from_fn(|i| u8::try_from(31 - i).unwrap());
        for (data, digest) in [
            ([0; 32], [0xAA, 0x36, 0x91, 0x8A]),
            ([0xFF; 32], [0x43, 0xAB, 0xA8, 0x62]),
            (up, [0x4E, 0x79, 0xDD, 0x46]),
            (down, [0x5C, 0xDB, 0x3F, 0x11]),
        ] {
            assert_eq!(wire(append(0, &data)), digest);
            assert_eq!(wire(table::append(0, &data)), digest);
        }
    }

    #[test]
    fn both_ways_of_computing_agree_in_pieces() {
        let data: alloc::vec::Vec<u8> = (0..1000u32).map(|i| i.to_le_bytes()[0] ^ 0x5A).collect();
        let (head, tail) = data.split_at(333);
        assert_eq!(append(append(0, head), tail), table::append(0, &data));
    }
}
