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
use crate::engine::link::{Held, Missing, Transfer};
use crate::engine::object::{DoorObject, lock};
use crate::engine::pool::{Pool, Work};
use crate::engine::spin::{SERVER_BUDGET, published_cpu};
use crate::engine::wire::Status;
use crate::info::Attributes;
use crate::sync::Instant;
use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sys::futex;
use crate::sys::memory::{Buffer, as_uninit};

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
    Invocation(Box<Claimed>),
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

        let mut claimed = self.at_hand.take().unwrap_or_else(Claimed::none);
        let door = match Remembered::look_up(&mut claimed.remembered, &lease.link, handle) {
            Ok(door) => door,
            Err(status) => {
                self.at_hand = Some(claimed);
                refuse_lane(&lease.link, lease.index, seq, status, descriptors);
                return Taken::Answered(lease);
            }
        };
        if !Arc::ptr_eq(door.pool(), pool) {
            // Another pool serves this door, and this thread must not.
            let (link, index) = (lease.link, lease.index);
            link.lane(index).attending().store(0, Ordering::Release);
            link.release(index);
            door.pool().push(Work::Lane(link, index));
            self.at_hand = Some(claimed);
            return Taken::Released;
        }
        lane.acc().store(seq, Ordering::Release);
        if lane.cancel().load(Ordering::Acquire) == seq {
            return self.refuse(claimed, lease, seq, Status::Interrupted, descriptors);
        }
        if let Err(status) = check(door, len, descriptors) {
            return self.refuse(claimed, lease, seq, status, descriptors);
        }
        let Ok(len) = usize::try_from(len) else {
            return self.refuse(claimed, lease, seq, Status::ArgumentTooLarge, descriptors);
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
                    return self.refuse(claimed, lease, seq, status, 0);
                }
            }
        };
        if len > 0 && claimed.buffer.reserve(len).is_err() {
            held.bury();
            return self.refuse(claimed, lease, seq, Status::NoMemory, 0);
        }
        if len <= ARGUMENT_BYTES {
            if len > 0 {
                let (memory, offset) = lane.argument(len);
                memory.read(offset, as_uninit(claimed.buffer.bytes_mut(len)));
            }
            return Taken::Invocation(self.invoke(claimed, lease, seq, flags, len, held.take()));
        }
        let transfer = Transfer {
            seq,
            buffer: std::mem::replace(&mut claimed.buffer, Buffer::new()),
            received: 0,
            waited: Duration::ZERO,
            len,
            held,
            door: Arc::clone(door),
            flags,
            parked: None,
        };
        self.at_hand = Some(claimed);
        self.resume(lease, transfer)
    }

    /// Goes on with an argument that arrives in pieces.
    fn resume(&mut self, lease: Lease, mut transfer: Transfer) -> Taken {
        let status = match self.fetch(&lease, &mut transfer) {
            Fetched::Whole => {
                let mut claimed = self.at_hand.take().unwrap_or_else(Claimed::none);
                let door = &transfer.door;
                // An argument that was put aside may be for another door than the last one: remember that without a link.
                if !matches!(&claimed.remembered, Some(known) if Arc::ptr_eq(&known.door, door)) {
                    claimed.remembered = Some(Remembered::without_link(door));
                }
                claimed.buffer = transfer.buffer;
                let (seq, flags, len) = (transfer.seq, transfer.flags, transfer.len);
                return Taken::Invocation(self.invoke(claimed, lease, seq, flags, len, transfer.held.take()));
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

    /// Makes what is at hand the invocation of the door that is remembered there.
    fn invoke(
        &mut self,
        mut claimed: Box<Claimed>,
        lease: Lease,
        seq: u32,
        flags: u32,
        len: usize,
        fds: Vec<OwnedFd>,
    ) -> Box<Claimed> {
        let timed = self.sampler.choose();
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
        if let Some(remembered) = &claimed.remembered {
            remembered.begin(len, fds.len(), timed.is_some());
            origin.can_be_cancelled(&remembered.door);
        }
        claimed.call(origin, len, fds);
        claimed
    }

    /// Answers a request to the door remembered without running anything.
    #[cold]
    fn refuse(
        &mut self,
        claimed: Box<Claimed>,
        lease: Lease,
        seq: u32,
        status: Status,
        descriptors: usize,
    ) -> Taken {
        if let Some(remembered) = &claimed.remembered {
            remembered.door.stats.error(status);
        }
        self.at_hand = Some(claimed);
        refuse_lane(&lease.link, lease.index, seq, status, descriptors);
        Taken::Answered(lease)
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
