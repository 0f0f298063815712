//! The bells of a link: one for each pool of threads that serves doors its client holds.
//!
//! A bell outlives its pool's part in the link: the client keeps its copy, so the next pool gets the same one. A pool that is needed no
//! more listens until then, or to its end: a call may wait for it though its client let go of the door meanwhile. Bells are dealt with
//! in the control thread; others only ask for numbers.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use super::ServerLink;
use crate::engine::internal::InternalFd;
use crate::engine::layout::{POOLS, small};
use crate::engine::object::lock;
use crate::engine::pool::Pool;
use crate::engine::undertaker;

/// What a pool hears of a link; its place in the list is the pool's number there.
#[derive(Debug)]
pub(super) struct Bell {
    /// Who listens to it, as long as there are doors or threads of that pool.
    pool: Weak<Pool>,
    /// How many doors of the pool the client holds.
    doors: usize,
    fd: InternalFd,
}

impl Bell {
    fn is_of(&self, pool: &Arc<Pool>) -> bool {
        std::ptr::eq(self.pool.as_ptr(), Arc::as_ptr(pool))
    }

    /// Nobody listens to it any more.
    pub(super) fn silence(&mut self, link: u64) {
        if let Some(pool) = std::mem::take(&mut self.pool).upgrade() {
            pool.remove_link(link, &self.fd);
            undertaker::bury(pool);
        }
    }
}

impl ServerLink {
    /// The number of `pool` for this client, and its bell unless it is among those `known`. ENFILE if there are too many pools.
    pub(super) fn bell_of(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        known: u64,
    ) -> io::Result<(u32, Option<OwnedFd>)> {
        let mut bells = lock(&self.bells);
        let index = match bells.iter().position(|bell| bell.is_of(pool)) {
            Some(index) => index,
            None if self.is_dead() => return Err(io::Error::from_raw_os_error(libc::ENFILE)),
            None => self.new_listener(&mut bells, pool)?,
        };
        let bell = if known & 1 << index == 0 {
            Some(bells[index].fd.duplicate()?)
        } else {
            None
        };
        Ok((small(index), bell))
    }

    fn new_listener(self: &Arc<Self>, bells: &mut Vec<Bell>, pool: &Arc<Pool>) -> io::Result<usize> {
        let free = bells.iter().position(|bell| bell.pool.strong_count() == 0);
        let free = free.or_else(|| {
            let unused = (bells.len() == POOLS)
                .then(|| bells.iter().position(|bell| self.is_unused(bell)))
                .flatten()?;
            bells[unused].silence(self.key);
            Some(unused)
        });
        match free {
            Some(index) => {
                pool.adopt_link(self, &bells[index].fd)?;
                bells[index].pool = Arc::downgrade(pool);
                Ok(index)
            }
            None if bells.len() == POOLS => Err(io::Error::from_raw_os_error(libc::ENFILE)),
            None => {
                bells.push(Bell {
                    pool: Arc::downgrade(pool),
                    doors: 0,
                    fd: pool.add_link(self)?,
                });
                Ok(bells.len() - 1)
            }
        }
    }

    /// True if the client holds no door of the bell's pool, and sends it nothing: a call whose argument is still coming goes on though its
    /// caller let go of the door.
    fn is_unused(&self, bell: &Bell) -> bool {
        let comes_here = |state: &super::LaneState| {
            let transfer = lock(&state.transfer);
            transfer
                .as_ref()
                .is_some_and(|transfer| bell.is_of(transfer.door.pool()))
        };
        bell.doors == 0 && !self.lanes.iter().any(comes_here)
    }

    /// The client holds one more door of the pool with this number.
    pub(super) fn door_came(&self, pool: u32) {
        if let Some(bell) = lock(&self.bells).get_mut(pool as usize) {
            bell.doors += 1;
        }
    }

    /// The client let go of a door of `pool`.
    pub(super) fn door_went(&self, pool: &Arc<Pool>) {
        if let Some(bell) = lock(&self.bells).iter_mut().find(|bell| bell.is_of(pool)) {
            bell.doors = bell.doors.saturating_sub(1);
        }
    }

    /// The number this client knows `pool` by.
    pub(crate) fn pool_index(&self, pool: &Arc<Pool>) -> Option<usize> {
        lock(&self.bells).iter().position(|bell| bell.is_of(pool))
    }
}
