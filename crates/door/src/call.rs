//! A call in the making, and what came of it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::descriptor::ReceivedDescriptor;
use crate::engine::{CallFailure, CallRequest, Patience, ReplySink, VecSink};
use crate::error::CallError;
use crate::small::{SMALL_BYTES, SmallBytes};

/// One call, put together step by step.
///
/// Descriptors are *lent* (they stay the caller's, `DOOR_DESCRIPTOR`) or *given* (`DOOR_RELEASE`), in any order, 1,024 together.
/// Given ones are closed here when the call has ended and the server has taken them, not before. If the call fails before that, they come back in
/// [`FailedCall::returned`]. (The manual page says a failed call has closed them, but for two errors. What Solaris does, and this crate
/// with it, is to close them if and only if the server has taken them.)
///
/// ```no_run
/// use std::time::Duration;
/// use door::{Call, DoorHandle};
///
/// # fn main() -> std::io::Result<()> {
/// let printer = DoorHandle::open("/run/printer.door")?;
/// let document = std::fs::File::open("letter.txt")?;
/// let call = Call::new(b"print").give(document).timeout(Duration::from_secs(5));
/// if let Err(failed) = printer.call_with(call) {
///     eprintln!("{failed}; {} descriptors are still ours", failed.returned.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a call is made by `DoorHandle::call_with`"]
pub struct Call<'a> {
    argument: Cow<'a, [u8]>,
    descriptors: Vec<Passed<'a>>,
    deadline: Option<Instant>,
    max_reply: usize,
    interruptible: bool,
    wants_reply: bool,
}

#[derive(Debug)]
enum Passed<'a> {
    Lent(BorrowedFd<'a>),
    /// A duplicate of one that was lent.
    #[cfg(feature = "tokio")]
    Copied(OwnedFd),
    Given(OwnedFd),
}

impl AsFd for Passed<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Lent(fd) => fd.as_fd(),
            #[cfg(feature = "tokio")]
            Self::Copied(fd) => fd.as_fd(),
            Self::Given(fd) => fd.as_fd(),
        }
    }
}

impl<'a> Call<'a> {
    /// A call with `argument`, no descriptors and no deadline.
    pub fn new(argument: &'a [u8]) -> Self {
        Self {
            argument: Cow::Borrowed(argument),
            descriptors: Vec::new(),
            deadline: None,
            max_reply: usize::MAX,
            interruptible: false,
            wants_reply: true,
        }
    }

    /// Sends a copy of a descriptor along.
    pub fn lend(mut self, fd: BorrowedFd<'a>) -> Self {
        self.descriptors.push(Passed::Lent(fd));
        self
    }

    /// Gives a descriptor away.
    pub fn give(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.descriptors.push(Passed::Given(fd.into()));
        self
    }

    /// Gives up after `patience`: the call fails with [`CallError::TimedOut`], the server is told
    /// ([`Invocation::is_cancelled`](crate::Invocation::is_cancelled)), and its answer is thrown away.
    pub fn timeout(mut self, patience: Duration) -> Self {
        self.deadline = Instant::now().checked_add(patience);
        self
    }

    /// Gives up at this moment; see [`timeout`](Self::timeout).
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Takes no reply of more than `bytes`: a longer one is lost, and the call fails with [`CallError::ReplyTooBig`].
    pub fn max_reply_bytes(mut self, bytes: usize) -> Self {
        self.max_reply = bytes;
        self
    }

    /// Lets a signal handler that ran end the call: with [`CallError::Again`] if no server thread had taken it, else with
    /// [`CallError::Interrupted`]. Otherwise signals do not end a call.
    pub fn interruptible(mut self) -> Self {
        self.interruptible = true;
        self
    }

    /// Wants to know only that the procedure ran: it may answer with nothing (door_call(3C) with no parameters).
    pub fn without_reply(mut self) -> Self {
        self.wants_reply = false;
        self
    }

    pub(crate) fn borrowed(&self) -> Vec<BorrowedFd<'_>> {
        self.descriptors.iter().map(AsFd::as_fd).collect()
    }

    pub(crate) fn request<'r>(&'r self, descriptors: &'r [BorrowedFd<'r>]) -> CallRequest<'r> {
        CallRequest {
            data: (*self.argument).into(),
            descriptors,
            patience: Patience {
                deadline: self.deadline,
                interruptible: self.interruptible,
                abort: None,
            },
            results: self.wants_reply,
        }
    }

    pub(crate) fn sink(&self, memory: Option<Vec<u8>>) -> AnswerSink {
        AnswerSink {
            always_large: memory.is_some(),
            large: memory.unwrap_or_default().into(),
            small: SmallBytes::default(),
            is_small: false,
            max: self.max_reply,
        }
    }

    /// The same call without anything borrowed, for another thread to make: the argument is copied, what is lent is duplicated.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_owned(self) -> Result<Call<'static>, FailedCall> {
        let copy = |passed: &Passed<'_>| match passed {
            Passed::Lent(fd) => fd.try_clone_to_owned().map(Some),
            Passed::Copied(_) | Passed::Given(_) => Ok(None),
        };
        let copies: io::Result<Vec<_>> = self.descriptors.iter().map(copy).collect();
        let copies = match copies {
            Ok(copies) => copies,
            Err(error) => return Err(self.failed_early(error)),
        };
        let own = |(passed, copy): (Passed<'_>, Option<OwnedFd>)| match (passed, copy) {
            (Passed::Given(fd), _) => Some(Passed::Given(fd)),
            (_, Some(fd)) | (Passed::Copied(fd), _) => Some(Passed::Copied(fd)),
            (Passed::Lent(_), None) => None,
        };
        Ok(Call {
            argument: Cow::Owned(self.argument.into_owned()),
            descriptors: self.descriptors.into_iter().zip(copies).filter_map(own).collect(),
            deadline: self.deadline,
            max_reply: self.max_reply,
            interruptible: self.interruptible,
            wants_reply: self.wants_reply,
        })
    }

    /// Nothing of the call has been done.
    #[cfg(feature = "tokio")]
    pub(crate) fn failed_early(self, error: io::Error) -> FailedCall {
        let error = match error.raw_os_error() {
            Some(libc::EMFILE) => CallError::OutOfDescriptors,
            _ => CallError::Os(error),
        };
        self.failed(CallFailure {
            error,
            consumed: false,
        })
    }

    /// The call has failed.
    pub(crate) fn failed(self, failure: CallFailure) -> FailedCall {
        let given = |passed| match passed {
            Passed::Given(fd) => Some(fd),
            _ => None,
        };
        FailedCall {
            returned: if failure.consumed {
                Vec::new()
            } else {
                self.descriptors.into_iter().filter_map(given).collect()
            },
            error: failure.error,
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Call<'a> {
    fn from(argument: &'a T) -> Self {
        Self::new(argument.as_ref())
    }
}

/// A call that failed, and what the server has not taken of it. Turns into its [`CallError`] with `?`.
#[derive(Debug)]
pub struct FailedCall {
    /// Why.
    pub error: CallError,
    /// The descriptors the call gave, in order, if the server has not taken them. Otherwise there are none: they are closed.
    pub returned: Vec<OwnedFd>,
}

impl fmt::Display for FailedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for FailedCall {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<FailedCall> for CallError {
    fn from(failed: FailedCall) -> Self {
        failed.error
    }
}

impl From<FailedCall> for io::Error {
    fn from(failed: FailedCall) -> Self {
        failed.error.into()
    }
}

/// What a procedure answered. It owns what arrived: nothing has to be given back.
#[derive(Debug)]
pub struct Answer {
    data: Data,
    descriptors: Vec<ReceivedDescriptor>,
}

#[derive(Debug)]
enum Data {
    Small(SmallBytes),
    Large(Vec<u8>),
}

impl From<AnswerSink> for Answer {
    fn from(sink: AnswerSink) -> Self {
        let (data, descriptors) = sink.large.into_parts();
        Self {
            data: if sink.is_small {
                Data::Small(sink.small)
            } else {
                Data::Large(data)
            },
            descriptors: ReceivedDescriptor::all(descriptors),
        }
    }
}

impl Answer {
    /// The bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match &self.data {
            Data::Small(small) => small,
            Data::Large(vec) => vec,
        }
    }

    /// The bytes, kept.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.into_parts().0
    }

    /// The descriptors, in the order they were sent.
    #[must_use]
    pub fn into_descriptors(self) -> Vec<ReceivedDescriptor> {
        self.descriptors
    }

    /// Bytes and descriptors.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<ReceivedDescriptor>) {
        let data = match self.data {
            Data::Small(small) => small.to_vec(),
            Data::Large(vec) => vec,
        };
        (data, self.descriptors)
    }
}

/// Takes a reply: a small one in place, a large one in a vector, and none that is too large.
pub(crate) struct AnswerSink {
    small: SmallBytes,
    is_small: bool,
    /// Descriptors are here in either case.
    large: VecSink,
    always_large: bool,
    max: usize,
}

impl ReplySink for AnswerSink {
    fn place(&mut self, data: usize, descriptors: usize) -> Result<&mut [MaybeUninit<u8>], CallError> {
        if data > self.max {
            return Err(CallError::ReplyTooBig { needed: data });
        }
        self.is_small = data <= SMALL_BYTES && !self.always_large;
        if self.is_small {
            Ok(self.small.room())
        } else {
            self.large.place(data, descriptors)
        }
    }

    fn placed(&mut self, data: usize, descriptors: Vec<OwnedFd>) {
        if self.is_small {
            self.small.set_len(data);
            self.large.placed(0, descriptors);
        } else {
            self.large.placed(data, descriptors);
        }
    }
}

/// Takes the bytes of a reply into a buffer of the caller, or not at all.
pub(crate) struct SliceSink<'a>(pub(crate) &'a mut [u8]);

impl ReplySink for SliceSink<'_> {
    fn place(&mut self, data: usize, _descriptors: usize) -> Result<&mut [MaybeUninit<u8>], CallError> {
        if data > self.0.len() {
            return Err(CallError::ReplyTooBig { needed: data });
        }
        Ok(crate::sys::memory::as_uninit(self.0))
    }

    fn placed(&mut self, _data: usize, _descriptors: Vec<OwnedFd>) {}
}
