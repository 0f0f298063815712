//! Time in ticks of the processor's counter, where there is one: reading it costs a third of `Instant::now`.

use std::time::{Duration, Instant};

use crate::sys;

/// Calibrates ticks against `Instant`, and knows what reading them costs.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    origin_ticks: u64,
    overhead_ticks: u64,
}

/// Readings whose least difference counts as the cost of reading.
const OVERHEAD_READINGS: u32 = 10_000;

impl Clock {
    pub(crate) fn start() -> Self {
        let overhead_ticks = (0..OVERHEAD_READINGS)
            .map(|_| {
                let first = sys::ticks();
                sys::ticks().wrapping_sub(first)
            })
            .min()
            .unwrap_or(0);
        Self {
            origin: Instant::now(),
            origin_ticks: sys::ticks(),
            overhead_ticks,
        }
    }

    /// Now.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        sys::ticks()
    }

    /// Nanoseconds of one tick, the better the longer the clock runs.
    pub(crate) fn tick_ns(&self) -> f64 {
        let ticks = sys::ticks().wrapping_sub(self.origin_ticks);
        as_ns(self.origin.elapsed()) / to_f64(ticks.max(1))
    }

    /// What it costs to read the clock, as part of a measured time.
    pub(crate) fn overhead_ticks(&self) -> u64 {
        self.overhead_ticks
    }
}

/// Nanoseconds.
pub(crate) fn as_ns(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// Counts and times stay far below 2^53.
pub(crate) fn to_f64(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no figure here reaches 2^53")]
    let number = number as f64;
    number
}
