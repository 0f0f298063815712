//! Descriptors of requests, which come over the socket of a link ahead of them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::ServerLink;
use crate::engine::object::lock;
use crate::engine::wire::{Note, NoteKind};
use crate::engine::{MAX_DESCRIPTORS, undertaker};
use crate::sys::socket;

/// Descriptors of a client that wait for their requests to be taken.
const HELD: usize = 4096;

/// Descriptors that came ahead of their request.
#[derive(Debug)]
pub(super) struct Parcel {
    lane: u32,
    seq: u32,
    pub(super) fds: Vec<OwnedFd>,
    truncated: bool,
}

/// Descriptors of a request cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// This process is out of descriptors.
    NoRoom,
    /// The client did not send what it announced.
    NotSent,
}

impl ServerLink {
    /// The descriptors of request `seq`, which were sent before it was posted.
    pub(crate) fn take_descriptors(
        &self,
        index: usize,
        seq: u32,
        count: usize,
    ) -> Result<Vec<OwnedFd>, Missing> {
        let Ok(socket) = self.socket() else {
            return Err(Missing::NoRoom);
        };
        let mut inbox = lock(&self.inbox);
        self.fill(socket.as_fd(), &mut inbox);
        let position = inbox
            .iter()
            .position(|parcel| parcel.lane as usize == index && parcel.seq == seq);
        let parcel = position.map(|position| inbox.swap_remove(position));
        drop(inbox);
        let Some(parcel) = parcel else {
            return Err(Missing::NotSent);
        };
        if parcel.fds.len() == count {
            return Ok(parcel.fds);
        }
        let why = if parcel.truncated {
            Missing::NoRoom
        } else {
            Missing::NotSent
        };
        undertaker::bury_all(parcel.fds);
        Err(why)
    }

    /// Drops what came for a request that is refused.
    pub(crate) fn discard_descriptors(&self, index: usize, seq: u32) {
        // Asking for none makes whatever came a mismatch, which is closed.
        let _ = self.take_descriptors(index, seq, 0);
    }

    /// Moves what has arrived on the socket into the inbox: at most one parcel per lane.
    fn fill(&self, socket: BorrowedFd<'_>, inbox: &mut Vec<Parcel>) {
        let mut record = [0; Note::BYTES];
        // More than a queue can hold: a client that keeps sending cannot keep us here.
        for _ in 0..512 {
            let Ok(mut received) = socket::receive(socket, &mut record) else {
                return;
            };
            let note = (received.len == Note::BYTES)
                .then(|| Note::decode(&record))
                .flatten();
            let Some(note) = note.filter(|note| note.kind == NoteKind::Descriptors) else {
                undertaker::bury_all(received.fds);
                return;
            };
            let held: usize = inbox.iter().map(|parcel| parcel.fds.len()).sum();
            if held + received.fds.len() > HELD {
                undertaker::bury_all(std::mem::take(&mut received.fds));
                received.truncated = true;
            }
            let mut position = inbox.iter().position(|parcel| parcel.lane == note.lane);
            if let Some(at) = position
                && (inbox[at].seq != note.seq || inbox[at].fds.len() + received.fds.len() > MAX_DESCRIPTORS)
            {
                undertaker::bury_all(inbox.swap_remove(at).fds);
                position = None;
            }
            match position {
                Some(at) => {
                    inbox[at].fds.append(&mut received.fds);
                    inbox[at].truncated |= received.truncated;
                }
                None => inbox.push(Parcel {
                    lane: note.lane,
                    seq: note.seq,
                    fds: received.fds,
                    truncated: received.truncated,
                }),
            }
        }
    }
}
