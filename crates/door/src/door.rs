//! The server's side: making a door and answering its invocations.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::descriptor::ReceivedDescriptor;
use crate::engine::{self, AttachOptions, Claimed, Credentials, DoorSpec};
use crate::error::{AttachError, CredentialError};
use crate::info::{Attributes, DoorInfo, Limits};
use crate::statistics::Statistics;
use crate::workers;

/// What runs for each invocation: a closure, and another for the unreferenced invocation.
pub(crate) struct Procedure {
    pub(crate) invoke: Box<dyn Fn(Invocation<'_>) -> Reply + Send + Sync>,
    pub(crate) unreferenced: Option<Box<dyn Fn() + Send + Sync>>,
}

/// A door of this process. Dropping it revokes the door; descriptors others hold then give
/// [`CallError::Revoked`](crate::CallError::Revoked).
#[derive(Debug)]
pub struct Door {
    fd: OwnedFd,
    process: u32,
}

impl Door {
    /// Starts to describe a door.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            limits: Limits::default(),
            refuse_descriptors: true,
            unreferenced: None,
        }
    }

    /// Makes a descriptor of this door for somebody else: send it in a reply, in a call, or over `SCM_RIGHTS`. It counts as a
    /// reference of its own until its last copy is closed.
    ///
    /// # Errors
    /// `EMFILE` if the process is out of descriptors.
    pub fn lend(&self) -> io::Result<OwnedFd> {
        engine::lend(self.fd.as_fd())
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

    /// Ends the door: invocations that run are finished, calls that come later, or have not been taken yet, are refused.
    pub fn revoke(&self) {
        // It can only fail in a forked child, whose copy of the door was never its own.
        let _ = engine::revoke(self.fd.as_fd());
    }

    /// Attaches the door to `path`. The path is made (mode 0600) if it does not exist; a file that is there is covered, and comes
    /// back when the attachment is dropped.
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
            process: std::process::id(),
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
        if self.process == std::process::id() {
            self.revoke();
        }
    }
}

/// A door in the making.
pub struct Builder {
    limits: Limits,
    refuse_descriptors: bool,
    unreferenced: Option<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Whether requests that carry descriptors are refused (`DOOR_REFUSE_DESC`). They are unless this says otherwise; replies
    /// may carry descriptors anyway.
    #[must_use]
    pub fn refuse_descriptors(mut self, refuse: bool) -> Self {
        self.refuse_descriptors = refuse;
        self
    }

    /// Greatest argument taken (`DOOR_PARAM_DATA_MAX`).
    #[must_use]
    pub fn max_argument_bytes(mut self, bytes: u64) -> Self {
        self.limits.data_max = bytes;
        self
    }

    /// Least argument taken (`DOOR_PARAM_DATA_MIN`).
    #[must_use]
    pub fn min_argument_bytes(mut self, bytes: u64) -> Self {
        self.limits.data_min = bytes;
        self
    }

    /// Greatest number of descriptors taken with a request (`DOOR_PARAM_DESC_MAX`).
    #[must_use]
    pub fn max_descriptors(mut self, count: u32) -> Self {
        self.limits.descriptors_max = count;
        self
    }

    /// Runs `procedure` on a server thread each time the references to the door drop to one, the server's own
    /// (`DOOR_UNREF_MULTI`). It never runs while a call is in progress.
    #[must_use]
    pub fn on_unreferenced(mut self, procedure: impl Fn() + Send + Sync + 'static) -> Self {
        self.unreferenced = Some(Box::new(procedure));
        self
    }

    /// Makes the door. `procedure` runs for each call, on as many threads as there are calls at once. If it panics, the call
    /// fails with [`CallError::Interrupted`](crate::CallError::Interrupted) and the thread goes on.
    ///
    /// # Errors
    /// `EMFILE` if the process is out of descriptors, `EAGAIN` if it cannot start a thread.
    pub fn create<F>(self, procedure: F) -> io::Result<Door>
    where
        F: Fn(Invocation<'_>) -> Reply + Send + Sync + 'static,
    {
        // A caller that gives up never cancels a Rust thread: `Invocation::is_cancelled` tells.
        let mut attributes = Attributes::NO_CANCEL;
        attributes.set(Attributes::REFUSE_DESC, self.refuse_descriptors);
        attributes.set(Attributes::UNREF_MULTI, self.unreferenced.is_some());
        let procedure = Procedure {
            invoke: Box::new(procedure),
            unreferenced: self.unreferenced,
        };
        let spec = DoorSpec {
            attributes,
            procedure_address: 0,
            cookie: 0,
            limits: self.limits,
            procedure: Some(Arc::new(procedure)),
        };
        let fd = engine::create(spec)?;
        workers::ensure_one()?;
        Ok(Door {
            fd,
            process: std::process::id(),
        })
    }
}

/// One call, as the procedure sees it.
#[derive(Debug)]
pub struct Invocation<'a> {
    claimed: &'a mut Claimed,
}

impl<'a> Invocation<'a> {
    pub(crate) fn new(claimed: &'a mut Claimed) -> Self {
        Self { claimed }
    }

    /// The caller's bytes: a private copy nobody else can change.
    #[must_use]
    pub fn argument(&self) -> &[u8] {
        self.claimed.argument()
    }

    /// The caller's descriptors, in order; empty when taken before.
    pub fn take_descriptors(&mut self) -> Vec<ReceivedDescriptor> {
        ReceivedDescriptor::all(self.claimed.take_descriptors())
    }

    /// Who calls, as the kernel knows it now: not as it was when the door was opened.
    ///
    /// # Errors
    /// [`CredentialError::CallerGone`] once the caller has died or given up.
    pub fn credentials(&self) -> Result<Credentials, CredentialError> {
        self.claimed.credentials()
    }

    /// The effective user id the caller's process has at this moment, for doors that are called a hundred thousand
    /// times a second by a caller who proved its identity before.
    ///
    /// Weaker than [`credentials`](Self::credentials): it sees that a process has given up a privilege, but a process
    /// that has executed a set-uid program after posting its call is shown with the ids of that program.
    ///
    /// # Errors
    /// [`CredentialError::CallerGone`] once the caller has died or given up.
    pub fn process_euid(&self) -> Result<u32, CredentialError> {
        self.claimed.process_euid()
    }

    /// True once the caller is gone or gave up: nobody waits for the answer.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.claimed.is_cancelled()
    }
}

/// The answer of a procedure.
#[derive(Debug, Default)]
pub struct Reply {
    pub(crate) data: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Reply {
    /// Nothing but the fact that the procedure has run.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// An answer of bytes.
    #[must_use]
    pub fn bytes(data: impl Into<Vec<u8>>) -> Self {
        Self {
            data: data.into(),
            descriptors: Vec::new(),
        }
    }

    /// Gives a descriptor away with the answer; up to 1024.
    #[must_use]
    pub fn with_descriptor(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.descriptors.push(fd.into());
        self
    }
}

/// A door attached to a path. Dropping it detaches the door and brings back what was there before.
#[derive(Debug)]
pub struct Attachment {
    path: PathBuf,
    process: u32,
}

impl Attachment {
    /// Where the door is attached.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Detaches the door now, and tells if that failed.
    ///
    /// # Errors
    /// [`AttachError::NotAttached`] if somebody else has detached it already.
    pub fn detach(mut self) -> Result<(), AttachError> {
        self.process = 0;
        engine::detach(&self.path)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            let _ = engine::detach(&self.path);
        }
    }
}
