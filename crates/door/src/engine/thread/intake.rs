//! How a server thread takes a request: it reads each word of the client once, checks it, and collects the argument.

use std::sync::Arc;
use std::time::Duration;

use super::refuse::{refuse, refuse_lane};
use super::{Lease, Remembered, ServerThread};
use crate::engine::MAX_DESCRIPTORS;
use crate::engine::answer::Origin;
use crate::engine::claimed::{Claimed, Request};
use crate::engine::layout::{ARGUMENT_BYTES, CHUNK_BYTES, PARKED, Progress, STARVES, WINDOW_BYTES};
use crate::engine::link::{LaneState, Missing, Transfer};
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

/// What became of an argument.
enum Fetched {
    Whole,
    /// Put aside until the client sends more.
    Parked,
    Failed(Status),
}

impl ServerThread {
    /// Takes the request of the lane that is held, which has one. True if the procedure has to run; otherwise the request was answered
    /// without it, or the lane was let go.
    pub(super) fn take(&mut self, pool: &Arc<Pool>, claimed: &mut Claimed) -> bool {
        let Some(Origin { lease, .. }) = &claimed.origin else {
            return false;
        };
        self.cpu = published_cpu();
        let (link, index, state) = (&lease.link, lease.index, lease.state());
        if state.parked.load(Ordering::Acquire)
            && let Some(transfer) = take_up(state)
        {
            return self.resume(claimed, transfer);
        }
        let lane = link.lane(index);
        // Each word of the client is read once; from here on only the copies count.
        let seq = lane.req().load(Ordering::Acquire);
        let flags = lane.flags().load(Ordering::Relaxed);
        let descriptors = lane.request_descriptors().load(Ordering::Relaxed) as usize;
        let len = lane.request_len().load(Ordering::Relaxed);
        let handle = lane.handle().load(Ordering::Relaxed);
        self.escape
            .observe(lane.client_cpu().load(Ordering::Relaxed), self.cpu);

        let door = match Remembered::look_up(&mut claimed.remembered, link, handle) {
            Ok(door) => door,
            Err(status) => {
                refuse_lane(link, index, seq, status, descriptors);
                return false;
            }
        };
        if !Arc::ptr_eq(door.pool(), pool) {
            // Another pool serves this door, and this thread must not.
            lane.attending().store(0, Ordering::Release);
            link.release(index);
            door.pool().push(Work::Lane(Arc::clone(link), index));
            claimed.origin = None;
            return false;
        }
        lane.acc().store(seq, Ordering::Release);
        if lane.cancel().load(Ordering::Acquire) == seq {
            return refuse(door, lease, seq, Status::Interrupted, descriptors);
        }
        let len = match check(door, len, descriptors) {
            Ok(len) => len,
            Err(status) => return refuse(door, lease, seq, status, descriptors),
        };
        let held = if descriptors == 0 {
            None
        } else {
            match link.take_descriptors(index, seq, descriptors) {
                Ok(held) => Some(held),
                Err(Missing::NoRoom) => return refuse(door, lease, seq, Status::OutOfDescriptors, 0),
                Err(Missing::NotSent) => return refuse(door, lease, seq, Status::ArgumentTooLarge, 0),
            }
        };
        let request = Request {
            seq,
            flags,
            len,
            held,
        };
        if len > 0 && claimed.buffer.reserve(len).is_err() {
            request.bury();
            return refuse(door, lease, seq, Status::NoMemory, 0);
        }
        if len <= ARGUMENT_BYTES {
            if len > 0 {
                let (memory, offset) = lane.argument(len);
                memory.read(offset, as_uninit(claimed.buffer.bytes_mut(len)));
            }
            self.invoke(claimed, request);
            return true;
        }
        let transfer = Transfer {
            request,
            buffer: std::mem::replace(&mut claimed.buffer, Buffer::new()),
            received: 0,
            waited: Duration::ZERO,
            door: Arc::clone(door),
            parked: None,
        };
        self.resume(claimed, transfer)
    }

    /// Goes on with an argument that arrives in pieces. As [`take`](Self::take).
    #[cold]
    fn resume(&mut self, claimed: &mut Claimed, mut transfer: Transfer) -> bool {
        let Some(Origin { lease, .. }) = &claimed.origin else {
            return false;
        };
        let status = match self.fetch(lease, &mut transfer) {
            Fetched::Whole => {
                let door = &transfer.door;
                // An argument that was put aside may be for another door than the last one: remember that without a link.
                if !matches!(&claimed.remembered, Some(known) if Arc::ptr_eq(&known.door, door)) {
                    claimed.remembered = Some(Remembered::without_link(door));
                }
                claimed.buffer = transfer.buffer;
                self.invoke(claimed, transfer.request);
                return true;
            }
            Fetched::Parked => match lease.link.park_bytes(transfer.request.len) {
                Some(parked) => {
                    transfer.parked = Some(parked);
                    self.put_aside(claimed, transfer);
                    return false;
                }
                None => Status::NoMemory,
            },
            Fetched::Failed(status) => status,
        };
        let Transfer { request, door, .. } = transfer;
        let seq = request.seq;
        request.bury();
        refuse(&door, lease, seq, status, 0)
    }

    /// Leaves an argument until its client sends more.
    fn put_aside(&mut self, claimed: &mut Claimed, transfer: Transfer) {
        let Some(Origin { lease, .. }) = &claimed.origin else {
            return;
        };
        let state = lease.state();
        *lock(&state.transfer) = Some(transfer);
        state.parked.store(true, Ordering::Release);
        let lane = lease.link.lane(lease.index);
        lane.stalled().store(PARKED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.put_down(claimed);
    }

    /// Copies what the client has put into the window, as long as it keeps coming.
    fn fetch(&mut self, lease: &Lease, transfer: &mut Transfer) -> Fetched {
        let (link, lane, seq) = (&lease.link, lease.link.lane(lease.index), transfer.request.seq);
        lane.stalled().store(0, Ordering::Relaxed);
        let len = transfer.request.len;
        while transfer.received < len {
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
            if supplied > len || supplied - transfer.received > WINDOW_BYTES {
                return Fetched::Failed(Status::ArgumentTooLarge);
            }
            let (start, end) = (transfer.received, supplied);
            let step = (end - start)
                .min(CHUNK_BYTES)
                .min(WINDOW_BYTES - start % WINDOW_BYTES);
            let (memory, offset) = lane.window(start);
            memory.read(
                offset,
                as_uninit(&mut transfer.buffer.bytes_mut(len)[start..start + step]),
            );
            transfer.received += step;
            lane.rd()
                .swap(Progress::of(seq, transfer.received), Ordering::SeqCst);
            link.wake(lease.index);
        }
        Fetched::Whole
    }

    /// Makes a request that was collected the invocation of the door remembered.
    #[inline(always)]
    fn invoke(&mut self, claimed: &mut Claimed, request: Request) {
        self.streak = self.streak.saturating_add(1);
        claimed.begin(request, self.cpu, self.sampler.choose());
    }
}

/// The argument that was put aside on a lane, which has more now.
#[cold]
fn take_up(state: &LaneState) -> Option<Transfer> {
    let transfer = lock(&state.transfer).take();
    state.parked.store(false, Ordering::Release);
    let mut transfer = transfer?;
    transfer.parked = None;
    Some(transfer)
}

/// The limits of the door, in the order the manual page gives them. Returns the length of the argument.
#[inline]
fn check(door: &DoorObject, len: u64, descriptors: usize) -> Result<usize, Status> {
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
        return Err(Status::ArgumentTooLarge);
    }
    usize::try_from(len).map_err(|_| Status::ArgumentTooLarge)
}

pub(crate) fn sleep_on(word: &AtomicU32, value: u32, time: Duration) {
    let timeout = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: time.subsec_nanos().into(),
    };
    let _ = futex::wait(word, value, Some(&timeout));
}
