//! Small numbers that look random: the same ones for the same seed. `c/common.c` has the same.

/// A generator (xorshift64*).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One of the many generators of a seed.
    pub(crate) fn new(seed: u64, who: u64) -> Self {
        Self(seed.wrapping_add(who.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1)
    }

    /// 48 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit.max(1))).unwrap_or(0)
    }

    pub(crate) fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    /// Bytes of an argument or a result: mostly few, now and then more than fits what two processes share.
    pub(crate) fn size(&mut self) -> u32 {
        match self.below(1000) {
            0..850 => self.below(200),
            850..970 => self.below(16 << 10),
            970..998 => self.below(100 << 10),
            _ => self.below(2 << 20),
        }
    }
}
