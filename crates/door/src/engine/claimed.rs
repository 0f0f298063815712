//! An invocation that a server thread has taken: its argument, its caller, and how it is answered.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rustix::thread::futex;

use super::answer::Origin;
use super::layout::NO_RESULTS;
use super::object::{DoorObject, lock};
use super::offer::Outcome;
use super::thread::{Lease, Remembered};
use super::wait::timespec;
use super::wire::Status;
use super::{Credentials, identity, undertaker};
use crate::error::CredentialError;
use crate::info::{Attributes, DoorInfo};
use crate::sys::memory::Buffer;
use crate::sys::{fork, probe};

/// An invocation. Dropping it unfinished fails the call with EINTR.
#[derive(Debug)]
pub struct Claimed {
    door: Arc<DoorObject>,
    origin: Option<Origin>,
    remembered: Option<Remembered>,
    lease: Option<Lease>,
    buffer: Buffer,
    len: usize,
    fds: Vec<OwnedFd>,
    depleted: bool,
    finished: bool,
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
    pub(crate) fn call(
        door: Arc<DoorObject>,
        origin: Origin,
        buffer: Buffer,
        len: usize,
        fds: Vec<OwnedFd>,
    ) -> Self {
        let (origin, lease, remembered) = (Some(origin), None, None);
        let generation = fork::last_generation();
        Self {
            door,
            origin,
            remembered,
            lease,
            buffer,
            len,
            fds,
            depleted: false,
            finished: false,
            generation,
        }
    }

    pub(crate) fn unreferenced(door: Arc<DoorObject>) -> Self {
        Self {
            door,
            origin: None,
            remembered: None,
            lease: None,
            buffer: Buffer::new(),
            len: 0,
            fds: Vec::new(),
            depleted: false,
            finished: false,
            generation: fork::last_generation(),
        }
    }

    pub(crate) fn set_depleted(&mut self, depleted: bool) {
        self.depleted = depleted;
    }

    /// Gives back lane, memory of the last door, and buffer.
    pub(crate) fn dismantle(&mut self) -> (Option<Lease>, Option<Remembered>, Buffer) {
        if !self.finished {
            self.fail();
        }
        (
            self.lease.take(),
            self.remembered.take(),
            std::mem::replace(&mut self.buffer, Buffer::new()),
        )
    }

    /// Cookie given at the door's creation.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        self.door.cookie
    }

    /// Procedure address given at the door's creation.
    #[must_use]
    pub fn procedure_address(&self) -> u64 {
        self.door.procedure_address
    }

    /// Whatever was given as procedure at the door's creation.
    #[must_use]
    pub fn procedure(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.door.procedure.as_ref()
    }

    /// What `door_info` says about the door.
    #[must_use]
    pub fn info(&self) -> DoorInfo {
        self.door.info(true)
    }

    /// Attributes of the door.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        self.door.attributes()
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

    /// The caller's descriptors, in order. What is not taken is closed with the invocation.
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.fds)
    }

    /// True for the invocation that tells that only one reference is left.
    #[must_use]
    pub fn is_unreferenced(&self) -> bool {
        self.origin.is_none() && !self.finished
    }

    /// True once it has been answered, or the caller was found to have gone.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// True if no other thread of the pool waits: the creation function is to be called, before the procedure.
    #[must_use]
    pub fn depleted(&self) -> bool {
        self.depleted
    }

    /// True once the caller is gone or gave up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| {
            let link = &origin.lease.link;
            link.is_dead() || link.lane(origin.lease.index).cancel().load(Ordering::Acquire) == origin.seq
        })
    }

    /// The effective user id the caller's process has now, by the kernel's word alone; see `Invocation::process_euid`.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn process_euid(&self) -> Result<u32, CredentialError> {
        match &self.origin {
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
        match &self.origin {
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
        match &self.origin {
            Some(origin) if !self.is_cancelled() => identity::pidfd_of_caller(origin),
            Some(_) | None => Err(CredentialError::CallerGone),
        }
    }

    /// Waits until the caller is gone or gave up, or the time has come; true in the first case.
    pub fn wait_cancelled(&self, until: Option<Instant>) -> bool {
        let Some(origin) = &self.origin else { return false };
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
            let _ = futex::wait(feed, futex::Flags::empty(), before, left.as_ref());
        }
    }

    /// Answers that the door is revoked and nothing has run.
    pub fn refuse(&mut self) {
        if self.generation == fork::generation() && !self.finished && self.origin.is_some() {
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
            self.fail();
            return Err(FinishError::NoCaller);
        }
        let Some(origin) = &self.origin else {
            if !data.is_empty() || !descriptors.is_empty() {
                return Err(FinishError::TooBig);
            }
            self.finished = true;
            self.door.end();
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
        let Some(mut origin) = self.origin.take() else {
            return Err(FinishError::NoCaller);
        };
        let running = self.no_longer_running(&origin);
        let made = origin.put(Status::Done, data, descriptors);
        // Before the caller goes on, who may ask.
        self.count(&mut origin, Status::Done, data.len(), descriptors);
        let outcome = origin.offer(self.door.pool(), taken);
        if outcome == Outcome::TurnedDown {
            origin.remembered.tally.resume(data.len());
            self.door.stats.descriptors_turned_down(descriptors);
            *lock(&origin.lease.link.lanes[origin.lease.index].running) = running;
            self.origin = Some(origin);
            return Err(FinishError::OutOfDescriptors);
        }
        origin.lease.link.close(origin.lease.index, origin.seq);
        self.end();
        if outcome == Outcome::Taken {
            origin.stream(data, made);
        } else {
            origin.stream_nothing();
        }
        self.keep(origin);
        if outcome == Outcome::GivenUp {
            Err(FinishError::NoCaller)
        } else {
            Ok(())
        }
    }

    /// From here on nobody may cancel this thread for this call. Returns what allowed it.
    fn no_longer_running(&self, origin: &Origin) -> Option<(u64, u32)> {
        if self.door.attributes().contains(Attributes::NO_CANCEL) {
            return None;
        }
        lock(&origin.lease.link.lanes[origin.lease.index].running).take()
    }

    /// The invocation is over. What was not taken is closed before the caller goes on.
    fn end(&mut self) {
        self.finished = true;
        undertaker::bury_all(std::mem::take(&mut self.fds));
        self.door.end();
    }

    fn count(&self, origin: &mut Origin, status: Status, bytes: usize, descriptors: usize) {
        probe::invocation_done(self.door.number(), status as u32, bytes as u64);
        origin.remembered.tally.end(bytes);
        if descriptors > 0 {
            self.door.stats.descriptors_out(descriptors);
        }
        if let Some(timed) = origin.timed.take() {
            self.door.stats.timed(timed);
        }
    }

    /// Keeps what the next invocation can use.
    fn keep(&mut self, origin: Origin) {
        self.remembered = Some(origin.remembered);
        self.lease = Some(origin.lease);
    }

    /// Ends the invocation without an answer: the caller gets EINTR.
    fn fail(&mut self) {
        if self.finished {
            return;
        }
        if self.origin.is_some() {
            if self.is_cancelled() {
                self.door.stats.error(Status::Interrupted);
            } else {
                self.door.stats.procedure_failed();
            }
            self.complete(Status::Interrupted, &[]);
        } else {
            self.finished = true;
            self.door.end();
        }
    }

    fn complete(&mut self, status: Status, data: &[u8]) {
        let Some(mut origin) = self.origin.take() else {
            self.finished = true;
            return;
        };
        self.no_longer_running(&origin);
        let made = origin.put(status, data, 0);
        self.end();
        self.count(&mut origin, status, data.len(), 0);
        origin.lease.link.complete(origin.lease.index, origin.seq);
        origin.stream(data, made);
        self.keep(origin);
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if fork::last_generation() != self.generation {
            // The parent's invocation: none of its memory exists here.
            std::mem::forget(self.origin.take());
            std::mem::forget(self.lease.take());
            return;
        }
        self.fail();
        if let Some(lease) = self.lease.take() {
            lease.abandon(self.door.pool());
        }
    }
}
