//! The parameter list of MODE SELECT. SPC-4 r37 §7.5.5 to §7.5.7.

use alloc::vec::Vec;

use crate::cdb::ModeForm;
use crate::fields::Fields;

/// A mode page as MODE SELECT sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModePage<'a> {
    /// PAGE CODE.
    pub code: u8,
    /// SUBPAGE CODE; 0 for a page in the short format.
    pub subpage: u8,
    /// What follows the header of the page.
    pub body: &'a [u8],
}

/// What is wrong with a mode parameter list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeListError {
    /// It ends within the header, the block descriptors or a page: 05/1A/00.
    Length,
    /// A field that must be zero is not: 05/26/00.
    Field,
}

/// Splits a list into its pages. Block descriptors are skipped: they may only repeat what is so anyway.
///
/// # Errors
/// [`ModeListError`].
pub fn parse_mode_list(form: ModeForm, list: &[u8]) -> Result<Vec<ModePage<'_>>, ModeListError> {
    let (header, rest) = list
        .split_at_checked(form.header_length())
        .ok_or(ModeListError::Length)?;
    let header = Fields(header);
    // MODE DATA LENGTH is reserved and not looked at: many initiators send back what MODE SENSE gave them.
    let descriptors = match form {
        ModeForm::Six => u16::from(header.u8(3)),
        ModeForm::Ten => header.u16(6),
    };
    let mut rest = rest
        .get(usize::from(descriptors)..)
        .ok_or(ModeListError::Length)?;
    let mut pages = Vec::new();
    while !rest.is_empty() {
        let (page, after) = split_page(rest)?;
        pages.push(page);
        rest = after;
    }
    Ok(pages)
}

fn split_page(list: &[u8]) -> Result<(ModePage<'_>, &[u8]), ModeListError> {
    let f = Fields(list);
    if f.bit(0, 7) {
        return Err(ModeListError::Field); // PS is reserved in MODE SELECT
    }
    let long = f.bit(0, 6);
    let (header, length) = if long {
        (4, usize::from(f.u16(2)))
    } else {
        (2, usize::from(f.u8(1)))
    };
    let body = list.get(header..).ok_or(ModeListError::Length)?;
    let (body, after) = body.split_at_checked(length).ok_or(ModeListError::Length)?;
    let subpage = if long { f.u8(1) } else { 0 };
    Ok((
        ModePage {
            code: f.u8(0) & 0x3F,
            subpage,
            body,
        },
        after,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_of_both_formats_are_split() {
        let list = [0, 0, 0, 0, 0x0A, 2, 7, 8, 0x4A, 0x01, 0, 1, 9];
        let pages = parse_mode_list(ModeForm::Six, &list).unwrap();
        assert_eq!(
            pages[0],
            ModePage {
                code: 0x0A,
                subpage: 0,
                body: &[7, 8]
            }
        );
        assert_eq!(
            pages[1],
            ModePage {
                code: 0x0A,
                subpage: 1,
                body: &[9]
            }
        );
    }

    #[test]
    fn a_block_descriptor_is_skipped_and_a_missing_one_is_an_error() {
        let mut list = std::vec![0, 0, 0, 8];
        assert_eq!(parse_mode_list(ModeForm::Six, &list), Err(ModeListError::Length));
        list.extend_from_slice(&[0; 8]);
        assert_eq!(parse_mode_list(ModeForm::Six, &list), Ok(Vec::new()));
        assert_eq!(
            parse_mode_list(ModeForm::Ten, &[0; 7]),
            Err(ModeListError::Length)
        );
    }

    #[test]
    fn a_truncated_page_and_a_set_ps_bit_are_told_apart() {
        assert_eq!(
            parse_mode_list(ModeForm::Six, &[0, 0, 0, 0, 8, 18, 4]),
            Err(ModeListError::Length)
        );
        assert_eq!(
            parse_mode_list(ModeForm::Six, &[0, 0, 0, 0, 0x88, 0]),
            Err(ModeListError::Field)
        );
        assert_eq!(
            parse_mode_list(ModeForm::Six, &[0, 0, 0, 0, 8]),
            Err(ModeListError::Length)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_split_without_a_panic(list: std::vec::Vec<u8>) {
            let _ = parse_mode_list(ModeForm::Six, &list);
            let _ = parse_mode_list(ModeForm::Ten, &list);
        }
    }
}
