//! Pools: where server threads wait, and what they can be given.
//!
//! A pool is an epoll instance. Doorbells (one eventfd per link) and the pool's own kick are registered in it edge triggered and never
//! read: each write wakes one waiting thread. Bits in the link's memory say which lanes rang.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock, Weak};

use rustix::event::{EventfdFlags, epoll};

use super::internal::InternalFd;
use super::link::ServerLink;
use super::object::{DoorObject, lock};
use crate::info::DoorInfo;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sys;

/// Something a thread of the pool has to do that did not come straight from a doorbell.
#[derive(Debug)]
pub(crate) enum Work {
    /// This lane rang, but the thread that noticed was busy with another.
    Lane(Arc<ServerLink>, usize),
    /// Only one reference to the door is left.
    Unreferenced(Arc<DoorObject>),
}

/// A pool of server threads: the one of the process, or the one of a private door.
#[derive(Debug)]
pub struct Pool {
    /// Epoll instance and kick, in the application's table.
    near: [InternalFd; 2],
    /// The same in the control thread's.
    far: OnceLock<[InternalFd; 2]>,
    queue: Mutex<VecDeque<Work>>,
    queued: AtomicUsize,
    /// Threads that wait, or have looked for work for a while: whoever takes the last one away has depleted the pool.
    idle: AtomicUsize,
    /// Threads that serve this pool, idle or not.
    threads: AtomicUsize,
    /// Threads that wait: they hear the bells.
    waiting: AtomicUsize,
    /// Lanes on which threads doze that do not hear the bells; as many as `dozing` says.
    dozers: Mutex<VecDeque<(Arc<ServerLink>, usize)>>,
    dozing: AtomicUsize,
    closed: AtomicBool,
    links: Mutex<HashMap<u64, Arc<ServerLink>>>,
    door: OnceLock<Weak<DoorObject>>,
}

/// Epoll data of the kick; links have keys from 1 on.
const KICK: u64 = 0;

impl Pool {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let epoll = InternalFd::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let kick = new_bell()?;
        watch_bell(&epoll, &kick, KICK)?;
        Ok(Arc::new(Self {
            near: [epoll, kick],
            far: OnceLock::new(),
            queue: Mutex::default(),
            queued: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            dozers: Mutex::default(),
            dozing: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            links: Mutex::default(),
            door: OnceLock::new(),
        }))
    }

    /// The descriptors behind it, for the control thread.
    pub(crate) fn ends(&self) -> [BorrowedFd<'_>; 2] {
        self.near.each_ref().map(AsFd::as_fd)
    }

    pub(crate) fn near(&self) -> &[InternalFd; 2] {
        &self.near
    }

    pub(crate) fn set_far(&self, epoll: InternalFd, kick: InternalFd) {
        // Set once, at the only introduction.
        let _ = self.far.set([epoll, kick]);
    }

    /// Epoll instance and kick as this thread can use them.
    #[inline]
    fn here(&self) -> &[InternalFd; 2] {
        if self.near[0].is_here() {
            &self.near
        } else {
            self.far.get().unwrap_or(&self.near)
        }
    }

    #[inline]
    pub(crate) fn epoll(&self) -> &InternalFd {
        &self.here()[0]
    }

    /// Makes it the private pool of `door`.
    pub(crate) fn set_door(&self, door: &Arc<DoorObject>) {
        // Set once, by the creator of both.
        let _ = self.door.set(Arc::downgrade(door));
    }

    /// Ends the pool of a revoked door: threads that wait in it, or come to wait, get [`Stopped`](super::Stopped). Whoever ran the
    /// last one hands the pool to [`retire`](super::retire).
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.kick();
        while self.dozing.load(Ordering::SeqCst) > 0 {
            self.recall();
        }
    }

    /// True if the pool was closed. Whoever sees it tells the next one that waits.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        let closed = self.closed.load(Ordering::Acquire);
        if closed {
            self.kick();
        }
        closed
    }

    /// The door of a private pool (`DOOR_QUERY`); `None` for the pool of the process, and when the door is gone.
    #[must_use]
    pub fn door_info(&self) -> Option<DoorInfo> {
        self.door().map(|door| door.info(true))
    }

    /// The door of a private pool, as long as there is one.
    pub(crate) fn door(&self) -> Option<Arc<DoorObject>> {
        self.door.get().and_then(Weak::upgrade)
    }

    /// Adds a link: gives the bell its clients ring.
    pub(crate) fn add_link(&self, link: &Arc<ServerLink>) -> io::Result<InternalFd> {
        let bell = new_bell()?;
        self.adopt_link(link, &bell)?;
        Ok(bell)
    }

    /// Adds a link whose clients have a bell already: another pool's, which no longer needs it.
    pub(crate) fn adopt_link(&self, link: &Arc<ServerLink>, bell: &InternalFd) -> io::Result<()> {
        lock(&self.links).insert(link.key, Arc::clone(link));
        watch_bell(self.epoll(), bell, link.key).inspect_err(|_| {
            lock(&self.links).remove(&link.key);
        })
    }

    /// Removes a link. The client may keep the bell alive, so it must be taken out by name.
    pub(crate) fn remove_link(&self, key: u64, bell: &InternalFd) {
        let _ = epoll::delete(self.epoll(), bell);
        lock(&self.links).remove(&key);
    }

    pub(crate) fn push(&self, work: Work) {
        let mut queue = lock(&self.queue);
        queue.push_back(work);
        self.queued.store(queue.len(), Ordering::Release);
        drop(queue);
        self.kick();
    }

    /// Takes work from the queue. If there is more, another thread is told: its kick may have been this one's.
    pub(crate) fn pop(&self) -> Option<Work> {
        if self.queued.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut queue = lock(&self.queue);
        let work = queue.pop_front();
        self.queued.store(queue.len(), Ordering::Release);
        let more = !queue.is_empty();
        drop(queue);
        if more {
            self.kick();
        }
        work
    }

    pub(crate) fn has_queued(&self) -> bool {
        self.queued.load(Ordering::Acquire) > 0
    }

    pub(crate) fn kick(&self) {
        sys::epoll::ring(&self.here()[1]);
    }

    /// Waits for a bell. `None`: a kick, a signal, or a link that has gone; or nothing, with `wait` false.
    ///
    /// # Errors
    /// `EBADF` if the application has closed the engine's descriptors.
    pub(crate) fn wait(&self, wait: bool) -> io::Result<Option<Arc<ServerLink>>> {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        let outcome = if wait {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            // Whoever closes the pool kicks after that; a kick from before may have gone to one that did not wait for it.
            let forever = !self.closed.load(Ordering::SeqCst);
            let outcome = sys::epoll::wait(self.epoll(), &mut events, forever);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            outcome
        } else {
            sys::epoll::wait(self.epoll(), &mut events, false)
        };
        match outcome {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(None),
            Ok(_) => {
                let key = events[0].data.u64();
                Ok(lock(&self.links).get(&key).cloned())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes all bells there are, without waiting.
    pub(crate) fn drain(&self, mut ring: impl FnMut(Arc<ServerLink>)) {
        let blank = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        };
        let mut events = [blank; 16];
        // Clients that keep ringing must not keep the others waiting: they are heard again.
        for _ in 0..64 {
            let count = sys::epoll::wait(self.epoll(), &mut events, false).unwrap_or(0);
            for event in &events[..count] {
                let link = lock(&self.links).get(&event.data.u64()).cloned();
                link.into_iter().for_each(&mut ring);
            }
            if count < events.len() {
                return;
            }
        }
    }

    /// A thread comes to serve this pool.
    pub(crate) fn thread_joined(&self) {
        self.threads.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread that had joined leaves. If the pool is retired, what it has left undone is the control thread's.
    pub(crate) fn thread_left(&self) {
        if self.threads.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.kick();
        }
    }

    /// Number of threads, and of those that are idle.
    pub(crate) fn threads(&self) -> (usize, usize) {
        (
            self.threads.load(Ordering::Relaxed),
            self.idle.load(Ordering::Relaxed),
        )
    }

    #[inline]
    pub(crate) fn thread_idle(&self) {
        self.idle.fetch_add(1, Ordering::AcqRel);
    }

    /// A thread has work; true if no other one is idle. If it was never `idle` because that work came at once, nothing has changed.
    ///
    /// All are busy only after one that was idle took the last one away, and was told. Of what those do that never were, nothing is missed.
    #[inline]
    pub(crate) fn thread_busy(&self, idle: bool) -> bool {
        // Somebody must hear the bells. Whoever takes the last listener away gets one out of its doze.
        if self.dozing.load(Ordering::SeqCst) > 0 && self.waiting.load(Ordering::SeqCst) == 0 {
            self.recall();
        }
        if idle {
            self.idle.fetch_sub(1, Ordering::AcqRel) == 1
        } else {
            self.idle.load(Ordering::Acquire) == 0
        }
    }

    /// Lets a thread doze on the lane it holds, as long as another one hears the bells; false if none does.
    pub(crate) fn begin_doze(&self, link: &Arc<ServerLink>, index: usize) -> bool {
        if self.is_deaf() || self.has_queued() || self.closed.load(Ordering::SeqCst) {
            return false;
        }
        link.lie_down(index);
        let mut dozers = lock(&self.dozers);
        dozers.push_back((Arc::clone(link), index));
        self.dozing.fetch_add(1, Ordering::SeqCst);
        drop(dozers);
        if self.waiting.load(Ordering::SeqCst) == 0 {
            // The last listener has gone meanwhile, and may not have seen this thread lie down.
            self.end_doze(link, index);
            return false;
        }
        true
    }

    /// The thread that dozed on a lane is up; true if it was [recalled](Self::recall).
    pub(crate) fn end_doze(&self, link: &Arc<ServerLink>, index: usize) -> bool {
        let mut dozers = lock(&self.dozers);
        let at = dozers
            .iter()
            .position(|(other, lane)| *lane == index && Arc::ptr_eq(other, link));
        if let Some(at) = at {
            dozers.remove(at);
            self.dozing.fetch_sub(1, Ordering::SeqCst);
        }
        drop(dozers);
        link.get_up(index);
        at.is_none()
    }

    /// Calls the thread that has dozed longest back to the bells.
    #[cold]
    fn recall(&self) {
        let mut dozers = lock(&self.dozers);
        let dozer = dozers.pop_front();
        if dozer.is_some() {
            self.dozing.fetch_sub(1, Ordering::SeqCst);
        }
        drop(dozers);
        if let Some((link, index)) = dozer {
            link.rouse(index);
        }
    }

    /// True if threads doze.
    #[cfg(all(test, loom))]
    pub(crate) fn has_dozers(&self) -> bool {
        self.dozing.load(Ordering::SeqCst) > 0
    }

    /// True if no thread would hear a bell now.
    #[inline]
    pub(crate) fn is_deaf(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }
}

pub(crate) fn new_bell() -> io::Result<InternalFd> {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    Ok(InternalFd::new(rustix::event::eventfd(0, flags)?))
}

fn watch_bell(epoll: &InternalFd, bell: &InternalFd, key: u64) -> io::Result<()> {
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(epoll, bell.as_fd(), epoll::EventData::new_u64(key), flags)?;
    Ok(())
}
