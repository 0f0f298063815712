//! Server threads of the Rust interface: the engine claims, this loop runs the closure.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::door::{Invocation, Procedure, Reply};
use crate::engine::{Claimed, FinishError, ServerThread};
use crate::sys::fork::PerProcess;
use crate::sys::process;

/// Whether the first server thread of this process was started; a forked child starts its own.
static STARTED: PerProcess<Mutex<bool>> = PerProcess::new();

/// Starts the first server thread of this process, once.
pub(crate) fn ensure_one() -> io::Result<()> {
    let started = STARTED.get_or_make(|| Mutex::new(false));
    let mut started = started.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*started {
        spawn()?;
        *started = true;
    }
    Ok(())
}

fn spawn() -> io::Result<()> {
    process::spawn_without_signals("door-server", serve)
}

fn serve() {
    let Ok(mut thread) = ServerThread::new(0) else {
        return;
    };
    while let Ok(mut claimed) = thread.park() {
        if claimed.depleted() {
            // Callers wait until a thread is free if the system has none to give.
            let _ = spawn();
        }
        if run(&mut claimed) {
            thread.retire(claimed);
        }
    }
}

/// Runs the procedure; false if the invocation has to be failed by dropping it.
fn run(claimed: &mut Claimed) -> bool {
    let procedure = claimed
        .procedure()
        .cloned()
        .and_then(|any| any.downcast::<Procedure>().ok());
    let Some(procedure) = procedure else { return false };
    if claimed.is_unreferenced() {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            procedure.unreferenced.as_ref().map(|run| run())
        }));
        return claimed.finish(&[], &[]).is_ok();
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| (procedure.invoke)(Invocation::new(claimed))));
    let Ok(Reply { data, descriptors }) = outcome else {
        return false;
    };
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    match claimed.finish(&data, &borrowed) {
        Ok(()) | Err(FinishError::NoCaller) => true,
        // The caller wanted no results, or they cannot be sent: it learns that the procedure ran.
        Err(FinishError::TooBig) => claimed.finish(&[], &[]).is_ok(),
        // Whichever of the two has no room for them.
        Err(FinishError::OutOfDescriptors) => {
            claimed.finish_without_descriptors();
            true
        }
        Err(FinishError::BadDescriptor | FinishError::Os(_)) => false,
    }
}
