//! An invocation that a server thread has taken: its argument, its caller, and how it is answered.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use rustix::thread::futex;

use super::layout::{CHUNK_BYTES, NO_RESULTS, PLACE_STREAM, Progress, STARVES, WINDOW_BYTES, small};
use super::link::new_memfd;
use super::object::{DoorObject, Reference, lock};
use super::offer::Outcome;
use super::server;
use super::spin::{SERVER_BUDGET, Spin, published_cpu};
use super::stats::Timed;
use super::thread::{Lease, PATIENCE, Remembered, patience_with, sleep_on};
use super::wait::timespec;
use super::wire::{Note, NoteKind, Status};
use super::{Credentials, identity, undertaker};
use crate::error::CredentialError;
use crate::info::{Attributes, DoorInfo};
use crate::sys::memory::{Buffer, Source};
use crate::sys::{fork, probe, socket};

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

/// The call behind an invocation; an unreferenced invocation has none.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) lease: Lease,
    pub(crate) seq: u32,
    pub(crate) flags: u32,
    pub(crate) remembered: Remembered,
    pub(crate) timed: Option<Timed>,
    /// Offers of descriptors made so far in answer to it.
    pub(crate) offers: u32,
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
        origin.send_descriptors(descriptors)?;
        self.offer(data, descriptors.len(), taken)
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

impl Origin {
    /// Sends the descriptors of the answer ahead of it. Doors of this process travel as fresh exports.
    fn send_descriptors(&self, descriptors: &[BorrowedFd<'_>]) -> Result<(), FinishError> {
        let index = self.lease.index;
        let exports = exports_of(descriptors)?;
        let outgoing: Vec<BorrowedFd<'_>> = substitute(descriptors, &exports);
        for (number, chunk) in outgoing.chunks(socket::MAX_DESCRIPTORS).enumerate() {
            let first = small(number * socket::MAX_DESCRIPTORS);
            let note = Note {
                kind: NoteKind::Descriptors,
                lane: small(index),
                seq: self.seq,
                first,
                len: outgoing.len() as u64,
            };
            self.lease
                .link
                .send_descriptors(&note, chunk)
                .map_err(|error| match error.raw_os_error() {
                    Some(libc::EBADF) => FinishError::BadDescriptor,
                    Some(libc::ETOOMANYREFS | libc::EMFILE) => FinishError::OutOfDescriptors,
                    _ => FinishError::Os(error),
                })?;
        }
        Ok(())
    }

    /// Writes an answer where the client looks for it, or the start of a long one; returns how much of it streams so far.
    fn put(&self, status: Status, data: &[u8], descriptors: usize) -> usize {
        let lane = self.lease.link.lane(self.lease.index);
        let streams = data.len() > WINDOW_BYTES;
        let mut made = 0;
        if streams {
            self.make(data, &mut made, CHUNK_BYTES);
        } else if !data.is_empty() {
            let (memory, offset) = lane.result(data.len());
            memory.write(offset, Source::from(data));
        }
        lane.status().store(status as u32, Ordering::Relaxed);
        lane.reply_len().store(data.len() as u64, Ordering::Relaxed);
        lane.reply_descriptors()
            .store(small(descriptors), Ordering::Relaxed);
        lane.place()
            .store(if streams { PLACE_STREAM } else { 0 }, Ordering::Relaxed);
        lane.server_cpu().store(published_cpu(), Ordering::Relaxed);
        made
    }

    /// Puts the next piece of the answer into the window, which must have room for it.
    fn make(&self, data: &[u8], made: &mut usize, room: usize) {
        let (link, index) = (&self.lease.link, self.lease.index);
        let lane = link.lane(index);
        let step = room
            .min(CHUNK_BYTES)
            .min(data.len() - *made)
            .min(WINDOW_BYTES - *made % WINDOW_BYTES);
        let (memory, offset) = lane.window(*made);
        memory.write(offset, Source::from(&data[*made..*made + step]));
        *made += step;
        lane.made().swap(Progress::of(self.seq, *made), Ordering::SeqCst);
        link.wake(index);
    }

    /// Sends the rest of a long answer as fast as the client takes it. A client that stops taking it gets the rest as a file: the data
    /// belongs to the procedure, which must not wait for a client.
    fn stream(&self, data: &[u8], mut made: usize) {
        if data.len() <= WINDOW_BYTES {
            return;
        }
        let (link, index) = (&self.lease.link, self.lease.index);
        let lane = link.lane(index);
        let mut spin = Spin::default();
        let mut waited = Duration::ZERO;
        while made < data.len() {
            if link.is_dead() {
                return;
            }
            let before = made;
            let room = || {
                let eaten = Progress::bytes(lane.eaten().load(Ordering::Acquire), self.seq).min(before);
                WINDOW_BYTES - (before - eaten).min(WINDOW_BYTES)
            };
            let free = room();
            // Clients take whole chunks.
            let enough = CHUNK_BYTES.min(data.len() - made);
            if free >= enough {
                self.make(data, &mut made, free);
                continue;
            }
            if waited > patience_with(made) {
                self.spill(&data[made..]);
                return;
            }
            let began = Instant::now();
            let peer = lane.client_cpu().load(Ordering::Relaxed);
            if !spin.until(SERVER_BUDGET, peer, || room() >= enough) {
                let feed = lane.feed().load(Ordering::SeqCst);
                lane.stalled().store(STARVES, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                if room() < enough {
                    sleep_on(lane.feed(), feed, PATIENCE);
                }
                lane.stalled().store(0, Ordering::SeqCst);
            }
            waited += began.elapsed();
        }
    }

    /// Sends the rest of an answer as a file. If that is impossible the client is told that there will be nothing.
    fn spill(&self, rest: &[u8]) {
        let (link, index) = (&self.lease.link, self.lease.index);
        if let Ok(file) = sealed_file(rest) {
            let note = Note {
                kind: NoteKind::File,
                lane: small(index),
                seq: self.seq,
                first: 0,
                len: rest.len() as u64,
            };
            // A client that loses its link learns that, too.
            let _ = link.send_descriptors(&note, &[file.as_fd()]);
        }
        self.stream_nothing();
    }

    /// Tells the client that no more comes through the window.
    fn stream_nothing(&self) {
        let (link, index) = (&self.lease.link, self.lease.index);
        link.lane(index).spilled().swap(self.seq, Ordering::SeqCst);
        link.wake(index);
    }
}

/// For each descriptor that is a door of this process, held by its own descriptor: a fresh export of it.
pub(crate) fn exports_of(descriptors: &[BorrowedFd<'_>]) -> io::Result<Vec<Option<OwnedFd>>> {
    let fresh = |fd: &BorrowedFd<'_>| match server::own_door(*fd) {
        Some(export) if export.kind == Reference::Own => server::server()?
            .export(&export.door, Reference::Export)
            .map(Some),
        _ => Ok(None),
    };
    descriptors.iter().map(fresh).collect()
}

/// The descriptors to send: the export where there is one.
pub(crate) fn substitute<'a>(
    descriptors: &'a [BorrowedFd<'a>],
    exports: &'a [Option<OwnedFd>],
) -> Vec<BorrowedFd<'a>> {
    let choose =
        |(fd, export): (&BorrowedFd<'a>, &'a Option<OwnedFd>)| export.as_ref().map_or(*fd, AsFd::as_fd);
    descriptors.iter().zip(exports).map(choose).collect()
}

/// A file with `data` that nobody can change any more.
fn sealed_file(data: &[u8]) -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags};
    let file = new_memfd(MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = data;
    while !rest.is_empty() {
        match rustix::io::write(&file, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(file)
}
