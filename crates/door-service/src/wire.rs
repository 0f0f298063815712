//! What messages look like. Every number is little-endian.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Format of headers and of what follows them.
const FORMAT: u8 = 1;

/// Which service, and which version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    hash: u64,
}

impl Identity {
    /// The service of this name.
    #[must_use]
    pub const fn new(name: &'static str, version: u32) -> Self {
        // FNV-1a.
        let (bytes, mut hash, mut at) = (name.as_bytes(), 0xCBF2_9CE4_8422_2325_u64, 0);
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01B3);
            at += 1;
        }
        Self { name, version, hash }
    }
}

/// Ahead of each request: format, three bytes of 0, version, service, method.
pub(crate) struct RequestHeader {
    pub(crate) version: u32,
    pub(crate) service: u64,
    pub(crate) method: u32,
}

impl RequestHeader {
    pub(crate) const BYTES: usize = 20;

    pub(crate) fn new(identity: Identity, method: u32) -> Self {
        Self {
            version: identity.version,
            service: identity.hash,
            method,
        }
    }

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = FORMAT;
        bytes[4..8].copy_from_slice(&self.version.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.service.to_le_bytes());
        bytes[16..].copy_from_slice(&self.method.to_le_bytes());
        bytes
    }

    /// Header and the rest; `None` if it is not a request.
    pub(crate) fn decode(message: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = message.split_first_chunk::<{ Self::BYTES }>()?;
        let [FORMAT, 0, 0, 0, v0, v1, v2, v3, service @ .., m0, m1, m2, m3] = *header else {
            return None;
        };
        let header = Self {
            version: u32::from_le_bytes([v0, v1, v2, v3]),
            service: u64::from_le_bytes(service),
            method: u32::from_le_bytes([m0, m1, m2, m3]),
        };
        Some((header, rest))
    }

    pub(crate) fn is_for(&self, identity: Identity) -> bool {
        self.service == identity.hash
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    /// The result follows.
    Result = 0,
    /// The request is not one of this service.
    OtherService = 1,
    /// The server's version follows, 4 bytes.
    OtherVersion = 2,
    UnknownMethod = 3,
    /// The parameters cannot be decoded.
    Malformed = 4,
    /// The result cannot be encoded.
    Unencodable = 5,
}

impl Outcome {
    pub(crate) const BYTES: usize = 4;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        [FORMAT, self as u8, 0, 0]
    }

    /// Outcome and the rest; `None` if it is not a reply.
    pub(crate) fn decode(message: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = message.split_first_chunk::<{ Self::BYTES }>()?;
        let [FORMAT, outcome, 0, 0] = *header else {
            return None;
        };
        let outcome = match outcome {
            0 => Self::Result,
            1 => Self::OtherService,
            2 => Self::OtherVersion,
            3 => Self::UnknownMethod,
            4 => Self::Malformed,
            5 => Self::Unencodable,
            _ => return None,
        };
        Some((outcome, rest))
    }
}

/// Bytes that are copied as a whole. Encoded like a `Vec<u8>`, only faster.
#[doc(hidden)]
#[derive(Debug)]
pub struct ByteBuf(Vec<u8>);

impl From<Vec<u8>> for ByteBuf {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<ByteBuf> for Vec<u8> {
    fn from(bytes: ByteBuf) -> Self {
        bytes.0
    }
}

impl Serialize for ByteBuf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for ByteBuf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = ByteBuf;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<ByteBuf, E> {
                Ok(ByteBuf(bytes.to_vec()))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<ByteBuf, E> {
                Ok(ByteBuf(bytes))
            }
        }

        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// Borrowed bytes, encoded like [`ByteBuf`].
#[doc(hidden)]
#[derive(Debug)]
pub struct ByteSlice<'a>(pub &'a [u8]);

impl Serialize for ByteSlice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_these_bytes() {
        let request = RequestHeader::new(Identity::new("Files", 7), 0x0102_0304).encode();
        let expected = [
            1, 0, 0, 0, 7, 0, 0, 0, 0x50, 0x4D, 0x29, 0xA2, 0xE1, 0xE7, 0x3C, 0x80, 4, 3, 2, 1,
        ];
        assert_eq!(request, expected);
        assert_eq!(Outcome::UnknownMethod.encode(), [1, 3, 0, 0]);
    }

    #[test]
    fn headers_of_another_format_are_not_understood() {
        let mut request = RequestHeader::new(Identity::new("Files", 7), 1).encode();
        assert!(RequestHeader::decode(&request).is_some());
        assert!(RequestHeader::decode(&request[1..]).is_none());
        request[0] = 2;
        assert!(RequestHeader::decode(&request).is_none());
        assert!(Outcome::decode(&[1, 6, 0, 0]).is_none());
        assert!(Outcome::decode(&[1, 0, 1, 0]).is_none());
        assert!(Outcome::decode(&[1, 0, 0]).is_none());
    }

    #[test]
    fn bytes_are_encoded_like_a_vector_of_them() {
        let bytes = vec![9_u8; 300];
        let as_vector = postcard::to_stdvec(&bytes).unwrap();
        assert_eq!(postcard::to_stdvec(&ByteBuf(bytes.clone())).unwrap(), as_vector);
        assert_eq!(postcard::to_stdvec(&ByteSlice(&bytes)).unwrap(), as_vector);
        assert_eq!(postcard::from_bytes::<ByteBuf>(&as_vector).unwrap().0, bytes);
    }
}
