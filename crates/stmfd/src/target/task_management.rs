//! Task management functions (SAM-5 §7): what is aborted ends before the function is answered.

use super::Target;
use super::lu::Lu;
use super::nexus::Nexus;
use crate::iscsi::ConnectionMessage;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use stmf_core::{AbortFilter, Lun};

/// What an initiator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// ABORT TASK, by initiator task tag.
    AbortTask(u64),
    /// ABORT TASK SET.
    AbortTaskSet,
    /// CLEAR TASK SET.
    ClearTaskSet,
    /// LOGICAL UNIT RESET, or what a target reset means for one logical unit.
    Reset,
}

impl Target {
    /// Carries a function out on every given logical unit; `done` runs when all of it has been, on both nodes.
    pub(crate) fn manage(
        &self,
        nexus: &Nexus,
        lus: Vec<(Lun, Arc<Lu>)>,
        function: Function,
        done: impl FnOnce() + Send + 'static,
    ) {
        let filter = match function {
            Function::AbortTask(tag) => AbortFilter::Task(nexus.id, tag),
            Function::AbortTaskSet => AbortFilter::Nexus(nexus.id),
            Function::ClearTaskSet | Function::Reset => AbortFilter::All,
        };
        let steps = Steps::new(done);
        for (lun, lu) in lus {
            if function == Function::Reset {
                lu.lock().core.reset(Some(nexus.id));
            }
            let step = steps.clone();
            self.abort(&lu, filter, move || step.one_less());
            // The tasks of this nexus that are with the peer are aborted there one by one; those of others, and the
            // state of the logical unit, are the peer's own.
            if matches!(function, Function::ClearTaskSet | Function::Reset) {
                let step = steps.clone();
                self.proxy()
                    .copy_function(&lu, lun, nexus, function, move || step.one_less());
            }
        }
        steps.one_less();
    }

    /// Aborts tasks of a logical unit, wherever they are; `then` runs once the last has ended.
    pub(crate) fn abort(&self, lu: &Arc<Lu>, filter: AbortFilter, then: impl FnOnce() + Send + 'static) {
        let aborted = lu.abort(filter, then);
        if aborted.tasks.is_empty() {
            return;
        }
        for nexus in self.nexuses() {
            if let Some(connection) = &nexus.connection {
                let _ = connection.send(ConnectionMessage::Sweep(Arc::clone(lu)));
            }
        }
        self.proxy().tasks_aborted(lu, &aborted.tasks);
    }
}

/// Counts clones down and runs what comes after the last.
struct Steps<F> {
    left: Arc<AtomicUsize>,
    done: Arc<Mutex<Option<F>>>,
}

impl<F: FnOnce()> Steps<F> {
    fn new(done: F) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(1)),
            done: Arc::new(Mutex::new(Some(done))),
        }
    }

    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = self.done.lock().ok().and_then(|mut done| done.take())
        {
            done();
        }
    }
}

impl<F> Clone for Steps<F> {
    fn clone(&self) -> Self {
        self.left.fetch_add(1, Ordering::AcqRel);
        Self {
            left: Arc::clone(&self.left),
            done: Arc::clone(&self.done),
        }
    }
}
