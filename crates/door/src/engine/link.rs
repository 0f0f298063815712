//! The server's half of a link: the private truth behind the shared words.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex};

use super::errand::{Channel, Errand};
use super::internal::InternalFd;
use super::layout::{CHUNK_BYTES, DOZES, LANES, LINK_BYTES, Lane, POLLS, POOLS, Progress, SLEEPS, small};
use super::object::{DoorObject, Export, lock};
use super::pool::Pool;
use super::stats::Client;
use super::undertaker;
use super::wire::{Note, NoteKind};
use crate::sys::memory::{Buffer, Shared};
use crate::sys::process::Ids;
use crate::sys::{process, socket};

/// Bytes of parked arguments one client may make us keep.
const PARKED_BYTES: usize = 1 << 30;
/// Descriptors a client may leave unreceived: they count against the server's own limit.
const UNRECEIVED: usize = 1024;

/// Descriptors of a client that wait for their requests to be taken.
const HELD: usize = 4096;

/// A client process, as the server knows it.
#[derive(Debug)]
pub(crate) struct ServerLink {
    pub(crate) key: u64,
    pub(crate) token: [u8; 16],
    /// User the link is counted for.
    pub(crate) user: u32,
    pub(crate) memory: Shared,
    /// The control thread's.
    socket: InternalFd,
    /// A copy of it in the application's table, once a server thread needed one.
    copy: Mutex<Option<Arc<InternalFd>>>,
    channel: Arc<Channel>,
    /// Who the client proved to be last.
    pub(crate) record: Mutex<Ids>,
    dead: AtomicBool,
    pub(crate) lanes: [LaneState; LANES],
    table: Mutex<Table>,
    /// Changes with the table, so that threads may remember what they looked up.
    version: AtomicU32,
    bells: Mutex<Vec<(Arc<Pool>, InternalFd)>>,
    inbox: Mutex<Vec<Parcel>>,
    unreceived: AtomicUsize,
    parked: AtomicUsize,
    /// Threads that wait for the client to say whether it has room for descriptors.
    pub(crate) offering: AtomicUsize,
    /// The client said nothing to an offer for longer than can be waited.
    pub(crate) slow_to_take: AtomicBool,
}

/// What the server knows about a lane.
#[derive(Debug, Default)]
pub(crate) struct LaneState {
    busy: AtomicBool,
    /// Number of the request answered last.
    done: AtomicU32,
    /// A transfer was put aside.
    pub(crate) parked: AtomicBool,
    pub(crate) transfer: Mutex<Option<Transfer>>,
    /// The thread that runs the procedure, if it can be cancelled, and the request.
    pub(crate) running: Mutex<Option<(u64, u32)>>,
    /// See [`ServerLink::rouse`].
    doze: AtomicU8,
}

/// A client that writes the word back at the wrong moment could make a thread miss that it is wanted elsewhere: not for ever.
const LONGEST_DOZE: rustix::time::Timespec = rustix::time::Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// In `doze`: nobody sleeps on the lane.
const AWAKE: u8 = 0;
/// In `doze`: the thread that holds the lane sleeps until its client calls.
const DOZING: u8 = 1;
/// In `doze`: that thread is wanted elsewhere.
const ROUSED: u8 = 2;

/// An argument that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) seq: u32,
    pub(crate) buffer: Buffer,
    pub(crate) received: usize,
    /// How long threads have waited for it.
    pub(crate) waited: std::time::Duration,
    pub(crate) len: usize,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) door: Arc<DoorObject>,
    pub(crate) flags: u32,
}

impl Transfer {
    /// Bytes that must have come before it is worth going on: clients send whole chunks.
    pub(crate) fn next(&self) -> usize {
        self.received + (self.len - self.received).min(CHUNK_BYTES)
    }
}

/// Doors this client may call, by handle.
#[derive(Debug, Default)]
struct Table {
    /// With how often each was used.
    entries: Vec<(u32, Option<Known>)>,
    /// Which of them are not used.
    free: Vec<usize>,
    /// Where an export is, by its key.
    places: HashMap<u64, usize>,
}

/// The socket of a link as a thread can use it.
pub(crate) enum LinkSocket<'a> {
    Own(&'a InternalFd),
    Copy(Arc<InternalFd>),
}

impl AsFd for LinkSocket<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(socket) => socket.as_fd(),
            Self::Copy(socket) => socket.as_fd(),
        }
    }
}

/// An export this client has made known.
#[derive(Debug)]
struct Known {
    export: Arc<Export>,
    _counted: Client,
}

/// Descriptors that came ahead of their request.
#[derive(Debug)]
struct Parcel {
    lane: u32,
    seq: u32,
    fds: Vec<OwnedFd>,
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
    /// Makes a link and the memory for it. The memory can neither grow nor shrink nor change its seals.
    pub(crate) fn new(
        key: u64,
        record: Ids,
        socket: OwnedFd,
        channel: &Arc<Channel>,
    ) -> io::Result<(Arc<Self>, OwnedFd)> {
        let memfd = sealed_memory()?;
        let link = Self {
            key,
            token: process::random()?,
            user: record.euid,
            memory: Shared::map(memfd.as_fd(), LINK_BYTES)?,
            socket: InternalFd::new(socket),
            copy: Mutex::default(),
            channel: Arc::clone(channel),
            record: Mutex::new(record),
            dead: AtomicBool::new(false),
            lanes: std::array::from_fn(|_| LaneState::default()),
            table: Mutex::default(),
            version: AtomicU32::new(1),
            bells: Mutex::default(),
            inbox: Mutex::default(),
            unreceived: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            offering: AtomicUsize::new(0),
            slow_to_take: AtomicBool::new(false),
        };
        Ok((Arc::new(link), memfd))
    }

    /// For the control thread.
    pub(crate) fn own_socket(&self) -> &InternalFd {
        &self.socket
    }

    /// The socket, for any thread. To be called without locks.
    ///
    /// # Errors
    /// `EMFILE` if there is no number for a copy.
    pub(crate) fn socket(&self) -> io::Result<LinkSocket<'_>> {
        if self.socket.is_here() {
            return Ok(LinkSocket::Own(&self.socket));
        }
        if let Some(copy) = &*lock(&self.copy) {
            return Ok(LinkSocket::Copy(Arc::clone(copy)));
        }
        let copy = self.channel.ask(Errand::Copy(self.key), &[])?.pop();
        let copy = copy.ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))?;
        let copy = Arc::new(InternalFd::new(copy));
        if !self.is_dead() {
            *lock(&self.copy) = Some(Arc::clone(&copy));
        }
        Ok(LinkSocket::Copy(copy))
    }

    #[inline]
    pub(crate) fn lane(&self, index: usize) -> Lane<'_> {
        Lane::new(&self.memory, index)
    }

    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Marks the link dead.
    pub(crate) fn kill(&self) {
        if self.dead.swap(true, Ordering::SeqCst) {
            return;
        }
        let parcels = std::mem::take(&mut *lock(&self.inbox));
        undertaker::bury_all(parcels.into_iter().flat_map(|parcel| parcel.fds).collect());
        for state in &self.lanes {
            let transfer = lock(&state.transfer).take();
            if let Some(transfer) = transfer {
                undertaker::bury_all(transfer.fds);
            }
        }
        (0..LANES).for_each(|index| self.rouse(index));
        if self.socket.is_here() {
            self.take_down();
        } else {
            // If this cannot be said, the control thread cannot do anything any more.
            let _ = self.channel.post(Errand::Kill(self.key), &[]);
        }
    }

    /// In the control thread: takes the bells of a dead link down, and forgets its doors. The client must not wait for a server that no
    /// longer listens to it.
    pub(crate) fn take_down(&self) {
        let bells = std::mem::take(&mut *lock(&self.bells));
        for (pool, bell) in &bells {
            pool.remove_link(self.key, bell);
        }
        let table = std::mem::take(&mut *lock(&self.table));
        self.version.fetch_add(1, Ordering::Release);
        let known = table.entries.into_iter().filter_map(|(_, known)| known);
        let exports: Vec<Arc<Export>> = known
            .map(|known| {
                known.export.remove_link(self.key);
                known.export
            })
            .collect();
        let copy = lock(&self.copy).take();
        // With a door goes the application's procedure.
        undertaker::bury((exports, bells, copy));
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    // ---- Lanes -------------------------------------------------------------------------------------------------------

    /// True if the lane has a request, or more of one, that nobody has dealt with.
    #[inline]
    pub(crate) fn has_work(&self, index: usize) -> bool {
        let (lane, state) = (self.lane(index), &self.lanes[index]);
        let req = lane.req().load(Ordering::Acquire);
        if req == state.done.load(Ordering::Relaxed) {
            return false;
        }
        if !state.parked.load(Ordering::Acquire) {
            return true;
        }
        let transfer = lock(&state.transfer);
        transfer.as_ref().is_none_or(|transfer| {
            lane.cancel().load(Ordering::Acquire) == transfer.seq
                || Progress::bytes(lane.wr().load(Ordering::Acquire), transfer.seq) >= transfer.next()
        })
    }

    /// Takes the lane if it has work and nobody holds it. Whoever holds it looks again when letting go.
    pub(crate) fn claim(&self, index: usize) -> bool {
        let state = &self.lanes[index];
        loop {
            if self.is_dead() || state.busy.swap(true, Ordering::SeqCst) {
                return false;
            }
            if self.has_work(index) {
                return true;
            }
            if !self.release(index) {
                return false;
            }
        }
    }

    /// Lets the lane go; true if work has come meanwhile, which the caller then has to try to claim.
    pub(crate) fn release(&self, index: usize) -> bool {
        self.lanes[index].busy.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        !self.is_dead() && self.has_work(index)
    }

    #[inline]
    pub(crate) fn is_busy(&self, index: usize) -> bool {
        self.lanes[index].busy.load(Ordering::Acquire)
    }

    // ---- Dozing: a thread that holds a lane sleeps until its client calls ------------------------------------------------

    /// The thread that holds the lane is about to sleep on it.
    pub(crate) fn lie_down(&self, index: usize) {
        self.lanes[index].doze.store(DOZING, Ordering::SeqCst);
    }

    /// Sleeps until the client of a lane calls, or [`rouse`](Self::rouse) says otherwise. True if there is work. `attention` is what the
    /// client is told, without [`DOZES`].
    pub(crate) fn doze(&self, index: usize, attention: u32) -> bool {
        let (lane, state) = (self.lane(index), &self.lanes[index]);
        let word = lane.feed().load(Ordering::SeqCst);
        lane.attending().store(attention | DOZES, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        loop {
            if self.has_work(index) {
                break;
            }
            if self.is_dead() || state.doze.load(Ordering::SeqCst) != DOZING {
                break;
            }
            let flags = rustix::thread::futex::Flags::empty();
            let slept = rustix::thread::futex::wait(lane.feed(), flags, word, Some(&LONGEST_DOZE));
            if slept != Err(rustix::io::Errno::INTR) {
                break;
            }
        }
        lane.attending().store(attention, Ordering::SeqCst);
        self.has_work(index)
    }

    /// The thread has got up.
    pub(crate) fn get_up(&self, index: usize) {
        self.lanes[index].doze.store(AWAKE, Ordering::SeqCst);
    }

    /// Makes the thread that dozes on a lane, if one does, get up. All sleepers are woken: the client could be sleeping there to take the wake away.
    pub(crate) fn rouse(&self, index: usize) {
        let doze = &self.lanes[index].doze;
        if doze
            .compare_exchange(DOZING, ROUSED, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            self.feed_all(index);
        }
    }

    /// Makes a thread that dozes on a lane look for work.
    pub(crate) fn shake(&self, index: usize) {
        if self.lanes[index].doze.load(Ordering::SeqCst) == DOZING {
            self.feed_all(index);
        }
    }

    fn feed_all(&self, index: usize) {
        let feed = self.lane(index).feed();
        feed.fetch_add(1, Ordering::SeqCst);
        let all = i32::MAX.cast_unsigned();
        let _ = rustix::thread::futex::wake(feed, rustix::thread::futex::Flags::empty(), all);
    }

    /// Publishes that request `seq` has been answered, and wakes the client if it sleeps.
    #[inline]
    pub(crate) fn complete(&self, index: usize, seq: u32) {
        self.close(index, seq);
        self.publish(index, seq);
    }

    /// Publishes an answer to request `seq` that may still be taken back: the lane is not done with it.
    pub(crate) fn publish(&self, index: usize, seq: u32) {
        self.lane(index).rep().swap(seq, Ordering::SeqCst);
        self.wake(index);
    }

    /// Request `seq` is over: what comes next on the lane is another.
    #[inline]
    pub(crate) fn close(&self, index: usize, seq: u32) {
        self.lanes[index].done.store(seq, Ordering::Relaxed);
    }

    /// Wakes the client of a lane if it sleeps. The word it waits for must have been written before, with a full barrier.
    #[inline]
    pub(crate) fn wake(&self, index: usize) {
        let lane = self.lane(index);
        match lane.sleep().load(Ordering::SeqCst) {
            SLEEPS => {
                lane.tick().fetch_add(1, Ordering::SeqCst);
                let _ = rustix::thread::futex::wake(lane.tick(), rustix::thread::futex::Flags::empty(), 1);
            }
            POLLS => {
                lane.tick().fetch_add(1, Ordering::SeqCst);
                self.send_wake(small(index));
            }
            _ => {}
        }
    }

    /// Wakes the client of a lane who sleeps on the link's socket. One that does not read its notes loses the link.
    pub(crate) fn send_wake(&self, lane: u32) {
        let copy = lock(&self.copy).clone();
        let socket = match &copy {
            _ if self.socket.is_here() => &self.socket,
            Some(copy) if copy.is_here() => copy,
            _ => {
                // He has slept for long: it is not worth a descriptor.
                let _ = self.channel.post(Errand::Wake(self.key, lane), &[]);
                return;
            }
        };
        let note = Note {
            kind: NoteKind::Wake,
            lane,
            seq: 0,
            first: 0,
            len: 0,
        };
        if let Err(error) = socket::send(socket.as_fd(), &note.encode(), &[], None)
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.kill();
        }
    }

    /// Sends descriptors of a reply, or a file with its bytes, or a challenge.
    pub(crate) fn send_descriptors(&self, note: &Note, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let socket = self.socket()?;
        // Nothing unread means nothing is owed any more.
        if socket::unsent_bytes(socket.as_fd()).unwrap_or(0) == 0 {
            self.unreceived.store(0, Ordering::Relaxed);
        }
        if self.unreceived.fetch_add(fds.len(), Ordering::Relaxed) > UNRECEIVED {
            self.kill();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        socket::send(socket.as_fd(), &note.encode(), fds, None).inspect_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.kill();
            }
        })
    }

    /// Reserves `bytes` of parked argument; false if the client has too much parked already.
    pub(crate) fn park_bytes(&self, bytes: usize) -> bool {
        let before = self.parked.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= PARKED_BYTES;
        if !fits {
            self.unpark_bytes(bytes);
        }
        fits
    }

    pub(crate) fn unpark_bytes(&self, bytes: usize) {
        self.parked.fetch_sub(bytes, Ordering::Relaxed);
    }

    // ---- Descriptors of requests -------------------------------------------------------------------------------------

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
                && (inbox[at].seq != note.seq
                    || inbox[at].fds.len() + received.fds.len() > super::MAX_DESCRIPTORS)
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

    // ---- Doors -------------------------------------------------------------------------------------------------------

    /// Makes an export known to the client: its handle, its pool, and the pool's bell if the client does not have it.
    pub(crate) fn add_export(
        self: &Arc<Self>,
        export: &Arc<Export>,
        known: u64,
    ) -> io::Result<(u64, u32, Option<OwnedFd>)> {
        let (pool, bell) = self.bell_of(export.door.pool(), known)?;
        let mut table = lock(&self.table);
        let index = match table.places.get(&export.key) {
            Some(index) => *index,
            None => {
                let index = match table.free.pop() {
                    Some(index) => index,
                    None if table.entries.len() > usize::from(u16::MAX) => {
                        return Err(io::Error::from_raw_os_error(libc::EMFILE));
                    }
                    None => {
                        table.entries.push((0, None));
                        table.entries.len() - 1
                    }
                };
                let entry = &mut table.entries[index];
                entry.0 = entry.0.wrapping_add(1);
                entry.1 = Some(Known {
                    export: Arc::clone(export),
                    _counted: Client::new(&export.door),
                });
                table.places.insert(export.key, index);
                export.add_link(self);
                self.version.fetch_add(1, Ordering::Release);
                index
            }
        };
        let handle = u64::from(table.entries[index].0) << 32 | index as u64;
        Ok((handle, pool, bell))
    }

    fn bell_of(self: &Arc<Self>, pool: &Arc<Pool>, known: u64) -> io::Result<(u32, Option<OwnedFd>)> {
        let mut bells = lock(&self.bells);
        let index = match bells
            .iter()
            .position(|(candidate, _)| Arc::ptr_eq(candidate, pool))
        {
            Some(index) => index,
            None if bells.len() == POOLS || self.is_dead() => {
                return Err(io::Error::from_raw_os_error(libc::ENFILE));
            }
            None => {
                bells.push((Arc::clone(pool), pool.add_link(self)?));
                bells.len() - 1
            }
        };
        let bell = if known & 1 << index == 0 {
            Some(bells[index].1.duplicate()?)
        } else {
            None
        };
        Ok((small(index), bell))
    }

    /// The number this client knows `pool` by.
    pub(crate) fn pool_index(&self, pool: &Arc<Pool>) -> Option<usize> {
        lock(&self.bells)
            .iter()
            .position(|(candidate, _)| Arc::ptr_eq(candidate, pool))
    }

    #[inline]
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    /// The door behind a handle.
    pub(crate) fn resolve(&self, handle: u64) -> Option<Arc<DoorObject>> {
        let index = usize::try_from(handle & 0xFFFF_FFFF).ok()?;
        let table = lock(&self.table);
        let (generation, export) = table.entries.get(index)?;
        let known = export
            .as_ref()
            .filter(|_| u64::from(*generation) == handle >> 32)?;
        Some(Arc::clone(&known.export.door))
    }

    /// Forgets an export whose last holder has gone.
    pub(crate) fn remove_export(&self, key: u64) {
        let mut table = lock(&self.table);
        if let Some(index) = table.places.remove(&key) {
            let known = table.entries[index].1.take();
            table.free.push(index);
            self.version.fetch_add(1, Ordering::Release);
            drop(table);
            undertaker::bury(known.map(|known| known.export));
        }
    }
}

fn sealed_memory() -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags};
    let memfd = new_memfd(MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&memfd, LINK_BYTES as u64)?;
    rustix::fs::fcntl_add_seals(&memfd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(memfd)
}

/// A memfd that cannot be executed where the kernel knows how to say so.
pub(crate) fn new_memfd(flags: rustix::fs::MemfdFlags) -> io::Result<OwnedFd> {
    let strict = rustix::fs::memfd_create("door", flags | rustix::fs::MemfdFlags::NOEXEC_SEAL);
    match strict {
        Err(rustix::io::Errno::INVAL) => Ok(rustix::fs::memfd_create("door", flags)?),
        other => Ok(other?),
    }
}
