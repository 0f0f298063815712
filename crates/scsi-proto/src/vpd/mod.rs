//! Vital product data pages. SPC-4 r37 §7.8, SBC-3 r36 §6.6. Nothing is truncated here.

mod block;
mod identification;

pub use block::{BlockLimits, Rotation, block_characteristics, block_limits, logical_block_provisioning};
pub use identification::{Designator, device_identification};

use alloc::vec;
use alloc::vec::Vec;

use crate::fields::put;

/// Supported VPD pages.
pub const SUPPORTED_PAGES: u8 = 0x00;
/// Unit serial number.
pub const UNIT_SERIAL_NUMBER: u8 = 0x80;
/// Device identification.
pub const DEVICE_IDENTIFICATION: u8 = 0x83;
/// Extended INQUIRY data.
pub const EXTENDED_INQUIRY: u8 = 0x86;
/// Block limits.
pub const BLOCK_LIMITS: u8 = 0xB0;
/// Block device characteristics.
pub const BLOCK_CHARACTERISTICS: u8 = 0xB1;
/// Logical block provisioning.
pub const LOGICAL_BLOCK_PROVISIONING: u8 = 0xB2;

/// A page of a disk: four bytes of header, then `body`.
fn page(code: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    let mut data = vec![0x00, code, high, low];
    data.extend_from_slice(body.get(..usize::from(length)).unwrap_or(body));
    data
}

/// Page 00h. `codes` in ascending order, 00h among them.
#[must_use]
pub fn supported_pages(codes: &[u8]) -> Vec<u8> {
    page(SUPPORTED_PAGES, codes)
}

/// Page 80h: ASCII, left as it is.
#[must_use]
pub fn unit_serial_number(serial: &str) -> Vec<u8> {
    page(UNIT_SERIAL_NUMBER, serial.as_bytes())
}

/// Page 86h, 64 bytes: SIMPSUP, nothing else.
#[must_use]
pub fn extended_inquiry() -> Vec<u8> {
    let mut body = [0; 60];
    put(&mut body, 1, &[0x01]);
    page(EXTENDED_INQUIRY, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_device_type_page_code_and_length() {
        assert_eq!(
            supported_pages(&[0x00, 0x80, 0x83]),
            [0, 0, 0, 3, 0x00, 0x80, 0x83]
        );
        assert_eq!(
            unit_serial_number("AB12"),
            [0, 0x80, 0, 4, b'A', b'B', b'1', b'2']
        );
    }

    #[test]
    fn extended_inquiry_says_simple_tasks_only() {
        let data = extended_inquiry();
        assert_eq!(data.len(), 64);
        assert_eq!(data[..6], [0, 0x86, 0, 60, 0, 1]);
        assert_eq!(data[6..], [0; 58]);
    }
}
