//! Mode parameter headers and pages. SPC-4 r37 §7.5, SBC-3 r36 §6.5. There are never block descriptors.

mod select;

pub use select::{ModeListError, ModePage, parse_mode_list};

use alloc::vec;
use alloc::vec::Vec;

use crate::cdb::ModeForm;
use crate::fields::put;

/// Format device, obsolete but still asked for.
pub const FORMAT_DEVICE: u8 = 0x03;
/// Rigid disk geometry, obsolete but still asked for.
pub const RIGID_DISK_GEOMETRY: u8 = 0x04;
/// Caching.
pub const CACHING: u8 = 0x08;
/// Control.
pub const CONTROL: u8 = 0x0A;
/// Informational exceptions control.
pub const INFORMATIONAL_EXCEPTIONS: u8 = 0x1C;
/// All pages.
pub const ALL_PAGES: u8 = 0x3F;
/// All subpages.
pub const ALL_SUBPAGES: u8 = 0xFF;

/// PS, in byte 0 of a page: the page can be saved.
const SAVEABLE: u8 = 0x80;

/// A header with DEVICE-SPECIFIC PARAMETER, then `pages`. MODE DATA LENGTH does not count itself. DPOFUA is set.
#[must_use]
pub fn parameter_data(form: ModeForm, write_protected: bool, pages: &[u8]) -> Vec<u8> {
    let device_specific = (u8::from(write_protected) << 7) | 0x10;
    let mut data = vec![0; form.header_length()];
    data.extend_from_slice(pages);
    match form {
        ModeForm::Six => {
            let length = u8::try_from(data.len() - 1).unwrap_or(u8::MAX);
            put(&mut data, 0, &[length, 0, device_specific]);
        }
        ModeForm::Ten => {
            let [high, low] = u16::try_from(data.len() - 2).unwrap_or(u16::MAX).to_be_bytes();
            put(&mut data, 0, &[high, low, 0, device_specific]);
        }
    }
    data
}

/// Caching page, 20 bytes: WCE, and nothing else set.
#[must_use]
pub fn caching(write_cache_enabled: bool) -> [u8; 20] {
    let mut page = [0; 20];
    put(
        &mut page,
        0,
        &[SAVEABLE | CACHING, 18, u8::from(write_cache_enabled) << 2],
    );
    page
}

/// Control page, 12 bytes: D_SENSE, unrestricted reordering (QUEUE ALGORITHM MODIFIER 1h).
#[must_use]
pub fn control(descriptor_sense: bool) -> [u8; 12] {
    let mut page = [0; 12];
    put(
        &mut page,
        0,
        &[CONTROL, 10, u8::from(descriptor_sense) << 2, 0x10],
    );
    page
}

/// The bits of [`control`] that MODE SELECT may change: D_SENSE.
#[must_use]
pub fn control_changeable() -> [u8; 12] {
    let mut page = [0; 12];
    put(&mut page, 0, &[CONTROL, 10, 0x04]);
    page
}

/// Informational exceptions control page, 12 bytes: DEXCPT, nothing is ever reported.
#[must_use]
pub fn informational_exceptions() -> [u8; 12] {
    let mut page = [0; 12];
    put(&mut page, 0, &[INFORMATIONAL_EXCEPTIONS, 10, 0x08]);
    page
}

/// Sectors per track and heads that the geometry pages pretend.
const SECTORS: u16 = 128;
const HEADS: u8 = 64;

/// Format device page, 24 bytes: sectors per track and bytes per sector; hard sectored.
#[must_use]
pub fn format_device(block_size: u32) -> [u8; 24] {
    let mut page = [0; 24];
    put(&mut page, 0, &[FORMAT_DEVICE, 22]);
    put(&mut page, 10, &SECTORS.to_be_bytes());
    put(
        &mut page,
        12,
        &u16::try_from(block_size).unwrap_or(0).to_be_bytes(),
    );
    put(&mut page, 20, &[0x40]);
    page
}

/// Rigid disk geometry page, 24 bytes: cylinders (saturating at 24 bits) and heads.
#[must_use]
pub fn rigid_disk_geometry(blocks: u64) -> [u8; 24] {
    let cylinders = (blocks / (u64::from(SECTORS) * u64::from(HEADS))).clamp(1, 0x00FF_FFFF);
    let [_, _, _, _, _, high, middle, low] = cylinders.to_be_bytes();
    let mut page = [0; 24];
    put(&mut page, 0, &[RIGID_DISK_GEOMETRY, 22, high, middle, low, HEADS]);
    page
}

/// The page of the same code and length with nothing changeable: what PC=01b answers for most pages.
#[must_use]
pub fn nothing_changeable(page: &[u8]) -> Vec<u8> {
    let mut mask = vec![0; page.len()];
    put(&mut mask, 0, page.get(..2).unwrap_or(page));
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_carry_wp_and_dpofua_and_do_not_count_their_length_field() {
        assert_eq!(parameter_data(ModeForm::Six, true, &[]), [3, 0, 0x90, 0]);
        assert_eq!(
            parameter_data(ModeForm::Ten, false, &[]),
            [0, 6, 0, 0x10, 0, 0, 0, 0]
        );
        assert_eq!(parameter_data(ModeForm::Six, false, &caching(true))[0], 23);
        assert_eq!(parameter_data(ModeForm::Ten, false, &caching(true))[..2], [0, 26]);
    }

    #[test]
    fn pages_byte_for_byte() {
        assert_eq!(caching(true)[..4], [0x88, 18, 0x04, 0]);
        assert_eq!(caching(false)[2..], [0; 18]);
        assert_eq!(control(false), [0x0A, 10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(control(true)[2], 0x04);
        assert_eq!(informational_exceptions()[..4], [0x1C, 10, 0x08, 0]);
        assert_eq!(nothing_changeable(&caching(true))[..3], [0x88, 18, 0]);
    }

    #[test]
    fn geometry_is_made_of_128_sectors_and_64_heads() {
        let format = format_device(512);
        assert_eq!((format[0], format[1], format.len()), (3, 22, 24));
        assert_eq!(format[10..14], [0, 128, 2, 0]);
        assert_eq!(
            rigid_disk_geometry(128 * 64 * 0x01_0203)[..6],
            [4, 22, 1, 2, 3, 64]
        );
        assert_eq!(rigid_disk_geometry(u64::MAX)[2..5], [0xFF; 3]);
        assert_eq!(rigid_disk_geometry(0)[2..5], [0, 0, 1]);
    }

    #[test]
    fn the_length_byte_of_each_page_counts_what_follows_it() {
        let pages: [&[u8]; 5] = [
            &format_device(512),
            &rigid_disk_geometry(1),
            &caching(true),
            &control(false),
            &informational_exceptions(),
        ];
        for page in pages {
            assert_eq!(usize::from(page[1]), page.len() - 2);
        }
    }
}
