//! How a client takes over an answer: its words, its descriptors, and the stream of a long one.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use super::call::{CallFailure, CallReply, ReplySink, feed};
use super::client::{ClientLink, Parcel};
use super::layout::{CHUNK_BYTES, PLACE_HELD, PLACE_STREAM, Progress, STARVES, WINDOW_BYTES};
use super::spin::Spin;
use super::wait::{Patience, wait};
use super::wire::Status;
use super::{offer, undertaker};
use crate::error::CallError;
use crate::sync::atomic::Ordering;
use crate::sys::memory::Sealed;

/// Why an answer that is there was not taken over.
pub(super) enum Undelivered {
    Failed(CallFailure),
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
    patience: Patience<'_>,
    sink: &mut dyn ReplySink,
) -> Result<CallReply, Undelivered> {
    let lane = link.lane(index);
    let failed = |error, consumed| Undelivered::Failed(CallFailure { error, consumed });
    let status = lane.status().load(Ordering::Relaxed);
    let len = lane.reply_len().load(Ordering::Relaxed);
    let count = lane.reply_descriptors().load(Ordering::Relaxed) as usize;
    let place = lane.place().load(Ordering::Relaxed);
    let garbled = || failed(CallError::Os(io::ErrorKind::InvalidData.into()), true);
    match Status::from_word(status) {
        Some(Status::Done) => {}
        Some(Status::Stale) => return Err(Undelivered::Stale),
        Some(Status::Revoked) => return Err(failed(CallError::Revoked, false)),
        Some(Status::TooBig) => return Err(failed(CallError::TooBig, false)),
        Some(Status::DescriptorsRefused) => return Err(failed(CallError::DescriptorsRefused, false)),
        Some(Status::TooManyDescriptors) => return Err(failed(CallError::TooManyDescriptors, false)),
        Some(Status::ArgumentTooLarge) => return Err(failed(CallError::ArgumentTooLarge, false)),
        Some(Status::OutOfDescriptors) => return Err(failed(CallError::OutOfDescriptors, true)),
        Some(Status::Interrupted) => return Err(failed(CallError::Interrupted, true)),
        Some(Status::NoMemory) => {
            return Err(failed(io::Error::from_raw_os_error(libc::ENOMEM).into(), false));
        }
        None => return Err(garbled()),
    }
    let Ok(len) = usize::try_from(len) else {
        return Err(garbled());
    };
    let streams = place & PLACE_STREAM != 0;
    if !streams && len > WINDOW_BYTES {
        return Err(garbled());
    }
    let descriptors = match received(link, index, seq, count) {
        Ok(descriptors) => {
            if count > 0 {
                offer::accept(link, index, seq, spin, patience, place & PLACE_HELD != 0);
            }
            descriptors
        }
        Err(CallError::OutOfDescriptors) => match offer::turn_down(link, index, seq, spin, patience) {
            Ok(true) => return Err(Undelivered::TurnedDown),
            Ok(false) if streams => {
                let error = CallError::OutOfDescriptors;
                return Err(drain_stream(link, index, seq, len, spin, patience, error));
            }
            Ok(false) => return Err(failed(CallError::OutOfDescriptors, true)),
            Err(ended) => {
                // The answer that is there may yet be taken back: the number of a request that is never posted keeps the lane taken.
                link.next_seq(index);
                return Err(Undelivered::Unfinished(ended.into()));
            }
        },
        Err(error) if streams => return Err(drain_stream(link, index, seq, len, spin, patience, error)),
        Err(error) => return Err(failed(error, true)),
    };
    if len == 0 && count == 0 {
        return Ok(CallReply {
            data_len: 0,
            descriptors,
        });
    }
    let room = match sink.place(len, count) {
        Ok(room) if room.len() >= len => &mut room[..len],
        Ok(_) if streams => {
            let error = CallError::Os(io::ErrorKind::InvalidInput.into());
            return Err(drain_stream(link, index, seq, len, spin, patience, error));
        }
        Ok(_) => return Err(failed(CallError::Os(io::ErrorKind::InvalidInput.into()), true)),
        Err(error) if streams => return Err(drain_stream(link, index, seq, len, spin, patience, error)),
        Err(error) => return Err(failed(error, true)),
    };
    if streams {
        eat(link, index, seq, len, spin, patience, Some(room)).map_err(Undelivered::Unfinished)?;
    } else {
        let (memory, offset) = lane.result(len);
        memory.read(offset, room);
    }
    sink.placed(len);
    Ok(CallReply {
        data_len: len,
        descriptors,
    })
}

/// The descriptors of a reply.
fn received(link: &ClientLink, index: usize, seq: u32, count: usize) -> Result<Vec<OwnedFd>, CallError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let garbled = || CallError::Os(io::ErrorKind::InvalidData.into());
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

/// Lets a reply that cannot be delivered pass by, so that the lane can be used again; returns why the call failed.
fn drain_stream(
    link: &ClientLink,
    index: usize,
    seq: u32,
    len: usize,
    spin: &mut Spin,
    patience: Patience<'_>,
    error: CallError,
) -> Undelivered {
    match eat(link, index, seq, len, spin, patience, None) {
        Ok(()) => Undelivered::Failed(CallFailure {
            error,
            consumed: true,
        }),
        Err(_) => Undelivered::Unfinished(error),
    }
}

/// Takes a long reply out of the window as it comes, into `room` or to nowhere. Signals do not end it: the procedure has run.
fn eat(
    link: &ClientLink,
    index: usize,
    seq: u32,
    len: usize,
    spin: &mut Spin,
    patience: Patience<'_>,
    mut room: Option<&mut [MaybeUninit<u8>]>,
) -> Result<(), CallError> {
    let lane = link.lane(index);
    let patience = Patience {
        interruptible: false,
        ..patience
    };
    let made = || Progress::bytes(lane.made().load(Ordering::Acquire), seq);
    let spilled = || lane.spilled().load(Ordering::Acquire) == seq;
    let mut eaten = 0;
    while eaten < len {
        if let Err(ended) = wait(link, index, spin, patience, || made() > eaten || spilled(), || {}) {
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
            return Err(CallError::Os(io::ErrorKind::InvalidData.into()));
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
