//! Answering requests without running anything.

use std::sync::Arc;

use super::Lease;
use crate::engine::link::ServerLink;
use crate::engine::object::{DoorObject, lock};
use crate::engine::pool::{Pool, Work};
use crate::engine::spin::published_cpu;
use crate::engine::wire::Status;
use crate::sync::atomic::Ordering;

/// Answers request `seq` of a lane that is held, without running anything: false, as for [`take`](super::ServerThread::take).
#[cold]
pub(super) fn refuse(door: &DoorObject, lease: &Lease, seq: u32, status: Status, descriptors: usize) -> bool {
    door.stats.error(status);
    refuse_lane(&lease.link, lease.index, seq, status, descriptors);
    false
}

pub(super) fn refuse_lane(
    link: &Arc<ServerLink>,
    index: usize,
    seq: u32,
    status: Status,
    descriptors: usize,
) {
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

/// For a lane that was claimed: refuses its request if the door was revoked, and lets the lane go. A request for a door that was not, or
/// one that has come meanwhile, goes to that door's threads.
pub(crate) fn refuse_if_revoked(link: &Arc<ServerLink>, index: usize, process_pool: &Arc<Pool>) {
    let lane = link.lane(index);
    let seq = lane.req().load(Ordering::Acquire);
    let door = link.resolve(lane.handle().load(Ordering::Relaxed));
    let parked = link.lanes[index].parked.load(Ordering::Acquire);
    if let Some(door) = door.filter(|door| !parked && door.is_revoked() && link.has_work(index)) {
        door.stats.error(Status::Revoked);
        let descriptors = lane.request_descriptors().load(Ordering::Relaxed) as usize;
        refuse_lane(link, index, seq, Status::Revoked, descriptors);
    }
    if link.release(index) {
        let door = link.resolve(lane.handle().load(Ordering::Acquire));
        let pool = door.map_or_else(|| Arc::clone(process_pool), |door| Arc::clone(door.pool()));
        pool.push(Work::Lane(Arc::clone(link), index));
    }
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
            let seq = transfer.request.seq;
            transfer.request.bury();
            refuse_lane(link, index, seq, Status::Revoked, 0);
        }
    }
    refuse_if_revoked(link, index, process_pool);
}
