//! Dropping what belongs to somebody else.
//!
//! close(2) may wait for as long as a file's driver likes, and a client chooses the file; a procedure may own anything. The control
//! thread and server threads leave the end of both to a thread nobody waits for. There is one for each descriptor table: a
//! number can only be closed by a thread in whose table it is.

use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use super::object::lock;
use crate::sys::fork::PerProcess;
use crate::sys::process;
use crate::sys::table::{self, Table};

type Remains = Box<dyn Send>;

static UNDERTAKERS: PerProcess<[Mutex<Option<Sender<Remains>>>; 2]> = PerProcess::new();

fn of(table: Table) -> &'static Mutex<Option<Sender<Remains>>> {
    &UNDERTAKERS.get_or_make(Default::default)[table as usize]
}

/// Starts the thread for this thread's table, so that others can rely on it.
pub(crate) fn start() {
    let mut sender = lock(of(table::here()));
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
}

fn send(table: Table, remains: Remains) -> Result<(), Remains> {
    if cfg!(loom) {
        // Threads of models are not the system's.
        return Err(remains);
    }
    if table == table::here() {
        start();
    }
    match lock(of(table)).as_ref() {
        Some(sender) => sender.send(remains).map_err(|unsent| unsent.0),
        None => Err(remains),
    }
}

/// Drops `remains` on a thread of the application's table, some time soon.
pub(crate) fn bury(remains: impl Send + 'static) {
    // If there is no such thread, what came back is dropped here after all.
    drop(send(Table::Application, Box::new(remains)));
}

/// Closes descriptors of the application's table that are somebody else's, some time soon.
pub(crate) fn bury_all(fds: Vec<OwnedFd>) {
    if !fds.is_empty() {
        bury_in_table(Table::Application, fds);
    }
}

/// The same for descriptors that were received here.
pub(crate) fn bury_here(fds: Vec<OwnedFd>) {
    if !fds.is_empty() {
        bury_in_table(table::here(), fds);
    }
}

/// Closes a descriptor in the table it is in.
pub(crate) fn bury_in(table: Table, fd: OwnedFd) {
    bury_in_table(table, fd);
}

fn bury_in_table(table: Table, remains: impl Send + 'static) {
    if let Err(unsent) = send(table, Box::new(remains))
        && table != table::here()
    {
        // Numbers of another table must not be closed in this one; without its thread that table is about to go as a whole.
        std::mem::forget(unsent);
    }
}
