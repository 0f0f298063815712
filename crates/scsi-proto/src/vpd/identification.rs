//! Device identification page, 83h. SPC-4 r37 §7.8.6.

use alloc::vec;
use alloc::vec::Vec;

use super::{DEVICE_IDENTIFICATION, page};

/// PROTOCOL IDENTIFIER of iSCSI. SPC-4 r37 table 361.
const ISCSI: u8 = 0x5;

/// A designation descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Designator<'a> {
    /// NAA IEEE Registered Extended (type 3h), of the logical unit.
    LogicalUnitNaa([u8; 16]),
    /// SCSI name string (type 8h) of the iSCSI target port, UTF-8.
    TargetPortName(&'a str),
    /// Target port group (type 5h) of the target port.
    TargetPortGroup(u16),
    /// Relative target port identifier (type 4h).
    RelativeTargetPort(u16),
}

impl Designator<'_> {
    /// The descriptor: code set and protocol, PIV with association and type, reserved, length, designator.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::LogicalUnitNaa(name) => descriptor(0x01, 0x03, name),
            Self::TargetPortName(name) => descriptor((ISCSI << 4) | 0x03, 0x98, &name_string(name)),
            Self::TargetPortGroup(id) => descriptor(0x01, 0x15, &two_bytes_in_four(*id)),
            Self::RelativeTargetPort(id) => descriptor(0x01, 0x14, &two_bytes_in_four(*id)),
        }
    }
}

fn descriptor(code_set: u8, kind: u8, designator: &[u8]) -> Vec<u8> {
    let length = u8::try_from(designator.len()).unwrap_or(u8::MAX);
    let mut data = vec![code_set, kind, 0, length];
    data.extend_from_slice(designator.get(..usize::from(length)).unwrap_or(designator));
    data
}

/// A SCSI name string ends in one to four zeros, its length is a multiple of four, and 252 bytes at most.
fn name_string(name: &str) -> Vec<u8> {
    let mut text = name.as_bytes().to_vec();
    text.truncate(251);
    text.push(0);
    text.resize(text.len().next_multiple_of(4), 0);
    text
}

fn two_bytes_in_four(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0, 0, high, low]
}

/// Page 83h with these descriptors, in this order.
#[must_use]
pub fn device_identification(designators: &[Designator<'_>]) -> Vec<u8> {
    let body: Vec<u8> = designators.iter().flat_map(Designator::encode).collect();
    page(DEVICE_IDENTIFICATION, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn st_041_four_descriptors_byte_for_byte() {
        let naa = *b"\x60\x01\x44\xF0\xC7\x3A\xB8\x00\x00\x00\x54\x9B\x00\x01\x00\x01";
        let data = device_identification(&[
            Designator::LogicalUnitNaa(naa),
            Designator::TargetPortName("iqn.2026-01.org.x:b"),
            Designator::TargetPortGroup(1),
            Designator::RelativeTargetPort(256),
        ]);
        let mut expected = std::vec![0x00, 0x83, 0, 60];
        expected.extend_from_slice(&[0x01, 0x03, 0, 16]);
        expected.extend_from_slice(&naa);
        expected.extend_from_slice(&[0x53, 0x98, 0, 20]);
        expected.extend_from_slice(b"iqn.2026-01.org.x:b\0");
        expected.extend_from_slice(&[0x01, 0x15, 0, 4, 0, 0, 0, 1]);
        expected.extend_from_slice(&[0x01, 0x14, 0, 4, 0, 0, 1, 0]);
        assert_eq!(data, expected);
    }

    #[test]
    fn a_name_of_any_length_stays_within_its_descriptor() {
        for length in 0..600 {
            let name = "é".repeat(length);
            let data = Designator::TargetPortName(&name).encode();
            assert_eq!(usize::from(data[3]), data.len() - 4);
            assert_eq!(data.len() % 4, 0);
            assert_eq!(data.last(), Some(&0));
        }
    }
}
