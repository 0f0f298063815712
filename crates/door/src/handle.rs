//! The client's side: a door one can call.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::{Answer, Call, FailedCall, SliceSink};
use crate::descriptor::ReceivedDescriptor;
use crate::engine::{self, DeadDoor, ReplySink, Target};
use crate::error::{CallError, NotADoor};
use crate::info::DoorInfo;
use crate::statistics::Statistics;

/// A descriptor that refers to a door, ready to be called from any number of threads.
///
/// It goes on working in a forked child.
#[derive(Debug)]
pub struct DoorHandle {
    fd: OwnedFd,
    target: Arc<Target>,
    #[cfg(feature = "tokio")]
    pub(crate) awaited: crate::awaited::Awaited,
}

impl DoorHandle {
    fn new(fd: OwnedFd, target: Arc<Target>) -> Self {
        Self {
            fd,
            target,
            #[cfg(feature = "tokio")]
            awaited: crate::awaited::Awaited::default(),
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Opens the door attached at `path`.
    ///
    /// # Errors
    /// `ENXIO` if what is there is no door, `ECONNREFUSED` if its server is gone, else what `open(2)` would say.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let fd = engine::open(path.as_ref(), DeadDoor::Refuse)?;
        Ok(Self::from_fd(fd)?)
    }

    /// Like [`open`](Self::open), but gives up after `timeout`: a server that stands still can take in only so many.
    ///
    /// # Errors
    /// `TimedOut`; see [`open`](Self::open).
    pub fn open_within(path: impl AsRef<Path>, timeout: Duration) -> io::Result<Self> {
        let deadline = Instant::now().checked_add(timeout);
        let fd = engine::open_by(path.as_ref(), DeadDoor::Refuse, deadline)?;
        Ok(Self::from_fd(fd)?)
    }

    /// Takes a descriptor that came from anywhere: a reply, `SCM_RIGHTS`, inheritance.
    ///
    /// # Errors
    /// Gives the descriptor back if it is not a door.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, NotADoor> {
        match Target::of(fd.as_fd()) {
            Ok(target) => Ok(Self::new(fd, Arc::new(target))),
            Err(_) => Err(NotADoor(fd)),
        }
    }

    /// Another handle for the same reference; the door counts both as one.
    ///
    /// # Errors
    /// Those of `dup(2)`.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::new(self.fd.try_clone()?, Arc::clone(&self.target)))
    }

    /// Runs the door's procedure on `argument` and waits for its answer. Signals do not end the wait.
    ///
    /// # Errors
    /// See [`CallError`]. After [`CallError::Interrupted`] it is unknown whether the procedure ran to its end.
    pub fn call(&self, argument: &[u8]) -> Result<Answer, CallError> {
        let call = Call::new(argument);
        let mut sink = call.sink(None);
        match engine::call_target(self.fd.as_fd(), &self.target, &call.request(&[]), &mut sink) {
            Ok(_) => Ok(sink.into()),
            Err(failure) => Err(failure.error),
        }
    }

    /// Like [`call`](Self::call), with descriptors, a deadline and so on.
    ///
    /// # Errors
    /// See [`CallError`]. Descriptors that were given and not taken come back with it.
    pub fn call_with(&self, call: Call<'_>) -> Result<Answer, FailedCall> {
        let mut sink = call.sink(None);
        match self.run(&call, &mut sink) {
            Ok(_) => Ok(sink.into()),
            Err(failure) => Err(call.failed(*failure)),
        }
    }

    /// Runs the procedure and puts its answer into `buffer`, without allocating; returns the answer's length. Descriptors of
    /// the answer are closed.
    ///
    /// # Errors
    /// [`CallError::ReplyTooBig`] if the answer does not fit; it is lost then. Else see [`CallError`].
    pub fn call_into<'a>(&self, call: impl Into<Call<'a>>, buffer: &mut [u8]) -> Result<usize, FailedCall> {
        let call = call.into();
        match self.run(&call, &mut SliceSink(buffer)) {
            Ok(bytes) => Ok(bytes),
            Err(failure) => Err(call.failed(*failure)),
        }
    }

    /// Runs the procedure and replaces what is in `memory` by its answer; returns the answer's descriptors. The vector grows if
    /// it must, and is used again otherwise: for large answers this saves more than copying them.
    ///
    /// # Errors
    /// See [`CallError`]; `memory` is empty then.
    pub fn call_reusing<'a>(
        &self,
        call: impl Into<Call<'a>>,
        memory: &mut Vec<u8>,
    ) -> Result<Vec<ReceivedDescriptor>, FailedCall> {
        let call = call.into();
        let mut sink = call.sink(Some(std::mem::take(memory)));
        let outcome = self.run(&call, &mut sink);
        let answer: Answer = sink.into();
        let descriptors;
        (*memory, descriptors) = answer.into_parts();
        match outcome {
            Ok(_) => Ok(descriptors),
            Err(failure) => {
                memory.clear();
                Err(call.failed(*failure))
            }
        }
    }

    fn run(&self, call: &Call<'_>, sink: &mut dyn ReplySink) -> engine::Outcome {
        engine::call_target(
            self.fd.as_fd(),
            &self.target,
            &call.request(&call.borrowed()),
            sink,
        )
    }

    /// What the door says about itself.
    ///
    /// # Errors
    /// Those of the system; a revoked or dead door still answers.
    pub fn info(&self) -> io::Result<DoorInfo> {
        engine::info(self.fd.as_fd())
    }

    /// Like [`info`](Self::info), of a server that may not answer: gives up after `patience`.
    ///
    /// # Errors
    /// `TimedOut` if the server did not answer in time; else those of the system.
    pub fn info_within(&self, patience: Duration) -> io::Result<DoorInfo> {
        engine::info_by(self.fd.as_fd(), Instant::now().checked_add(patience))
    }

    /// What the door has been doing. Every holder may ask; the server answers without running anything of the application's.
    ///
    /// # Errors
    /// `EBADF` if the server is gone, `TimedOut` if it did not answer within `patience`.
    pub fn statistics(&self, patience: Duration) -> io::Result<Statistics> {
        engine::statistics(self.fd.as_fd(), Instant::now().checked_add(patience))
    }

    /// The descriptor behind the handle.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for DoorHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl TryFrom<OwnedFd> for DoorHandle {
    type Error = NotADoor;

    fn try_from(fd: OwnedFd) -> Result<Self, NotADoor> {
        Self::from_fd(fd)
    }
}

impl From<DoorHandle> for OwnedFd {
    fn from(handle: DoorHandle) -> Self {
        handle.fd
    }
}
