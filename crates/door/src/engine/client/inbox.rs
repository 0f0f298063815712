//! What comes over the socket of a link: descriptors and files of replies, questions, and wakes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::ClientLink;
use crate::engine::object::lock;
use crate::engine::wire::{Note, NoteKind};
use crate::engine::{MAX_DESCRIPTORS, identity};
use crate::sys::socket;

/// What came over the socket for a lane.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(super) lane: u32,
    seq: u32,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) file: Option<(OwnedFd, u64)>,
    pub(crate) truncated: bool,
}

impl ClientLink {
    /// Receives what is there. Challenges are answered; the rest waits for its lane. Anything unexpected ends the link.
    pub(crate) fn drain(&self) {
        if self.receive() {
            self.wake_leader();
        }
    }

    /// [`drain`](Self::drain) for the leader; true if somebody was to be woken.
    pub(crate) fn receive(&self) -> bool {
        let mut wakes = false;
        let mut inbox = lock(&self.inbox);
        let mut record = [0; Note::BYTES];
        let mut challenges = Vec::new();
        loop {
            let mut received = match socket::receive(self.socket.as_fd(), &mut record) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.set_dead();
                    break;
                }
            };
            let note = (received.len == Note::BYTES)
                .then(|| Note::decode(&record))
                .flatten();
            let Some(note) = note else {
                self.set_dead();
                break;
            };
            match note.kind {
                NoteKind::Wake => wakes = true,
                NoteKind::Challenge => challenges.append(&mut received.fds),
                NoteKind::Descriptors | NoteKind::File => {
                    inbox.retain(|parcel| parcel.lane != note.lane || parcel.seq == note.seq);
                    let at = inbox
                        .iter()
                        .position(|parcel| parcel.lane == note.lane)
                        .unwrap_or_else(|| {
                            let (lane, seq) = (note.lane, note.seq);
                            inbox.push(Parcel {
                                lane,
                                seq,
                                fds: Vec::new(),
                                file: None,
                                truncated: false,
                            });
                            inbox.len() - 1
                        });
                    let parcel = &mut inbox[at];
                    if note.kind == NoteKind::Descriptors && note.first == 0 {
                        // What came before was an answer that could not be sent as a whole.
                        (parcel.fds, parcel.truncated) = (Vec::new(), false);
                    }
                    parcel.truncated |= received.truncated;
                    if note.kind == NoteKind::File {
                        parcel.file = received.fds.pop().map(|file| (file, note.len));
                    } else if parcel.fds.len() + received.fds.len() <= MAX_DESCRIPTORS {
                        parcel.fds.append(&mut received.fds);
                    }
                }
            }
        }
        drop(inbox);
        for socket in challenges {
            identity::prove(&socket, self.number);
        }
        wakes
    }

    /// What came for request `seq` of a lane.
    pub(crate) fn parcel(&self, index: usize, seq: u32) -> Option<Parcel> {
        self.drain();
        let mut inbox = lock(&self.inbox);
        let at = inbox
            .iter()
            .position(|parcel| parcel.lane as usize == index && parcel.seq == seq)?;
        Some(inbox.swap_remove(at))
    }
}
