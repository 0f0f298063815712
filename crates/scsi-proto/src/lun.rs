//! Logical unit numbers: the eight-byte address of a logical unit. SAM-5 r21 §4.7.

use core::fmt;

/// A single-level logical unit number, 0 to 16383.
///
/// [`Lun::UNADDRESSABLE`] stands for every eight bytes that are no such number (several levels, well-known
/// logical units, addressing methods we do not use), so that a command to them can still be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lun(u16);

impl Lun {
    /// LUN 0, which every target answers for.
    pub const ZERO: Self = Self(0);
    /// The largest number that flat space addressing can carry.
    pub const MAX: Self = Self(0x3FFF);
    /// An address no logical unit can have: never mapped, never assigned.
    pub const UNADDRESSABLE: Self = Self(u16::MAX);

    /// The LUN with this number, or `None` above 16383.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number <= Self::MAX.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number: 0 to 16383, or 65535 for [`Lun::UNADDRESSABLE`].
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Reads the eight bytes of a command. Total: what is not a single-level address of at most 14 bits with
    /// peripheral (00b) or flat space (01b) addressing is [`Lun::UNADDRESSABLE`].
    ///
    /// DEVIATION: peripheral addressing with a bus identifier is read as the number its 14 bits make, because
    /// initiators that never learned flat addressing send LUN 256 and above that way.
    #[must_use]
    pub fn decode(bytes: [u8; 8]) -> Self {
        let [first, second, rest @ ..] = bytes;
        if first & 0x80 != 0 || rest != [0; 6] {
            return Self::UNADDRESSABLE;
        }
        Self(u16::from_be_bytes([first & 0x3F, second]))
    }

    /// The eight bytes for REPORT LUNS: peripheral addressing below 256, flat space addressing from there on.
    #[must_use]
    pub const fn encode(self) -> [u8; 8] {
        let [high, low] = self.0.to_be_bytes();
        let method = if self.0 < 256 { 0x00 } else { 0x40 };
        if self.0 > Self::MAX.0 {
            [0xFF; 8]
        } else {
            [method | high, low, 0, 0, 0, 0, 0, 0]
        }
    }
}

impl fmt::Display for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNADDRESSABLE {
            f.write_str("-")
        } else {
            self.0.fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn peripheral_addressing_below_256_flat_from_256() {
        assert_eq!(Lun::new(0).unwrap().encode(), [0; 8]);
        assert_eq!(Lun::new(255).unwrap().encode(), [0, 255, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Lun::new(256).unwrap().encode(), [0x41, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Lun::MAX.encode(), [0x7F, 0xFF, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Lun::new(16384), None);
    }

    #[test]
    fn the_report_luns_well_known_unit_and_second_levels_are_unaddressable() {
        assert_eq!(Lun::decode([0xC1, 0x01, 0, 0, 0, 0, 0, 0]), Lun::UNADDRESSABLE);
        assert_eq!(Lun::decode([0x80, 0x01, 0, 0, 0, 0, 0, 0]), Lun::UNADDRESSABLE);
        assert_eq!(Lun::decode([0x00, 0x01, 0, 1, 0, 0, 0, 0]), Lun::UNADDRESSABLE);
        assert_eq!(Lun::decode(Lun::UNADDRESSABLE.encode()), Lun::UNADDRESSABLE);
        assert_eq!(Lun::decode([0x40, 0x05, 0, 0, 0, 0, 0, 0]).number(), 5);
    }

    proptest! {
        #[test]
        fn every_lun_survives_the_wire(number in 0u16..=16383) {
            let lun = Lun::new(number).unwrap();
            prop_assert_eq!(Lun::decode(lun.encode()), lun);
        }

        #[test]
        fn any_eight_bytes_decode(bytes: [u8; 8]) {
            let lun = Lun::decode(bytes);
            prop_assert!(lun <= Lun::MAX || lun == Lun::UNADDRESSABLE);
        }
    }
}
