//! Who runs the invocation of a lane, so that it can be told that nobody waits for it.

use crate::engine::object::lock;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sys::barrier;

/// The thread that runs an invocation, for those who may have to cancel it. It writes here at each call, they come seldom: they pay.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// The request, + [`SOME`]; 0 for none.
    request: AtomicU64,
    token: AtomicU64,
    /// Somebody may be cancelling: the invocation must not end before it is done.
    cancelling: AtomicBool,
    /// The thread was told.
    cancelled: AtomicBool,
    turn: Mutex<()>,
}

const SOME: u64 = 1 << 32;

impl Running {
    /// In the thread that holds the lane: the thread with `token` runs request `seq` from here on. What asks for its cancellation is
    /// to be looked at after this.
    #[inline]
    pub(crate) fn begin(&self, token: u64, seq: u32) {
        self.token.store(token, Ordering::Relaxed);
        self.request.store(SOME | u64::from(seq), Ordering::Release);
        barrier::light();
    }

    /// In the same thread: from here on nobody cancels it for that request. True if somebody has.
    #[inline]
    pub(crate) fn end(&self) -> bool {
        self.request.store(0, Ordering::Release);
        barrier::light();
        if self.cancelling.load(Ordering::Acquire) {
            self.let_them_finish();
        }
        self.cancelled.load(Ordering::Relaxed) && self.cancelled.swap(false, Ordering::Relaxed)
    }

    #[cold]
    fn let_them_finish(&self) {
        drop(lock(&self.turn));
    }

    /// Calls `cancel` with the token of the thread that runs an invocation, if one does and `wanted` agrees to its request. The
    /// invocation does not end meanwhile.
    #[cold]
    pub(crate) fn cancel(&self, wanted: impl FnOnce(u32) -> bool, cancel: impl FnOnce(u64)) {
        let turn = lock(&self.turn);
        self.cancelling.store(true, Ordering::Relaxed);
        barrier::heavy();
        let request = self.request.load(Ordering::Acquire);
        if request & SOME != 0 && u32::try_from(request & !SOME).is_ok_and(wanted) {
            self.cancelled.store(true, Ordering::Relaxed);
            cancel(self.token.load(Ordering::Relaxed));
        }
        self.cancelling.store(false, Ordering::Release);
        drop(turn);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn nobody_is_cancelled_after_the_end() {
        barrier::prepare();
        let running = Running::default();
        let (begun, over) = (AtomicU32::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for seq in 1..=200_000 {
                    begun.store(seq, Ordering::SeqCst);
                    running.begin(u64::from(seq), seq);
                    running.end();
                    begun.store(0, Ordering::SeqCst);
                }
                over.store(true, Ordering::SeqCst);
            });
            while !over.load(Ordering::SeqCst) {
                running.cancel(
                    |seq| {
                        assert_eq!(begun.load(Ordering::SeqCst), seq, "it ended meanwhile");
                        true
                    },
                    |token| {
                        assert_eq!(
                            u64::from(begun.load(Ordering::SeqCst)),
                            token,
                            "it ended meanwhile"
                        );
                    },
                );
            }
        });
    }

    #[test]
    fn what_is_not_wanted_or_not_there_is_not_cancelled() {
        let running = Running::default();
        running.cancel(|_| true, |_| panic!("nothing runs"));
        running.begin(7, 1);
        running.cancel(|seq| seq == 2, |_| panic!("that is another request"));
        let mut cancelled = None;
        running.cancel(|seq| seq == 1, |token| cancelled = Some(token));
        assert_eq!(cancelled, Some(7));
        assert!(running.end(), "it was cancelled");
        running.begin(7, 2);
        assert!(!running.end(), "that was the one before");
        running.cancel(|_| true, |_| panic!("nothing runs any more"));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Arc;

    #[test]
    fn nobody_is_cancelled_after_the_end() {
        loom::model(|| {
            let running = Arc::new(Running::default());
            let begun = Arc::new(AtomicU64::new(0));
            let mut told = 0;
            let other = {
                let (running, begun) = (Arc::clone(&running), Arc::clone(&begun));
                loom::thread::spawn(move || {
                    let mut cancelled = 0;
                    running.cancel(
                        |_| true,
                        |token| {
                            assert_eq!(begun.load(Ordering::Relaxed), token, "it ended meanwhile");
                            cancelled = token;
                        },
                    );
                    cancelled
                })
            };
            for number in [1, 2] {
                begun.store(number.into(), Ordering::Relaxed);
                running.begin(number.into(), number);
                if running.end() {
                    told = u64::from(number);
                }
                begun.store(0, Ordering::Relaxed);
            }
            assert_eq!(other.join().unwrap(), told, "who is cancelled learns of it");
        });
    }
}
