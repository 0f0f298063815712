//! The call behind an invocation, and how its answer travels: where the client looks for it, through the window, or as a file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::claimed::FinishError;
use super::layout::{CHUNK_BYTES, PLACE_STREAM, Progress, STARVES, WINDOW_BYTES, small};
use super::link::new_memfd;
use super::object::{DoorObject, Reference};
use super::server;
use super::spin::{SERVER_BUDGET, Spin};
use super::stats::Timed;
use super::thread::{Lease, PATIENCE, cancel_if_asked, patience_with, sleep_on};
use super::wire::{Note, NoteKind, Status};
use crate::info::Attributes;
use crate::sync::atomic::{Ordering, fence};
use crate::sys::memory::Source;
use crate::sys::socket;

/// The lane a thread keeps to, and the call it has taken there last.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) lease: Lease,
    /// What the thread that serves it is known by to the cancel hook.
    token: u64,
    /// Processor of that thread, as published.
    cpu: u32,
    pub(crate) seq: u32,
    pub(crate) flags: u32,
    pub(crate) timed: Option<Timed>,
    /// Offers of descriptors made so far in answer to it.
    pub(crate) offers: u32,
}

impl Origin {
    /// A lane on which no call was taken yet.
    pub(super) fn new(lease: Lease, token: u64) -> Self {
        Self {
            lease,
            token,
            cpu: 0,
            seq: 0,
            flags: 0,
            timed: None,
            offers: 0,
        }
    }

    /// The call behind the invocation that begins.
    #[inline]
    pub(super) fn begin(&mut self, seq: u32, flags: u32, cpu: u32, timed: Option<Timed>) {
        self.seq = seq;
        self.flags = flags;
        self.cpu = cpu;
        self.timed = timed;
        self.offers = 0;
    }

    /// From here on whoever learns that the caller gave up may cancel the thread that runs the procedure, if the door allows it.
    #[inline]
    pub(crate) fn can_be_cancelled(&self, door: &DoorObject) {
        if !door.attributes().contains(Attributes::NO_CANCEL) {
            self.lease.state().running.begin(self.token, self.seq);
            // The caller may have given up just before, and nobody else have found whom to cancel.
            cancel_if_asked(&self.lease.link, self.lease.index);
        }
    }

    /// From here on nobody may. True if somebody has.
    #[inline]
    pub(super) fn cannot_be_cancelled(&self, door: &DoorObject) -> bool {
        !door.attributes().contains(Attributes::NO_CANCEL) && self.lease.state().running.end()
    }

    /// Sends the descriptors of the answer ahead of it. Doors of this process travel as fresh exports.
    pub(super) fn send_descriptors(&self, descriptors: &[BorrowedFd<'_>]) -> Result<(), FinishError> {
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
            let link = &self.lease.link;
            link.send_descriptors(&note, chunk)
                .map_err(|error| match error.raw_os_error() {
                    _ if link.is_dead() => FinishError::NoCaller,
                    Some(libc::EBADF) => FinishError::BadDescriptor,
                    Some(libc::ETOOMANYREFS | libc::EMFILE) => FinishError::OutOfDescriptors,
                    _ => FinishError::Os(error),
                })?;
        }
        Ok(())
    }

    /// Writes an answer where the client looks for it, or the start of a long one; returns how much of it streams so far.
    #[inline(always)]
    pub(super) fn put(&self, status: Status, data: &[u8], descriptors: usize) -> usize {
        let lane = self.lease.link.lane(self.lease.index);
        let streams = data.len() > WINDOW_BYTES;
        let made = if data.is_empty() { 0 } else { self.put_data(data) };
        lane.status().store(status as u32, Ordering::Relaxed);
        lane.reply_len().store(data.len() as u64, Ordering::Relaxed);
        lane.reply_descriptors()
            .store(small(descriptors), Ordering::Relaxed);
        lane.place()
            .store(if streams { PLACE_STREAM } else { 0 }, Ordering::Relaxed);
        lane.server_cpu().store(self.cpu, Ordering::Relaxed);
        made
    }

    fn put_data(&self, data: &[u8]) -> usize {
        let mut made = 0;
        if data.len() > WINDOW_BYTES {
            self.make(data, &mut made, CHUNK_BYTES);
        } else {
            let (memory, offset) = self.lease.link.lane(self.lease.index).result(data.len());
            memory.write(offset, Source::from(data));
        }
        made
    }

    /// Puts the next piece of the answer into the window, which must have room for it.
    #[cold]
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
    #[inline]
    pub(super) fn stream(&self, data: &[u8], made: usize) {
        if data.len() > WINDOW_BYTES {
            self.stream_rest(data, made);
        }
    }

    fn stream_rest(&self, data: &[u8], mut made: usize) {
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
    pub(super) fn stream_nothing(&self) {
        let (link, index) = (&self.lease.link, self.lease.index);
        link.lane(index).spilled().swap(self.seq, Ordering::SeqCst);
        link.wake(index);
    }
}

/// For each descriptor that is a door of this process, held by its own descriptor: a fresh export of it.
pub(crate) fn exports_of(descriptors: &[BorrowedFd<'_>]) -> io::Result<Vec<Option<OwnedFd>>> {
    let fresh = |fd: &BorrowedFd<'_>| match server::own_door(*fd) {
        Some(export) if export.kind == Reference::Own => server::of_this_process()?
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
