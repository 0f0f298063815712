//! A server thread: how it waits for an invocation and takes it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use super::claimed::{Claimed, Origin};
use super::layout::{ARGUMENT_BYTES, CHUNK_BYTES, PARKED, Progress, STARVES, WINDOW_BYTES, pending, small};
use super::link::{Missing, ServerLink, Transfer};
use super::object::{DoorObject, lock};
use super::pool::{Pool, Work};
use super::server::{self, Server};
use super::spin::{Escape, SERVER_BUDGET, Spin, published_cpu};
use super::stats::{Sampler, Tally};
use super::undertaker;
use super::wire::Status;
use crate::info::Attributes;
use crate::sys::memory::{Buffer, as_uninit};
use crate::sys::probe;

/// Longest argument any door takes.
const ARGUMENT_MAX: u64 = 1 << 30;
/// How long a thread waits for the client to go on with an argument or a result before it does something else.
pub(crate) const PATIENCE: Duration = Duration::from_micros(200);
/// How long a thread waits for a client in the middle of an argument or a result that has come, or gone, so far: who is slower than 64
/// bytes a microsecond shall not hold a thread.
pub(crate) fn patience_with(bytes: usize) -> Duration {
    PATIENCE + Duration::from_micros(bytes as u64 / 64)
}
/// How long a thread may stay with one client while no other hears the bells.
const STICKY: Duration = Duration::from_micros(50);

/// Calls in a row after which a thread that has nothing to do sleeps on its client's lane and not with the pool …
const DOZE_AFTER: u32 = 8;
/// … and after it was called back from such a sleep.
const DOZE_AFTER_RECALL: u32 = 256;

/// The engine is not, or no longer, there for this thread: it belongs to the parent of a forked child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// A lane a thread holds.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) link: Arc<ServerLink>,
    pub(crate) index: usize,
    /// The client was told that this thread attends to the lane.
    announced: bool,
}

impl Lease {
    /// Tells the client that this thread attends to the lane: it need not ring.
    pub(crate) fn attend(&mut self, pool: &Arc<Pool>) {
        if !self.announced
            && let Some(number) = self.link.pool_index(pool)
        {
            let lane = self.link.lane(self.index);
            lane.attending().store(small(number) + 1, Ordering::Release);
            self.announced = true;
        }
    }

    /// Lets the lane go from outside a thread's loop: work that comes at that moment goes to the pool.
    pub(crate) fn abandon(self, pool: &Pool) {
        self.link.lane(self.index).attending().store(0, Ordering::Release);
        if self.link.release(self.index) {
            pool.push(Work::Lane(self.link, self.index));
        }
    }
}

/// Which door a handle meant when last looked up.
#[derive(Debug)]
pub(crate) struct Remembered {
    link_key: u64,
    handle: u64,
    version: u32,
    pub(crate) door: Arc<DoorObject>,
    /// Where this thread counts what the door does.
    pub(crate) tally: Arc<Tally>,
}

impl Remembered {
    /// A memory of the door alone, which no look-up finds: links are numbered from 1.
    #[cold]
    fn without_link(door: &Arc<DoorObject>) -> Self {
        Self {
            link_key: 0,
            handle: 0,
            version: 0,
            door: Arc::clone(door),
            tally: door.stats.tally(),
        }
    }
}

/// One thread that serves invocations.
pub struct ServerThread {
    server: Arc<Server>,
    bound: Option<Arc<Pool>>,
    token: u64,
    generation: u32,
    lease: Option<Lease>,
    lease_pool: Option<Arc<Pool>>,
    remembered: Option<Remembered>,
    sticky_since: Instant,
    /// Invocations in a row from the lane that is held, or was held last.
    streak: u32,
    /// How long a streak has to be to be worth a doze.
    doze_after: u32,
    last_lane: (u64, usize),
    /// When this thread last listened for bells.
    listened: Instant,
    buffer: Buffer,
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

/// What became of a lane that was taken.
enum Taken {
    /// The procedure has to run.
    Invocation(Claimed),
    /// Answered without it; the lane is still held.
    Answered(Lease),
    /// The lane was let go.
    Released,
}

/// What became of an argument.
enum Fetched {
    Whole,
    /// Put aside until the client sends more.
    Parked,
    Failed(Status),
}

impl ServerThread {
    /// A thread of this process. `token` is what the cancel hook gets.
    ///
    /// # Errors
    /// Those of starting the engine, if no door was made before.
    pub fn new(token: u64) -> io::Result<Self> {
        let server = server::server()?;
        probe::thread_create(token);
        Ok(Self {
            server,
            bound: None,
            token,
            generation: crate::sys::fork::generation(),
            lease: None,
            lease_pool: None,
            remembered: None,
            sticky_since: Instant::now(),
            streak: 0,
            doze_after: DOZE_AFTER,
            last_lane: (0, 0),
            listened: Instant::now(),
            buffer: Buffer::new(),
            spin: Spin::default(),
            escape: Escape::new(),
            sampler: Sampler::default(),
        })
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
    pub fn retire(&mut self, mut claimed: Claimed) {
        let (lease, remembered, mut buffer) = claimed.dismantle();
        buffer.trim();
        self.buffer = buffer;
        self.remembered = remembered.or_else(|| self.remembered.take());
        if let Some(lease) = lease {
            self.lease = Some(lease);
        }
    }

    /// Waits for an invocation.
    ///
    /// # Errors
    /// [`Stopped`] if the process is a forked child of the one the thread was made in, or has lost the engine's descriptors, or
    /// the pool was closed.
    pub fn park(&mut self) -> Result<Claimed, Stopped> {
        if self.generation != crate::sys::fork::generation() {
            return Err(Stopped);
        }
        let wanted = self.bound.as_ref().unwrap_or_else(|| self.server.process_pool());
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
        pool.thread_idle();
        let mut claimed = self.next(&pool);
        let last = pool.thread_busy();
        self.lease_pool = Some(pool);
        if let Ok(claimed) = &mut claimed {
            claimed.set_depleted(last);
        }
        claimed
    }

    fn next(&mut self, pool: &Arc<Pool>) -> Result<Claimed, Stopped> {
        loop {
            if let Some(lease) = self.lease.take() {
                match self.linger(pool, lease) {
                    Some(Taken::Invocation(claimed)) => return Ok(claimed),
                    Some(Taken::Answered(lease)) => self.lease = Some(lease),
                    Some(Taken::Released) | None => {}
                }
                continue;
            }
            if pool.is_closed() {
                return Err(Stopped);
            }
            // A queue that is never empty must not keep those who ring from being heard.
            if pool.has_queued() && self.listened.elapsed() > STICKY {
                self.other_work(pool);
            }
            let work = match pool.pop() {
                Some(work) => Some(work),
                None => match pool.wait(true) {
                    Ok(link) => link.and_then(|link| self.first_pending(pool, &link)),
                    Err(_) => return Err(Stopped),
                },
            };
            match work {
                Some(Work::Unreferenced(door)) if door.begin_unreferenced() => {
                    return Ok(Claimed::unreferenced(door));
                }
                Some(Work::Lane(link, index)) => self.take_lane(link, index),
                Some(Work::Unreferenced(_)) | None => {}
            }
        }
    }

    /// Turns the bits of a doorbell into work: one lane for this thread, the others for whoever is free.
    fn first_pending(&self, pool: &Arc<Pool>, link: &Arc<ServerLink>) -> Option<Work> {
        let bits = pending(&link.memory, link.pool_index(pool)?).swap(0, Ordering::AcqRel);
        let mut mine = None;
        for index in (0..super::layout::LANES).filter(|index| bits & 1 << index != 0) {
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
    fn take_lane(&mut self, link: Arc<ServerLink>, index: usize) {
        if link.claim(index) {
            self.lease = Some(Lease {
                link,
                index,
                announced: false,
            });
            self.sticky_since = Instant::now();
            self.sampler.woken();
        }
    }

    /// Looks at the lane held for its client's next request; lets it go if none comes.
    fn linger(&mut self, pool: &Arc<Pool>, mut lease: Lease) -> Option<Taken> {
        let link = &lease.link;
        if link.is_dead() {
            link.release(lease.index);
            return None;
        }
        let (lane, index) = (link.lane(lease.index), lease.index);
        let others = pool.is_deaf() && self.sticky_since.elapsed() > STICKY && self.other_work(pool);
        let ready = if others {
            false
        } else {
            let peer = lane.client_cpu().load(Ordering::Relaxed);
            lease.attend(pool);
            let link = &lease.link;
            self.spin.until(SERVER_BUDGET, peer, || link.has_work(index))
        };
        if ready || (!others && self.doze(pool, &mut lease)) {
            return Some(self.take(pool, lease));
        }
        if others {
            // What comes on this lane meanwhile waits behind them.
            lease.abandon(pool);
        } else {
            self.put_down(lease);
        }
        None
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

    /// Lets a lane go. If a request comes at the same moment, and nobody else takes it, holds it again.
    fn put_down(&mut self, lease: Lease) {
        if lease.announced {
            lease
                .link
                .lane(lease.index)
                .attending()
                .store(0, Ordering::Release);
        }
        if lease.link.release(lease.index) {
            self.take_lane(lease.link, lease.index);
        }
    }

    /// Lets everything go before serving another pool.
    fn let_go(&mut self) {
        if let Some(pool) = self.lease_pool.take() {
            if let Some(lease) = self.lease.take() {
                lease.abandon(&pool);
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

    /// Takes the request of a lane that is held and has one.
    fn take(&mut self, pool: &Arc<Pool>, lease: Lease) -> Taken {
        let state = &lease.link.lanes[lease.index];
        if state.parked.load(Ordering::Acquire) {
            let transfer = lock(&state.transfer).take();
            state.parked.store(false, Ordering::Release);
            if let Some(transfer) = transfer {
                lease.link.unpark_bytes(transfer.len);
                return self.resume(lease, transfer);
            }
        }
        let lane = lease.link.lane(lease.index);
        // Each word of the client is read once; from here on only the copies count.
        let seq = lane.req().load(Ordering::Acquire);
        let flags = lane.flags().load(Ordering::Relaxed);
        let descriptors = lane.request_descriptors().load(Ordering::Relaxed) as usize;
        let len = lane.request_len().load(Ordering::Relaxed);
        let handle = lane.handle().load(Ordering::Relaxed);
        self.escape
            .observe(lane.client_cpu().load(Ordering::Relaxed), published_cpu());

        let door = match self.look_up(&lease.link, handle) {
            Ok(door) => door,
            Err(status) => {
                refuse_lane(&lease.link, lease.index, seq, status, descriptors);
                return Taken::Answered(lease);
            }
        };
        if !Arc::ptr_eq(door.pool(), pool) {
            // Another pool serves this door, and this thread must not.
            let (link, index) = (Arc::clone(&lease.link), lease.index);
            link.lane(index).attending().store(0, Ordering::Release);
            link.release(index);
            door.pool().push(Work::Lane(link, index));
            return Taken::Released;
        }
        lane.acc().store(seq, Ordering::Release);
        if lane.cancel().load(Ordering::Acquire) == seq {
            return Taken::Answered(refuse(&door, lease, seq, Status::Interrupted, descriptors));
        }
        if let Err(status) = check(&door, len, descriptors) {
            return Taken::Answered(refuse(&door, lease, seq, status, descriptors));
        }
        let Ok(len) = usize::try_from(len) else {
            return Taken::Answered(refuse(&door, lease, seq, Status::ArgumentTooLarge, descriptors));
        };
        let fds = if descriptors == 0 {
            Vec::new()
        } else {
            match lease.link.take_descriptors(lease.index, seq, descriptors) {
                Ok(fds) => fds,
                Err(Missing::NoRoom) => {
                    return Taken::Answered(refuse(&door, lease, seq, Status::OutOfDescriptors, 0));
                }
                Err(Missing::NotSent) => {
                    return Taken::Answered(refuse(&door, lease, seq, Status::ArgumentTooLarge, 0));
                }
            }
        };
        let mut buffer = std::mem::replace(&mut self.buffer, Buffer::new());
        if len > 0 && buffer.reserve(len).is_err() {
            self.buffer = buffer;
            undertaker::bury_all(fds);
            return Taken::Answered(refuse(&door, lease, seq, Status::NoMemory, 0));
        }
        if len <= ARGUMENT_BYTES {
            if len > 0 {
                let (memory, offset) = lane.argument(len);
                memory.read(offset, as_uninit(buffer.bytes_mut(len)));
            }
            return Taken::Invocation(self.invoke(lease, seq, flags, door, buffer, len, fds));
        }
        self.resume(
            lease,
            Transfer {
                seq,
                buffer,
                received: 0,
                waited: Duration::ZERO,
                len,
                fds,
                door,
                flags,
            },
        )
    }

    /// Goes on with an argument that arrives in pieces.
    fn resume(&mut self, lease: Lease, mut transfer: Transfer) -> Taken {
        let status = match self.fetch(&lease, &mut transfer) {
            Fetched::Whole => {
                let Transfer {
                    seq,
                    buffer,
                    len,
                    fds,
                    door,
                    flags,
                    ..
                } = transfer;
                return Taken::Invocation(self.invoke(lease, seq, flags, door, buffer, len, fds));
            }
            Fetched::Parked if lease.link.park_bytes(transfer.len) => {
                let state = &lease.link.lanes[lease.index];
                *lock(&state.transfer) = Some(transfer);
                state.parked.store(true, Ordering::Release);
                lease
                    .link
                    .lane(lease.index)
                    .stalled()
                    .store(PARKED, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                self.put_down(lease);
                return Taken::Released;
            }
            Fetched::Parked => Status::NoMemory,
            Fetched::Failed(status) => status,
        };
        undertaker::bury_all(transfer.fds);
        Taken::Answered(refuse(&transfer.door, lease, transfer.seq, status, 0))
    }

    /// Copies what the client has put into the window, as long as it keeps coming.
    fn fetch(&mut self, lease: &Lease, transfer: &mut Transfer) -> Fetched {
        let (link, lane, seq) = (&lease.link, lease.link.lane(lease.index), transfer.seq);
        lane.stalled().store(0, Ordering::Relaxed);
        while transfer.received < transfer.len {
            if link.is_dead() || lane.cancel().load(Ordering::Acquire) == seq {
                return Fetched::Failed(Status::Interrupted);
            }
            let supplied = Progress::bytes(lane.wr().load(Ordering::Acquire), seq);
            let next = transfer.next();
            if supplied < next {
                let more = || Progress::bytes(lane.wr().load(Ordering::Acquire), seq) >= next;
                if transfer.waited > patience_with(transfer.received) {
                    return Fetched::Parked;
                }
                let began = Instant::now();
                let peer = lane.client_cpu().load(Ordering::Relaxed);
                if !self.spin.until(SERVER_BUDGET, peer, more) {
                    let feed = lane.feed().load(Ordering::SeqCst);
                    lane.stalled().store(STARVES, Ordering::SeqCst);
                    fence(Ordering::SeqCst);
                    if !more() {
                        sleep_on(lane.feed(), feed, PATIENCE);
                    }
                    lane.stalled().store(0, Ordering::SeqCst);
                }
                transfer.waited += began.elapsed();
                continue;
            }
            if supplied > transfer.len || supplied - transfer.received > WINDOW_BYTES {
                return Fetched::Failed(Status::ArgumentTooLarge);
            }
            let (start, end) = (transfer.received, supplied);
            let step = (end - start)
                .min(CHUNK_BYTES)
                .min(WINDOW_BYTES - start % WINDOW_BYTES);
            let (memory, offset) = lane.window(start);
            memory.read(
                offset,
                as_uninit(&mut transfer.buffer.bytes_mut(transfer.len)[start..start + step]),
            );
            transfer.received += step;
            lane.rd()
                .swap(Progress::of(seq, transfer.received), Ordering::SeqCst);
            link.wake(lease.index);
        }
        Fetched::Whole
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "each is a part of the invocation, and this is its only constructor"
    )]
    fn invoke(
        &mut self,
        lease: Lease,
        seq: u32,
        flags: u32,
        door: Arc<DoorObject>,
        buffer: Buffer,
        len: usize,
        fds: Vec<OwnedFd>,
    ) -> Claimed {
        door.begin();
        // An argument that was put aside may be for another door than the last one: remember that without a link.
        let remembered = self
            .remembered
            .take()
            .filter(|remembered| Arc::ptr_eq(&remembered.door, &door))
            .unwrap_or_else(|| Remembered::without_link(&door));
        remembered.tally.begin(len);
        if !fds.is_empty() {
            door.stats.descriptors_in(fds.len());
        }
        probe::invocation_start(door.number(), len as u64, fds.len() as u64);
        let timed = self.sampler.choose();
        if timed.is_some() {
            door.stats.look();
        }
        if !door.attributes().contains(Attributes::NO_CANCEL) {
            *lock(&lease.link.lanes[lease.index].running) = Some((self.token, seq));
        }
        let lane = (lease.link.key, lease.index);
        self.streak = if lane == self.last_lane {
            self.streak.saturating_add(1)
        } else {
            0
        };
        self.last_lane = lane;
        Claimed::call(
            door,
            Origin {
                lease,
                seq,
                flags,
                remembered,
                timed,
                offers: 0,
            },
            buffer,
            len,
            fds,
        )
    }

    #[inline]
    fn look_up(&mut self, link: &Arc<ServerLink>, handle: u64) -> Result<Arc<DoorObject>, Status> {
        let version = link.version();
        let door = match &self.remembered {
            Some(remembered)
                if remembered.handle == handle
                    && remembered.version == version
                    && remembered.link_key == link.key =>
            {
                Arc::clone(&remembered.door)
            }
            _ => {
                let door = link.resolve(handle).ok_or(Status::Stale)?;
                self.remembered = Some(Remembered {
                    handle,
                    version,
                    link_key: link.key,
                    door: Arc::clone(&door),
                    tally: door.stats.tally(),
                });
                door
            }
        };
        if door.is_revoked() {
            door.stats.error(Status::Revoked);
            Err(Status::Revoked)
        } else {
            Ok(door)
        }
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        if self.generation == crate::sys::fork::last_generation() {
            self.let_go();
        }
    }
}

/// The limits of the door, in the order the manual page gives them.
#[inline]
fn check(door: &DoorObject, len: u64, descriptors: usize) -> Result<(), Status> {
    let limits = door.effective_limits();
    if limits.is_some_and(|limits| len < limits.data_min || len > limits.data_max) {
        return Err(Status::TooBig);
    }
    if descriptors > 0 {
        if door.attributes().contains(Attributes::REFUSE_DESC) {
            return Err(Status::DescriptorsRefused);
        }
        if limits.is_some_and(|limits| descriptors as u64 > u64::from(limits.descriptors_max)) {
            return Err(Status::TooManyDescriptors);
        }
        if descriptors > super::MAX_DESCRIPTORS {
            return Err(Status::ArgumentTooLarge);
        }
    }
    if len > ARGUMENT_MAX {
        Err(Status::ArgumentTooLarge)
    } else {
        Ok(())
    }
}

/// Answers request `seq` of a lane that is held, without running anything.
#[cold]
fn refuse(door: &DoorObject, lease: Lease, seq: u32, status: Status, descriptors: usize) -> Lease {
    door.stats.error(status);
    refuse_lane(&lease.link, lease.index, seq, status, descriptors);
    lease
}

fn refuse_lane(link: &ServerLink, index: usize, seq: u32, status: Status, descriptors: usize) {
    if descriptors > 0 {
        link.discard_descriptors(index, seq);
    }
    let lane = link.lane(index);
    lane.status().store(status as u32, Ordering::Relaxed);
    lane.reply_len().store(0, Ordering::Relaxed);
    lane.reply_descriptors().store(0, Ordering::Relaxed);
    lane.server_cpu().store(published_cpu(), Ordering::Relaxed);
    link.complete(index, seq);
}

/// For a lane that was claimed: refuses its request if the door was revoked, and lets it go; false leaves it claimed.
pub(crate) fn refuse_if_revoked(link: &Arc<ServerLink>, index: usize) -> bool {
    let lane = link.lane(index);
    let seq = lane.req().load(Ordering::Acquire);
    let door = link.resolve(lane.handle().load(Ordering::Relaxed));
    let parked = link.lanes[index].parked.load(Ordering::Acquire);
    let Some(door) = door.filter(|door| !parked && door.is_revoked()) else {
        return false;
    };
    door.stats.error(Status::Revoked);
    refuse_lane(
        link,
        index,
        seq,
        Status::Revoked,
        lane.request_descriptors().load(Ordering::Relaxed) as usize,
    );
    link.release(index);
    true
}

/// For a lane that rang in a pool without threads: its door is revoked, so its request is refused. What it asks of other doors goes to
/// their threads.
pub(crate) fn refuse_retired(link: &Arc<ServerLink>, index: usize, process_pool: &Arc<Pool>) {
    if !link.claim(index) {
        return;
    }
    let state = &link.lanes[index];
    if state.parked.load(Ordering::Acquire) {
        let transfer = lock(&state.transfer).take();
        state.parked.store(false, Ordering::Release);
        if let Some(transfer) = transfer {
            link.unpark_bytes(transfer.len);
            undertaker::bury_all(transfer.fds);
            refuse_lane(link, index, transfer.seq, Status::Revoked, 0);
        }
    } else if refuse_if_revoked(link, index) {
        return;
    }
    if link.release(index) {
        let door = link.resolve(link.lane(index).handle().load(Ordering::Relaxed));
        let pool = door.map_or_else(|| Arc::clone(process_pool), |door| Arc::clone(door.pool()));
        pool.push(Work::Lane(Arc::clone(link), index));
    }
}

pub(crate) fn sleep_on(word: &std::sync::atomic::AtomicU32, value: u32, time: Duration) {
    let timeout = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: time.subsec_nanos().into(),
    };
    let _ = rustix::thread::futex::wait(word, rustix::thread::futex::Flags::empty(), value, Some(&timeout));
}

// ---- Cancellation ----------------------------------------------------------------------------------------------------

static CANCEL_HOOK: std::sync::OnceLock<fn(token: u64)> = std::sync::OnceLock::new();

/// Installs what is called, by some server thread, when the caller of the invocation that runs on the thread with this token has
/// given up or died, unless the door is NO_CANCEL. That invocation cannot be finished while the hook runs.
pub fn set_cancel_hook(hook: fn(token: u64)) {
    // The first one stays: a process has one language runtime that cancels.
    let _ = CANCEL_HOOK.set(hook);
}

fn call_cancel_hook(token: u64) {
    if let Some(hook) = CANCEL_HOOK.get() {
        hook(token);
    }
}

/// Cancels the thread that serves a lane, if the client gave up the very request it serves.
fn cancel_if_asked(link: &ServerLink, index: usize) {
    let running = lock(&link.lanes[index].running);
    if let Some((token, seq)) = *running
        && link.lane(index).cancel().load(Ordering::Acquire) == seq
    {
        call_cancel_hook(token);
    }
}

/// Cancels the thread that serves a lane of a client that has died.
pub(crate) fn cancel_running(link: &ServerLink, index: usize) {
    let running = lock(&link.lanes[index].running);
    if let Some((token, _)) = *running {
        call_cancel_hook(token);
    }
    drop(running);
    // The procedure may be waiting for exactly this.
    let feed = link.lane(index).feed();
    feed.fetch_add(1, Ordering::SeqCst);
    let _ = rustix::thread::futex::wake(feed, rustix::thread::futex::Flags::empty(), 1);
}
