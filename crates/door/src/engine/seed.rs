//! The few descriptors a server needs in the application's table, made ahead of its first door.
//!
//! `door_create` takes one free number, also when it is the first and there is no more. For that [`prepare`] has to be called while there is
//! room: `libdoor` does so when it is loaded, this crate when the first door is described.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use super::internal::InternalFd;
use super::object::lock;
use super::pool::Pool;
use super::server::{self, socket_pair};
use crate::sys::fork::PerProcess;

/// The pool of the process, and both ends of the channel to the control thread.
pub(crate) struct Seed {
    pub(crate) pool: Arc<Pool>,
    pub(crate) near: InternalFd,
    pub(crate) far: InternalFd,
}

static SEED: PerProcess<Mutex<Option<Seed>>> = PerProcess::new();

impl Seed {
    fn new() -> io::Result<Self> {
        let (near, far) = socket_pair()?;
        Ok(Self {
            pool: Pool::new()?,
            near: InternalFd::new(near),
            far: InternalFd::new(far),
        })
    }

    /// What was prepared, if the application has left it alone, or a new one.
    pub(crate) fn take() -> io::Result<Self> {
        let prepared = SEED.existing().and_then(|seed| lock(seed).take());
        match prepared {
            Some(seed) if seed.is_whole() => Ok(seed),
            Some(seed) => {
                // Other files may have these numbers now.
                std::mem::forget(seed);
                Self::new()
            }
            None => Self::new(),
        }
    }

    fn is_whole(&self) -> bool {
        let is_ours = |fd: &InternalFd, what: &str| {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()));
            std::fs::read_link(path).is_ok_and(|found| found.to_string_lossy().starts_with(what))
        };
        let [epoll, kick] = self.pool.near();
        is_ours(epoll, "anon_inode:[eventpoll]")
            && is_ours(kick, "anon_inode:[eventfd]")
            && is_ours(&self.near, "socket:")
            && is_ours(&self.far, "socket:")
    }
}

/// Makes sure that the first door of this process needs no more than one free number in the table of descriptors.
///
/// # Errors
/// `EMFILE`; the first door will try again.
pub fn prepare() -> io::Result<()> {
    if server::existing().is_some() {
        return Ok(());
    }
    let mut seed = lock(SEED.get_or_make(|| Mutex::new(None)));
    if seed.is_none() {
        *seed = Some(Seed::new()?);
    }
    Ok(())
}
