//! How a server thread takes a request: it reads each word of the client once, checks it, and collects the argument.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::refuse::{refuse, refuse_lane};
use super::{Lease, Remembered, ServerThread};
use crate::engine::MAX_DESCRIPTORS;
use crate::engine::answer::Origin;
use crate::engine::claimed::Claimed;
use crate::engine::layout::{ARGUMENT_BYTES, CHUNK_BYTES, PARKED, Progress, STARVES, WINDOW_BYTES};
use crate::engine::link::{Held, Missing, ServerLink, Transfer};
use crate::engine::object::{DoorObject, lock};
use crate::engine::pool::{Pool, Work};
use crate::engine::spin::{SERVER_BUDGET, published_cpu};
use crate::engine::wire::Status;
use crate::info::Attributes;
use crate::sync::Instant;
use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sys::memory::{Buffer, as_uninit};
use crate::sys::{futex, probe};

/// Longest argument any door takes.
const ARGUMENT_MAX: u64 = 1 << 30;
/// How long a thread waits for the client to go on with an argument or a result before it does something else.
pub(crate) const PATIENCE: Duration = Duration::from_micros(200);
/// How long a thread waits for a client in the middle of an argument or a result that has come, or gone, so far: who is slower than 64
/// bytes a microsecond shall not hold a thread.
pub(crate) fn patience_with(bytes: usize) -> Duration {
    PATIENCE + Duration::from_micros(bytes as u64 / 64)
}

/// What became of a lane that was taken.
pub(super) enum Taken {
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
    /// Takes the request of a lane that is held and has one.
    pub(super) fn take(&mut self, pool: &Arc<Pool>, lease: Lease) -> Taken {
        let state = &lease.link.lanes[lease.index];
        if state.parked.load(Ordering::Acquire) {
            let transfer = lock(&state.transfer).take();
            state.parked.store(false, Ordering::Release);
            if let Some(mut transfer) = transfer {
                transfer.parked = None;
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

        let remembered = match self.look_up(&lease.link, handle) {
            Ok(remembered) => remembered,
            Err(status) => {
                refuse_lane(&lease.link, lease.index, seq, status, descriptors);
                return Taken::Answered(lease);
            }
        };
        let door = &remembered.door;
        if !Arc::ptr_eq(door.pool(), pool) {
            // Another pool serves this door, and this thread must not.
            let (link, index) = (lease.link, lease.index);
            link.lane(index).attending().store(0, Ordering::Release);
            link.release(index);
            door.pool().push(Work::Lane(link, index));
            return Taken::Released;
        }
        lane.acc().store(seq, Ordering::Release);
        if lane.cancel().load(Ordering::Acquire) == seq {
            return self.refuse(remembered, lease, seq, Status::Interrupted, descriptors);
        }
        if let Err(status) = check(door, len, descriptors) {
            return self.refuse(remembered, lease, seq, status, descriptors);
        }
        let Ok(len) = usize::try_from(len) else {
            return self.refuse(remembered, lease, seq, Status::ArgumentTooLarge, descriptors);
        };
        let held = if descriptors == 0 {
            Held::default()
        } else {
            match lease.link.take_descriptors(lease.index, seq, descriptors) {
                Ok(held) => held,
                Err(missing) => {
                    let status = match missing {
                        Missing::NoRoom => Status::OutOfDescriptors,
                        Missing::NotSent => Status::ArgumentTooLarge,
                    };
                    return self.refuse(remembered, lease, seq, status, 0);
                }
            }
        };
        let mut buffer = std::mem::replace(&mut self.buffer, Buffer::new());
        if len > 0 && buffer.reserve(len).is_err() {
            self.buffer = buffer;
            held.bury();
            return self.refuse(remembered, lease, seq, Status::NoMemory, 0);
        }
        if len <= ARGUMENT_BYTES {
            if len > 0 {
                let (memory, offset) = lane.argument(len);
                memory.read(offset, as_uninit(buffer.bytes_mut(len)));
            }
            return Taken::Invocation(self.invoke(lease, seq, flags, remembered, buffer, len, held.take()));
        }
        let door = Arc::clone(door);
        self.remembered = Some(remembered);
        self.resume(
            lease,
            Transfer {
                seq,
                buffer,
                received: 0,
                waited: Duration::ZERO,
                len,
                held,
                door,
                flags,
                parked: None,
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
                    held,
                    door,
                    flags,
                    ..
                } = transfer;
                // An argument that was put aside may be for another door than the last one: remember that without a link.
                let remembered = self
                    .remembered
                    .take()
                    .filter(|remembered| Arc::ptr_eq(&remembered.door, &door))
                    .unwrap_or_else(|| Remembered::without_link(&door));
                return Taken::Invocation(self.invoke(
                    lease,
                    seq,
                    flags,
                    remembered,
                    buffer,
                    len,
                    held.take(),
                ));
            }
            Fetched::Parked => match lease.link.park_bytes(transfer.len) {
                Some(parked) => {
                    transfer.parked = Some(parked);
                    self.put_aside(lease, transfer);
                    return Taken::Released;
                }
                None => Status::NoMemory,
            },
            Fetched::Failed(status) => status,
        };
        transfer.held.bury();
        Taken::Answered(refuse(&transfer.door, lease, transfer.seq, status, 0))
    }

    /// Leaves an argument until its client sends more.
    fn put_aside(&mut self, lease: Lease, transfer: Transfer) {
        let state = &lease.link.lanes[lease.index];
        *lock(&state.transfer) = Some(transfer);
        state.parked.store(true, Ordering::Release);
        let lane = lease.link.lane(lease.index);
        lane.stalled().store(PARKED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.put_down(lease);
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
        remembered: Remembered,
        buffer: Buffer,
        len: usize,
        fds: Vec<OwnedFd>,
    ) -> Claimed {
        let door = &remembered.door;
        door.begin();
        remembered.tally.begin(len);
        if !fds.is_empty() {
            door.stats.descriptors_in(fds.len());
        }
        probe::invocation_start(door.number(), len as u64, fds.len() as u64);
        let timed = self.sampler.choose();
        if timed.is_some() {
            door.stats.look();
        }
        let lane = (lease.link.key, lease.index);
        self.streak = if lane == self.last_lane {
            self.streak.saturating_add(1)
        } else {
            0
        };
        self.last_lane = lane;
        let origin = Origin {
            lease,
            seq,
            flags,
            token: self.token,
            timed,
            offers: 0,
        };
        origin.can_be_cancelled(door);
        Claimed::call(remembered, origin, buffer, len, fds)
    }

    /// Answers a request without running anything.
    #[cold]
    fn refuse(
        &mut self,
        remembered: Remembered,
        lease: Lease,
        seq: u32,
        status: Status,
        descriptors: usize,
    ) -> Taken {
        let lease = refuse(&remembered.door, lease, seq, status, descriptors);
        self.remembered = Some(remembered);
        Taken::Answered(lease)
    }

    /// The door a handle means, taken out of memory.
    #[inline]
    fn look_up(&mut self, link: &Arc<ServerLink>, handle: u64) -> Result<Remembered, Status> {
        let version = link.version();
        let known = self.remembered.take().filter(|remembered| {
            remembered.handle == handle && remembered.version == version && remembered.link_key == link.key
        });
        let remembered = match known {
            Some(remembered) => remembered,
            None => {
                let door = link.resolve(handle).ok_or(Status::Stale)?;
                Remembered::new(link.key, handle, version, door)
            }
        };
        if remembered.door.is_revoked() {
            remembered.door.stats.error(Status::Revoked);
            self.remembered = Some(remembered);
            Err(Status::Revoked)
        } else {
            Ok(remembered)
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
        if descriptors > MAX_DESCRIPTORS {
            return Err(Status::ArgumentTooLarge);
        }
    }
    if len > ARGUMENT_MAX {
        Err(Status::ArgumentTooLarge)
    } else {
        Ok(())
    }
}

pub(crate) fn sleep_on(word: &AtomicU32, value: u32, time: Duration) {
    let timeout = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: time.subsec_nanos().into(),
    };
    let _ = futex::wait(word, value, Some(&timeout));
}
