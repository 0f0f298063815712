//! What a server thread keeps from one invocation to the next: a lane, and the door it meant.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::layout::small;
use crate::engine::link::ServerLink;
use crate::engine::object::DoorObject;
use crate::engine::pool::{Pool, Work};
use crate::engine::stats::Tally;

/// A lane a thread holds.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) link: Arc<ServerLink>,
    pub(crate) index: usize,
    /// The client was told that this thread attends to the lane.
    pub(super) announced: bool,
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
    pub(super) link_key: u64,
    pub(super) handle: u64,
    pub(super) version: u32,
    pub(crate) door: Arc<DoorObject>,
    /// Where this thread counts what the door does.
    pub(crate) tally: Arc<Tally>,
}

impl Remembered {
    /// A memory of the door alone, which no look-up finds: links are numbered from 1.
    #[cold]
    pub(super) fn without_link(door: &Arc<DoorObject>) -> Self {
        Self {
            link_key: 0,
            handle: 0,
            version: 0,
            door: Arc::clone(door),
            tally: door.stats.tally(),
        }
    }
}
