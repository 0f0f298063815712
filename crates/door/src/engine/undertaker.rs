//! Dropping what belongs to somebody else.
//!
//! close(2) may wait for as long as a file's driver likes, and a client chooses the file; a procedure may own anything. The control
//! thread and server threads leave the end of both to a thread nobody waits for.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use super::object::lock;
use crate::sys::fork::PerProcess;
use crate::sys::process;

type Remains = Box<dyn Send>;

static UNDERTAKER: PerProcess<Mutex<Option<Sender<Remains>>>> = PerProcess::new();

/// Drops `remains`, some time soon.
pub(crate) fn bury(remains: impl Send + 'static) {
    let mut sender = lock(UNDERTAKER.get_or_make(|| Mutex::new(None)));
    if sender.is_none() {
        let (new, graves) = channel::<Remains>();
        let dig = move || {
            for remains in graves {
                // A destructor that panics ends neither this thread nor anybody else's work.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(remains)));
            }
        };
        if process::spawn_without_signals("door-close", dig).is_ok() {
            *sender = Some(new);
        }
    }
    match sender.as_ref() {
        // If the thread has gone, what came back is dropped here after all.
        Some(sender) => drop(sender.send(Box::new(remains))),
        None => drop(remains),
    }
}

/// Closes descriptors of somebody else, some time soon.
pub(crate) fn bury_all(fds: Vec<std::os::fd::OwnedFd>) {
    if !fds.is_empty() {
        bury(fds);
    }
}
