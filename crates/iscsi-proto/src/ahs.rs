//! Additional header segments of a SCSI command. RFC 7143 §11.2.2.

use crate::ProtocolError;

/// AHS type of an extended CDB.
const EXTENDED_CDB: u8 = 1;
/// AHS type of the expected length of the read part of a bidirectional command.
const BIDIRECTIONAL_READ_LENGTH: u8 = 2;
/// A CDB has at most 260 bytes (SPC-4 r37 §4.2.3), 16 of them in the basic header.
const MAX_EXTENSION: usize = 260 - 16;

/// What the additional headers of one command say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AdditionalHeaders<'a> {
    /// CDB bytes from the 17th on.
    pub(crate) cdb_extension: Option<&'a [u8]>,
    /// There is an expected length for the read part.
    pub(crate) bidirectional: bool,
    /// There is one of a type we do not know.
    pub(crate) unknown: bool,
}

/// Splits the segments; `bytes` is a whole number of 4-byte words.
pub(crate) fn parse(mut bytes: &[u8]) -> Result<AdditionalHeaders<'_>, ProtocolError> {
    let mut found = AdditionalHeaders::default();
    while let Some((&[high, low, kind], rest)) = bytes.split_first_chunk::<3>() {
        // AHSLength counts what follows the type, padding excluded: at least one reserved byte.
        let length = usize::from(u16::from_be_bytes([high, low]));
        let content = rest
            .get(..length)
            .ok_or(ProtocolError::MalformedAdditionalHeader)?;
        match (kind & 0x3F, content) {
            (EXTENDED_CDB, [_, cdb @ ..])
                if !cdb.is_empty() && cdb.len() <= MAX_EXTENSION && found.cdb_extension.is_none() =>
            {
                found.cdb_extension = Some(cdb);
            }
            (BIDIRECTIONAL_READ_LENGTH, [_, _, _, _, _]) => found.bidirectional = true,
            (EXTENDED_CDB | BIDIRECTIONAL_READ_LENGTH, _) => {
                return Err(ProtocolError::MalformedAdditionalHeader);
            }
            _ => found.unknown = true,
        }
        let padded = (3 + length).next_multiple_of(4);
        bytes = bytes
            .get(padded..)
            .ok_or(ProtocolError::MalformedAdditionalHeader)?;
    }
    if bytes.is_empty() {
        Ok(found)
    } else {
        Err(ProtocolError::MalformedAdditionalHeader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_cdb_is_found_with_its_padding_left_out() {
        // 32-byte CDB: 16 more bytes, AHSLength 17, already a whole number of words.
        let mut bytes = alloc::vec![0, 17, 1, 0];
        bytes.extend(1..=16);
        let found = parse(&bytes).unwrap();
        assert_eq!(found.cdb_extension, Some(&bytes[4..20]));
        // 18-byte CDB: AHSLength 3, two bytes of padding.
        let found = parse(&[0, 3, 1, 0, 7, 8, 0, 0]).unwrap();
        assert_eq!(found.cdb_extension, Some(&[7, 8][..]));
    }

    #[test]
    fn a_bidirectional_length_and_an_unknown_type_are_told() {
        let found = parse(&[0, 5, 2, 0, 0, 0, 16, 0, 0, 1, 9, 0]).unwrap();
        assert!(found.bidirectional && found.unknown);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        for bytes in [
            &[0, 9, 1, 0][..],                                 // longer than what there is
            &[0, 1, 1, 0],                                     // no CDB byte
            &[0, 0, 1, 0],                                     // not even the reserved byte
            &[0, 4, 2, 0, 0, 0, 0, 0],                         // bidirectional length of 3 bytes
            &[0, 3, 1, 0, 1, 2, 0, 0, 0, 3],                   // a piece of a word left
            &[0, 2, 1, 0, 1, 0, 0, 0, 0, 2, 1, 0, 1, 0, 0, 0], // two extended CDBs
        ] {
            assert_eq!(
                parse(bytes),
                Err(ProtocolError::MalformedAdditionalHeader),
                "{bytes:?}"
            );
        }
    }
}
