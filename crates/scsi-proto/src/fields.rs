//! Big-endian fields at fixed offsets.

/// Reads fields of a structure whose length was checked before. A field beyond the end reads as zero.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn u8(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn bit(self, at: usize, bit: u8) -> bool {
        self.u8(at) & (1 << bit) != 0
    }

    pub(crate) fn u16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    pub(crate) fn u32(self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    pub(crate) fn u64(self, at: usize) -> u64 {
        u64::from_be_bytes(self.array(at))
    }

    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        core::array::from_fn(|i| self.u8(at.saturating_add(i)))
    }
}

/// Overwrites `field.len()` bytes at `at`; what does not fit is dropped (a length fixed by the caller).
pub(crate) fn put(data: &mut [u8], at: usize, field: &[u8]) {
    for (target, source) in data.iter_mut().skip(at).zip(field) {
        *target = *source;
    }
}

/// Writes `value` big-endian into the four bytes at `at`, saturating.
pub(crate) fn put_length32(data: &mut [u8], at: usize, value: usize) {
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    put(data, at, &value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_beyond_the_end_reads_as_zero() {
        let f = Fields(&[1, 2, 3]);
        assert_eq!(f.u16(0), 0x0102);
        assert_eq!(f.u32(0), 0x0102_0300);
        assert_eq!(f.u64(usize::MAX - 2), 0);
        assert!(!f.bit(9, 0));
    }
}
