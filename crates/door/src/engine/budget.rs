//! What clients may make a server hold, beside links and opened paths: counted for each user, however many links that one has.

use std::sync::Arc;

use super::internal;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sys::process;

/// So much of something that many have a part in.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicUsize);

/// A part of it, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    amount: usize,
}

impl Budget {
    /// A share of `amount`, if all together stay within `most`.
    pub(crate) fn take(self: &Arc<Self>, amount: usize, most: usize) -> Option<Share> {
        let more = |used: usize| used.checked_add(amount).filter(|used| *used <= most);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Share {
            budget: Arc::clone(self),
            amount,
        })
    }
}

impl Share {
    /// Gives back what is above `amount`.
    pub(crate) fn shrink(&mut self, amount: usize) {
        let surplus = self.amount.saturating_sub(amount);
        self.amount -= surplus;
        self.budget.0.fetch_sub(surplus, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// Bytes of arguments put aside for one link.
const PARKED_BYTES: usize = 1 << 30;
/// Descriptors of one user that wait for their requests to be taken.
const HELD: usize = 4096;
/// Descriptors of replies that one link may leave unreceived: on their way they count against the server's own limit.
const UNRECEIVED: usize = 1024;

/// What one user's clients make the server hold.
#[derive(Debug, Default)]
pub(crate) struct Account {
    held: Arc<Budget>,
    parked: Arc<Budget>,
    unreceived: AtomicUsize,
}

impl Account {
    /// Room for `count` descriptors that no request has taken yet: at most half of the table.
    pub(crate) fn hold(&self, count: usize) -> Option<Share> {
        self.held.take(count, HELD.min(internal::limit() / 2))
    }

    /// Room for an argument of `bytes` that is put aside, if the link that has `own` and all of its user's keep within what they may have:
    /// the user a quarter of the machine's memory.
    pub(crate) fn park(&self, own: &Arc<Budget>, bytes: usize) -> Option<[Share; 2]> {
        let most = (process::memory_bytes() / 4).max(PARKED_BYTES);
        Some([own.take(bytes, PARKED_BYTES)?, self.parked.take(bytes, most)?])
    }

    /// Counts `count` descriptors that are sent over a link on which `own` are on their way; false if there are too many already.
    pub(crate) fn send(&self, own: &AtomicUsize, count: usize) -> bool {
        let all = (internal::limit() / 2).max(UNRECEIVED);
        if own.load(Ordering::Relaxed) > UNRECEIVED || self.unreceived.load(Ordering::Relaxed) > all {
            return false;
        }
        own.fetch_add(count, Ordering::Relaxed);
        self.unreceived.fetch_add(count, Ordering::Relaxed);
        true
    }

    /// All that was on its way over a link has arrived, or was lost with it.
    pub(crate) fn received(&self, own: &AtomicUsize) {
        let count = own.swap(0, Ordering::Relaxed);
        self.unreceived.fetch_sub(count, Ordering::Relaxed);
    }

    /// Descriptors on their way to the user's clients.
    #[cfg(test)]
    pub(crate) fn on_their_way(&self) -> usize {
        self.unreceived.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_comes_back_when_it_is_dropped() {
        let budget = Arc::new(Budget::default());
        let mut first = budget.take(6, 10).unwrap();
        assert!(budget.take(5, 10).is_none());
        first.shrink(2);
        let second = budget.take(8, 10).unwrap();
        assert!(budget.take(1, 10).is_none());
        drop((first, second));
        assert!(budget.take(10, 10).is_some());
        assert!(budget.take(usize::MAX, 10).is_none());
    }

    #[test]
    fn what_a_link_has_sent_counts_for_its_user_until_it_was_received() {
        let (account, one, other) = (Account::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        assert!(account.send(&one, UNRECEIVED + 1));
        assert!(!account.send(&one, 1), "this link has too many on their way");
        assert!(account.send(&other, 1));
        account.received(&one);
        assert!(account.send(&one, 1));
    }
}
