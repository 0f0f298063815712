//! Cutting the byte stream into PDUs. RFC 7143 §11.2.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    ProtocolError,
    bhs::{self, RawHeader},
    digest,
};

/// Length of the basic header segment.
const HEADER_BYTES: usize = 48;
/// Length of a digest.
const DIGEST_BYTES: usize = 4;

/// One received PDU; digests are checked and gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pdu {
    pub(crate) header: RawHeader,
    /// Additional header segments, a whole number of words.
    pub(crate) additional: Bytes,
    /// Data segment without padding: a slice of the input, not a copy.
    pub(crate) data: Bytes,
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Framer {
    /// Largest data segment allowed now, bytes.
    pub(crate) limit: u32,
    pub(crate) header_digest: bool,
    pub(crate) data_digest: bool,
    /// A header whose data segment has not come yet.
    header: Option<(RawHeader, Bytes, u32)>,
}

impl Framer {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            header_digest: false,
            data_digest: false,
            header: None,
        }
    }

    /// The next whole PDU. Headers are taken out of `input` as soon as they are whole, so a length is judged
    /// before a byte of the data is waited for, and a header digest before the length is believed.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Pdu>, ProtocolError> {
        if self.header.is_none() {
            self.header = self.take_header(input)?;
        }
        let Some((_, _, length)) = self.header else {
            return Ok(None);
        };
        let length = length as usize;
        let padded = length.next_multiple_of(4);
        let digest = if self.data_digest && length > 0 {
            DIGEST_BYTES
        } else {
            0
        };
        if input.len() < padded + digest {
            return Ok(None);
        }
        if digest > 0 {
            let (segment, rest) = input.split_at(padded);
            if digest::wire(digest::append(0, segment)) != rest[..DIGEST_BYTES] {
                return Err(ProtocolError::DataDigestMismatch);
            }
        }
        let Some((header, additional, _)) = self.header.take() else {
            return Ok(None);
        };
        let data = if length == 0 {
            Bytes::new()
        } else {
            input.split_to(length).freeze()
        };
        input.advance(padded - length + digest);
        Ok(Some(Pdu {
            header,
            additional,
            data,
        }))
    }

    /// Bytes that must still come before anything can happen; at least 1.
    pub(crate) fn wanted(&self, input: &BytesMut) -> usize {
        let whole = match &self.header {
            Some((_, _, length)) => {
                let digest = if self.data_digest { DIGEST_BYTES } else { 0 };
                (*length as usize).next_multiple_of(4) + digest
            }
            None => HEADER_BYTES,
        };
        whole.saturating_sub(input.len()).max(1)
    }

    fn take_header(&self, input: &mut BytesMut) -> Result<Option<(RawHeader, Bytes, u32)>, ProtocolError> {
        let Some(&header) = input.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let (additional_length, data_length) = bhs::lengths(&header);
        let whole = HEADER_BYTES + additional_length;
        let digest = if self.header_digest { DIGEST_BYTES } else { 0 };
        if input.len() < whole + digest {
            return Ok(None);
        }
        if digest > 0 {
            let (segment, rest) = input.split_at(whole);
            if digest::wire(digest::append(0, segment)) != rest[..DIGEST_BYTES] {
                return Err(ProtocolError::HeaderDigestMismatch);
            }
        }
        if data_length > self.limit {
            return Err(ProtocolError::DataSegmentTooLong {
                length: data_length,
                limit: self.limit,
            });
        }
        input.advance(HEADER_BYTES);
        let additional = if additional_length == 0 {
            Bytes::new()
        } else {
            input.split_to(additional_length).freeze()
        };
        input.advance(digest);
        Ok(Some((header, additional, data_length)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::transmit::Transmit;

    fn header(opcode: u8, words: usize) -> RawHeader {
        let mut raw = [opcode; 48];
        raw[4] = u8::try_from(words).unwrap();
        raw
    }

    proptest! {
        #[test]
        fn what_the_sending_end_makes_the_receiving_end_takes(
            pdus in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..700)), 1..8),
            header_digest in any::<bool>(),
            data_digest in any::<bool>(),
            step in 1usize..900,
        ) {
            let mut transmit = Transmit::default();
            transmit.header_digest = header_digest;
            transmit.data_digest = data_digest;
            for (opcode, data) in &pdus {
                transmit.begin(header(*opcode, 0), data.len());
                let (head, tail) = data.split_at(data.len() / 3);
                transmit.piece(Bytes::copy_from_slice(head));
                transmit.piece(Bytes::copy_from_slice(tail));
                transmit.end();
            }
            let mut stream = Vec::new();
            while let Some(piece) = transmit.poll() {
                stream.extend_from_slice(&piece);
            }
            let mut framer = Framer { header_digest, data_digest, ..Framer::new(700) };
            let mut input = BytesMut::new();
            let mut received = Vec::new();
            for piece in stream.chunks(step) {
                input.extend_from_slice(piece);
                while let Some(pdu) = framer.next(&mut input).unwrap() {
                    received.push((pdu.header[0], pdu.data.to_vec()));
                }
            }
            prop_assert_eq!(received, pdus);
            prop_assert!(input.is_empty());
        }
    }

    #[test]
    fn additional_headers_are_kept_apart_from_the_data() {
        let mut raw = header(1, 2);
        bhs::set_data_length(&mut raw, 5);
        let mut input = BytesMut::from(&raw[..]);
        input.extend_from_slice(b"additionaldata!\0\0\0next");
        input.truncate(48 + 8 + 8 + 4);
        let mut framer = Framer::new(8);
        let pdu = framer.next(&mut input).unwrap().unwrap();
        assert_eq!(
            (&pdu.additional[..], &pdu.data[..]),
            (&b"addition"[..], &b"aldat"[..])
        );
        assert_eq!(input.len(), 4);
        assert_eq!(framer.wanted(&input), 44);
    }
}
