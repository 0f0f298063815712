//! Keeps count of the procedures of a door that run, so that one can wait for their end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const CLOSED: usize = 1;
const ONE: usize = 2;

/// Procedures inside × 2, + 1 once nobody may enter any more.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: AtomicUsize,
    waiting: Mutex<()>,
    empty: Condvar,
}

/// A procedure inside.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets a procedure in, until the gate is closed.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        let before = self.state.fetch_add(ONE, Ordering::AcqRel);
        let inside = Inside(self);
        (before & CLOSED == 0).then_some(inside)
    }

    pub(crate) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Waits until a closed gate has nobody inside, or it is `until`; true in the first case.
    pub(crate) fn wait(&self, until: Option<Instant>) -> bool {
        let mut guard = lock(&self.waiting);
        while self.state.load(Ordering::Acquire) != CLOSED {
            guard = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    self.empty
                        .wait_timeout(guard, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self.empty.wait(guard).unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.state.fetch_sub(ONE, Ordering::AcqRel) == ONE + CLOSED {
            drop(lock(&self.0.waiting));
            self.0.empty.notify_all();
        }
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_lets_nobody_in_and_tells_when_the_last_one_has_left() {
        let gate = Gate::new();
        let inside = gate.enter().unwrap();
        gate.close();
        assert!(gate.enter().is_none());
        assert!(!gate.wait(Some(Instant::now())));
        let waiter = {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || gate.wait(None))
        };
        drop(inside);
        assert!(waiter.join().unwrap());
    }
}
