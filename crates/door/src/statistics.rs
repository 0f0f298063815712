//! What a door has been doing, as its server counts it.

use std::time::Duration;

/// Counters of a door since it was made. Anybody who holds a descriptor of the door may read them.
///
/// Numbers of one door are taken one after the other while calls go on: sums may be off by the calls of that moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// Calls whose procedure was started.
    pub calls: u64,
    /// Calls whose procedure runs at this moment.
    pub running: u64,
    /// Most calls that were seen to run at the same time. Looked at whenever a thread is woken for a call, at some of the
    /// other calls, and at each question.
    pub most_running: u64,
    /// Calls refused for their size, their descriptors, or for want of memory or descriptors in the server.
    pub refused: u64,
    /// Calls refused because the door was revoked.
    pub revoked: u64,
    /// Calls whose caller died or gave up before the answer.
    pub aborted: u64,
    /// Calls whose procedure ended without an answer.
    pub failed: u64,
    /// Bytes of arguments that procedures were given.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// Descriptors that procedures were given.
    pub descriptors_in: u64,
    /// Descriptors in answers.
    pub descriptors_out: u64,
    /// Unreferenced invocations that were started.
    pub unreferenced: u64,
    /// Threads of the pool that serves the door; other doors of the process may share it.
    pub threads: u64,
    /// Those of them that wait for a call.
    pub threads_idle: u64,
    /// Descriptors of the door that others hold; a client that opened its path twice holds two.
    pub exports: u64,
    /// Those of them that have been called through: by how many ways callers come.
    pub clients: u64,
    /// Paths the door is attached to.
    pub paths: u64,
    /// How long procedures ran. A sample: each call that woke a thread, and one in 61 of the others, counted 61 times.
    pub run_time: Histogram,
}

impl Statistics {
    /// Calls that went wrong, for whatever reason.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.refused + self.revoked + self.aborted + self.failed
    }
}

/// How many calls took how long, in classes a quarter of a power of two wide: a duration read from it is at most 12 % off.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    pub(crate) classes: [u64; Self::CLASSES],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            classes: [0; Self::CLASSES],
        }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.classes()).finish()
    }
}

impl Histogram {
    /// The last class, from 60 seconds on, has no end.
    pub(crate) const CLASSES: usize = 128;
    /// Below this many nanoseconds all is one class.
    const LEAST_LOG2: u32 = 4;

    /// The class of a duration.
    pub(crate) fn class_of(duration: Duration) -> usize {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let log2 = ns.max(1).ilog2();
        if log2 < Self::LEAST_LOG2 {
            return 0;
        }
        let quarter = ns >> (log2 - 2) & 3;
        let class = u64::from(log2 - Self::LEAST_LOG2) * 4 + quarter + 1;
        usize::try_from(class).map_or(Self::CLASSES - 1, |class| class.min(Self::CLASSES - 1))
    }

    /// Where a class begins, in nanoseconds.
    fn start_ns(class: usize) -> u64 {
        let Some(number) = class.checked_sub(1) else {
            return 0;
        };
        (4 + number as u64 % 4) << (number / 4 + Self::LEAST_LOG2 as usize - 2)
    }

    /// Adds `count` calls of one duration.
    pub fn add(&mut self, duration: Duration, count: u64) {
        self.classes[Self::class_of(duration)] += count;
    }

    /// Number of calls.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// The classes that are not empty: the duration each begins with, and the number of calls.
    pub fn classes(&self) -> impl Iterator<Item = (Duration, u64)> {
        let filled = self.classes.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(class, count)| (Duration::from_nanos(Self::start_ns(class)), *count))
    }

    /// The duration that `share` (0 to 1) of the calls did not exceed: the middle of its class. `None` if there was no call.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is an estimate, and the product is neither negative nor above the count"
    )]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let class = self.classes.iter().position(|number| {
            seen += number;
            seen >= rank
        })?;
        let (start, end) = (Self::start_ns(class), Self::start_ns(class + 1));
        Some(Duration::from_nanos(start + (end - start) / 2))
    }

    /// What has been added since `earlier` was taken.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            classes: std::array::from_fn(|class| self.classes[class].saturating_sub(earlier.classes[class])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_class() {
        for class in 0..Histogram::CLASSES - 1 {
            let (start, end) = (Histogram::start_ns(class), Histogram::start_ns(class + 1));
            assert!(start < end, "class {class}");
            for ns in [start, end - 1] {
                assert_eq!(Histogram::class_of(Duration::from_nanos(ns)), class, "{ns} ns");
            }
        }
        assert_eq!(Histogram::class_of(Duration::MAX), Histogram::CLASSES - 1);
        assert!(Histogram::start_ns(Histogram::CLASSES - 1) > 30_000_000_000);
    }

    #[test]
    fn quantiles_are_at_most_an_eighth_off() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for us in 1..=1000 {
            histogram.add(Duration::from_micros(us), 1);
        }
        assert_eq!(histogram.count(), 1000);
        for (share, us) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let told = histogram.quantile(share).unwrap().as_secs_f64() * 1e6;
            assert!((told / us - 1.0).abs() < 0.126, "{share}: {told}");
        }
    }

    #[test]
    fn a_difference_holds_what_came_between() {
        let mut earlier = Histogram::default();
        earlier.add(Duration::from_micros(1), 5);
        let mut later = earlier.clone();
        later.add(Duration::from_millis(1), 2);
        let between = later.since(&earlier);
        assert_eq!(between.count(), 2);
        assert_eq!(between.classes().count(), 1);
        assert!(between.quantile(0.5) > Some(Duration::from_micros(900)));
    }
}
