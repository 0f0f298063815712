//! The client's side: a door one can call.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::descriptor::ReceivedDescriptor;
use crate::engine::{self, CallRequest, DeadDoor, ReplySink, Target, VecSink};
use crate::error::{CallError, NotADoor};
use crate::info::DoorInfo;
use crate::statistics::Statistics;

/// A descriptor that refers to a door, ready to be called from any number of threads.
#[derive(Debug)]
pub struct DoorHandle {
    fd: OwnedFd,
    target: Arc<Target>,
}

impl DoorHandle {
    /// Opens the door attached at `path`.
    ///
    /// # Errors
    /// `ENXIO` if what is there is no door, `ECONNREFUSED` if its server is gone, else what `open(2)` would say.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let fd = engine::open(path.as_ref(), DeadDoor::Refuse)?;
        Self::from_fd(fd).map_err(|_| io::Error::from_raw_os_error(libc::ENXIO))
    }

    /// Takes a descriptor that came from anywhere: a reply, `SCM_RIGHTS`, inheritance.
    ///
    /// # Errors
    /// Gives the descriptor back if it is not a door.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, NotADoor> {
        match Target::of(fd.as_fd()) {
            Ok(target) => Ok(Self {
                fd,
                target: Arc::new(target),
            }),
            Err(_) => Err(NotADoor(fd)),
        }
    }

    /// Another handle for the same reference; the door counts both as one.
    ///
    /// # Errors
    /// Those of `dup(2)`.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            target: Arc::clone(&self.target),
        })
    }

    /// Runs the door's procedure on `argument` and waits for its answer. Signals do not end the wait.
    ///
    /// # Errors
    /// See [`CallError`]. After [`CallError::Interrupted`] it is unknown whether the procedure ran to its end.
    pub fn call(&self, argument: &[u8]) -> Result<Answer, CallError> {
        self.call_with(Call::new(argument))
    }

    /// Like [`call`](Self::call), with descriptors or a deadline. The descriptors are closed here in any case.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_with(&self, call: Call<'_>) -> Result<Answer, CallError> {
        let mut sink = VecSink::default();
        let borrowed: Vec<BorrowedFd<'_>> = call.descriptors.iter().map(AsFd::as_fd).collect();
        let request = CallRequest {
            data: call.argument.into(),
            descriptors: &borrowed,
            deadline: call.deadline,
            interruptible: false,
            results: true,
        };
        let reply =
            engine::call_target(self.fd.as_fd(), &self.target, &request, &mut sink).map_err(|f| f.error)?;
        Ok(Answer {
            data: sink.into_inner(),
            descriptors: ReceivedDescriptor::all(reply.descriptors),
        })
    }

    /// Runs the procedure and puts its answer into `buffer`, without allocating; returns the answer's length. Descriptors of
    /// the answer are closed.
    ///
    /// # Errors
    /// [`CallError::ReplyTooBig`] if the answer does not fit; it is lost then. Else see [`CallError`].
    pub fn call_into(&self, argument: &[u8], buffer: &mut [u8]) -> Result<usize, CallError> {
        let mut sink = SliceSink { buffer };
        let request = CallRequest {
            data: argument.into(),
            descriptors: &[],
            deadline: None,
            interruptible: false,
            results: true,
        };
        engine::call_target(self.fd.as_fd(), &self.target, &request, &mut sink)
            .map(|reply| reply.data_len)
            .map_err(|failure| failure.error)
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

/// One call, put together step by step.
#[derive(Debug)]
pub struct Call<'a> {
    argument: &'a [u8],
    descriptors: Vec<OwnedFd>,
    deadline: Option<Instant>,
}

impl<'a> Call<'a> {
    /// A call with `argument`, no descriptors and no deadline.
    #[must_use]
    pub fn new(argument: &'a [u8]) -> Self {
        Self {
            argument,
            descriptors: Vec::new(),
            deadline: None,
        }
    }

    /// Sends a descriptor along; up to 1024.
    #[must_use]
    pub fn descriptor(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.descriptors.push(fd.into());
        self
    }

    /// Gives up after `patience`; the server is told, and its answer is thrown away.
    #[must_use]
    pub fn deadline(mut self, patience: Duration) -> Self {
        self.deadline = Instant::now().checked_add(patience);
        self
    }
}

/// What a procedure answered.
#[derive(Debug)]
pub struct Answer {
    data: Vec<u8>,
    descriptors: Vec<ReceivedDescriptor>,
}

impl Answer {
    /// The bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, kept.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The descriptors, in the order they were sent.
    #[must_use]
    pub fn into_descriptors(self) -> Vec<ReceivedDescriptor> {
        self.descriptors
    }

    /// Bytes and descriptors.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<ReceivedDescriptor>) {
        (self.data, self.descriptors)
    }
}

/// Delivers into a buffer of the caller, or not at all.
struct SliceSink<'a> {
    buffer: &'a mut [u8],
}

impl ReplySink for SliceSink<'_> {
    fn place(&mut self, data: usize, _descriptors: usize) -> Result<&mut [MaybeUninit<u8>], CallError> {
        if data > self.buffer.len() {
            return Err(CallError::ReplyTooBig { needed: data });
        }
        Ok(crate::sys::memory::as_uninit(self.buffer))
    }

    fn placed(&mut self, _data: usize) {}
}
