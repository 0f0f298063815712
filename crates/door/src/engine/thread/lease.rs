//! What a server thread keeps from one invocation to the next: a lane, and the door it meant.

use std::any::Any;
use std::sync::Arc;

use crate::engine::layout::small;
use crate::engine::link::{LaneState, ServerLink};
use crate::engine::object::DoorObject;
use crate::engine::pool::{Pool, Work};
use crate::engine::stats::{Tally, Timed};
use crate::engine::wire::Status;
use crate::sync::atomic::Ordering;
use crate::sys::probe;

/// A lane a thread holds.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) link: Arc<ServerLink>,
    pub(crate) index: usize,
    /// The client was told that this thread attends to the lane.
    pub(super) announced: bool,
}

impl Lease {
    /// What the server knows about it.
    #[inline]
    pub(crate) fn state(&self) -> &LaneState {
        &self.link.lanes[self.index]
    }

    /// Tells the client that this thread attends to the lane: it need not ring.
    #[inline]
    pub(crate) fn attend(&mut self, pool: &Arc<Pool>) {
        if !self.announced {
            self.announce(pool);
        }
    }

    #[cold]
    fn announce(&mut self, pool: &Arc<Pool>) {
        if let Some(number) = self.link.pool_index(pool) {
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
    /// The door's, so that it need not be counted at each call. Before the door, which must outlive it: whoever lets go of a procedure
    /// last runs what the application has to say about that.
    procedure: Option<Arc<dyn Any + Send + Sync>>,
    pub(crate) door: Arc<DoorObject>,
    /// Where this thread counts what the door does.
    pub(crate) tally: Arc<Tally>,
}

impl Remembered {
    /// The door a handle means on a link: the one in `memory`, as a rule.
    #[inline]
    pub(super) fn look_up<'m>(
        memory: &'m mut Option<Self>,
        link: &ServerLink,
        handle: u64,
    ) -> Result<&'m Arc<DoorObject>, Status> {
        let version = link.version();
        let is_known = matches!(memory, Some(known)
            if known.handle == handle && known.version == version && known.link_key == link.key);
        if !is_known {
            let door = link.resolve(handle).ok_or(Status::Stale)?;
            *memory = Some(Self::new(link.key, handle, version, door));
        }
        let door = memory.as_ref().map(|known| &known.door).ok_or(Status::Stale)?;
        if door.is_revoked() {
            door.stats.error(Status::Revoked);
            Err(Status::Revoked)
        } else {
            Ok(door)
        }
    }

    /// An invocation with so much argument begins.
    #[inline]
    pub(crate) fn begin(&self, len: usize, descriptors: usize, timed: bool) {
        let Self { door, tally, .. } = self;
        door.begin();
        tally.begin(len);
        if descriptors > 0 {
            door.stats.descriptors_in(descriptors);
        }
        probe::invocation_start(door.number(), len as u64, descriptors as u64);
        if timed {
            door.stats.look();
        }
    }

    /// It has ended, with so much answer.
    #[inline]
    pub(crate) fn end(&self, status: Status, len: usize, descriptors: usize, timed: Option<Timed>) {
        let Self { door, tally, .. } = self;
        probe::invocation_done(door.number(), status as u32, len as u64);
        tally.end(len);
        if descriptors > 0 {
            door.stats.descriptors_out(descriptors);
        }
        if let Some(timed) = timed {
            door.stats.timed(timed);
        }
    }

    #[cold]
    fn new(link_key: u64, handle: u64, version: u32, door: Arc<DoorObject>) -> Self {
        Self {
            link_key,
            handle,
            version,
            procedure: door.procedure.clone(),
            tally: door.stats.tally(),
            door,
        }
    }

    /// A memory of the door alone, which no look-up finds: links are numbered from 1.
    #[cold]
    pub(crate) fn without_link(door: &Arc<DoorObject>) -> Self {
        Self::new(0, 0, 0, Arc::clone(door))
    }

    /// Takes the procedure out to be run; `None` if the door is revoked, and from then on.
    #[inline]
    pub(crate) fn begin_procedure(&mut self) -> Option<Arc<dyn Any + Send + Sync>> {
        let procedure = self.procedure.take();
        self.tally.enter();
        if procedure.is_none() || self.door.is_revoked() {
            self.leave();
            self.procedure = procedure;
            return None;
        }
        procedure
    }

    /// It has returned.
    #[inline]
    pub(crate) fn end_procedure(&mut self, procedure: Arc<dyn Any + Send + Sync>) {
        self.procedure = Some(procedure);
        self.leave();
    }

    #[inline]
    fn leave(&self) {
        self.tally.leave();
        if self.door.is_revoked() {
            self.door.tell_of_end();
        }
    }
}
