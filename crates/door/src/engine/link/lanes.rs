//! Lanes of a link, as the server knows them: who holds one, what is done, and who sleeps on it.

use std::sync::Arc;

use super::ServerLink;
use super::running::Running;
use crate::engine::budget::Share;
use crate::engine::claimed::Request;
use crate::engine::layout::{CHUNK_BYTES, DOZES, POLLS, Progress, SLEEPS, small};
use crate::engine::object::{DoorObject, lock};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering, fence};
use crate::sys::futex;
use crate::sys::memory::Buffer;

/// What the server knows about a lane.
#[derive(Debug, Default)]
pub(crate) struct LaneState {
    busy: AtomicBool,
    /// Number of the request answered last.
    done: AtomicU32,
    /// A transfer was put aside.
    pub(crate) parked: AtomicBool,
    pub(crate) transfer: Mutex<Option<Transfer>>,
    /// The thread that runs the procedure, if it can be cancelled.
    pub(crate) running: Running,
    /// See [`ServerLink::rouse`].
    doze: AtomicU8,
}

/// A client that writes the word back at the wrong moment could make a thread miss that it is wanted elsewhere: not for ever.
const LONGEST_DOZE: rustix::time::Timespec = rustix::time::Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// In `doze`: nobody sleeps on the lane.
const AWAKE: u8 = 0;
/// In `doze`: the thread that holds the lane sleeps until its client calls.
const DOZING: u8 = 1;
/// In `doze`: that thread is wanted elsewhere.
const ROUSED: u8 = 2;

/// An argument that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) request: Request,
    pub(crate) buffer: Buffer,
    pub(crate) received: usize,
    /// How long threads have waited for it.
    pub(crate) waited: std::time::Duration,
    pub(crate) door: Arc<DoorObject>,
    /// What it takes of the client's budgets while it is put aside.
    pub(crate) parked: Option<[Share; 2]>,
}

impl Transfer {
    /// Bytes that must have come before it is worth going on: clients send whole chunks.
    pub(crate) fn next(&self) -> usize {
        self.received + (self.request.len - self.received).min(CHUNK_BYTES)
    }
}

impl LaneState {
    /// True if request `seq` has been answered, or one that came later.
    pub(super) fn is_done_with(&self, seq: u32) -> bool {
        self.done.load(Ordering::Relaxed).wrapping_sub(seq) < 1 << 31
    }
}

impl ServerLink {
    /// True if the lane has a request, or more of one, that nobody has dealt with.
    #[inline]
    pub(crate) fn has_work(&self, index: usize) -> bool {
        let (lane, state) = (self.lane(index), &self.lanes[index]);
        let req = lane.req().load(Ordering::Acquire);
        if req == state.done.load(Ordering::Relaxed) {
            return false;
        }
        !state.parked.load(Ordering::Acquire) || self.has_more(index)
    }

    /// True if more of the argument that was put aside has come, or its client gave up.
    #[cold]
    fn has_more(&self, index: usize) -> bool {
        let (lane, state) = (self.lane(index), &self.lanes[index]);
        let transfer = lock(&state.transfer);
        transfer.as_ref().is_none_or(|transfer| {
            lane.cancel().load(Ordering::Acquire) == transfer.request.seq
                || Progress::bytes(lane.wr().load(Ordering::Acquire), transfer.request.seq) >= transfer.next()
        })
    }

    /// Takes the lane if it has work and nobody holds it. Whoever holds it looks again when letting go.
    pub(crate) fn claim(&self, index: usize) -> bool {
        let state = &self.lanes[index];
        loop {
            if self.is_dead() || state.busy.swap(true, Ordering::SeqCst) {
                return false;
            }
            if self.has_work(index) {
                return true;
            }
            if !self.release(index) {
                return false;
            }
        }
    }

    /// Lets the lane go; true if work has come meanwhile, which the caller then has to try to claim.
    pub(crate) fn release(&self, index: usize) -> bool {
        self.lanes[index].busy.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        !self.is_dead() && self.has_work(index)
    }

    #[inline]
    pub(crate) fn is_busy(&self, index: usize) -> bool {
        self.lanes[index].busy.load(Ordering::Acquire)
    }

    // ---- Dozing: a thread that holds a lane sleeps until its client calls ------------------------------------------------

    /// The thread that holds the lane is about to sleep on it.
    pub(crate) fn lie_down(&self, index: usize) {
        self.lanes[index].doze.store(DOZING, Ordering::SeqCst);
    }

    /// Sleeps until the client of a lane calls, or [`rouse`](Self::rouse) says otherwise. True if there is work. `attention` is what the
    /// client is told, without [`DOZES`].
    pub(crate) fn doze(&self, index: usize, attention: u32) -> bool {
        let (lane, state) = (self.lane(index), &self.lanes[index]);
        let word = lane.feed().load(Ordering::SeqCst);
        lane.attending().store(attention | DOZES, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        loop {
            if self.has_work(index) {
                break;
            }
            if self.is_dead() || state.doze.load(Ordering::SeqCst) != DOZING {
                break;
            }
            let slept = futex::wait(lane.feed(), word, Some(&LONGEST_DOZE));
            if slept != Err(rustix::io::Errno::INTR) {
                break;
            }
        }
        lane.attending().store(attention, Ordering::SeqCst);
        self.has_work(index)
    }

    /// The thread has got up.
    pub(crate) fn get_up(&self, index: usize) {
        self.lanes[index].doze.store(AWAKE, Ordering::SeqCst);
    }

    /// Makes the thread that dozes on a lane, if one does, get up. All sleepers are woken: the client could be sleeping there to take the wake away.
    pub(crate) fn rouse(&self, index: usize) {
        let doze = &self.lanes[index].doze;
        if doze
            .compare_exchange(DOZING, ROUSED, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            self.feed_all(index);
        }
    }

    /// Makes a thread that dozes on a lane look for work.
    pub(crate) fn shake(&self, index: usize) {
        if self.lanes[index].doze.load(Ordering::SeqCst) == DOZING {
            self.feed_all(index);
        }
    }

    fn feed_all(&self, index: usize) {
        let feed = self.lane(index).feed();
        feed.fetch_add(1, Ordering::SeqCst);
        let all = i32::MAX.cast_unsigned();
        futex::wake(feed, all);
    }

    /// Publishes that request `seq` has been answered, and wakes the client if it sleeps.
    #[inline]
    pub(crate) fn complete(&self, index: usize, seq: u32) {
        self.close(index, seq);
        self.publish(index, seq);
    }

    /// Publishes an answer to request `seq` that may still be taken back: the lane is not done with it.
    #[inline]
    pub(crate) fn publish(&self, index: usize, seq: u32) {
        self.lane(index).rep().swap(seq, Ordering::SeqCst);
        self.wake(index);
    }

    /// Request `seq` is over: what comes next on the lane is another.
    #[inline]
    pub(crate) fn close(&self, index: usize, seq: u32) {
        self.lanes[index].done.store(seq, Ordering::Relaxed);
    }

    /// Wakes the client of a lane if it sleeps. The word it waits for must have been written before, with a full barrier.
    #[inline]
    pub(crate) fn wake(&self, index: usize) {
        let sleep = self.lane(index).sleep().load(Ordering::SeqCst);
        if sleep != 0 {
            self.wake_sleeper(index, sleep);
        }
    }

    #[cold]
    fn wake_sleeper(&self, index: usize, sleep: u32) {
        let lane = self.lane(index);
        match sleep {
            SLEEPS => {
                lane.tick().fetch_add(1, Ordering::SeqCst);
                futex::wake(lane.tick(), 1);
            }
            POLLS => {
                lane.tick().fetch_add(1, Ordering::SeqCst);
                self.send_wake(small(index));
            }
            _ => {}
        }
    }

    /// Room for `bytes` of parked argument; `None` if the client, or its user, has too much parked already.
    pub(crate) fn park_bytes(&self, bytes: usize) -> Option<[Share; 2]> {
        self.account.park(&self.parked, bytes)
    }
}
