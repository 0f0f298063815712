//! An invocation that a server thread has taken: its argument, its caller, and how it is answered.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use super::answer::Origin;
use super::layout::NO_RESULTS;
use super::link::Held;
use super::object::DoorObject;
use super::offer::Outcome;
use super::stats::Timed;
use super::thread::Remembered;
use super::wait::timespec;
use super::wire::Status;
use super::{Credentials, identity, undertaker};
use crate::error::CredentialError;
use crate::info::{Attributes, DoorInfo};
use crate::sync::atomic::Ordering;
use crate::sys::memory::Buffer;
use crate::sys::{fork, futex};

/// What of a client's request is still needed once it has been checked.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) seq: u32,
    pub(crate) flags: u32,
    pub(crate) len: usize,
    pub(crate) held: Option<Held>,
}

impl Request {
    /// It was refused after all.
    pub(crate) fn bury(self) {
        if let Some(held) = self.held {
            held.bury();
        }
    }
}

/// An invocation. Dropping it unfinished fails the call with EINTR.
#[derive(Debug)]
pub struct Claimed {
    /// The door; `None` only while there is no invocation.
    pub(super) remembered: Option<Remembered>,
    /// The lane it came by, which its thread keeps; `None` for an unreferenced invocation.
    pub(super) origin: Option<Origin>,
    pub(super) buffer: Buffer,
    len: usize,
    fds: Vec<OwnedFd>,
    depleted: bool,
    finished: bool,
    /// Its thread was cancelled.
    cancelled: bool,
    generation: u32,
}

/// Why an answer was not sent. Except after `NoCaller` the invocation is still to be answered.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The caller takes no results, or there are too many descriptors (E2BIG).
    #[error("more than the caller can take")]
    TooBig,
    /// Descriptors cannot be sent now (EMFILE).
    #[error("out of file descriptors")]
    OutOfDescriptors,
    /// One of the descriptors is not open (EINVAL).
    #[error("a descriptor is not open")]
    BadDescriptor,
    /// The caller is gone or gave up: the answer is dropped, the invocation is finished. Released descriptors are to be closed.
    #[error("nobody waits for the answer")]
    NoCaller,
    /// The system refused.
    #[error(transparent)]
    Os(#[from] io::Error),
}

impl Claimed {
    /// None yet, but what a thread has at hand for its invocations: they follow each other in the same place.
    pub(super) fn none() -> Box<Self> {
        Box::new(Self {
            remembered: None,
            origin: None,
            buffer: Buffer::new(),
            len: 0,
            fds: Vec::new(),
            depleted: false,
            finished: true,
            cancelled: false,
            generation: fork::last_generation(),
        })
    }

    /// The call on the lane becomes the invocation of the door remembered. Its argument is in the buffer.
    // Always, like `invoke` and `put`: what they are passed is in registers then, and comes from there.
    #[inline(always)]
    pub(super) fn begin(&mut self, request: Request, cpu: u32, timed: Option<Timed>) {
        self.len = request.len;
        self.finished = false;
        self.cancelled = false;
        if let Some(held) = request.held {
            self.accept(held);
        }
        let descriptors = self.fds.len();
        if let (Some(origin), Some(remembered)) = (&mut self.origin, &self.remembered) {
            origin.begin(request.seq, request.flags, cpu, timed);
            remembered.begin(request.len, descriptors, timed.is_some());
            origin.can_be_cancelled(&remembered.door);
        }
    }

    /// Its descriptors.
    #[cold]
    fn accept(&mut self, held: Held) {
        self.fds = held.take();
    }

    /// The unreferenced invocation of a door.
    pub(super) fn unreferenced(door: &Arc<DoorObject>) -> Box<Self> {
        let mut claimed = Self::none();
        claimed.remembered = Some(Remembered::without_link(door));
        claimed.finished = false;
        claimed
    }

    #[inline]
    fn remembered(&self) -> &Remembered {
        self.remembered.as_ref().expect("an invocation is that of a door")
    }

    #[inline]
    fn door(&self) -> &Arc<DoorObject> {
        &self.remembered().door
    }

    /// The call behind it, as long as it is to be answered.
    #[inline]
    fn open(&self) -> Option<&Origin> {
        self.origin.as_ref().filter(|_| !self.finished)
    }

    pub(crate) fn set_depleted(&mut self, depleted: bool) {
        self.depleted = depleted;
    }

    /// Ends it, answered or not; true if it has a lane, and can be used for the next call there.
    #[inline]
    pub(super) fn retire(&mut self) -> bool {
        if self.generation != fork::last_generation() {
            // The parent's: it goes as a whole.
            return false;
        }
        self.fail();
        self.buffer.trim();
        self.origin.is_some()
    }

    /// Cookie given at the door's creation.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        self.door().cookie
    }

    /// Procedure address given at the door's creation.
    #[must_use]
    pub fn procedure_address(&self) -> u64 {
        self.door().procedure_address
    }

    /// Whatever was given as procedure at the door's creation.
    #[must_use]
    pub fn procedure(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.door().procedure.as_ref()
    }

    /// Takes the procedure out to be run. `None` if the door is revoked, or has none: it is to be refused then.
    #[inline]
    pub fn begin_procedure(&mut self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.remembered.as_mut()?.begin_procedure()
    }

    /// The procedure has returned: whoever [waits for that](super::wait_for_end) need not wait any longer.
    #[inline]
    pub fn end_procedure(&mut self, procedure: Arc<dyn Any + Send + Sync>) {
        if let Some(remembered) = &mut self.remembered {
            remembered.end_procedure(procedure);
        }
    }

    /// What `door_info` says about the door.
    #[must_use]
    pub fn info(&self) -> DoorInfo {
        self.door().info(true)
    }

    /// Attributes of the door.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        self.door().attributes()
    }

    /// The caller's bytes: a private, 16-byte aligned copy.
    #[must_use]
    pub fn argument(&self) -> &[u8] {
        self.buffer.bytes(self.len)
    }

    /// The same, to be worked in.
    pub fn argument_mut(&mut self) -> &mut [u8] {
        self.buffer.bytes_mut(self.len)
    }

    /// True if there are descriptors to be [taken](Self::take_descriptors).
    #[must_use]
    #[inline]
    pub fn has_descriptors(&self) -> bool {
        !self.fds.is_empty()
    }

    /// The caller's descriptors, in order. What is not taken is closed with the invocation.
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.fds)
    }

    /// True for the invocation that tells that only one reference is left.
    #[must_use]
    #[inline]
    pub fn is_unreferenced(&self) -> bool {
        self.origin.is_none() && !self.finished
    }

    /// True once it has been answered, or the caller was found to have gone.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// True of an invocation that is finished if the [cancel hook](super::set_cancel_hook) was called for it. What the caller's words say
    /// may be otherwise by now.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        self.cancelled
    }

    /// True if no other thread of the pool waits: the creation function is to be called, before the procedure.
    #[must_use]
    pub fn depleted(&self) -> bool {
        self.depleted
    }

    /// True once the caller is gone or gave up.
    #[must_use]
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.open().is_some_and(|origin| {
            let link = &origin.lease.link;
            link.is_dead() || link.lane(origin.lease.index).cancel().load(Ordering::Acquire) == origin.seq
        })
    }

    /// The effective user id the caller's process has now, by the kernel's word alone; see `Invocation::process_euid`.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn process_euid(&self) -> Result<u32, CredentialError> {
        match self.open() {
            Some(_) if self.is_cancelled() => Err(CredentialError::CallerGone),
            Some(origin) => identity::of_process(origin).map(|ids| ids.euid),
            None if self.finished => Err(CredentialError::CallerGone),
            None => Ok(identity::own(0).euid),
        }
    }

    /// Who the caller is, now. An unreferenced invocation comes from this process, with process number 0.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn credentials(&self) -> Result<Credentials, CredentialError> {
        match self.open() {
            Some(_) if self.is_cancelled() => Err(CredentialError::CallerGone),
            Some(origin) => identity::of_caller(origin),
            None if self.finished => Err(CredentialError::CallerGone),
            None => Ok(identity::own(0)),
        }
    }

    /// A descriptor of the caller's process (pidfd_open(2)): signals and waits reach this process and no other.
    ///
    /// # Errors
    /// See [`CredentialError`]; `ENOPROTOOPT` before Linux 6.5.
    pub fn caller_pidfd(&self) -> Result<OwnedFd, CredentialError> {
        match self.open() {
            Some(origin) if !self.is_cancelled() => identity::pidfd_of_caller(origin),
            Some(_) | None => Err(CredentialError::CallerGone),
        }
    }

    /// Waits until the caller is gone or gave up, or the time has come; true in the first case.
    pub fn wait_cancelled(&self, until: Option<Instant>) -> bool {
        let Some(origin) = self.open() else { return false };
        let feed = origin.lease.link.lane(origin.lease.index).feed();
        loop {
            // Whoever cancels changes the word afterwards.
            let before = feed.load(Ordering::SeqCst);
            if self.is_cancelled() {
                return true;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            let left = left.map(timespec);
            let _ = futex::wait(feed, before, left.as_ref());
        }
    }

    /// Answers that the door is revoked and nothing has run.
    pub fn refuse(&mut self) {
        if self.generation == fork::generation() && self.open().is_some() {
            self.complete(Status::Revoked, &[]);
        }
    }

    /// Answers with a part of the argument, where it is.
    ///
    /// # Errors
    /// See [`FinishError`].
    ///
    /// # Panics
    /// If the part is not inside the argument.
    pub fn finish_in_place(&mut self, part: Range<usize>) -> Result<(), FinishError> {
        let buffer = std::mem::replace(&mut self.buffer, Buffer::new());
        let outcome = buffer
            .bytes(self.len)
            .get(part)
            .map(|part| self.finish(part, &[]));
        self.buffer = buffer;
        outcome.expect("the part answered with is inside the argument")
    }

    /// Answers the call. On failure the caller still waits, and another answer can be tried.
    ///
    /// # Errors
    /// See [`FinishError`].
    pub fn finish(&mut self, data: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), FinishError> {
        self.finish_and(data, descriptors, None)
    }

    /// The same, with something to be done once the caller has the descriptors, before it goes on.
    ///
    /// # Errors
    /// See [`FinishError`]. `taken` has not been called then.
    pub fn finish_and(
        &mut self,
        data: &[u8],
        descriptors: &[BorrowedFd<'_>],
        taken: Option<&mut dyn FnMut()>,
    ) -> Result<(), FinishError> {
        if self.generation != fork::generation() || self.finished {
            return Err(FinishError::NoCaller);
        }
        if self.is_cancelled() {
            self.fail_unanswered();
            return Err(FinishError::NoCaller);
        }
        let Some(origin) = &self.origin else {
            if !data.is_empty() || !descriptors.is_empty() {
                return Err(FinishError::TooBig);
            }
            self.end();
            return Ok(());
        };
        let nothing = data.is_empty() && descriptors.is_empty();
        if descriptors.len() > super::MAX_DESCRIPTORS || (origin.flags & NO_RESULTS != 0 && !nothing) {
            return Err(FinishError::TooBig);
        }
        if descriptors.is_empty() {
            self.complete(Status::Done, data);
            return Ok(());
        }
        self.finish_with(data, descriptors, taken)
    }

    /// Answers with descriptors.
    #[cold]
    fn finish_with(
        &mut self,
        data: &[u8],
        descriptors: &[BorrowedFd<'_>],
        taken: Option<&mut dyn FnMut()>,
    ) -> Result<(), FinishError> {
        let Some(origin) = &self.origin else {
            return Err(FinishError::NoCaller);
        };
        match origin.send_descriptors(descriptors) {
            Ok(()) => self.offer(data, descriptors.len(), taken),
            Err(error) => {
                if matches!(error, FinishError::NoCaller) {
                    self.fail();
                }
                Err(error)
            }
        }
    }

    /// Ends the invocation because the descriptors of its answer cannot be had: the caller gets EMFILE.
    pub fn finish_without_descriptors(&mut self) {
        if self.generation == fork::generation() && !self.finished {
            self.complete(Status::OutOfDescriptors, &[]);
        }
    }

    /// Answers with descriptors that are on their way. The client may have no room for them: then nothing has happened.
    fn offer(
        &mut self,
        data: &[u8],
        descriptors: usize,
        taken: Option<&mut dyn FnMut()>,
    ) -> Result<(), FinishError> {
        let (Some(origin), Some(remembered)) = (&mut self.origin, &self.remembered) else {
            return Err(FinishError::NoCaller);
        };
        let door = &remembered.door;
        // Before the caller goes on, who may ask.
        remembered.end(Status::Done, data.len(), descriptors, origin.timed.take());
        self.cancelled |= origin.cannot_be_cancelled(door);
        let made = origin.put(Status::Done, data, descriptors);
        let outcome = origin.offer(door.pool(), taken);
        if outcome == Outcome::TurnedDown {
            remembered.tally.resume(data.len());
            door.stats.descriptors_turned_down(descriptors);
            origin.can_be_cancelled(door);
            return Err(FinishError::OutOfDescriptors);
        }
        origin.lease.link.close(origin.lease.index, origin.seq);
        self.end();
        let Some(origin) = &self.origin else {
            return Err(FinishError::NoCaller);
        };
        match outcome {
            Outcome::Taken => origin.stream(data, made),
            Outcome::TurnedDown | Outcome::GivenUp => origin.stream_nothing(),
        }
        if outcome == Outcome::GivenUp {
            Err(FinishError::NoCaller)
        } else {
            Ok(())
        }
    }

    /// The invocation is over. What was not taken is closed before the caller goes on.
    #[inline]
    fn end(&mut self) {
        self.finished = true;
        if !self.fds.is_empty() {
            self.bury_descriptors();
        }
        if let Some(remembered) = &self.remembered {
            remembered.door.end();
        }
    }

    #[cold]
    fn bury_descriptors(&mut self) {
        undertaker::bury_all(std::mem::take(&mut self.fds));
    }

    /// Ends the invocation without an answer, if it was not answered: the caller gets EINTR.
    #[inline]
    fn fail(&mut self) {
        if !self.finished {
            self.fail_unanswered();
        }
    }

    #[cold]
    fn fail_unanswered(&mut self) {
        if self.origin.is_some() {
            if self.is_cancelled() {
                self.door().stats.error(Status::Interrupted);
            } else {
                self.door().stats.procedure_failed();
            }
            self.complete(Status::Interrupted, &[]);
        } else {
            self.end();
        }
    }

    fn complete(&mut self, status: Status, data: &[u8]) {
        let (Some(origin), Some(remembered)) = (&mut self.origin, &self.remembered) else {
            self.finished = true;
            return;
        };
        self.cancelled |= origin.cannot_be_cancelled(&remembered.door);
        let made = origin.put(status, data, 0);
        remembered.end(status, data.len(), 0, origin.timed.take());
        self.end();
        let Some(origin) = &self.origin else { return };
        origin.lease.link.complete(origin.lease.index, origin.seq);
        origin.stream(data, made);
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if fork::last_generation() != self.generation {
            // The parent's invocation: none of its memory exists here.
            std::mem::forget(self.origin.take());
            std::mem::forget(self.remembered.take());
            return;
        }
        self.fail();
        if let (Some(origin), Some(remembered)) = (self.origin.take(), &self.remembered) {
            origin.lease.abandon(remembered.door.pool());
        }
    }
}
