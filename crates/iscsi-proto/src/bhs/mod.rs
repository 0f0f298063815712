//! Basic header segments: the first 48 bytes of every PDU. RFC 7143 §11.2.1.
//!
//! Each header type is written once, as a list of fields with their places; decoding and encoding both come
//! from that list. Lengths (bytes 4 to 7) belong to the framing and are not part of the types: use
//! [`lengths`] and [`set_data_length`]. Reserved fields are sent as 0 and not looked at.

mod initiator;
mod target;

pub use initiator::{
    DataOut, LoginRequest, LogoutRequest, NopOut, ScsiCommand, Snack, TaskManagementRequest, TextRequest,
};
pub use target::{
    AsyncMessage, DataIn, LoginResponse, LogoutResponse, NopIn, ReadyToTransfer, Reject, ScsiResponse,
    TaskManagementResponse, TextResponse,
};

/// A basic header segment as it is on the wire.
pub type RawHeader = [u8; 48];

/// The task tag and the transfer tag that name nothing.
pub const RESERVED_TAG: u32 = 0xFFFF_FFFF;

/// Opcode of a header, without the I bit.
#[must_use]
pub fn opcode(raw: &RawHeader) -> u8 {
    raw[0] & 0x3F
}

/// Length of the additional header segments in bytes, and DataSegmentLength in bytes without padding.
#[must_use]
pub fn lengths(raw: &RawHeader) -> (usize, u32) {
    (
        usize::from(raw[4]) * 4,
        u32::from_be_bytes([0, raw[5], raw[6], raw[7]]),
    )
}

/// Sets DataSegmentLength; only the low 24 bits of `bytes` are kept.
pub fn set_data_length(raw: &mut RawHeader, bytes: u32) {
    let [_, high, middle, low] = bytes.to_be_bytes();
    raw[5] = high;
    raw[6] = middle;
    raw[7] = low;
}

/// Where a field is, and how it is read and written. Numbers are big-endian.
trait Place {
    type Value;
    fn read(&self, raw: &RawHeader) -> Self::Value;
    fn write(&self, raw: &mut RawHeader, value: Self::Value);
}

/// One bit: byte, bit number (7 is the first on the wire).
struct Flag(usize, u32);

impl Place for Flag {
    type Value = bool;
    fn read(&self, raw: &RawHeader) -> bool {
        raw[self.0] >> self.1 & 1 != 0
    }
    fn write(&self, raw: &mut RawHeader, value: bool) {
        raw[self.0] |= u8::from(value) << self.1;
    }
}

/// Some bits of a byte: byte, lowest bit, mask after shifting.
struct Bits(usize, u32, u8);

impl Place for Bits {
    type Value = u8;
    fn read(&self, raw: &RawHeader) -> u8 {
        raw[self.0] >> self.1 & self.2
    }
    fn write(&self, raw: &mut RawHeader, value: u8) {
        raw[self.0] |= (value & self.2) << self.1;
    }
}

/// A string of `N` bytes from this byte on.
struct Octets<const N: usize>(usize);

impl<const N: usize> Place for Octets<N> {
    type Value = [u8; N];
    fn read(&self, raw: &RawHeader) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(&raw[self.0..self.0 + N]);
        value
    }
    fn write(&self, raw: &mut RawHeader, value: [u8; N]) {
        raw[self.0..self.0 + N].copy_from_slice(&value);
    }
}

macro_rules! number {
    ($place:ident, $type:ty, $bytes:literal) => {
        /// A number from this byte on.
        struct $place(usize);
        impl Place for $place {
            type Value = $type;
            fn read(&self, raw: &RawHeader) -> $type {
                <$type>::from_be_bytes(Octets::<$bytes>(self.0).read(raw))
            }
            fn write(&self, raw: &mut RawHeader, value: $type) {
                Octets::<$bytes>(self.0).write(raw, value.to_be_bytes());
            }
        }
    };
}
number!(U8, u8, 1);
number!(U16, u16, 2);
number!(U32, u32, 4);

/// Defines header types. `fixed` is what byte 1 always has set, besides the fields.
macro_rules! headers {
    ($(
        $(#[$meta:meta])*
        $name:ident, opcode $opcode:literal, fixed $fixed:literal {
            $( $(#[$field_meta:meta])* $field:ident: $type:ty = $place:expr, )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $name {
            /// The opcode.
            pub const OPCODE: u8 = $opcode;

            /// Reads the fields. The opcode is not looked at.
            #[must_use]
            pub fn decode(raw: &$crate::bhs::RawHeader) -> Self {
                Self { $( $field: $crate::bhs::Place::read(&$place, raw), )* }
            }

            /// Writes the header, lengths 0.
            #[must_use]
            pub fn encode(&self) -> $crate::bhs::RawHeader {
                let mut raw = [0; 48];
                raw[0] = $opcode;
                raw[1] = $fixed;
                $( $crate::bhs::Place::write(&$place, &mut raw, self.$field); )*
                raw
            }
        }
    )*};
}
use headers;

#[cfg(test)]
mod tests;
