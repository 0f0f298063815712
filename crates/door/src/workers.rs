//! Server threads of the Rust interface: the engine claims, these loops run the closures.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::builder::Procedure;
use crate::engine::{self, Claimed, Pool, ServerThread};
use crate::invocation::Invocation;
use crate::sys::fork::PerProcess;
use crate::sys::process;
use crate::threads::Threads;

/// Threads that serve one pool.
#[derive(Debug)]
pub(crate) struct Crew {
    /// `None`: the pool of the process.
    pool: Option<Arc<Pool>>,
    threads: Mutex<Threads>,
    /// Threads there are, or are being started.
    count: AtomicUsize,
}

/// The crew of the process pool; a forked child has its own.
static PROCESS_CREW: PerProcess<Arc<Crew>> = PerProcess::new();

fn process_crew() -> &'static Arc<Crew> {
    PROCESS_CREW.get_or_make(|| Arc::new(Crew::new(None, Threads::default())))
}

/// Starts the threads of the process pool, once.
pub(crate) fn ensure_process_crew() -> io::Result<()> {
    process_crew().start()
}

/// Other threads for the process pool from now on; those it begins with are started if it has begun.
pub(crate) fn set_process_threads(threads: Threads) -> io::Result<()> {
    let crew = process_crew();
    *crew.threads() = threads;
    if crew.count.load(Ordering::Acquire) > 0 {
        crew.start()?;
    }
    Ok(())
}

impl Crew {
    fn new(pool: Option<Arc<Pool>>, threads: Threads) -> Self {
        Self {
            pool,
            threads: Mutex::new(threads),
            count: AtomicUsize::new(0),
        }
    }

    /// Starts the threads of a private pool: all of those it begins with, or none.
    pub(crate) fn private(pool: Arc<Pool>, threads: Threads) -> io::Result<Arc<Self>> {
        let crew = Arc::new(Self::new(Some(pool), threads));
        crew.start().inspect_err(|_| crew.dismiss())?;
        Ok(crew)
    }

    /// The door is revoked: the threads of its pool end when they have nothing to do.
    pub(crate) fn dismiss(&self) {
        if let Some(pool) = &self.pool {
            pool.close();
        }
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>) -> io::Result<()> {
        let threads = self.threads().clone();
        let (ready, parked) = channel();
        while self.add(threads.first, Some(ready.clone()))? {}
        drop(ready);
        // Ends when each of them has said that it serves.
        parked.into_iter().for_each(drop);
        Ok(())
    }

    /// Starts a thread if there are fewer than `most`; false if there are not. `ready` is dropped once it serves.
    fn add(self: &Arc<Self>, most: usize, ready: Option<Sender<()>>) -> io::Result<bool> {
        let room = |count: usize| (count < most).then_some(count + 1);
        if self
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, room)
            .is_err()
        {
            return Ok(false);
        }
        let builder = self.threads().builder();
        let crew = Arc::clone(self);
        process::build_without_signals(builder, move || crew.serve(ready)).inspect_err(|_| self.leave())?;
        Ok(true)
    }

    fn leave(&self) {
        let last = self.count.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && let Some(pool) = &self.pool {
            // Without epoll's help the callers of a revoked door would wait; there is nobody to tell.
            let _ = engine::retire(pool);
        }
    }

    /// What each thread does. A panic that got past the procedure's own net costs the call, never the thread.
    fn serve(self: Arc<Self>, mut ready: Option<Sender<()>>) {
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.take_invocations(ready.take()))) {
            // It may be dropping this very value that panics.
            std::mem::forget(panic);
        }
        self.leave();
    }

    fn take_invocations(self: &Arc<Self>, ready: Option<Sender<()>>) {
        let Ok(mut thread) = ServerThread::new(0) else {
            return;
        };
        thread.bind(self.pool.clone());
        drop(ready);
        let mut spare = Vec::new();
        while let Ok(mut claimed) = thread.park() {
            if claimed.depleted() {
                // Callers wait until a thread is free if there may be no more of them, or the system has none to give.
                let most = self.threads().most;
                let _ = self.add(most, None);
            }
            if run(&mut claimed, &mut spare) {
                thread.retire(claimed);
            }
        }
    }
}

/// Runs the procedure; false if the invocation has to be failed by dropping it. `spare` is memory for replies.
fn run(claimed: &mut Claimed, spare: &mut Vec<u8>) -> bool {
    let procedure = claimed
        .procedure()
        .cloned()
        .and_then(|any| any.downcast::<Procedure>().ok());
    let Some(procedure) = procedure else { return false };
    let Some(_inside) = procedure.gate.enter() else {
        claimed.refuse();
        return true;
    };
    if claimed.is_unreferenced() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| procedure.unreferenced())) {
            std::mem::forget(panic);
        }
        return claimed.finish(&[], &[]).is_ok();
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        (procedure.invoke)(Invocation::new(claimed, spare))
    }));
    match outcome {
        Ok(reply) => reply.send(claimed, spare),
        Err(panic) => {
            std::mem::forget(panic);
            false
        }
    }
}
