//! Lengths between `usize` and the 32 bits of the wire.

/// A length as 32 bits. Everything that comes here is bounded far below; more would be cut to the maximum.
pub(crate) fn len32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
