//! Task management functions (SAM-5 §7): what is aborted ends before the function is answered.

use super::Target;
use super::lu::Lu;
use super::nexus::Nexus;
use crate::iscsi::ConnectionMessage;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use stmf_core::AbortFilter;

impl Target {
    /// Carries a function out on every given logical unit; `done` runs when all of it has been.
    pub(crate) fn manage(
        &self,
        nexus: &Nexus,
        lus: Vec<Arc<Lu>>,
        filter: AbortFilter,
        reset: bool,
        done: impl FnOnce() + Send + 'static,
    ) {
        let left = Arc::new(AtomicUsize::new(lus.len() + 1));
        let done = Arc::new(std::sync::Mutex::new(Some(done)));
        let one_less = move || {
            if left.fetch_sub(1, Ordering::AcqRel) == 1
                && let Some(done) = done.lock().ok().and_then(|mut done| done.take())
            {
                done();
            }
        };
        for lu in lus {
            if reset {
                lu.lock().core.reset(Some(nexus.id));
            }
            self.abort(&lu, filter, one_less.clone());
        }
        one_less();
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
