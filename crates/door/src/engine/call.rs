//! A call, from the client's side.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::abort::Abort;
use super::answer::{exports_of, substitute};
use super::client::{self, ClientLink, Hold, Taken, Target, has_hung_up, split, wait_for};
use super::deliver::{Undelivered, deliver, deliver_whole};
use super::layout::{
    ARGUMENT_BYTES, CHUNK_BYTES, DOZES, INLINE_BYTES, Lane, NO_RESULTS, PARKED, Progress, STARVES,
    WINDOW_BYTES, small,
};
use super::spin::{CLIENT_BUDGET, published_cpu};
use super::wait::{Ended, Patience, sleep, wait};
use super::wire::{Note, NoteKind};
use crate::error::CallError;
use crate::sync::atomic::{Ordering, fence};
use crate::sys::memory::Source;
use crate::sys::{futex, probe, socket};

/// Where the reply of a call goes. Both are called once, when the call has succeeded and its sizes are known, and not for
/// a reply of nothing.
pub trait ReplySink {
    /// Room for at least `data` bytes.
    ///
    /// # Errors
    /// Whatever the call is to fail with; descriptors of the reply are closed then.
    fn place(&mut self, data: usize, descriptors: usize) -> Result<&mut [MaybeUninit<u8>], CallError>;

    /// The first `data` bytes of what `place` gave are filled now, and these are the descriptors, close-on-exec.
    fn placed(&mut self, data: usize, descriptors: Vec<OwnedFd>);
}

/// What is sent, and how long the caller is willing to wait.
#[derive(Debug)]
pub struct CallRequest<'a> {
    /// The argument.
    pub data: Source<'a>,
    /// Descriptors, which stay the caller's.
    pub descriptors: &'a [BorrowedFd<'a>],
    /// What ends the call before it is answered.
    pub patience: Patience<'a>,
    /// Whether the procedure may answer with anything.
    pub results: bool,
}

/// What came of a call: bytes of the reply, which is in the sink. A failure is rare, and must not make the rest slow: one pointer.
pub type Outcome = Result<usize, Box<CallFailure>>;

/// A call that failed.
#[derive(Debug)]
pub struct CallFailure {
    /// Why.
    pub error: CallError,
    /// The server has taken the descriptors: those marked `DOOR_RELEASE` are to be closed.
    pub consumed: bool,
}

impl CallFailure {
    #[cold]
    pub(super) fn new(error: impl Into<CallError>, consumed: bool) -> Box<Self> {
        Box::new(Self {
            error: error.into(),
            consumed,
        })
    }

    /// The server has taken nothing.
    #[cold]
    pub(super) fn early(error: impl Into<CallError>) -> Box<Self> {
        Self::new(error, false)
    }
}

/// How one try at a call went wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    Failed(Box<CallFailure>),
    /// The server does not know the handle any more; nothing ran.
    Stale,
    /// The link is gone before a thread took the call; nothing ran.
    LinkGone,
}

/// A request that was posted on a lane.
#[derive(Debug)]
pub(super) struct Posted {
    taken: Taken,
    pool: usize,
    seq: u32,
    /// Bytes of the argument that are there.
    supplied: usize,
    /// A server thread was called.
    summoned: Cell<bool>,
    /// The answer was [looked for](Posted::look), and did not come soon.
    looked: bool,
}

/// How often a call of which nothing ran is made.
const TRIES: u32 = 3;

/// Calls a door whose descriptor does not change. `fd` must be the one `target` was made from, or a duplicate.
///
/// # Errors
/// See [`CallError`].
pub fn call_target(
    fd: BorrowedFd<'_>,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Outcome {
    let (socket, server) = target.numbers();
    let descriptors = request.descriptors.len() as u64;
    probe::call_entry(socket, server, request.data.len() as u64, descriptors);
    let outcome = call_server(fd, target, request, sink);
    told(target, &outcome);
    outcome
}

/// Tells tracers what came of a call.
#[inline]
pub(super) fn told(target: &Target, outcome: &Outcome) {
    let (socket, _) = target.numbers();
    match outcome {
        Ok(bytes) => probe::call_return(socket, 0, *bytes as u64),
        Err(failure) => probe::call_return(socket, failure.error.errno(), 0),
    }
}

#[inline]
pub(super) fn call_server(
    fd: BorrowedFd<'_>,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Outcome {
    match call_once(fd, target, request, sink) {
        Ok(bytes) => Ok(bytes),
        Err(Trouble::Failed(failure)) => Err(failure),
        Err(trouble) => call_again(trouble, fd, target, request, sink),
    }
}

#[inline]
fn call_once(
    fd: BorrowedFd<'_>,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Result<usize, Trouble> {
    let (taken, handle) = client::lane_to(fd, target, &request.patience)
        .map_err(|error| Trouble::Failed(CallFailure::early(error)))?;
    let posted = post(taken, handle, request)?;
    conclude(posted, target, request, sink)
}

/// Nothing ran. A server that lives may have dropped the link, or the door's last copy here may have been another one.
#[cold]
fn call_again(
    mut trouble: Trouble,
    fd: BorrowedFd<'_>,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Outcome {
    for _ in 1..TRIES {
        if matches!(trouble, Trouble::LinkGone) && has_hung_up(fd) {
            break;
        }
        trouble = match call_once(fd, target, request, sink) {
            Ok(bytes) => return Ok(bytes),
            Err(Trouble::Failed(failure)) => return Err(failure),
            Err(trouble) => trouble,
        };
    }
    Err(CallFailure::early(CallError::Revoked))
}

impl Posted {
    /// Looks for the answer, as [`wait`] does before it sleeps. If it comes, and as a whole, takes it over; else the call is to be
    /// [concluded](conclude).
    #[inline]
    pub(super) fn look(mut self, sink: &mut dyn ReplySink) -> Result<Result<usize, CallError>, Self> {
        let Hold {
            link, index, spin, ..
        } = &mut *self.taken;
        let lane = link.lane(*index);
        let answered = || lane.rep().load(Ordering::Acquire) == self.seq;
        if spin.until(CLIENT_BUDGET, lane.server_cpu().load(Ordering::Relaxed), answered)
            && let Some(outcome) = deliver_whole(lane, sink)
        {
            self.taken.keep();
            return Ok(outcome);
        }
        self.looked = true;
        Err(self)
    }

    /// Another thread will conclude it: nobody keeps the lane.
    pub(super) fn pass_on(&mut self) {
        self.taken.pass_on();
    }

    pub(super) fn follow(&self, abort: &Abort) {
        abort.follow(&self.taken.link, self.taken.index);
    }

    /// Waits for the answer, or for `other`.
    #[inline]
    fn wait(&mut self, patience: &Patience<'_>, other: impl Fn(Lane<'_>) -> bool) -> Result<(), Ended> {
        let (pool, seq, summoned) = (self.pool, self.seq, &self.summoned);
        let Hold {
            link, index, spin, ..
        } = &mut *self.taken;
        let (link, index): (&ClientLink, usize) = (link, *index);
        let lane = link.lane(index);
        let ready = || lane.rep().load(Ordering::Acquire) == seq || other(lane);
        // What was read of a thread's attention may have been old: before sleeping, make sure.
        let make_sure = || {
            if !summoned.replace(true) && lane.acc().load(Ordering::Acquire) != seq {
                summon(link, index, pool);
            }
        };
        if std::mem::take(&mut self.looked) {
            return sleep(link, index, patience, &ready, make_sure);
        }
        wait(link, index, spin, patience, ready, make_sure)
    }

    /// Sends the rest of a long argument as fast as the server takes it.
    #[inline(never)]
    fn supply_rest(&mut self, request: &CallRequest<'_>) -> Result<(), Ended> {
        let (pool, seq) = (self.pool, self.seq);
        loop {
            let supplied = self.supplied;
            self.wait(&request.patience, |lane| {
                room_after(Progress::bytes(lane.rd().load(Ordering::Acquire), seq), supplied) > 0
            })?;
            let (link, index): (&ClientLink, usize) = (&self.taken.link, self.taken.index);
            let lane = link.lane(index);
            if supply(lane, seq, request, &mut self.supplied) {
                match lane.stalled().load(Ordering::SeqCst) {
                    STARVES => feed(lane),
                    PARKED => link.ring(pool, index),
                    _ => {}
                }
            }
            if self.supplied >= request.data.len() || lane.rep().load(Ordering::Acquire) == seq {
                return Ok(());
            }
        }
    }

    /// Goes on after an answer that is no reply: to wait for another, or not.
    #[cold]
    fn go_on_after(self, undelivered: Undelivered, target: &Target) -> Result<Self, Trouble> {
        let trouble = match undelivered {
            Undelivered::TurnedDown => return Ok(self),
            Undelivered::Failed(failure) => Trouble::Failed(failure),
            Undelivered::Stale => {
                target.forget(&self.taken.link);
                Trouble::Stale
            }
            Undelivered::Unfinished(error) => {
                // The server may still be writing to the window.
                self.taken.give_up();
                return Err(Trouble::Failed(CallFailure::new(error, true)));
            }
        };
        self.taken.keep();
        Err(trouble)
    }

    /// Leaves a call that has not been answered.
    #[cold]
    pub(super) fn give_up(self, target: &Target, ended: Ended) -> Trouble {
        let Self { taken, pool, seq, .. } = self;
        let lane = taken.link.lane(taken.index);
        let accepted = lane.acc().load(Ordering::Acquire) == seq;
        let failed = |error| Trouble::Failed(CallFailure::new(error, accepted));
        if ended == Ended::Dead {
            // The memory outlives the server: an answer that was given before it died is one.
            target.forget(&taken.link);
            taken.give_up();
            return if accepted {
                failed(CallError::Interrupted)
            } else {
                Trouble::LinkGone
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
}

/// Posts the request on a lane.
#[inline(always)] // the compiler would not, because there are several who call it; each is on the way of many calls
pub(super) fn post(taken: Taken, handle: u64, request: &CallRequest<'_>) -> Result<Posted, Trouble> {
    let (link, index): (&ClientLink, usize) = (&taken.link, taken.index);
    let lane = link.lane(index);
    let (handle, pool) = split(handle);
    let seq = link.next_seq(index);
    let len = request.data.len();
    if len as u64 > Progress::MAX {
        taken.keep();
        return Err(Trouble::Failed(CallFailure::early(CallError::ArgumentTooLarge)));
    }

    if let Some(abort) = request.patience.abort {
        abort.follow(&taken.link, index);
    }
    if !request.descriptors.is_empty()
        && let Err(error) = send_descriptors(link, index, seq, request.descriptors, &request.patience)
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
    Ok(Posted {
        taken,
        pool,
        seq,
        supplied,
        summoned: Cell::new(!attended),
        looked: false,
    })
}

/// Waits for the answer to a request that was posted, and takes it over.
#[inline]
pub(super) fn conclude(
    mut posted: Posted,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Result<usize, Trouble> {
    let patience = &request.patience;
    let mut waited = Ok(());
    if posted.supplied < request.data.len() {
        waited = posted.supply_rest(request);
    }
    // No recursion: a server may take its answer back as often as it likes.
    loop {
        if let Err(ended) = waited.and_then(|()| posted.wait(patience, |_| false)) {
            return Err(posted.give_up(target, ended));
        }
        let seq = posted.seq;
        let Hold {
            link, index, spin, ..
        } = &mut *posted.taken;
        match deliver(link, *index, seq, spin, patience, sink) {
            Ok(bytes) => {
                posted.taken.keep();
                return Ok(bytes);
            }
            Err(undelivered) => posted = posted.go_on_after(undelivered, target)?,
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
    patience: &Patience<'_>,
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

/// Sees to it that a server thread looks at the lane, after a request was posted on it.
///
/// A thread that attends to a lane looks at it once more after it has said that it does not any more.
pub(super) fn summon(link: &ClientLink, index: usize, pool: usize) {
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
    futex::wake(lane.feed(), 1);
}

const _: () = assert!(INLINE_BYTES < ARGUMENT_BYTES);
