//! What a caller remembers about a door: the link by which it was reached last, and its handle there.

use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// A link and a handle that belong together, written rarely and read at each call, by any number of threads.
///
/// A handle means another door on another link, so a mixture of two memories must never be seen: the number is odd while
/// somebody writes, and a reader that sees it change has seen nothing.
#[derive(Debug)]
pub(crate) struct Route {
    number: AtomicU32,
    link: AtomicU64,
    handle: AtomicU64,
}

impl Route {
    pub(crate) fn unknown() -> Self {
        Self {
            number: AtomicU32::new(0),
            link: AtomicU64::new(0),
            handle: AtomicU64::new(0),
        }
    }

    /// The link route, 0 for none; a hint.
    #[inline]
    pub(crate) fn link(&self) -> u64 {
        self.link.load(Ordering::Acquire)
    }

    /// The handle on `link`, if that is the link remembered.
    #[inline]
    pub(crate) fn handle_on(&self, link: u64) -> Option<u64> {
        let number = self.number.load(Ordering::Acquire);
        let (known, handle) = (
            self.link.load(Ordering::Relaxed),
            self.handle.load(Ordering::Relaxed),
        );
        fence(Ordering::Acquire);
        let whole = number.is_multiple_of(2) && self.number.load(Ordering::Relaxed) == number;
        (whole && known == link).then_some(handle)
    }

    /// Remembers this. If another thread is just remembering something, that is as good.
    pub(crate) fn set(&self, link: u64, handle: u64) {
        let number = self.number.load(Ordering::Relaxed);
        if !number.is_multiple_of(2)
            || self
                .number
                .compare_exchange(
                    number,
                    number.wrapping_add(1),
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .is_err()
        {
            return;
        }
        fence(Ordering::Release);
        self.link.store(link, Ordering::Relaxed);
        self.handle.store(handle, Ordering::Relaxed);
        self.number.store(number.wrapping_add(2), Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_handle_is_never_taken_for_that_of_another_link() {
        let route = Route::unknown();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers = [1, 2].map(|link| {
                let route = &route;
                scope.spawn(move || {
                    for _ in 0..300_000 {
                        route.set(link, link * 100);
                    }
                })
            });
            for link in [1, 2] {
                let (route, over) = (&route, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        assert!(route.handle_on(link).is_none_or(|handle| handle == link * 100));
                    }
                });
            }
            for writer in writers {
                writer.join().unwrap();
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Arc;

    #[test]
    fn a_handle_is_never_taken_for_that_of_another_link() {
        // Every order in which threads are interrupted at most twice: all of them take too long.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let route = Arc::new(Route::unknown());
            let writers = [1, 2].map(|link| {
                let route = Arc::clone(&route);
                loom::thread::spawn(move || route.set(link, link * 100))
            });
            for link in [1, 2] {
                assert!(route.handle_on(link).is_none_or(|handle| handle == link * 100));
            }
            for writer in writers {
                writer.join().unwrap();
            }
            let link = route.link();
            assert_eq!(route.handle_on(link), Some(link * 100));
        });
    }
}
