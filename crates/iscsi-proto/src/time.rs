//! The clock of the state machine: a number the caller passes in.

use core::time::Duration;

/// A moment, in nanoseconds since a zero the caller chose (any monotonic clock will do).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment `delay` later; the end of time when that does not fit.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}
