//! Text: pairs of key and value. RFC 7143 §6.1.

use alloc::vec::Vec;

use crate::{ProtocolError, TextError};

/// Most bytes of one text, over all continuations.
pub(crate) const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Most pairs of one text.
const MAX_PAIRS: usize = 256;
/// Longest key name. RFC 7143 §6.1.
const MAX_KEY_BYTES: usize = 63;
/// Longest value of any key: a large binary value in base64 or hexadecimal would be longer, we have none.
const MAX_VALUE_BYTES: usize = 8192;

/// Text collected over PDUs with the C bit.
#[derive(Debug, Default)]
pub(crate) struct TextBuffer(Vec<u8>);

impl TextBuffer {
    /// Adds the data segment of one more PDU.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<(), ProtocolError> {
        if data.len() > MAX_TEXT_BYTES - self.0.len() {
            return Err(ProtocolError::TextTooLong);
        }
        self.0.extend_from_slice(data);
        Ok(())
    }

    /// The whole text; the buffer is empty again.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.0)
    }
}

/// The pairs of a whole text, in order.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<(&str, &str)>, TextError> {
    let Some((0, _)) = text.split_last() else {
        return if text.is_empty() {
            Ok(Vec::new())
        } else {
            Err(TextError::Unterminated)
        };
    };
    let mut pairs = Vec::new();
    for pair in text.split(|&byte| byte == 0).filter(|pair| !pair.is_empty()) {
        let at = pair
            .iter()
            .position(|&byte| byte == b'=')
            .ok_or(TextError::NoEqualsSign)?;
        let (key, value) = (&pair[..at], &pair[at + 1..]);
        if pairs.len() == MAX_PAIRS {
            return Err(TextError::TooManyKeys);
        }
        if !is_key(key) {
            return Err(TextError::BadKey);
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(TextError::BadValue);
        }
        let key = core::str::from_utf8(key).map_err(|_| TextError::BadKey)?;
        pairs.push((key, core::str::from_utf8(value).map_err(|_| TextError::BadValue)?));
    }
    Ok(pairs)
}

fn is_key(key: &[u8]) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len())
        && key
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b".-+@_/#:".contains(&byte))
}

/// Adds one pair to a text to be sent.
pub(crate) fn push_pair(text: &mut Vec<u8>, key: &str, value: &str) {
    text.reserve(key.len() + value.len() + 2);
    text.extend_from_slice(key.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value.as_bytes());
    text.push(0);
}

/// Text to be sent in pieces no longer than the receiver's MaxRecvDataSegmentLength.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    text: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    pub(crate) fn new(text: Vec<u8>) -> Self {
        Self { text, sent: 0 }
    }

    /// The whole text, none of which has been sent.
    pub(crate) fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// The next piece, at most `limit` bytes, and whether it is the last.
    pub(crate) fn next(&mut self, limit: u32) -> (&[u8], bool) {
        let rest = self.text.len() - self.sent;
        let length = rest.min(limit as usize);
        let piece = &self.text[self.sent..self.sent + length];
        self.sent += length;
        (piece, length == rest)
    }

    /// Some of it was sent and some was not.
    pub(crate) fn is_under_way(&self) -> bool {
        self.sent < self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn pairs_come_out_in_order_and_extra_nulls_are_skipped() {
        assert_eq!(
            parse(b"A=1\0\0B=\0C=x=y\0"),
            Ok(vec![("A", "1"), ("B", ""), ("C", "x=y")])
        );
        assert_eq!(parse(b""), Ok(vec![]));
        assert_eq!(parse(b"\0\0"), Ok(vec![]));
    }

    #[test]
    fn what_is_not_a_list_of_pairs_is_refused() {
        assert_eq!(parse(b"A=1"), Err(TextError::Unterminated));
        assert_eq!(parse(b"A\0"), Err(TextError::NoEqualsSign));
        assert_eq!(parse(b"=1\0"), Err(TextError::BadKey));
        assert_eq!(parse(b"A B=1\0"), Err(TextError::BadKey));
        assert_eq!(parse(b"A=\xFF\0"), Err(TextError::BadValue));
        let mut long = vec![b'k'; 64];
        long.extend_from_slice(b"=1\0");
        assert_eq!(parse(&long), Err(TextError::BadKey));
        let mut long = b"A=".to_vec();
        long.extend(vec![b'v'; 8193]);
        long.push(0);
        assert_eq!(parse(&long), Err(TextError::BadValue));
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        assert_eq!(parse(&b"A=1\0".repeat(256)).map(|pairs| pairs.len()), Ok(256));
        assert_eq!(parse(&b"A=1\0".repeat(257)), Err(TextError::TooManyKeys));
    }

    #[test]
    fn text_over_all_continuations_is_bounded() {
        let mut buffer = TextBuffer::default();
        for _ in 0..8 {
            assert_eq!(buffer.push(&[b'a'; 8192]), Ok(()));
        }
        assert_eq!(buffer.push(b"a"), Err(ProtocolError::TextTooLong));
        assert_eq!(buffer.take().len(), MAX_TEXT_BYTES);
        assert_eq!(buffer.push(b"a"), Ok(()));
    }

    #[test]
    fn a_long_answer_leaves_in_pieces() {
        let mut outgoing = Outgoing::new(b"abcdefgh".to_vec());
        assert_eq!(outgoing.next(3), (&b"abc"[..], false));
        assert!(outgoing.is_under_way());
        assert_eq!(outgoing.next(3), (&b"def"[..], false));
        assert_eq!(outgoing.next(3), (&b"gh"[..], true));
        assert!(!outgoing.is_under_way());
    }
}
