//! Making a door.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::door::Door;
use crate::engine::{self, DoorSpec};
use crate::info::{Attributes, Limits};
use crate::invocation::Invocation;
use crate::reply::Reply;
use crate::threads::Threads;
use crate::workers::{self, Crew, ThreadSource};

/// What runs for each invocation.
pub(crate) struct Procedure {
    pub(crate) invoke: Box<dyn Fn(Invocation<'_>) -> Reply + Send + Sync>,
    unreferenced: Unreferenced,
}

/// What runs when only the server's reference is left.
#[derive(Default)]
enum Unreferenced {
    #[default]
    Nothing,
    Once(Mutex<Option<Box<dyn FnOnce() + Send>>>),
    EachTime(Box<dyn Fn() + Send + Sync>),
}

impl Procedure {
    pub(crate) fn unreferenced(&self) {
        match &self.unreferenced {
            Unreferenced::Nothing => {}
            Unreferenced::EachTime(procedure) => procedure(),
            Unreferenced::Once(procedure) => {
                let procedure = procedure.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(procedure) = procedure {
                    procedure();
                }
            }
        }
    }
}

/// A door in the making; see [`Door::builder`].
#[must_use = "a door is made by `create`"]
pub struct Builder {
    limits: Limits,
    refuse_descriptors: bool,
    unreferenced: Unreferenced,
    threads: Option<Threads>,
    /// Where those threads come from, if not from here.
    source: Option<Arc<dyn ThreadSource>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limits", &self.limits)
            .field("refuse_descriptors", &self.refuse_descriptors)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new() -> Self {
        // Else the first door tries again.
        let _ = engine::prepare();
        Self {
            limits: Limits::default(),
            refuse_descriptors: true,
            unreferenced: Unreferenced::default(),
            threads: None,
            source: None,
        }
    }

    /// Whether requests that carry descriptors are refused (`DOOR_REFUSE_DESC`). They are unless this says otherwise; replies
    /// may carry descriptors anyway.
    pub fn refuse_descriptors(mut self, refuse: bool) -> Self {
        self.refuse_descriptors = refuse;
        self
    }

    /// Greatest argument taken (`DOOR_PARAM_DATA_MAX`).
    pub fn max_argument_bytes(mut self, bytes: u64) -> Self {
        self.limits.data_max = bytes;
        self
    }

    /// Least argument taken (`DOOR_PARAM_DATA_MIN`).
    pub fn min_argument_bytes(mut self, bytes: u64) -> Self {
        self.limits.data_min = bytes;
        self
    }

    /// Greatest number of descriptors taken with a request (`DOOR_PARAM_DESC_MAX`).
    pub fn max_descriptors(mut self, count: u32) -> Self {
        self.limits.descriptors_max = count;
        self
    }

    /// Serves the door by threads of its own (`DOOR_PRIVATE`), so that no other door's calls can keep it waiting, nor it theirs.
    /// They end after the door has been revoked.
    pub fn threads(mut self, threads: Threads) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Threads of somebody else's; `most` of them, if nobody says how many.
    #[cfg(feature = "tokio")]
    pub(crate) fn threads_of(mut self, source: Arc<dyn ThreadSource>, most: usize) -> Self {
        self.threads.get_or_insert_with(|| Threads::up_to(most));
        self.source = Some(source);
        self
    }

    /// Runs `procedure` on a server thread each time the references to the door drop to one, the server's own
    /// (`DOOR_UNREF_MULTI`). It never runs while a call is in progress.
    ///
    /// Somebody may have been given a reference since: ask [`Door::is_unreferenced`] before giving the door up.
    pub fn on_unreferenced(mut self, procedure: impl Fn() + Send + Sync + 'static) -> Self {
        self.unreferenced = Unreferenced::EachTime(Box::new(procedure));
        self
    }

    /// Like [`on_unreferenced`](Self::on_unreferenced), but only the first time (`DOOR_UNREF`). Of the two, the one said last holds.
    pub fn on_first_unreferenced(mut self, procedure: impl FnOnce() + Send + 'static) -> Self {
        self.unreferenced = Unreferenced::Once(Mutex::new(Some(Box::new(procedure))));
        self
    }

    /// Makes the door. `procedure` runs for each call, on as many threads as there are calls at once. If it panics, the call
    /// fails with [`CallError::Interrupted`](crate::CallError::Interrupted) and the thread goes on.
    ///
    /// A descriptor that is made here for others is closed on exec, and a forked child inherits it as a client: the door stays this process's.
    ///
    /// # Errors
    /// `EMFILE` if the process is out of descriptors; `EAGAIN` if a thread cannot be started, in which case there is no door;
    /// `EINVAL` for limits or [`Threads`] that contradict themselves.
    pub fn create<F>(self, procedure: F) -> io::Result<Door>
    where
        F: Fn(Invocation<'_>) -> Reply + Send + Sync + 'static,
    {
        self.limits.check(self.refuse_descriptors)?;
        if let Some(threads) = &self.threads {
            threads.check()?;
        }
        // A caller that gives up never cancels a Rust thread: `Invocation::is_cancelled` tells.
        let mut attributes = Attributes::NO_CANCEL;
        attributes.set(Attributes::REFUSE_DESC, self.refuse_descriptors);
        attributes.set(Attributes::PRIVATE, self.threads.is_some());
        match &self.unreferenced {
            Unreferenced::Nothing => {}
            Unreferenced::Once(_) => attributes |= Attributes::UNREF,
            Unreferenced::EachTime(_) => attributes |= Attributes::UNREF_MULTI,
        }
        let procedure = Procedure {
            invoke: Box::new(procedure),
            unreferenced: self.unreferenced,
        };
        let fd = engine::create(DoorSpec {
            attributes,
            procedure_address: 0,
            cookie: 0,
            limits: self.limits,
            procedure: Some(Arc::new(procedure)),
        })?;
        let mut door = Door::new(fd);
        match self.threads {
            Some(threads) => door.set_crew(Crew::private(door.pool()?, threads, self.source)?),
            None => workers::ensure_process_crew()?,
        }
        Ok(door)
    }
}
