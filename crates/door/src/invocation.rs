//! One call, as the procedure sees it.

use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::descriptor::ReceivedDescriptor;
use crate::engine::{Claimed, Credentials};
use crate::error::{CredentialError, ReplyError};
use crate::reply::Reply;

/// One call, as the procedure sees it. Everything about the caller can be asked only as long as it lasts.
#[derive(Debug)]
pub struct Invocation<'a> {
    claimed: &'a mut Claimed,
    spare: &'a mut Vec<u8>,
}

impl<'a> Invocation<'a> {
    pub(crate) fn new(claimed: &'a mut Claimed, spare: &'a mut Vec<u8>) -> Self {
        Self { claimed, spare }
    }

    /// The caller's bytes: a private copy nobody else can change.
    #[must_use]
    pub fn argument(&self) -> &[u8] {
        self.claimed.argument()
    }

    /// The same, to be worked in; see [`reply_in_place`](Self::reply_in_place).
    pub fn argument_mut(&mut self) -> &mut [u8] {
        self.claimed.argument_mut()
    }

    /// The caller's descriptors, in order; empty when taken before. Those that are not taken are closed.
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

    /// A descriptor of the caller's process, for `pidfd_send_signal(2)`, `poll(2)` and friends. The kernel makes it from the
    /// caller's end of the call, so it never means another process that got the same number. It stays valid afterwards.
    ///
    /// # Errors
    /// [`CredentialError::CallerGone`] once the caller has died or given up; `ENOPROTOOPT` before Linux 6.5.
    pub fn pidfd(&self) -> Result<OwnedFd, CredentialError> {
        self.claimed.caller_pidfd()
    }

    /// True once the caller is gone or gave up: nobody waits for the answer.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.claimed.is_cancelled()
    }

    /// Sleeps until the caller is gone or gives up, at most for `limit`; true in the first case.
    #[must_use]
    pub fn wait_cancelled(&self, limit: impl Into<Option<Duration>>) -> bool {
        let until = limit.into().and_then(|limit| Instant::now().checked_add(limit));
        self.claimed.wait_cancelled(until)
    }

    /// An empty vector to build a [`Reply::bytes`] in. Its memory is that of an earlier reply of this thread, and becomes that of a
    /// later one: a procedure that always uses it allocates nothing.
    #[must_use]
    pub fn buffer(&mut self) -> Vec<u8> {
        std::mem::take(self.spare)
    }

    /// Answers now, with data from anywhere and descriptors that stay the server's. The caller goes on at once, while the
    /// procedure is still running; what the procedure returns afterwards is ignored.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let table = vec![7; 1 << 20];
    /// let log = std::fs::File::open("/dev/null")?;
    /// let door = door::Door::builder().create(move |mut call| {
    ///     use std::os::fd::AsFd;
    ///     call.reply(&table[..4096], &[log.as_fd()])
    ///         .unwrap_or_else(|error| door::Reply::bytes(error.to_string()))
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`ReplyError`]. The caller still waits unless that says otherwise, and another answer can be given.
    pub fn reply(&mut self, data: &[u8], lent: &[BorrowedFd<'_>]) -> Result<Reply, ReplyError> {
        if self.claimed.is_finished() {
            return Err(ReplyError::Answered);
        }
        self.claimed.finish(data, lent)?;
        Ok(Reply::sent())
    }

    /// Answers now with a part of [`argument_mut`](Self::argument_mut), without moving it.
    ///
    /// # Errors
    /// As for [`reply`](Self::reply).
    ///
    /// # Panics
    /// If the part is not inside the argument.
    pub fn reply_in_place(&mut self, part: Range<usize>) -> Result<Reply, ReplyError> {
        if self.claimed.is_finished() {
            return Err(ReplyError::Answered);
        }
        self.claimed.finish_in_place(part)?;
        Ok(Reply::sent())
    }
}
