//! Parameter data of REPORT LUNS. SPC-4 r37 §6.33.

use alloc::vec;
use alloc::vec::Vec;

use crate::fields::put_length32;
use crate::lun::Lun;

/// SELECT REPORT. SPC-4 r37 table 243.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SelectReport {
    /// 00h: logical units that are not well known.
    Addressable,
    /// 01h: well-known logical units only.
    WellKnown,
    /// 02h: all of them.
    All,
}

impl SelectReport {
    /// The value of a SELECT REPORT byte we accept.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x00 => Some(Self::Addressable),
            0x01 => Some(Self::WellKnown),
            0x02 => Some(Self::All),
            _ => None,
        }
    }
}

/// LUN LIST LENGTH (bytes of all entries), four reserved bytes, eight bytes for each LUN. Not truncated.
pub fn parameter_data(luns: impl IntoIterator<Item = Lun>) -> Vec<u8> {
    let mut data = vec![0; 8];
    for lun in luns {
        data.extend_from_slice(&lun.encode());
    }
    let length = data.len() - 8;
    put_length32(&mut data, 0, length);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_length_counts_the_entries_only() {
        let data = parameter_data([Lun::ZERO, Lun::new(300).unwrap()]);
        assert_eq!(
            data,
            [
                0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0x2C, 0, 0, 0, 0, 0, 0
            ]
        );
        assert_eq!(parameter_data([]), [0; 8]);
    }
}
