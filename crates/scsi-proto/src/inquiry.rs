//! Standard INQUIRY data. SPC-4 r37 §6.6.2.

use alloc::vec;
use alloc::vec::Vec;

use crate::fields::put;

/// TPGS: which asymmetric access a logical unit supports. SPC-4 r37 table 141.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AsymmetricAccess {
    /// 00b: none.
    None = 0b00,
    /// 01b: implicit only: the target changes states, the initiator asks.
    Implicit = 0b01,
}

/// VERSION DESCRIPTORs claimed: SAM-3, iSCSI, SPC-4, SBC-3, no version each. SPC-4 r37 annex E.
const VERSION_DESCRIPTORS: [u16; 4] = [0x0060, 0x0960, 0x0460, 0x04C0];

/// Standard data of a disk that is there: 74 bytes.
#[must_use]
pub fn standard(tpgs: AsymmetricAccess, vendor: [u8; 8], product: [u8; 16], revision: [u8; 4]) -> Vec<u8> {
    let mut data = vec![0; 74];
    put(&mut data, 2, &[0x06, 0x12, 69, (tpgs as u8) << 4, 0, 0x02]); // SPC-4; HISUP; CMDQUE
    put(&mut data, 8, &vendor);
    put(&mut data, 16, &product);
    put(&mut data, 32, &revision);
    for (i, descriptor) in VERSION_DESCRIPTORS.iter().enumerate() {
        put(&mut data, 58 + 2 * i, &descriptor.to_be_bytes());
    }
    data
}

/// PERIPHERAL QUALIFIER and DEVICE TYPE when no logical unit is mapped. SPC-4 r37 table 139.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Absent {
    /// 001b/1Fh: nothing is connected, though there could be.
    NotConnected = 0x3F,
    /// 011b/1Fh: there can be nothing at this LUN.
    NotCapable = 0x7F,
}

/// Standard data for a LUN without a logical unit: 36 bytes.
#[must_use]
pub fn absent(how: Absent, vendor: [u8; 8], product: [u8; 16], revision: [u8; 4]) -> Vec<u8> {
    let mut data = vec![0; 36];
    put(&mut data, 0, &[how as u8, 0, 0x05, 0x12, 31, 0, 0, 0]);
    put(&mut data, 8, &vendor);
    put(&mut data, 16, &product);
    put(&mut data, 32, &revision);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_data_byte_for_byte() {
        let data = standard(
            AsymmetricAccess::Implicit,
            *b"LINTEL  ",
            *b"DISK            ",
            *b"0001",
        );
        assert_eq!(data.len(), 74);
        assert_eq!(data[..8], [0x00, 0x00, 0x06, 0x12, 69, 0x10, 0, 0x02]);
        assert_eq!(&data[8..36], b"LINTEL  DISK            0001");
        assert_eq!(data[36..58], [0; 22]);
        assert_eq!(data[58..66], [0x00, 0x60, 0x09, 0x60, 0x04, 0x60, 0x04, 0xC0]);
        assert_eq!(usize::from(data[4]), data.len() - 5, "ADDITIONAL LENGTH");
    }

    #[test]
    fn st_048_tpgs_is_zero_without_alua() {
        assert_eq!(
            standard(AsymmetricAccess::None, [b' '; 8], [b' '; 16], [b' '; 4])[5],
            0
        );
    }

    #[test]
    fn st_121_an_absent_unit_says_so_in_its_first_byte() {
        let data = absent(Absent::NotConnected, *b"LINTEL  ", *b"DISK            ", *b"0001");
        assert_eq!(data[..8], [0x3F, 0, 5, 0x12, 31, 0, 0, 0]);
        assert_eq!(data.len(), 36);
        assert_eq!(absent(Absent::NotCapable, [0; 8], [0; 16], [0; 4])[0], 0x7F);
    }
}
