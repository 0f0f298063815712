//! Closing descriptors that came from somebody else.
//!
//! close(2) may wait for as long as a file's driver likes, and a client chooses the file: the control thread and server threads leave
//! it to a thread nobody waits for.

use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use super::object::lock;
use crate::sys::fork::PerProcess;
use crate::sys::process;

static UNDERTAKER: PerProcess<Mutex<Option<Sender<Vec<OwnedFd>>>>> = PerProcess::new();

/// Closes `fds`, some time soon.
pub(crate) fn bury(fds: Vec<OwnedFd>) {
    if fds.is_empty() {
        return;
    }
    let mut sender = lock(UNDERTAKER.get_or_make(|| Mutex::new(None)));
    if sender.is_none() {
        let (new, graves) = channel();
        let spawned = process::spawn_without_signals("door-close", move || graves.into_iter().for_each(drop));
        if spawned.is_ok() {
            *sender = Some(new);
        }
    }
    match sender.as_ref() {
        // If the thread has gone, the descriptors are closed here after all.
        Some(sender) => drop(sender.send(fds)),
        None => drop(fds),
    }
}
