//! The door itself: what it is, who may still reach it, and when it is unreferenced.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, OnceLock, PoisonError, Weak};
use std::time::Instant;

use super::internal::InternalFd;
use super::link::ServerLink;
use super::pool::{Pool, Work};
use super::stats::DoorStats;
use super::undertaker;
use crate::info::{Attributes, DoorInfo, Limits};
use crate::statistics::Statistics;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
pub(crate) use crate::sync::lock;
use crate::sys::{barrier, probe};

/// A door of this process.
pub(crate) struct DoorObject {
    attributes: AtomicU32,
    pub(crate) procedure_address: u64,
    pub(crate) cookie: u64,
    pub(crate) procedure: Option<Arc<dyn Any + Send + Sync>>,
    limits: Mutex<Limits>,
    /// True while the limits are what everything fits: no need to look at them.
    unlimited: AtomicBool,
    pool: OnceLock<Arc<Pool>>,
    pub(crate) unique: OnceLock<u64>,
    references: Mutex<References>,
    counts: bool,
    pub(crate) stats: DoorStats,
    /// Whoever waits for the last procedure to return waits here.
    ended: (std::sync::Mutex<()>, Condvar),
}

impl std::fmt::Debug for DoorObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoorObject")
            .field("unique", &self.unique.get())
            .finish_non_exhaustive()
    }
}

impl Drop for DoorObject {
    /// The last reference may be a server thread's, in the middle of a call: what the application's procedure owns must neither
    /// block nor panic there.
    fn drop(&mut self) {
        if let Some(procedure) = self.procedure.take() {
            undertaker::bury(procedure);
        }
    }
}

/// Who can reach the door: its own descriptor, exports and paths. And what keeps the unreferenced invocation back.
#[derive(Debug, Default)]
struct References {
    own: u32,
    exports: u32,
    paths: u32,
    active: u32,
    /// Only one reference was left while a call was in progress: to be delivered when it ends.
    owed: bool,
    /// Delivery is in the pool's queue.
    queued: bool,
}

/// One kind of reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The descriptor `create` returned, and its duplicates.
    Own,
    /// A descriptor made for somebody else.
    Export,
    /// An attachment.
    Path,
}

impl References {
    fn total(&self) -> u32 {
        self.own + self.exports + self.paths
    }

    fn of(&mut self, kind: Reference) -> &mut u32 {
        match kind {
            Reference::Own => &mut self.own,
            Reference::Export => &mut self.exports,
            Reference::Path => &mut self.paths,
        }
    }
}

impl DoorObject {
    pub(crate) fn new(spec: super::DoorSpec) -> Arc<Self> {
        let counts = spec
            .attributes
            .intersects(Attributes::UNREF | Attributes::UNREF_MULTI);
        Arc::new(Self {
            attributes: AtomicU32::new(spec.attributes.bits()),
            procedure_address: spec.procedure_address,
            cookie: spec.cookie,
            procedure: spec.procedure,
            unlimited: AtomicBool::new(spec.limits == Limits::default()),
            limits: Mutex::new(spec.limits),
            pool: OnceLock::new(),
            unique: OnceLock::new(),
            references: Mutex::new(References::default()),
            counts,
            stats: DoorStats::default(),
            ended: Default::default(),
        })
    }

    pub(crate) fn set_pool(&self, pool: Arc<Pool>) {
        // Set once, by the creator, before anybody else can see the door.
        let _ = self.pool.set(pool);
    }

    /// The pool whose threads serve this door.
    #[inline]
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        self.pool
            .get()
            .expect("a door has its pool before it is published")
    }

    #[inline]
    pub(crate) fn attributes(&self) -> Attributes {
        Attributes::from_bits_retain(self.attributes.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn is_revoked(&self) -> bool {
        self.attributes().contains(Attributes::REVOKED)
    }

    pub(crate) fn revoke(&self) {
        self.attributes
            .fetch_or(Attributes::REVOKED.bits(), Ordering::AcqRel);
    }

    /// Waits until no procedure of the revoked door runs, or it is `until`; true in the first case.
    pub(crate) fn wait_for_end(&self, until: Option<Instant>) -> bool {
        // Whoever begins from here on sees that the door is revoked, and who has begun is seen.
        barrier::heavy();
        let (mutex, ended) = &self.ended;
        let mut guard = lock(mutex);
        while !self.stats.is_empty() {
            guard = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    let woken = ended.wait_timeout(guard, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => ended.wait(guard).unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }

    /// A procedure of the revoked door has returned.
    #[cold]
    pub(crate) fn tell_of_end(&self) {
        let (mutex, ended) = &self.ended;
        drop(lock(mutex));
        ended.notify_all();
    }

    /// The limits, if there are any.
    #[inline]
    pub(crate) fn effective_limits(&self) -> Option<Limits> {
        if self.unlimited.load(Ordering::Acquire) {
            None
        } else {
            Some(*lock(&self.limits))
        }
    }

    pub(crate) fn change_limits<E>(
        &self,
        change: impl FnOnce(&mut Limits) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut limits = lock(&self.limits);
        let mut wanted = *limits;
        change(&mut wanted)?;
        *limits = wanted;
        self.unlimited
            .store(wanted == Limits::default(), Ordering::Release);
        Ok(())
    }

    /// Its number on this system; 0 before it has a descriptor.
    pub(crate) fn number(&self) -> u64 {
        self.unique.get().copied().unwrap_or(0)
    }

    /// What `door_info` says, to the owner (`local`) or to others.
    pub(crate) fn info(&self, local: bool) -> DoorInfo {
        let mut attributes = self.attributes();
        attributes.set(Attributes::LOCAL, local);
        attributes.set(Attributes::IS_UNREF, lock(&self.references).total() == 1);
        DoorInfo {
            target: Some(std::process::id()),
            procedure: self.procedure_address,
            cookie: self.cookie,
            attributes,
            unique: self.number(),
            limits: *lock(&self.limits),
        }
    }

    /// What the door has been doing.
    pub(crate) fn statistics(&self) -> Statistics {
        let references = lock(&self.references);
        let (exports, paths) = (references.exports.into(), references.paths.into());
        drop(references);
        let (threads, idle) = self.pool().threads();
        Statistics {
            exports,
            paths,
            threads: threads as u64,
            threads_idle: idle.min(threads) as u64,
            ..self.stats.read()
        }
    }

    pub(crate) fn reference_added(&self, kind: Reference) {
        *lock(&self.references).of(kind) += 1;
    }

    pub(crate) fn reference_dropped(self: &Arc<Self>, kind: Reference) {
        let mut references = lock(&self.references);
        let count = references.of(kind);
        *count = count.saturating_sub(1);
        if references.total() == 1 {
            self.unreferenced(&mut references);
        }
    }

    /// Only one reference is left: sees to the invocation, now or when the last call has ended.
    fn unreferenced(self: &Arc<Self>, references: &mut References) {
        if !self
            .attributes()
            .intersects(Attributes::UNREF | Attributes::UNREF_MULTI)
            || self.is_revoked()
        {
            return;
        }
        if references.active > 0 {
            references.owed = true;
        } else if !references.queued {
            references.queued = true;
            // UNREF comes once; UNREF_MULTI stays.
            self.attributes
                .fetch_and(!Attributes::UNREF.bits(), Ordering::AcqRel);
            self.pool().push(Work::Unreferenced(Arc::clone(self)));
        }
    }

    /// A thread has taken the queued unreferenced invocation; false if it is moot.
    pub(crate) fn begin_unreferenced(&self) -> bool {
        let mut references = lock(&self.references);
        references.queued = false;
        if self.is_revoked() {
            return false;
        }
        references.active += 1;
        self.stats.unreferenced();
        probe::unreferenced(self.number());
        true
    }

    /// A call begins.
    #[inline]
    pub(crate) fn begin(&self) {
        if self.counts {
            self.begin_counted();
        }
    }

    #[cold]
    fn begin_counted(&self) {
        lock(&self.references).active += 1;
    }

    /// A call, or the unreferenced invocation, has ended.
    #[inline]
    pub(crate) fn end(self: &Arc<Self>) {
        if self.counts {
            self.end_counted();
        }
    }

    #[cold]
    fn end_counted(self: &Arc<Self>) {
        let mut references = lock(&self.references);
        references.active = references.active.saturating_sub(1);
        if references.active == 0 && references.owed {
            references.owed = false;
            if references.total() == 1 {
                self.unreferenced(&mut references);
            }
        }
    }
}

/// One reference that the kernel counts: the server's end of a socket whose other end is the descriptor somebody holds.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) key: u64,
    /// Our end, once the control thread has it.
    pub(crate) socket: OnceLock<InternalFd>,
    /// Number of the other end, by which a descriptor of ours is recognised when we meet it; 0 if not known.
    pub(crate) cookie: u64,
    pub(crate) door: Arc<DoorObject>,
    pub(crate) kind: Reference,
    /// It is one of the door's references.
    pub(crate) is_counted: AtomicBool,
    /// Links over which it is known, by key.
    links: Mutex<HashMap<u64, Weak<ServerLink>>>,
}

impl Export {
    pub(crate) fn new(key: u64, cookie: u64, door: &Arc<DoorObject>, kind: Reference) -> Self {
        Self {
            key,
            socket: OnceLock::new(),
            cookie,
            door: Arc::clone(door),
            kind,
            is_counted: AtomicBool::new(false),
            links: Mutex::default(),
        }
    }

    pub(crate) fn add_link(&self, link: &Arc<ServerLink>) {
        lock(&self.links).insert(link.key, Arc::downgrade(link));
    }

    pub(crate) fn remove_link(&self, key: u64) {
        lock(&self.links).remove(&key);
    }

    /// The links over which it is known, for the last time.
    pub(crate) fn forget_links(&self) -> Vec<Arc<ServerLink>> {
        let links = std::mem::take(&mut *lock(&self.links));
        links.values().filter_map(Weak::upgrade).collect()
    }
}
