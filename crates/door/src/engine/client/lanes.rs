//! Lanes of a link: which are taken, by whom, and which a thread keeps for its next call.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::{ClientLink, NEXT_ID};
use crate::engine::layout::{LANES, PLACE_STREAM, Progress};
use crate::engine::object::lock;
use crate::engine::spin::Spin;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Who uses a lane, and the number of its last request.
#[derive(Debug, Default)]
pub(super) struct Owner {
    /// Thread number << 2 | state.
    state: AtomicU64,
    seq: AtomicU32,
}

const FREE: u64 = 0;
/// The thread keeps it for its next call; another may take it away.
const KEPT: u64 = 1;
const CALLING: u64 = 2;
/// Its call was given up; free again when the server has answered.
const ZOMBIE: u64 = 3;

/// A lane taken for one call. One pointer, because it changes hands many times.
#[derive(Debug)]
pub(crate) struct Taken(Box<Hold>);

/// What a thread that calls on a lane, or keeps it, knows about it.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) link: Arc<ClientLink>,
    pub(crate) index: usize,
    pub(crate) spin: Spin,
    thread: u64,
    kept: bool,
}

thread_local! {
    static KEPT_LANES: RefCell<Kept> = const { RefCell::new(Kept { last: None, others: Vec::new() }) };
    /// This thread's number.
    static THREAD: u64 = NEXT_ID.fetch_add(1, Ordering::Relaxed);
}

/// Lanes a thread has kept, of different links.
#[derive(Debug)]
struct Kept {
    /// The one used last, as a rule.
    last: Option<Taken>,
    /// Others, most recently used last.
    others: Vec<Taken>,
}

/// Links one thread remembers a lane of, beside that of the last.
const OTHERS: usize = 7;

impl Kept {
    #[inline]
    fn take(&mut self, link: u64) -> Option<Taken> {
        match &self.last {
            Some(last) if last.link.id == link => self.last.take(),
            _ => self.take_other(link),
        }
    }

    #[cold]
    fn take_other(&mut self, link: u64) -> Option<Taken> {
        let at = self.others.iter().rposition(|taken| taken.link.id == link)?;
        Some(self.others.remove(at))
    }

    #[inline]
    fn keep(&mut self, taken: Taken) {
        if let Some(before) = self.last.replace(taken) {
            self.keep_other(before);
        }
    }

    #[cold]
    fn keep_other(&mut self, taken: Taken) {
        if self.others.len() >= OTHERS {
            self.others.remove(0);
        }
        self.others.push(taken);
    }
}

impl ClientLink {
    /// Number of the next request of a lane this thread calls on. 0 is skipped: it is what fresh memory says.
    pub(crate) fn next_seq(&self, index: usize) -> u32 {
        let owner = &self.lanes[index];
        let next = owner.seq.load(Ordering::Relaxed).wrapping_add(1).max(1);
        owner.seq.store(next, Ordering::Relaxed);
        next
    }

    fn change(&self, index: usize, from: u64, to: u64) -> bool {
        self.lanes[index]
            .state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// A lane for `thread`: a free one, one whose abandoned call has ended, or one that another thread only keeps.
    fn take(&self, thread: u64) -> Option<usize> {
        let calling = thread << 2 | CALLING;
        let state = |index: usize| self.lanes[index].state.load(Ordering::Acquire);
        if let Some(index) =
            (0..LANES).find(|index| state(*index) == FREE && self.change(*index, FREE, calling))
        {
            return Some(index);
        }
        for index in 0..LANES {
            let now = state(index);
            let available = match now & 3 {
                KEPT => true,
                ZOMBIE => self.is_over(index),
                _ => false,
            };
            if available && self.change(index, now, calling) {
                if now & 3 == ZOMBIE {
                    if !self.is_over(index) {
                        // Between the two looks the lane was used and given up once more.
                        self.lanes[index].state.store(now, Ordering::Release);
                        continue;
                    }
                    // What came for the abandoned call goes.
                    self.drain();
                    lock(&self.inbox).retain(|parcel| parcel.lane as usize != index);
                }
                return Some(index);
            }
        }
        None
    }

    /// True if the server is done with the last request of a lane, and with the lane's window.
    fn is_over(&self, index: usize) -> bool {
        let (lane, seq) = (self.lane(index), self.lanes[index].seq.load(Ordering::Acquire));
        if lane.rep().load(Ordering::Acquire) != seq {
            return false;
        }
        // The rest of a long reply is still on its way when the call is over.
        lane.place().load(Ordering::Relaxed) & PLACE_STREAM == 0
            || lane.spilled().load(Ordering::Acquire) == seq
            || Progress::bytes(lane.made().load(Ordering::Acquire), seq) as u64
                >= lane.reply_len().load(Ordering::Relaxed)
    }
}

/// The lane this thread has kept on a link, if it still has it.
#[inline]
pub(super) fn kept_on(link: u64) -> Option<Taken> {
    let kept = KEPT_LANES.try_with(|kept| kept.try_borrow_mut().ok()?.take(link));
    let taken = kept.ok()??;
    let (from, to) = (taken.thread << 2 | KEPT, taken.thread << 2 | CALLING);
    // Another thread may have taken the lane away, and a signal handler may be calling while we are here.
    (taken.link.is_usable() && taken.link.change(taken.index, from, to)).then_some(taken)
}

impl Taken {
    /// Takes a lane of a link for this thread, if there is one left.
    pub(in crate::engine) fn on(link: &Arc<ClientLink>) -> Option<Self> {
        let known = THREAD.try_with(|thread| (*thread, true)).ok();
        // In a model all threads are one of the system's.
        let known = known.filter(|_| !cfg!(loom));
        let (thread, kept) = known.unwrap_or_else(|| (NEXT_ID.fetch_add(1, Ordering::Relaxed), false));
        let index = link.take(thread)?;
        Some(Self(Box::new(Hold {
            link: Arc::clone(link),
            index,
            spin: Spin::default(),
            thread,
            kept,
        })))
    }

    /// Ends the call: the thread keeps the lane for the next one.
    #[inline]
    pub(crate) fn keep(self) {
        if self.kept {
            self.link.lanes[self.index]
                .state
                .store(self.thread << 2 | KEPT, Ordering::Release);
        } else {
            self.link.lanes[self.index].state.store(FREE, Ordering::Release);
            return;
        }
        // At the end of the thread there is nothing to keep it in: the lane is taken away when it is needed.
        let _ = KEPT_LANES.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut() {
                kept.keep(self);
            }
        });
    }

    /// Another thread will end the call, which is not to keep the lane.
    pub(crate) fn pass_on(&mut self) {
        self.kept = false;
    }

    /// Ends a call that was given up: the lane is not used until the server has answered.
    pub(crate) fn give_up(self) {
        self.link.lanes[self.index]
            .state
            .store(self.thread << 2 | ZOMBIE, Ordering::Release);
    }
}

impl Deref for Taken {
    type Target = Hold;

    #[inline]
    fn deref(&self) -> &Hold {
        &self.0
    }
}

impl DerefMut for Taken {
    #[inline]
    fn deref_mut(&mut self) -> &mut Hold {
        &mut self.0
    }
}

/// This thread has no use any more for lanes of links that are dead, or were its parent's.
pub(super) fn forget_unusable_lanes() {
    let _ = KEPT_LANES.try_with(|kept| {
        if let Ok(mut kept) = kept.try_borrow_mut() {
            kept.last.take_if(|taken| !taken.link.is_usable());
            kept.others.retain(|taken| taken.link.is_usable());
        }
    });
}
