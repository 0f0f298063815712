//! Ending the waits of a call from another thread.

use std::io;
use std::sync::{Arc, OnceLock};

use super::client::ClientLink;
use super::internal::InternalFd;
use super::object::lock;
use super::pool::new_bell;
use super::wait::rouse;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering, fence};
use crate::sys::{epoll, fork};

/// Lets other threads end a call as a signal would: it fails, and the server is told. For one call.
#[derive(Debug)]
pub struct Abort {
    fired: AtomicBool,
    generation: u32,
    /// Where the caller waits for its answer.
    lane: Mutex<Option<(Arc<ClientLink>, usize)>>,
    /// What it polls beside a socket.
    bell: OnceLock<InternalFd>,
}

impl Default for Abort {
    fn default() -> Self {
        Self {
            fired: AtomicBool::new(false),
            generation: fork::generation(),
            lane: Mutex::default(),
            bell: OnceLock::new(),
        }
    }
}

impl Abort {
    /// Ends the call, now or as soon as it is made. In a forked child, whose call it is not, it does nothing.
    pub fn fire(&self) {
        if self.generation != fork::last_generation() {
            return;
        }
        self.fired.store(true, Ordering::SeqCst);
        // Whoever is about to sleep shows where before it looks at the flag.
        fence(Ordering::SeqCst);
        if let Some(bell) = self.bell.get() {
            epoll::ring(bell);
        }
        let lane = lock(&self.lane).clone();
        if let Some((link, index)) = lane {
            rouse(&link, index);
        }
    }

    /// True once it was fired.
    #[must_use]
    pub fn is_fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }

    /// The call is made on this lane.
    pub(crate) fn follow(&self, link: &Arc<ClientLink>, index: usize) {
        *lock(&self.lane) = Some((Arc::clone(link), index));
    }

    /// What to poll.
    pub(crate) fn bell(&self) -> io::Result<&InternalFd> {
        if self.bell.get().is_none() {
            let _ = self.bell.set(new_bell()?);
        }
        fence(Ordering::SeqCst);
        self.bell.get().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
