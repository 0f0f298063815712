//! A door of this process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::builder::Builder;
use crate::engine::{self, AttachOptions, Pool};
use crate::error::AttachError;
use crate::handle::DoorHandle;
use crate::info::{Attributes, DoorInfo, Limits};
use crate::statistics::Statistics;
use crate::sys::fork;
use crate::workers::Crew;

/// A door of this process. Dropping it revokes the door; descriptors others hold then give
/// [`CallError::Revoked`](crate::CallError::Revoked).
///
/// In a forked child it is a descriptor of the parent's door and nothing more: dropping it there revokes nothing.
#[derive(Debug)]
pub struct Door {
    fd: OwnedFd,
    /// The threads of a private pool.
    crew: Option<Arc<Crew>>,
    generation: u32,
}

impl Door {
    /// Starts to describe a door.
    ///
    /// A door takes one number of the table of descriptors, the lowest that is free. The first one of a process needs up to four more for
    /// the engine, from 400 on if the limit allows: they are put aside here. A program that fills its table before it makes its first
    /// door calls this before that.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            crew: None,
            generation: fork::generation(),
        }
    }

    pub(crate) fn set_crew(&mut self, crew: Arc<Crew>) {
        self.crew = Some(crew);
    }

    pub(crate) fn pool(&self) -> io::Result<Arc<Pool>> {
        engine::pool_of(self.fd.as_fd())
    }

    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }

    /// Makes a descriptor of this door for somebody else: send it in a reply, in a call, or over `SCM_RIGHTS`. It counts as a
    /// reference of its own until its last copy is closed.
    ///
    /// The door need not be attached anywhere. In a reply or a call of this crate the door itself can be lent as well
    /// ([`Call::lend`](crate::Call::lend), [`Invocation::reply`](crate::Invocation::reply)): what travels is such a descriptor.
    ///
    /// # Errors
    /// `EMFILE` if the process is out of descriptors; `EINVAL` in a forked child, whose door it is not.
    pub fn lend(&self) -> io::Result<OwnedFd> {
        engine::lend(self.fd.as_fd())
    }

    /// A handle to call this door from here, which counts as a reference of its own.
    ///
    /// # Errors
    /// As for [`lend`](Self::lend).
    pub fn handle(&self) -> io::Result<DoorHandle> {
        Ok(DoorHandle::try_from(self.lend()?)?)
    }

    /// What the door says about itself.
    ///
    /// # Errors
    /// Those of the system.
    pub fn info(&self) -> io::Result<DoorInfo> {
        engine::info(self.fd.as_fd())
    }

    /// What the door has been doing.
    ///
    /// # Errors
    /// `EBADF` in a forked child once the server is gone.
    pub fn statistics(&self) -> io::Result<Statistics> {
        engine::statistics(self.fd.as_fd(), None)
    }

    /// True if nobody but the server has a reference (`DOOR_IS_UNREF`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn is_unreferenced(&self) -> io::Result<bool> {
        Ok(self.info()?.attributes.contains(Attributes::IS_UNREF))
    }

    /// The limits on requests as they are now. door_getparam(3C).
    ///
    /// # Errors
    /// Those of the system.
    pub fn limits(&self) -> io::Result<Limits> {
        Ok(self.info()?.limits)
    }

    /// Changes the limits for requests that come from now on. door_setparam(3C).
    ///
    /// # Errors
    /// `EINVAL` if the least argument is greater than the greatest; `ERANGE` for more than 2,147,483,647 descriptors;
    /// `ENOTSUP` for other than 0 descriptors if the door refuses them and the number is not the default; `EBADF` once the
    /// door is revoked; `EPERM` in a forked child.
    pub fn set_limits(&self, limits: Limits) -> io::Result<()> {
        let refuses = self.info()?.attributes.contains(Attributes::REFUSE_DESC);
        limits.check(refuses)?;
        engine::set_limits(self.fd.as_fd(), &mut |current| {
            *current = limits;
            Ok(())
        })
    }

    /// Ends the door: invocations that run are finished, calls that come later, or have not been taken yet, are refused. Once this
    /// has returned the procedure does not begin any more. In a forked child it does nothing.
    pub fn revoke(&self) {
        if !self.is_ours() {
            return;
        }
        // The descriptor is a door of this process.
        let _ = engine::revoke(self.fd.as_fd());
        if let Some(crew) = &self.crew {
            crew.dismiss();
        }
    }

    /// Revokes the door and waits until the invocations that run have ended. Not to be called by one of them.
    pub fn close(self) {
        self.revoke();
        self.wait(None);
    }

    /// Waits until no invocation of the revoked door runs, or it is `until`; true in the first case.
    fn wait(&self, until: Option<Instant>) -> bool {
        // Of a door that is not this process's, none runs here.
        !self.is_ours() || engine::wait_for_end(self.fd.as_fd(), until).unwrap_or(true)
    }

    /// Revokes the door and waits until the invocations that run have ended, but not longer than `patience`.
    ///
    /// # Errors
    /// Gives the revoked door back if there still are some.
    pub fn close_within(self, patience: Duration) -> Result<(), Self> {
        self.revoke();
        if !self.wait(Instant::now().checked_add(patience)) {
            return Err(self);
        }
        Ok(())
    }

    /// Attaches the door to `path`. The path is made (mode 0600) if it does not exist; a file that is there is covered, and comes
    /// back when the attachment is dropped. Whoever may write to the path may call the door: `std::fs::set_permissions` on the
    /// path opens it for others.
    ///
    /// # Errors
    /// [`AttachError::Busy`] if a living door is attached there; one whose server died is replaced.
    pub fn attach(&self, path: impl AsRef<Path>) -> Result<Attachment, AttachError> {
        let path = std::path::absolute(path)?;
        engine::attach(
            self.fd.as_fd(),
            &path,
            AttachOptions {
                create: true,
                replace_stale: true,
            },
        )?;
        Ok(Attachment {
            path,
            generation: Some(self.generation),
        })
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// A door attached to a path. Dropping it detaches the door and brings back what was there before; in a forked child it does
/// nothing.
#[derive(Debug)]
#[must_use = "the door is detached when this is dropped"]
pub struct Attachment {
    path: PathBuf,
    /// `None` when there is nothing left to detach.
    generation: Option<u32>,
}

impl Attachment {
    /// Where the door is attached.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Detaches the door now, and tells if that failed. Works in a forked child, too.
    ///
    /// # Errors
    /// [`AttachError::NotAttached`] if somebody else has detached it already.
    pub fn detach(mut self) -> Result<(), AttachError> {
        self.generation = None;
        engine::detach(&self.path)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.generation == Some(fork::generation()) {
            let _ = engine::detach(&self.path);
        }
    }
}
