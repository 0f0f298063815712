//! Barriers between a thread that is often there and one that seldom comes.
//!
//! Two threads that each write a word and then read the other's must not both read old values. A full barrier between the two steps
//! on both sides sees to it. Where one side takes them at each call and the other once in a while, the second can do the work for
//! both: membarrier(2) is a full barrier in every running thread of the process.

use std::sync::atomic::{AtomicBool, compiler_fence};

use rustix::thread::{MembarrierCommand, MembarrierQuery, membarrier, membarrier_query};

use crate::sync::atomic::{Ordering, fence};

/// The seldom side can do the work for both. Once true, always true.
static ONE_SIDED: AtomicBool = AtomicBool::new(false);

/// To be called before threads are made that use [`light`]: until then, and where the kernel cannot help, both sides work.
pub fn prepare() {
    if !ONE_SIDED.load(Ordering::Acquire)
        && membarrier_query().contains(MembarrierQuery::PRIVATE_EXPEDITED)
        && register()
    {
        ONE_SIDED.store(true, Ordering::Release);
    }
}

fn register() -> bool {
    membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
}

/// The barrier of the side that is often there.
#[inline]
pub fn light() {
    if ONE_SIDED.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The barrier of the side that seldom comes.
#[cold]
pub fn heavy() {
    fence(Ordering::SeqCst);
    // Also where nobody relies on it yet: a thread may learn at this moment that it can.
    let expedited = || membarrier(MembarrierCommand::PrivateExpedited).is_ok();
    // A forked child has to register anew, and so has who comes before anybody has prepared.
    let had = expedited() || register() && expedited();
    if !had && ONE_SIDED.load(Ordering::Acquire) {
        // The kernel is short of memory for it. This takes milliseconds, and nothing else.
        let _ = membarrier(MembarrierCommand::Global);
    }
    fence(Ordering::SeqCst);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn of_two_that_write_and_then_read_one_sees_the_other() {
        prepare();
        // Even: the rare side begins a round. Each side writes the number of the round, and then reads.
        let (often, seldom) = (AtomicU32::new(0), AtomicU32::new(0));
        let (round, seen) = (AtomicU32::new(0), AtomicU32::new(0));
        const ROUNDS: u32 = 2000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = 0;
                while last < ROUNDS {
                    let now = round.load(Ordering::Acquire);
                    if now == last {
                        std::hint::spin_loop();
                        continue;
                    }
                    last = now;
                    often.store(now, Ordering::Relaxed);
                    light();
                    let saw = seldom.load(Ordering::Relaxed) == now;
                    seen.store(now << 1 | u32::from(saw), Ordering::Release);
                }
            });
            for now in 1..=ROUNDS {
                round.store(now, Ordering::Release);
                seldom.store(now, Ordering::Relaxed);
                heavy();
                let saw = often.load(Ordering::Relaxed) == now;
                let other = loop {
                    let seen = seen.load(Ordering::Acquire);
                    if seen >> 1 == now {
                        break seen & 1 == 1;
                    }
                    std::thread::yield_now();
                };
                assert!(saw || other, "both read old values in round {now}");
            }
        });
    }
}
