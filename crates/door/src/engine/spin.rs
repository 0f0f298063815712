//! Waiting for the other side by looking, for a few microseconds, when that can help.
//!
//! Looking is useless, and harmful, when the other side last ran on this very processor: it cannot run while we look. It is a waste
//! when it has failed repeatedly. Both are measured conditions, not tuning knobs: without the first a call on one processor costs
//! twenty times as much.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::sys::process;

/// How long a client looks for its reply.
pub(crate) const CLIENT_BUDGET: Duration = Duration::from_micros(10);
/// How long a server thread looks for the next request of the client it just answered.
pub(crate) const SERVER_BUDGET: Duration = Duration::from_micros(20);
/// After so many failures in a row …
const MISSES: u32 = 4;
/// … so many opportunities are passed over.
const SKIPPED: u32 = 64;
/// Looks between two glances at the clock.
pub(crate) const LOOKS: u32 = 16;

/// The habits of one waiting side.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spin {
    misses: u32,
    skip: u32,
}

/// A processor number as it travels: + 1, and 0 for unknown.
#[inline]
pub(crate) fn published_cpu() -> u32 {
    u32::try_from(process::current_cpu()).map_or(0, |cpu| cpu.wrapping_add(1))
}

/// `DOORS_SPIN=0` in the environment turns looking off.
fn possible() -> bool {
    /// 0: nobody has asked yet. No lock: a child that was forked while a thread asks must not wait for it.
    static ANSWER: AtomicU8 = AtomicU8::new(0);
    const YES: u8 = 1;
    const NO: u8 = 2;
    match ANSWER.load(Ordering::Relaxed) {
        0 => {
            let possible = std::env::var_os("DOORS_SPIN").is_none_or(|value| value != "0");
            ANSWER.store(if possible { YES } else { NO }, Ordering::Relaxed);
            possible
        }
        answer => answer == YES,
    }
}

impl Spin {
    /// Looks at `done` for as long as `budget` and experience allow. `peer` is the processor the other side published.
    #[inline]
    pub(crate) fn until(&mut self, budget: Duration, peer: u32, mut done: impl FnMut() -> bool) -> bool {
        if done() {
            return true;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        // As long as the other side's processor is not known it may be this one.
        if cfg!(loom) || peer == 0 || peer == published_cpu() || !possible() {
            return false;
        }
        self.look(budget, done)
    }

    /// Apart, so that whoever is about to look need not make room for this among its registers.
    #[inline(never)]
    fn look(&mut self, budget: Duration, mut done: impl FnMut() -> bool) -> bool {
        // Most answers come before it is worth asking for the time.
        for _ in 0..LOOKS {
            if done() {
                self.misses = 0;
                return true;
            }
            std::hint::spin_loop();
        }
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if done() {
                    self.misses = 0;
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > budget {
                break;
            }
        }
        self.misses += 1;
        if self.misses >= MISSES {
            self.misses = 0;
            self.skip = SKIPPED;
        }
        false
    }
}

/// Keeps a server thread from sharing a processor with the client it serves over and over.
///
/// Then every call has to sleep, and the scheduler does not part the two by itself as long as the machine is busy.
#[derive(Debug)]
pub(crate) struct Escape {
    together: u32,
    last: Option<Instant>,
    interval: Duration,
}

const TOGETHER: u32 = 64;
const SHORTEST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_secs(1);

impl Escape {
    pub(crate) fn new() -> Self {
        Self {
            together: 0,
            last: None,
            interval: SHORTEST,
        }
    }

    /// To be told of each call: the processors of both sides, as published.
    #[inline]
    pub(crate) fn observe(&mut self, client: u32, own: u32) {
        if client != own || own == 0 {
            self.together = 0;
            return;
        }
        self.together += 1;
        if self.together >= TOGETHER {
            self.leave(own);
        }
    }

    #[cold]
    fn leave(&mut self, own: u32) {
        self.together = 0;
        let now = Instant::now();
        if let Some(last) = self.last {
            let since = now - last;
            if since < self.interval {
                return;
            }
            // It did not last: try less often. It did: start afresh.
            self.interval = if since < self.interval * 8 {
                (self.interval * 2).min(LONGEST)
            } else {
                SHORTEST
            };
        }
        self.last = Some(now);
        process::leave_cpu(own.wrapping_sub(1).cast_signed());
    }
}
