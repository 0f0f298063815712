//! How a client takes over an answer: its words, its descriptors, and the stream of a long one.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use super::call::{CallFailure, ReplySink, feed};
use super::client::{ClientLink, Parcel};
use super::layout::{CHUNK_BYTES, Lane, PLACE_HELD, PLACE_STREAM, Progress, STARVES, WINDOW_BYTES};
use super::spin::Spin;
use super::wait::{Patience, wait};
use super::wire::Status;
use super::{offer, undertaker};
use crate::error::CallError;
use crate::sync::atomic::Ordering;
use crate::sys::memory::Sealed;

/// Why an answer that is there was not taken over.
pub(super) enum Undelivered {
    Failed(Box<CallFailure>),
    /// It says that the server does not know the handle any more; nothing ran.
    Stale,
    /// It did not arrive as a whole.
    Unfinished(CallError),
    /// There was no room for its descriptors: the server has taken it back and will make another.
    TurnedDown,
}

/// Takes over an answer.
#[inline]
pub(super) fn deliver(
    link: &ClientLink,
    index: usize,
    seq: u32,
    spin: &mut Spin,
    patience: &Patience<'_>,
    sink: &mut dyn ReplySink,
) -> Result<usize, Undelivered> {
    let lane = link.lane(index);
    let words = Words::of(lane);
    if let Some(len) = words.whole() {
        return take(lane, len, sink).map_err(|error| failed(error, true));
    }
    let arrival = Arrival {
        link,
        index,
        seq,
        spin,
        patience,
    };
    arrival.deliver(&words, sink)
}

/// Takes over an answer that is there as a whole; `None` for any other.
#[inline]
pub(super) fn deliver_whole(lane: Lane<'_>, sink: &mut dyn ReplySink) -> Option<Result<usize, CallError>> {
    let len = Words::of(lane).whole()?;
    Some(take(lane, len, sink))
}

/// Takes over bytes that are where they will stay.
#[inline]
fn take(lane: Lane<'_>, len: usize, sink: &mut dyn ReplySink) -> Result<usize, CallError> {
    if len > 0 {
        let room = room_for(len, 0, sink)?;
        let (memory, offset) = lane.result(len);
        memory.read(offset, room);
        sink.placed(len, Vec::new());
    }
    Ok(len)
}

/// What the server says about an answer. Each word is read once.
struct Words {
    status: u32,
    len: u64,
    descriptors: usize,
    place: u32,
}

impl Words {
    #[inline]
    fn of(lane: Lane<'_>) -> Self {
        Self {
            status: lane.status().load(Ordering::Relaxed),
            len: lane.reply_len().load(Ordering::Relaxed),
            descriptors: lane.reply_descriptors().load(Ordering::Relaxed) as usize,
            place: lane.place().load(Ordering::Relaxed),
        }
    }

    /// How long a reply is that does not stream and has no descriptors.
    #[inline]
    fn whole(&self) -> Option<usize> {
        let plain = self.status == Status::Done as u32 && self.descriptors == 0 && self.place == 0;
        (plain && self.len <= WINDOW_BYTES as u64).then_some(usize::try_from(self.len).ok()?)
    }
}

fn failed(error: CallError, consumed: bool) -> Undelivered {
    Undelivered::Failed(CallFailure::new(error, consumed))
}

fn garbled() -> CallError {
    CallError::Os(io::ErrorKind::InvalidData.into())
}

/// What a status other than success means.
#[cold]
fn refused(status: u32) -> Undelivered {
    match Status::from_word(status) {
        Some(Status::Stale) => Undelivered::Stale,
        Some(Status::Revoked) => failed(CallError::Revoked, false),
        Some(Status::TooBig) => failed(CallError::TooBig, false),
        Some(Status::DescriptorsRefused) => failed(CallError::DescriptorsRefused, false),
        Some(Status::TooManyDescriptors) => failed(CallError::TooManyDescriptors, false),
        Some(Status::ArgumentTooLarge) => failed(CallError::ArgumentTooLarge, false),
        Some(Status::OutOfDescriptors) => failed(CallError::OutOfDescriptors, true),
        Some(Status::Interrupted) => failed(CallError::Interrupted, true),
        Some(Status::NoMemory) => failed(io::Error::from_raw_os_error(libc::ENOMEM).into(), false),
        Some(Status::Done) | None => failed(garbled(), true),
    }
}

/// Asks for room.
#[inline]
fn room_for(
    len: usize,
    descriptors: usize,
    sink: &mut dyn ReplySink,
) -> Result<&mut [MaybeUninit<u8>], CallError> {
    match sink.place(len, descriptors)? {
        room if room.len() >= len => Ok(&mut room[..len]),
        _ => Err(CallError::Os(io::ErrorKind::InvalidInput.into())),
    }
}

/// An answer of which not everything need be there yet.
struct Arrival<'a> {
    link: &'a ClientLink,
    index: usize,
    seq: u32,
    spin: &'a mut Spin,
    patience: &'a Patience<'a>,
}

impl Arrival<'_> {
    /// Takes over one that streams or has descriptors, or learns what it says instead.
    #[inline(never)]
    fn deliver(mut self, words: &Words, sink: &mut dyn ReplySink) -> Result<usize, Undelivered> {
        if words.status != Status::Done as u32 {
            return Err(refused(words.status));
        }
        let streams = words.place & PLACE_STREAM != 0;
        let len = match usize::try_from(words.len) {
            Ok(len) if streams || len <= WINDOW_BYTES => len,
            _ => return Err(failed(garbled(), true)),
        };
        let descriptors = match self.descriptors(words.descriptors, words.place & PLACE_HELD != 0) {
            Ok(descriptors) => descriptors,
            Err(Undelivered::Failed(failure)) if streams => return Err(self.drain_stream(len, failure)),
            Err(undelivered) => return Err(undelivered),
        };
        if len == 0 && descriptors.is_empty() {
            return Ok(0);
        }
        let room = match room_for(len, descriptors.len(), sink) {
            Ok(room) => room,
            Err(error) if streams => return Err(self.drain_stream(len, CallFailure::new(error, true))),
            Err(error) => return Err(failed(error, true)),
        };
        if streams {
            self.eat(len, Some(room)).map_err(Undelivered::Unfinished)?;
        } else {
            let (memory, offset) = self.link.lane(self.index).result(len);
            memory.read(offset, room);
        }
        sink.placed(len, descriptors);
        Ok(len)
    }

    /// Takes the descriptors, or turns them down.
    fn descriptors(&mut self, count: usize, held: bool) -> Result<Vec<OwnedFd>, Undelivered> {
        let Self { link, index, seq, .. } = *self;
        match received(link, index, seq, count) {
            Ok(descriptors) => {
                if count > 0 {
                    offer::accept(link, index, seq, self.spin, self.patience, held);
                }
                Ok(descriptors)
            }
            Err(CallError::OutOfDescriptors) => {
                match offer::turn_down(link, index, seq, self.spin, self.patience) {
                    Ok(true) => Err(Undelivered::TurnedDown),
                    Ok(false) => Err(failed(CallError::OutOfDescriptors, true)),
                    Err(ended) => {
                        // The answer that is there may yet be taken back: the number of a request that is never posted keeps the lane taken.
                        link.next_seq(index);
                        Err(Undelivered::Unfinished(ended.into()))
                    }
                }
            }
            Err(error) => Err(failed(error, true)),
        }
    }

    /// Lets a reply that cannot be delivered pass by, so that the lane can be used again; returns why the call failed.
    fn drain_stream(&mut self, len: usize, failure: Box<CallFailure>) -> Undelivered {
        match self.eat(len, None) {
            Ok(()) => Undelivered::Failed(failure),
            Err(_) => Undelivered::Unfinished(failure.error),
        }
    }

    /// Takes a long reply out of the window as it comes, into `room` or to nowhere. Signals do not end it: the procedure has run.
    fn eat(&mut self, len: usize, mut room: Option<&mut [MaybeUninit<u8>]>) -> Result<(), CallError> {
        let Self { link, index, seq, .. } = *self;
        let lane = link.lane(index);
        let patience = Patience {
            interruptible: false,
            ..*self.patience
        };
        let made = || Progress::bytes(lane.made().load(Ordering::Acquire), seq);
        let spilled = || lane.spilled().load(Ordering::Acquire) == seq;
        let mut eaten = 0;
        while eaten < len {
            let more = || made() > eaten || spilled();
            if let Err(ended) = wait(link, index, self.spin, &patience, more, || {}) {
                return Err(ended.into());
            }
            let there = made();
            if there <= eaten {
                // The rest, which did not fit in time, came as a file.
                let file = link.parcel(index, seq).and_then(|parcel| parcel.file);
                let sealed = open_sealed(file, len - eaten)?;
                if let Some(room) = &mut room {
                    sealed.copy_to(&mut room[eaten..]);
                }
                return Ok(());
            }
            if there > len || there - eaten > WINDOW_BYTES {
                return Err(garbled());
            }
            let step = (there - eaten)
                .min(CHUNK_BYTES)
                .min(WINDOW_BYTES - eaten % WINDOW_BYTES);
            if let Some(room) = &mut room {
                let (memory, offset) = lane.window(eaten);
                memory.read(offset, &mut room[eaten..eaten + step]);
            }
            eaten += step;
            lane.eaten().swap(Progress::of(seq, eaten), Ordering::SeqCst);
            if lane.stalled().load(Ordering::SeqCst) == STARVES {
                feed(lane);
            }
        }
        Ok(())
    }
}

/// The descriptors of a reply.
fn received(link: &ClientLink, index: usize, seq: u32, count: usize) -> Result<Vec<OwnedFd>, CallError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let Parcel { fds, truncated, .. } = link.parcel(index, seq).ok_or_else(garbled)?;
    if fds.len() == count {
        return Ok(fds);
    }
    if truncated {
        // At once: the server may send them again as soon as it hears of it.
        drop(fds);
        Err(CallError::OutOfDescriptors)
    } else {
        undertaker::bury_all(fds);
        Err(garbled())
    }
}

/// Maps the file with the rest of a long reply, once it is certain that nobody can change or shorten it.
fn open_sealed(file: Option<(OwnedFd, u64)>, len: usize) -> io::Result<Sealed> {
    use rustix::fs::SealFlags;
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let (file, announced) = file.ok_or_else(wrong)?;
    let seals = rustix::fs::fcntl_get_seals(&file)?;
    let size = rustix::fs::fstat(&file)?.st_size;
    if !seals.contains(SealFlags::WRITE | SealFlags::SHRINK)
        || announced != len as u64
        || u64::try_from(size).ok() != Some(announced)
    {
        return Err(wrong());
    }
    Sealed::map(file.as_fd(), len)
}
