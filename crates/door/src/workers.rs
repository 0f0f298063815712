//! Server threads of the Rust interface: the engine claims, these loops run the closures.

use std::fmt::Debug;
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

/// Where threads of a crew come from.
pub(crate) trait ThreadSource: Debug + Send + Sync {
    /// The private pool that is to be served.
    fn open(&self, _pool: &Arc<Pool>) {}

    /// Starts a thread.
    ///
    /// # Errors
    /// `EAGAIN`; `body` has been dropped then.
    fn start(&self, threads: &Threads, body: Box<dyn FnOnce() + Send>) -> io::Result<()>;

    /// True if a thread that was started begins by itself, so that it can be waited for.
    fn is_prompt(&self) -> bool {
        true
    }

    /// The last thread has left.
    fn close(&self) {}
}

/// Threads of this crate's own.
#[derive(Debug)]
struct OwnThreads;

impl ThreadSource for OwnThreads {
    fn start(&self, threads: &Threads, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        process::build_without_signals(threads.builder(), body)
    }
}

/// Threads that serve one pool.
#[derive(Debug)]
pub(crate) struct Crew {
    /// `None`: the pool of the process.
    pool: Option<Arc<Pool>>,
    source: Arc<dyn ThreadSource>,
    threads: Mutex<Threads>,
    /// Threads there are, or are being started.
    count: AtomicUsize,
}

/// The crew of the process pool; a forked child has its own.
static PROCESS_CREW: PerProcess<Arc<Crew>> = PerProcess::new();

fn process_crew() -> &'static Arc<Crew> {
    PROCESS_CREW.get_or_make(|| Arc::new(Crew::new(None, Threads::default(), Arc::new(OwnThreads))))
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
    fn new(pool: Option<Arc<Pool>>, threads: Threads, source: Arc<dyn ThreadSource>) -> Self {
        Self {
            pool,
            source,
            threads: Mutex::new(threads),
            count: AtomicUsize::new(0),
        }
    }

    /// Starts the threads of a private pool: all of those it begins with, or none.
    pub(crate) fn private(
        pool: Arc<Pool>,
        threads: Threads,
        source: Option<Arc<dyn ThreadSource>>,
    ) -> io::Result<Arc<Self>> {
        let source = source.unwrap_or_else(|| Arc::new(OwnThreads));
        source.open(&pool);
        let crew = Arc::new(Self::new(Some(pool), threads, source));
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
        let ready = self.source.is_prompt().then_some(ready);
        // A thread may have ended before the next one begins.
        for _ in 0..threads.first {
            self.add(threads.first, ready.clone())?;
        }
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
        let member = Member(Arc::clone(self));
        let threads = self.threads().clone();
        self.source
            .start(&threads, Box::new(move || member.serve(ready)))?;
        Ok(true)
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

/// A thread of a crew, from when it is counted until it has ended, or was never begun.
struct Member(Arc<Crew>);

impl Member {
    /// What each thread does. A panic that got past the procedure's own net costs the call, never the thread.
    fn serve(self, mut ready: Option<Sender<()>>) {
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.0.take_invocations(ready.take()))) {
            // It may be dropping this very value that panics.
            std::mem::forget(panic);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let last = self.0.count.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && let Some(pool) = &self.0.pool {
            // Without epoll's help the callers of a revoked door would wait; there is nobody to tell.
            let _ = engine::retire(pool);
            self.0.source.close();
        }
    }
}

/// Runs the procedure; false if the invocation has to be failed by dropping it. `spare` is memory for replies.
fn run(claimed: &mut Claimed, spare: &mut Vec<u8>) -> bool {
    let Some(any) = claimed.begin_procedure() else {
        claimed.refuse();
        return true;
    };
    match any.downcast::<Procedure>() {
        Ok(procedure) => {
            let answered = run_procedure(&procedure, claimed, spare);
            claimed.end_procedure(procedure);
            answered
        }
        Err(any) => {
            claimed.end_procedure(any);
            false
        }
    }
}

fn run_procedure(procedure: &Procedure, claimed: &mut Claimed, spare: &mut Vec<u8>) -> bool {
    if claimed.is_unreferenced() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| procedure.unreferenced())) {
            std::mem::forget(panic);
        }
        return claimed.finish(&[], &[]).is_ok();
    }
    // The reply is sent from where the procedure has left it: it is large, and was written just now.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let reply = (procedure.invoke)(Invocation::new(claimed, spare));
        reply.send(claimed, spare)
    }));
    outcome.unwrap_or_else(|panic| {
        std::mem::forget(panic);
        false
    })
}
