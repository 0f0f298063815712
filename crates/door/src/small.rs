//! A few bytes without memory of their own.

use std::mem::MaybeUninit;
use std::ops::Deref;

use crate::sys::memory::as_uninit;

/// What a lane carries in its first lines, too.
pub(crate) const SMALL_BYTES: usize = 96;

/// Up to [`SMALL_BYTES`] bytes.
#[derive(Debug, Clone)]
pub(crate) struct SmallBytes {
    len: u8,
    bytes: [u8; SMALL_BYTES],
}

impl Default for SmallBytes {
    fn default() -> Self {
        Self {
            len: 0,
            bytes: [0; SMALL_BYTES],
        }
    }
}

impl SmallBytes {
    /// `None` if they are too many.
    pub(crate) fn new(from: &[u8]) -> Option<Self> {
        let mut small = Self::default();
        small.bytes.get_mut(..from.len())?.copy_from_slice(from);
        small.set_len(from.len());
        Some(small)
    }

    /// Room to be filled.
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        as_uninit(&mut self.bytes)
    }

    /// How much of the room counts.
    pub(crate) fn set_len(&mut self, len: usize) {
        assert!(len <= SMALL_BYTES);
        self.len = u8::try_from(len).unwrap_or(u8::MAX);
    }
}

impl Deref for SmallBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

const _: () = assert!(SMALL_BYTES <= u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_refused() {
        for len in [0, 1, SMALL_BYTES] {
            let bytes = vec![7; len];
            assert_eq!(&*SmallBytes::new(&bytes).unwrap(), bytes);
        }
        assert!(SmallBytes::new(&[0; SMALL_BYTES + 1]).is_none());
    }
}
