//! A server thread: how it waits for an invocation.

mod cancel;
mod intake;
mod lease;
mod refuse;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Origin;
use super::claimed::Claimed;
use super::layout::{LANES, pending, small};
use super::link::ServerLink;
use super::pool::{Pool, Work};
use super::server;
use super::spin::{Escape, LOOKS, SERVER_BUDGET, Spin};
use super::stats::Sampler;
use crate::sync::Instant;
use crate::sync::atomic::Ordering;
use crate::sys::probe;

pub use cancel::set_cancel_hook;
pub(crate) use cancel::{cancel_if_asked, cancel_running};
pub(crate) use intake::{PATIENCE, patience_with, sleep_on};
pub(crate) use lease::{Lease, Remembered};
pub(crate) use refuse::{refuse_if_revoked, refuse_retired};

/// How long a thread may stay with one client while no other hears the bells.
const STICKY: Duration = Duration::from_micros(50);

/// Calls in a row after which a thread that has nothing to do sleeps on its client's lane and not with the pool …
const DOZE_AFTER: u32 = 8;
/// … and after it was called back from such a sleep.
const DOZE_AFTER_RECALL: u32 = 256;

/// The engine is not, or no longer, there for this thread: it belongs to the parent of a forked child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// One thread that serves invocations.
pub struct ServerThread {
    process_pool: Arc<Pool>,
    bound: Option<Arc<Pool>>,
    token: u64,
    generation: u32,
    /// The pool it serves now, which is that of the lane it holds.
    lease_pool: Option<Arc<Pool>>,
    /// Where the next invocation will be: the last one, with the lane, the door and the buffer it used.
    at_hand: Option<Box<Claimed>>,
    /// It is counted among the idle threads of the pool.
    idle: bool,
    /// Its processor when it took the last request, as published.
    cpu: u32,
    sticky_since: Instant,
    /// Invocations in a row from the lane that is held, or was held last.
    streak: u32,
    /// How long a streak has to be to be worth a doze.
    doze_after: u32,
    last_lane: (u64, usize),
    /// When this thread last listened for bells.
    listened: Instant,
    spin: Spin,
    escape: Escape,
    sampler: Sampler,
}

impl std::fmt::Debug for ServerThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerThread")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl ServerThread {
    /// A thread of this process. `token` is what the cancel hook gets.
    ///
    /// # Errors
    /// Those of starting the engine, if no door was made before.
    pub fn new(token: u64) -> io::Result<Self> {
        let server = server::of_this_process()?;
        probe::thread_create(token);
        Ok(Self::serving(Arc::clone(server.process_pool()), token))
    }

    /// A thread that serves `process_pool` as long as it is not bound to another.
    pub(super) fn serving(process_pool: Arc<Pool>, token: u64) -> Self {
        Self {
            process_pool,
            bound: None,
            token,
            generation: crate::sys::fork::generation(),
            lease_pool: None,
            at_hand: None,
            idle: false,
            cpu: 0,
            sticky_since: Instant::now(),
            streak: 0,
            doze_after: DOZE_AFTER,
            last_lane: (0, 0),
            listened: Instant::now(),
            spin: Spin::default(),
            escape: Escape::new(),
            sampler: Sampler::default(),
        }
    }

    /// Lies down on a lane whenever others listen.
    #[cfg(all(test, loom))]
    pub(super) fn doze_at_once(&mut self) {
        self.doze_after = 0;
    }

    /// From the next park on, serves this private pool; `None`: the pool of the process.
    pub fn bind(&mut self, pool: Option<Arc<Pool>>) {
        self.bound = pool;
    }

    /// The pool the thread is bound to.
    #[must_use]
    pub fn binding(&self) -> Option<&Arc<Pool>> {
        self.bound.as_ref()
    }

    /// Takes back what a finished invocation held: its buffer, and its client, whose next call is likely to be soon.
    #[inline]
    pub fn retire(&mut self, mut claimed: Box<Claimed>) {
        if claimed.retire() {
            self.at_hand = Some(claimed);
        }
    }

    /// Waits for an invocation.
    ///
    /// # Errors
    /// [`Stopped`] if the process is a forked child of the one the thread was made in, or has lost the engine's descriptors, or
    /// the pool was closed.
    pub fn park(&mut self) -> Result<Box<Claimed>, Stopped> {
        if self.generation != crate::sys::fork::generation() {
            return Err(Stopped);
        }
        let wanted = self.bound.as_ref().unwrap_or(&self.process_pool);
        if self
            .lease_pool
            .as_ref()
            .is_none_or(|before| !Arc::ptr_eq(before, wanted))
        {
            let wanted = Arc::clone(wanted);
            self.let_go();
            wanted.thread_joined();
            self.lease_pool = Some(wanted);
        }
        // Taken out for the time being, so that it can be used beside `self`.
        let Some(pool) = self.lease_pool.take() else {
            return Err(Stopped);
        };
        let mut claimed = self.at_hand.take().unwrap_or_else(Claimed::none);
        let stopped = self.next(&pool, &mut claimed);
        claimed.set_depleted(pool.thread_busy(std::mem::take(&mut self.idle)));
        self.lease_pool = Some(pool);
        stopped.map(|()| claimed)
    }

    /// Makes `claimed` the next invocation, which is on the lane held there as a rule.
    fn next(&mut self, pool: &Arc<Pool>, claimed: &mut Box<Claimed>) -> Result<(), Stopped> {
        loop {
            if claimed.origin.is_some() {
                if self.linger(pool, claimed) {
                    return Ok(());
                }
                continue;
            }
            be_idle(&mut self.idle, pool);
            if pool.is_closed() {
                return Err(Stopped);
            }
            // A queue that is never empty must not keep those who ring from being heard.
            if pool.has_queued() && self.listened.elapsed() > STICKY {
                self.other_work(pool);
            }
            let work = match pool.pop() {
                Some(work) => Some(work),
                None => {
                    // Who knows for how long: a closed door, and what its procedure owns, is not kept by a thread that sleeps.
                    claimed.remembered = None;
                    match pool.wait(true) {
                        Ok(link) => link.and_then(|link| self.first_pending(pool, &link)),
                        Err(_) => return Err(Stopped),
                    }
                }
            };
            match work {
                Some(Work::Unreferenced(door)) if door.begin_unreferenced() => {
                    *claimed = Claimed::unreferenced(&door);
                    return Ok(());
                }
                Some(Work::Lane(link, index)) => self.take_lane(claimed, link, index),
                Some(Work::Unreferenced(_)) | None => {}
            }
        }
    }

    /// Turns the bits of a doorbell into work: one lane for this thread, the others for whoever is free.
    fn first_pending(&self, pool: &Arc<Pool>, link: &Arc<ServerLink>) -> Option<Work> {
        let bits = pending(&link.memory, link.pool_index(pool)?).swap(0, Ordering::AcqRel);
        let mut mine = None;
        for index in (0..LANES).filter(|index| bits & 1 << index != 0) {
            if link.is_busy(index) {
                // Its owner looks again when it lets go. But the client may have given up.
                cancel_if_asked(link, index);
                link.shake(index);
            }
            if mine.is_none() {
                mine = Some(Work::Lane(Arc::clone(link), index));
            } else {
                pool.push(Work::Lane(Arc::clone(link), index));
            }
        }
        mine
    }

    /// Holds a lane if it can be had and there is something to do on it.
    fn take_lane(&mut self, claimed: &mut Claimed, link: Arc<ServerLink>, index: usize) {
        if link.claim(index) {
            let lane = (link.key, index);
            if lane != self.last_lane {
                self.last_lane = lane;
                self.streak = 0;
            }
            let lease = Lease {
                link,
                index,
                announced: false,
            };
            claimed.origin = Some(Origin::new(lease, self.token));
            self.sticky_since = Instant::now();
            self.sampler.woken();
        }
    }

    /// Looks at the lane held for its client's next request; lets it go if none comes. True if the procedure has to run for one.
    fn linger(&mut self, pool: &Arc<Pool>, claimed: &mut Claimed) -> bool {
        let Some(Origin { lease, .. }) = &mut claimed.origin else {
            return false;
        };
        let index = lease.index;
        if lease.link.is_dead() {
            lease.link.release(index);
            claimed.origin = None;
            return false;
        }
        let others = pool.is_deaf() && self.sticky_since.elapsed() > STICKY && self.other_work(pool);
        if others {
            // What comes on this lane meanwhile waits behind them.
            if let Some(origin) = claimed.origin.take() {
                origin.lease.abandon(pool);
            }
            return false;
        }
        lease.attend(pool);
        let link = &lease.link;
        let peer = link.lane(index).client_cpu().load(Ordering::Relaxed);
        // As long as the next request may come at once this thread is not idle: to say so would be two locked operations a call.
        let mut looks = 0;
        let idle = &mut self.idle;
        let ready = self.spin.until(SERVER_BUDGET, peer, || {
            if looks == LOOKS {
                be_idle(idle, pool);
            }
            looks += 1;
            link.has_work(index)
        });
        if ready {
            return self.take(pool, claimed);
        }
        be_idle(&mut self.idle, pool);
        if self.doze(pool, lease) {
            return self.take(pool, claimed);
        }
        self.put_down(claimed);
        false
    }

    /// Sleeps on the lane held, where its client can wake this thread with less ado than through the pool; true if there is work then. Only after
    /// a streak of calls, and only while other threads hear the bells.
    fn doze(&mut self, pool: &Arc<Pool>, lease: &mut Lease) -> bool {
        let Some(number) = (self.streak >= self.doze_after)
            .then(|| lease.link.pool_index(pool))
            .flatten()
        else {
            return false;
        };
        if !pool.begin_doze(&lease.link, lease.index) {
            return false;
        }
        lease.announced = true;
        let work = lease.link.doze(lease.index, small(number) + 1);
        if pool.end_doze(&lease.link, lease.index) && !work {
            self.streak = 0;
            self.doze_after = DOZE_AFTER_RECALL;
        }
        if work {
            self.sampler.woken();
        }
        work
    }

    /// Lets the lane held go. If a request comes at the same moment, and nobody else takes it, holds it again.
    fn put_down(&mut self, claimed: &mut Claimed) {
        let Some(Origin { lease, .. }) = claimed.origin.take() else {
            return;
        };
        if lease.announced {
            lease
                .link
                .lane(lease.index)
                .attending()
                .store(0, Ordering::Release);
        }
        if lease.link.release(lease.index) {
            self.take_lane(claimed, lease.link, lease.index);
        }
    }

    /// Lets everything go before serving another pool.
    fn let_go(&mut self) {
        if let Some(pool) = self.lease_pool.take() {
            let held = self.at_hand.as_mut().and_then(|claimed| claimed.origin.take());
            if let Some(origin) = held {
                origin.lease.abandon(&pool);
            }
            pool.thread_left();
        }
    }

    /// True if somebody else's request waits. Bells heard meanwhile are passed on.
    #[cold]
    fn other_work(&mut self, pool: &Arc<Pool>) -> bool {
        self.sticky_since = Instant::now();
        self.listened = self.sticky_since;
        if let Ok(Some(link)) = pool.wait(false)
            && let Some(work) = self.first_pending(pool, &link)
        {
            pool.push(work);
        }
        pool.has_queued()
    }
}

/// From here on a thread is counted among the idle ones.
fn be_idle(idle: &mut bool, pool: &Pool) {
    if !*idle {
        *idle = true;
        pool.thread_idle();
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        if self.generation == crate::sys::fork::last_generation() {
            self.let_go();
        }
    }
}
