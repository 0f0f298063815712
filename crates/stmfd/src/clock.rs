//! One clock for every state machine of the daemon, and its source of randomness.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static START: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the daemon started.
pub(crate) fn now() -> u64 {
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// How long until `at`, a reading of [`now`]; zero when it has passed.
pub(crate) fn until(at: u64) -> Duration {
    Duration::from_nanos(at.saturating_sub(now()))
}

/// Unpredictable bits, never zero.
pub(crate) fn random_u64() -> u64 {
    loop {
        // The system's generator is always there on Linux ≥ 3.17; without it nothing here may run.
        let bits = getrandom::u64().expect("getrandom(2) works");
        if bits != 0 {
            return bits;
        }
    }
}
