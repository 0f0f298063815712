//! The client half of a process: which servers it is linked to, and by which lane a thread calls.

mod ask;
mod inbox;
mod introduction;
mod lanes;
mod peers;
mod target;

use std::collections::HashMap;
use std::sync::OnceLock;

use super::internal::InternalFd;
use super::layout::{LANES, Lane, Memory, POOLS, pending};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sys::{epoll, fork};

use lanes::Owner;

pub(crate) use ask::{has_hung_up, info, path_changed, statistics, wait_for};
pub(crate) use inbox::Parcel;
pub(crate) use introduction::split;
pub(crate) use lanes::{Hold, Taken};
pub(crate) use peers::{lane_at_hand, lane_to};
pub use target::Target;

/// A link, as the client knows it.
#[derive(Debug)]
pub(crate) struct ClientLink {
    /// Never reused.
    pub(crate) id: u64,
    generation: u32,
    token: [u8; 16],
    pub(crate) socket: InternalFd,
    /// Number of the other end of the socket: what a proof is about.
    number: u64,
    pub(crate) memory: Memory,
    dead: AtomicBool,
    bells: [OnceLock<InternalFd>; POOLS],
    lanes: [Owner; LANES],
    handles: Mutex<HashMap<u64, u64>>,
    inbox: Mutex<Vec<Parcel>>,
    /// A thread watches the socket for all that sleep.
    pub(crate) leader: AtomicBool,
    /// Gets the leader to look around when its wake was taken out of the socket by another thread.
    nudge: OnceLock<InternalFd>,
    /// Lanes whose threads rely on the leader.
    pub(crate) followers: AtomicU64,
}

/// Numbers of links and threads.
static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl ClientLink {
    /// A link over `socket`, whose other end has this `number`; without bells, and with no door known.
    fn new(socket: InternalFd, number: u64, token: [u8; 16], memory: Memory) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            generation: fork::generation(),
            token,
            socket,
            number,
            memory,
            dead: AtomicBool::new(false),
            bells: [const { OnceLock::new() }; POOLS],
            lanes: std::array::from_fn(|_| Owner::default()),
            handles: Mutex::default(),
            inbox: Mutex::default(),
            leader: AtomicBool::new(false),
            nudge: OnceLock::new(),
            followers: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn lane(&self, index: usize) -> Lane<'_> {
        Lane::new(&self.memory, index)
    }

    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// False for a link to a dead server, and for one that a forked child knows from its parent.
    #[inline]
    fn is_usable(&self) -> bool {
        self.generation == fork::generation() && !self.is_dead()
    }

    pub(crate) fn set_dead(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Rings for a lane. The bell may be missing only if the server sent none, which it is then itself to blame for.
    pub(crate) fn ring(&self, pool: usize, index: usize) {
        pending(&self.memory, pool).fetch_or(1 << index, Ordering::SeqCst);
        if let Some(bell) = self.bells.get(pool).and_then(OnceLock::get) {
            epoll::ring(bell);
        }
    }

    /// What the leader polls beside the socket, if there is a descriptor left for it.
    pub(crate) fn nudge(&self) -> Option<&InternalFd> {
        if self.nudge.get().is_none()
            && let Ok(fd) = super::pool::new_bell()
        {
            let _ = self.nudge.set(fd);
        }
        self.nudge.get()
    }

    /// Gets the leader to look around, if there is one.
    pub(crate) fn wake_leader(&self) {
        if let Some(nudge) = self.nudge.get() {
            epoll::ring(nudge);
        }
    }
}
