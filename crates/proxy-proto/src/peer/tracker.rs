//! Which messages of a link have arrived. Ids are gapless, so a hole is a message late or lost.

use crate::time::Instant;
use alloc::collections::BTreeSet;
use core::time::Duration;

/// Ids that may be ahead of the first missing one.
const WINDOW: usize = 65_536;

#[derive(Debug)]
pub(super) struct Tracker {
    /// Every lower id has arrived, or belongs to an earlier link.
    floor: u64,
    /// Arrived, above `floor`.
    ahead: BTreeSet<u64>,
    /// Since when `floor` is missing while later ids are there.
    gap_since: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    New,
    Duplicate,
    /// So far ahead of the first hole that memory for it would be the sender's to choose.
    TooFar,
}

impl Tracker {
    pub(super) fn new(first: u64) -> Self {
        Self {
            floor: first,
            ahead: BTreeSet::new(),
            gap_since: None,
        }
    }

    pub(super) fn arrived(&mut self, now: Instant, id: u64) -> Arrival {
        if id < self.floor {
            return Arrival::Duplicate;
        }
        if id > self.floor {
            if self.ahead.len() >= WINDOW {
                return Arrival::TooFar;
            }
            if !self.ahead.insert(id) {
                return Arrival::Duplicate;
            }
            self.gap_since.get_or_insert(now);
            return Arrival::New;
        }
        self.floor = self.floor.saturating_add(1);
        while self.ahead.remove(&self.floor) {
            self.floor = self.floor.saturating_add(1);
        }
        self.gap_since = (!self.ahead.is_empty()).then_some(now);
        Arrival::New
    }

    /// Lowest id that has not arrived.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// When the present hole, if any, is to be called a loss.
    pub(super) fn gap_deadline(&self, tolerance: Duration) -> Option<Instant> {
        self.gap_since.map(|t| t.after(tolerance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_seen_filled_and_duplicates_are_told() {
        let tolerance = Duration::from_secs(5);
        let mut t = Tracker::new(10);
        assert_eq!(t.arrived(Instant(0), 9), Arrival::Duplicate);
        assert_eq!(t.arrived(Instant(1), 12), Arrival::New);
        assert_eq!(t.arrived(Instant(2), 12), Arrival::Duplicate);
        assert_eq!(t.gap_deadline(tolerance), Some(Instant(1).after(tolerance)));
        assert_eq!(t.arrived(Instant(3), 10), Arrival::New);
        assert_eq!(t.floor(), 11);
        assert_eq!(t.arrived(Instant(4), 11), Arrival::New);
        assert_eq!((t.floor(), t.gap_deadline(tolerance)), (13, None));
    }

    #[test]
    fn memory_for_what_is_ahead_is_bounded() {
        let mut t = Tracker::new(1);
        for id in 0..WINDOW as u64 {
            assert_eq!(t.arrived(Instant(0), 2 + id), Arrival::New);
        }
        assert_eq!(t.arrived(Instant(0), u64::MAX), Arrival::TooFar);
    }
}
