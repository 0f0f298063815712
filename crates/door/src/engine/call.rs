//! A call, from the client's side.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use super::abort::Abort;
use super::answer::{exports_of, substitute};
use super::client::{self, ClientLink, Parcel, Taken, Target, has_hung_up, split, wait_for};
use super::layout::{
    ARGUMENT_BYTES, CHUNK_BYTES, DOZES, INLINE_BYTES, Lane, NO_RESULTS, PARKED, PLACE_HELD, PLACE_STREAM,
    Progress, STARVES, WINDOW_BYTES, small,
};
use super::offer;
use super::spin::{Spin, published_cpu};
use super::undertaker;
use super::wait::{Ended, Patience, wait};
use super::wire::{Note, NoteKind, Status};
use crate::error::CallError;
use crate::sys::memory::{Sealed, Source};
use crate::sys::{probe, socket};

/// Where the reply of a call goes. `place` is called once, when the call has succeeded and its sizes are known, and not for
/// a reply of nothing.
pub trait ReplySink {
    /// Room for at least `data` bytes.
    ///
    /// # Errors
    /// Whatever the call is to fail with; descriptors of the reply are closed then.
    fn place(&mut self, data: usize, descriptors: usize) -> Result<&mut [MaybeUninit<u8>], CallError>;

    /// The first `data` bytes of what `place` gave are filled now.
    fn placed(&mut self, data: usize);
}

/// What is sent, and how long the caller is willing to wait.
#[derive(Debug)]
pub struct CallRequest<'a> {
    /// The argument.
    pub data: Source<'a>,
    /// Descriptors, which stay the caller's.
    pub descriptors: &'a [BorrowedFd<'a>],
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Whether a signal handler that ran ends the call.
    pub interruptible: bool,
    /// Whether the procedure may answer with anything.
    pub results: bool,
    /// Lets another thread end the call.
    pub abort: Option<&'a Abort>,
}

impl CallRequest<'_> {
    #[inline]
    fn patience(&self) -> Patience<'_> {
        Patience {
            deadline: self.deadline,
            interruptible: self.interruptible,
            abort: self.abort,
        }
    }
}

/// A reply that has been delivered.
#[derive(Debug)]
pub struct CallReply {
    /// Bytes placed in the sink.
    pub data_len: usize,
    /// Descriptors of the reply, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// A call that failed.
#[derive(Debug)]
pub struct CallFailure {
    /// Why.
    pub error: CallError,
    /// The server has taken the descriptors: those marked `DOOR_RELEASE` are to be closed.
    pub consumed: bool,
}

impl CallFailure {
    pub(super) fn early(error: impl Into<CallError>) -> Self {
        Self {
            error: error.into(),
            consumed: false,
        }
    }
}

/// How one try at a call went wrong.
enum Trouble {
    Failed(CallFailure),
    /// The server does not know the handle any more; nothing ran.
    Stale,
    /// The link is gone before a thread took the call; nothing ran.
    LinkGone,
    /// The reply did not arrive as a whole.
    Unfinished(CallError),
    /// There was no room for its descriptors: the server has taken it back and will make another.
    TurnedDown,
}

/// Calls a door whose descriptor does not change. `fd` must be the one `target` was made from, or a duplicate.
///
/// # Errors
/// See [`CallError`].
pub fn call_target(
    fd: BorrowedFd<'_>,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Result<CallReply, CallFailure> {
    let (socket, server) = target.numbers();
    let descriptors = request.descriptors.len() as u64;
    probe::call_entry(socket, server, request.data.len() as u64, descriptors);
    let outcome = call_server(fd, target, request, sink);
    match &outcome {
        Ok(reply) => probe::call_return(socket, 0, reply.data_len as u64),
        Err(failure) => probe::call_return(socket, failure.error.errno(), 0),
    }
    outcome
}

#[inline]
fn call_server(
    fd: BorrowedFd<'_>,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Result<CallReply, CallFailure> {
    let patience = request.patience();
    // A server that lives may have dropped the link, or the door's last copy here may have been another one.
    for _ in 0..3 {
        let (taken, handle) = client::lane_to(fd, target, patience).map_err(CallFailure::early)?;
        match try_call(taken, handle, target, request, sink) {
            Ok(reply) => return Ok(reply),
            Err(Trouble::Failed(failure)) => return Err(failure),
            Err(Trouble::Unfinished(error)) => {
                return Err(CallFailure {
                    error,
                    consumed: true,
                });
            }
            Err(Trouble::Stale | Trouble::TurnedDown) => {}
            Err(Trouble::LinkGone) if has_hung_up(fd) => break,
            Err(Trouble::LinkGone) => {}
        }
    }
    Err(CallFailure::early(CallError::Revoked))
}

#[inline]
fn try_call(
    mut taken: Taken,
    handle: u64,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Result<CallReply, Trouble> {
    let Taken {
        link, index, spin, ..
    } = &mut taken;
    if let Some(abort) = request.abort {
        abort.follow(link, *index);
    }
    let (link, index): (&ClientLink, usize) = (link, *index);
    let lane = link.lane(index);
    let (handle, pool) = split(handle);
    let seq = link.next_seq(index);
    let len = request.data.len();
    if len as u64 > Progress::MAX {
        taken.keep();
        return Err(Trouble::Failed(CallFailure::early(CallError::ArgumentTooLarge)));
    }

    let patience = request.patience();
    if !request.descriptors.is_empty()
        && let Err(error) = send_descriptors(link, index, seq, request.descriptors, patience)
    {
        taken.keep();
        return Err(Trouble::Failed(CallFailure::early(error)));
    }
    let mut supplied = len;
    if len <= ARGUMENT_BYTES {
        if len > 0 {
            let (memory, offset) = lane.argument(len);
            memory.write(offset, request.data);
        }
    } else {
        supplied = 0;
        supply(lane, seq, request, &mut supplied);
    }
    lane.flags()
        .store(if request.results { 0 } else { NO_RESULTS }, Ordering::Relaxed);
    lane.request_descriptors()
        .store(small(request.descriptors.len()), Ordering::Relaxed);
    lane.client_cpu().store(published_cpu(), Ordering::Relaxed);
    lane.handle().store(handle, Ordering::Relaxed);
    lane.request_len().store(len as u64, Ordering::Relaxed);
    lane.req().store(seq, Ordering::Release);
    // A thread that attends to the lane looks by itself.
    let attended = lane.attending().load(Ordering::Relaxed) as usize == pool + 1;
    if !attended {
        summon(link, index, pool);
    }
    let summoned = Cell::new(!attended);

    let answered = || lane.rep().load(Ordering::Acquire) == seq;
    // What was read of it may have been old: before sleeping, make sure.
    let ring = || {
        if !summoned.replace(true) && lane.acc().load(Ordering::Acquire) != seq {
            summon(link, index, pool);
        }
    };
    while supplied < len && !answered() {
        let room = || {
            answered() || room_after(Progress::bytes(lane.rd().load(Ordering::Acquire), seq), supplied) > 0
        };
        if let Err(ended) = wait(link, index, spin, patience, room, &ring) {
            return give_up(taken, target, pool, seq, ended);
        }
        if supply(lane, seq, request, &mut supplied) {
            match lane.stalled().load(Ordering::SeqCst) {
                STARVES => feed(lane),
                PARKED => link.ring(pool, index),
                _ => {}
            }
        }
    }
    let outcome = loop {
        if let Err(ended) = wait(link, index, spin, patience, answered, &ring) {
            return give_up(taken, target, pool, seq, ended);
        }
        let outcome = deliver(link, index, seq, spin, patience, sink);
        if !matches!(outcome, Err(Trouble::TurnedDown)) {
            break outcome;
        }
    };
    match outcome {
        Err(Trouble::Unfinished(error)) => {
            // The server may still be writing to the window.
            taken.give_up();
            Err(Trouble::Failed(CallFailure {
                error,
                consumed: true,
            }))
        }
        outcome => {
            if matches!(outcome, Err(Trouble::Stale)) {
                target.forget(link);
            }
            taken.keep();
            outcome
        }
    }
}

/// Bytes that fit into the window after `supplied` of which `consumed` are gone.
fn room_after(consumed: usize, supplied: usize) -> usize {
    WINDOW_BYTES.saturating_sub(supplied.saturating_sub(consumed))
}

/// Puts as much of the argument into the window as fits; true if it was anything.
fn supply(lane: Lane<'_>, seq: u32, request: &CallRequest<'_>, supplied: &mut usize) -> bool {
    let before = *supplied;
    loop {
        let consumed = Progress::bytes(lane.rd().load(Ordering::Acquire), seq);
        let room = room_after(consumed, *supplied);
        let step = room
            .min(CHUNK_BYTES)
            .min(request.data.len() - *supplied)
            .min(WINDOW_BYTES - *supplied % WINDOW_BYTES);
        if step == 0 {
            break;
        }
        let (memory, offset) = lane.window(*supplied);
        memory.write(offset, request.data.part(*supplied, step));
        *supplied += step;
        lane.wr().store(Progress::of(seq, *supplied), Ordering::Release);
        fence(Ordering::SeqCst);
        // One piece at a time: the other side copies it while the next is being copied here.
        if *supplied - before >= CHUNK_BYTES || lane.stalled().load(Ordering::Relaxed) != 0 {
            break;
        }
    }
    *supplied != before
}

/// Sends the descriptors ahead of the request.
fn send_descriptors(
    link: &ClientLink,
    index: usize,
    seq: u32,
    descriptors: &[BorrowedFd<'_>],
    patience: Patience<'_>,
) -> Result<(), CallError> {
    if descriptors.len() > super::MAX_DESCRIPTORS {
        return Err(CallError::ArgumentTooLarge);
    }
    let exports = exports_of(descriptors)?;
    let outgoing = substitute(descriptors, &exports);
    for (number, chunk) in outgoing.chunks(socket::MAX_DESCRIPTORS).enumerate() {
        let first = small(number * socket::MAX_DESCRIPTORS);
        let note = Note {
            kind: NoteKind::Descriptors,
            lane: small(index),
            seq,
            first,
            len: outgoing.len() as u64,
        };
        loop {
            match socket::send(link.socket.as_fd(), &note.encode(), chunk, None) {
                Ok(()) => break,
                // Other threads' descriptors fill the queue; server threads are emptying it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for(link.socket.as_fd(), rustix::event::PollFlags::OUT, patience)?;
                }
                Err(error) => {
                    return Err(match error.raw_os_error() {
                        Some(libc::ETOOMANYREFS) => CallError::OutOfDescriptors,
                        Some(libc::EPIPE | libc::ECONNRESET) => CallError::Revoked,
                        _ => CallError::Os(error),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Leaves a call that has not been answered.
#[cold]
fn give_up(taken: Taken, target: &Target, pool: usize, seq: u32, ended: Ended) -> Result<CallReply, Trouble> {
    let lane = taken.link.lane(taken.index);
    let accepted = lane.acc().load(Ordering::Acquire) == seq;
    let failed = |error| {
        Err(Trouble::Failed(CallFailure {
            error,
            consumed: accepted,
        }))
    };
    if ended == Ended::Dead {
        // The memory outlives the server: an answer that was given before it died is one.
        target.forget(&taken.link);
        taken.give_up();
        return if accepted {
            failed(CallError::Interrupted)
        } else {
            Err(Trouble::LinkGone)
        };
    }
    lane.cancel().store(seq, Ordering::SeqCst);
    feed(lane);
    taken.link.ring(pool, taken.index);
    taken.give_up();
    failed(match ended {
        Ended::TimedOut => CallError::TimedOut,
        Ended::Interrupted | Ended::Dead if accepted => CallError::Interrupted,
        Ended::Interrupted | Ended::Dead => CallError::Again,
    })
}

/// Takes over an answer.
#[inline]
fn deliver(
    link: &ClientLink,
    index: usize,
    seq: u32,
    spin: &mut Spin,
    patience: Patience<'_>,
    sink: &mut dyn ReplySink,
) -> Result<CallReply, Trouble> {
    let lane = link.lane(index);
    let failed = |error, consumed| Trouble::Failed(CallFailure { error, consumed });
    let status = lane.status().load(Ordering::Relaxed);
    let len = lane.reply_len().load(Ordering::Relaxed);
    let count = lane.reply_descriptors().load(Ordering::Relaxed) as usize;
    let place = lane.place().load(Ordering::Relaxed);
    let garbled = || failed(CallError::Os(io::ErrorKind::InvalidData.into()), true);
    match Status::from_word(status) {
        Some(Status::Done) => {}
        Some(Status::Stale) => return Err(Trouble::Stale),
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
            Ok(true) => return Err(Trouble::TurnedDown),
            Ok(false) if streams => {
                let error = CallError::OutOfDescriptors;
                return Err(drain_stream(link, index, seq, len, spin, patience, error));
            }
            Ok(false) => return Err(failed(CallError::OutOfDescriptors, true)),
            Err(ended) => {
                // The answer that is there may yet be taken back: the number of a request that is never posted keeps the lane taken.
                link.next_seq(index);
                return Err(Trouble::Unfinished(ended.into()));
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
        eat(link, index, seq, len, spin, patience, Some(room)).map_err(Trouble::Unfinished)?;
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
) -> Trouble {
    match eat(link, index, seq, len, spin, patience, None) {
        Ok(()) => Trouble::Failed(CallFailure {
            error,
            consumed: true,
        }),
        Err(_) => Trouble::Unfinished(error),
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

/// Sees to it that a server thread looks at the lane, after a request was posted on it.
///
/// A thread that attends to a lane looks at it once more after it has said that it does not any more.
fn summon(link: &ClientLink, index: usize, pool: usize) {
    let lane = link.lane(index);
    let attention = small(pool) + 1;
    fence(Ordering::SeqCst);
    let mut attending = lane.attending().load(Ordering::Relaxed);
    if attending == attention | DOZES {
        feed(lane);
        fence(Ordering::SeqCst);
        attending = lane.attending().load(Ordering::Relaxed);
    }
    if attending & !DOZES != attention {
        link.ring(pool, index);
    }
}

/// Wakes a server thread that waits for this client.
pub(crate) fn feed(lane: Lane<'_>) {
    lane.feed().fetch_add(1, Ordering::SeqCst);
    let _ = rustix::thread::futex::wake(lane.feed(), rustix::thread::futex::Flags::empty(), 1);
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

const _: () = assert!(INLINE_BYTES < ARGUMENT_BYTES);
