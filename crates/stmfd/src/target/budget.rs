//! The memory that commands may hold between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be reserved in all.
#[derive(Debug)]
pub(crate) struct Budget {
    free: AtomicUsize,
}

/// Reserved bytes; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            free: AtomicUsize::new(bytes),
        })
    }

    /// Takes `bytes`, or nothing when the budget would be exceeded.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reserved> {
        self.free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                free.checked_sub(bytes)
            })
            .ok()
            .map(|_| Reserved {
                budget: Arc::clone(self),
                bytes,
            })
    }

    /// Bytes not reserved now.
    #[cfg(test)]
    fn free(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_given_back_and_no_more_is_given_out() {
        let budget = Budget::new(100);
        let first = budget.reserve(60).expect("fits");
        assert!(budget.reserve(41).is_none());
        let second = budget.reserve(40).expect("fits exactly");
        assert_eq!(budget.free(), 0);
        drop((first, second));
        assert_eq!(budget.free(), 100);
    }
}
