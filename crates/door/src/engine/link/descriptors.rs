//! Descriptors of requests, which come over the socket of a link ahead of them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::ServerLink;
use crate::engine::budget::Share;
use crate::engine::object::lock;
use crate::engine::wire::{Note, NoteKind};
use crate::engine::{MAX_DESCRIPTORS, undertaker};
use crate::sys::socket;
use crate::sys::table::{self, Table};

/// Descriptors that the procedure they are meant for does not have yet, with what they take of the budget of the client's user.
#[derive(Debug, Default)]
pub(crate) struct Held {
    fds: Vec<OwnedFd>,
    shares: Vec<Share>,
}

impl Held {
    /// They are the procedure's now.
    pub(crate) fn take(self) -> Vec<OwnedFd> {
        self.fds
    }

    /// They are closed some time soon, and until then count as held.
    pub(crate) fn bury(self) {
        if !self.fds.is_empty() {
            undertaker::bury((self.fds, self.shares));
        }
    }
}

/// Descriptors that came ahead of their request.
#[derive(Debug)]
pub(super) struct Parcel {
    lane: u32,
    seq: u32,
    pub(super) held: Held,
    truncated: bool,
}

/// A request that was refused: dropped in the application's table, it drops its descriptors.
struct Refused {
    link: Arc<ServerLink>,
    index: usize,
    seq: u32,
}

impl Drop for Refused {
    fn drop(&mut self) {
        if table::here() == Table::Application {
            // Asking for none makes whatever came a mismatch, which is closed.
            let _ = self.link.take_descriptors(self.index, self.seq, 0);
        }
    }
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
    pub(crate) fn take_descriptors(&self, index: usize, seq: u32, count: usize) -> Result<Held, Missing> {
        let Ok(socket) = self.socket() else {
            return Err(Missing::NoRoom);
        };
        let mut inbox = lock(&self.inbox);
        let all = self.fill(socket.as_fd(), &mut inbox);
        let position = inbox
            .iter()
            .position(|parcel| parcel.lane as usize == index && parcel.seq == seq);
        let parcel = position.map(|position| inbox.swap_remove(position));
        drop(inbox);
        let Some(parcel) = parcel else {
            return Err(if all { Missing::NotSent } else { Missing::NoRoom });
        };
        if parcel.held.fds.len() == count {
            return Ok(parcel.held);
        }
        let why = if parcel.truncated || !all {
            Missing::NoRoom
        } else {
            Missing::NotSent
        };
        parcel.held.bury();
        Err(why)
    }

    /// Drops what came for a request that is refused.
    pub(crate) fn discard_descriptors(self: &Arc<Self>, index: usize, seq: u32) {
        let link = Arc::clone(self);
        let refused = Refused { link, index, seq };
        if table::here() == Table::Application {
            drop(refused);
        } else {
            // Here all that has come would be received into a table where no server thread finds it.
            undertaker::bury(refused);
        }
    }

    /// Moves what has arrived on the socket into the inbox: at most one parcel per lane. False if something had to stay there, because
    /// the client's user has enough here.
    fn fill(&self, socket: BorrowedFd<'_>, inbox: &mut Vec<Parcel>) -> bool {
        let mut record = [0; Note::BYTES];
        // More than a queue can hold: a client that keeps sending cannot keep us here.
        for _ in 0..512 {
            let Some(mut share) = self.account.hold(socket::MAX_DESCRIPTORS).or_else(|| {
                self.bury_the_old(inbox);
                self.account.hold(socket::MAX_DESCRIPTORS)
            }) else {
                return socket::unread_bytes(socket).unwrap_or(0) == 0;
            };
            let Ok(received) = socket::receive(socket, &mut record) else {
                return true;
            };
            share.shrink(received.fds.len());
            let mut held = Held {
                fds: received.fds,
                shares: vec![share],
            };
            let note = (received.len == Note::BYTES)
                .then(|| Note::decode(&record))
                .flatten();
            let Some(note) = note.filter(|note| note.kind == NoteKind::Descriptors) else {
                held.bury();
                return true;
            };
            let mut position = inbox.iter().position(|parcel| parcel.lane == note.lane);
            if let Some(at) = position
                && (inbox[at].seq != note.seq || inbox[at].held.fds.len() + held.fds.len() > MAX_DESCRIPTORS)
            {
                inbox.swap_remove(at).held.bury();
                position = None;
            }
            match position {
                Some(at) => {
                    inbox[at].held.fds.append(&mut held.fds);
                    inbox[at].held.shares.append(&mut held.shares);
                    inbox[at].truncated |= received.truncated;
                }
                None => inbox.push(Parcel {
                    lane: note.lane,
                    seq: note.seq,
                    held,
                    truncated: received.truncated,
                }),
            }
        }
        true
    }

    /// Closes what came for requests that are over, or were given up before they were posted.
    fn bury_the_old(&self, inbox: &mut Vec<Parcel>) {
        let is_old = |parcel: &mut Parcel| {
            let lane = self.lanes.get(parcel.lane as usize);
            lane.is_none_or(|lane| lane.is_done_with(parcel.seq))
        };
        inbox.extract_if(.., is_old).for_each(|parcel| parcel.held.bury());
    }
}
