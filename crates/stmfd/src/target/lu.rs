//! A logical unit on this node: the core's state machine, its store while this node owns it, and what is in progress.

use super::job::Job;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use stmf_block::Backing;
use stmf_core::{
    AbortFilter, AccessState, Guid, LogicalUnit, LuProperties, NexusId, TaskId, TaskSet, UnitAttention,
    Verdict,
};

/// A logical unit.
#[derive(Debug)]
pub(crate) struct Lu {
    pub(crate) guid: Guid,
    pub(crate) counters: Counters,
    inner: Mutex<Inner>,
    idle: Condvar,
}

/// What is behind the lock. It is held for decisions only, never while a disk, a door or the peer is waited for.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) core: LogicalUnit,
    pub(crate) tasks: TaskSet,
    /// Open while this node is the owner.
    pub(crate) backing: Option<Arc<Backing>>,
    /// What to import; the store's metadata file, or its data file when they are one.
    pub(crate) path: PathBuf,
    /// Epoch of the present owner as far as this node knows.
    pub(crate) epoch: u64,
    /// This node is the owner of that epoch.
    pub(crate) owned: bool,
    pub(crate) offline: bool,
    /// An administrative operation is under way: others get BUSY.
    pub(crate) changing: bool,
    /// Commands that use the store right now.
    pub(crate) in_store: usize,
    /// Since when commands are parked.
    pub(crate) holding_since: Option<Instant>,
    /// Commands parked during a planned hand-over.
    pub(crate) held: Vec<Job>,
    waiters: HashMap<stmf_core::Waiter, Waiter>,
}

/// Called when every task a task management function aborted has ended.
pub(crate) struct Waiter(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiter")
    }
}

/// What a logical unit has done on this node.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commands: AtomicU64,
    pub(crate) check_conditions: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) write_bytes: AtomicU64,
    pub(crate) proxied: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

impl Lu {
    pub(crate) fn new(core: LogicalUnit, path: PathBuf, epoch: u64, backing: Option<Arc<Backing>>) -> Self {
        let inner = Inner {
            tasks: TaskSet::new(),
            owned: backing.is_some(),
            backing,
            path,
            epoch,
            offline: false,
            changing: false,
            in_store: 0,
            holding_since: None,
            held: Vec::new(),
            waiters: HashMap::new(),
            core,
        };
        Self {
            guid: inner.core.properties().guid,
            counters: Counters::default(),
            inner: Mutex::new(inner),
            idle: Condvar::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The access state now.
    pub(crate) fn access(&self) -> AccessState {
        self.lock().core.access()
    }

    /// Ends a task; true if it is to be answered. Runs what waited for it.
    pub(crate) fn end_task(&self, task: TaskId) -> bool {
        let mut inner = self.lock();
        let (deliver, ready) = inner.end_task(task);
        drop(inner);
        run(ready);
        deliver
    }

    /// A command leaves the store.
    pub(crate) fn leave_store(&self) {
        let mut inner = self.lock();
        inner.in_store -= 1;
        if inner.in_store == 0 {
            self.idle.notify_all();
        }
    }

    /// Waits until no command uses the store; false when `limit` passed first.
    pub(crate) fn wait_until_idle(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut inner = self.lock();
        while inner.in_store > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inner = self
                .idle
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Aborts the tasks the filter names; `then` runs once the last of them has ended, perhaps at once.
    /// Gives the tasks aborted and the parked commands among them, which end when they are dropped.
    pub(crate) fn abort(&self, filter: AbortFilter, then: impl FnOnce() + Send + 'static) -> Aborted {
        let mut inner = self.lock();
        let stmf_core::Aborted { tasks, waiter, .. } = inner.tasks.abort(filter);
        match waiter {
            Some(waiter) => {
                inner.waiters.insert(waiter, Waiter(Box::new(then)));
                let held = std::mem::take(&mut inner.held);
                let (ended, kept) = held
                    .into_iter()
                    .partition(|j| j.task.is_some_and(|t| tasks.contains(&t)));
                inner.held = kept;
                Aborted { tasks, held: ended }
            }
            None => {
                drop(inner);
                then();
                Aborted {
                    tasks,
                    held: Vec::new(),
                }
            }
        }
    }
}

/// What an abort reached.
#[derive(Debug)]
pub(crate) struct Aborted {
    pub(crate) tasks: Vec<TaskId>,
    /// Dropping these ends them; not under the logical unit's lock.
    #[expect(dead_code, reason = "held only to be dropped outside the lock")]
    pub(crate) held: Vec<Job>,
}

impl Inner {
    /// Changes the access state; with `hold`, commands of initiators wait for the next change.
    pub(crate) fn set_access(&mut self, access: AccessState, hold: bool) {
        self.core.set_access(access, hold);
        self.holding_since = if hold {
            self.holding_since.or_else(|| Some(Instant::now()))
        } else {
            None
        };
    }

    /// The initiator has seen its LUNs: it need not be told that they changed.
    pub(crate) fn luns_reported(&mut self, nexus: NexusId) {
        self.core.clear_on(nexus, UnitAttention::ReportedLunsChanged);
    }

    /// Takes over properties that were read from the store or told by the owner.
    pub(crate) fn learn(&mut self, properties: LuProperties) {
        if properties.block_size == self.core.properties().block_size {
            return self.core.modify(properties);
        }
        // Nothing true was known of it before: it starts anew, with the sessions it has.
        let nexuses: Vec<NexusId> = self.core.nexuses().collect();
        self.core = LogicalUnit::new(properties, self.core.access());
        for nexus in nexuses {
            self.core.nexus_added(nexus);
        }
    }

    /// Ends a task under the lock; what is returned second runs after it is released.
    pub(crate) fn end_task(&mut self, task: TaskId) -> (bool, Vec<Waiter>) {
        let ended = self.tasks.end(task);
        let ready = ended
            .satisfied
            .iter()
            .filter_map(|waiter| self.waiters.remove(waiter))
            .collect();
        (ended.verdict == Verdict::Deliver, ready)
    }
}

/// Runs what waited, outside every lock.
pub(crate) fn run(ready: Vec<Waiter>) {
    for waiter in ready {
        (waiter.0)();
    }
}
