//! The client half of a process: which servers it is linked to, and by which lane a thread calls.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::identity;
use super::internal::InternalFd;
use super::layout::{LANES, LINK_BYTES, Lane, PLACE_STREAM, POOLS, Progress, pending};
use super::object::lock;
use super::route::Route;
use super::server::{server_id_of, socket_pair};
use super::spin::Spin;
use super::wait::Patience;
use super::wire::{Answer, Counters, Note, NoteKind, Request, RequestKind};
use crate::error::CallError;
use crate::info::{Attributes, DoorInfo};
use crate::statistics::Statistics;
use crate::sys::fork::PerProcess;
use crate::sys::memory::Shared;
use crate::sys::{fork, socket};

/// Links a process makes to one server: 64 calls at a time each.
const LINKS_PER_SERVER: usize = 64;

/// The server behind a door descriptor, as the kernel and the mark tell: equal ones share links. A wrong guess only costs an
/// answer that says so.
type ServerName = (u32, u64);

/// A door descriptor, looked at once; for owners that know their descriptor does not change.
#[derive(Debug)]
pub struct Target {
    /// Number of the descriptor's socket.
    cookie: u64,
    server: ServerName,
    /// Link by which the door was reached last, and its handle there.
    route: Route,
}

impl Target {
    /// Looks at a descriptor.
    ///
    /// # Errors
    /// `EBADF` if it is not a door.
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let id = server_id_of(fd).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        let server = (socket::peer_ids(fd)?.pid, id);
        Ok(Self {
            cookie: socket::cookie(fd)?,
            server,
            route: Route::unknown(),
        })
    }

    /// The number of the descriptor's socket, and the process of the server.
    #[inline]
    pub(crate) fn numbers(&self) -> (u64, u32) {
        (self.cookie, self.server.0)
    }

    /// True if `fd` is the descriptor this was made from, or a duplicate.
    pub(crate) fn is(&self, fd: BorrowedFd<'_>) -> bool {
        socket::cookie(fd).is_ok_and(|cookie| cookie == self.cookie)
    }

    /// The server does not know the handle any more.
    pub(crate) fn forget(&self, link: &ClientLink) {
        self.route.set(0, 0);
        lock(&link.handles).remove(&self.cookie);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Links outlive the descriptors that were called over them.
        if self.route.link() != 0
            && let Some(peers) = PEERS.existing()
        {
            let peer = lock(peers).get(&self.server).cloned();
            for link in peer.iter().flat_map(|peer| lock(&peer.links).clone()) {
                lock(&link.handles).remove(&self.cookie);
            }
        }
    }
}

/// A link, as the client knows it.
#[derive(Debug)]
pub(crate) struct ClientLink {
    /// Never reused.
    pub(crate) id: u64,
    generation: u32,
    token: [u8; 16],
    pub(crate) socket: InternalFd,
    /// Number of the other end of the socket: what a proof is about.
    number: u64,
    pub(crate) memory: Shared,
    dead: AtomicBool,
    bells: [OnceLock<InternalFd>; POOLS],
    lanes: [Owner; LANES],
    handles: Mutex<HashMap<u64, u64>>,
    inbox: Mutex<Vec<Parcel>>,
    /// A thread watches the socket for all that sleep.
    pub(crate) leader: AtomicBool,
    /// Gets the leader to look around when its wake was taken out of the socket by another thread.
    nudge: OnceLock<InternalFd>,
    /// Lanes whose threads rely on the leader.
    pub(crate) followers: AtomicU64,
}

/// Who uses a lane, and the number of its last request.
#[derive(Debug, Default)]
struct Owner {
    /// Thread number << 2 | state.
    state: AtomicU64,
    seq: AtomicU32,
}

const FREE: u64 = 0;
/// The thread keeps it for its next call; another may take it away.
const KEPT: u64 = 1;
const CALLING: u64 = 2;
/// Its call was given up; free again when the server has answered.
const ZOMBIE: u64 = 3;

/// What came over the socket for a lane.
#[derive(Debug)]
pub(crate) struct Parcel {
    lane: u32,
    seq: u32,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) file: Option<(OwnedFd, u64)>,
    pub(crate) truncated: bool,
}

/// One server, and the links to it.
#[derive(Debug, Default)]
struct Peer {
    links: Mutex<Vec<Arc<ClientLink>>>,
}

static PEERS: PerProcess<Mutex<HashMap<ServerName, Arc<Peer>>>> = PerProcess::new();
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A lane taken for one call.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) link: Arc<ClientLink>,
    pub(crate) index: usize,
    pub(crate) spin: Spin,
    thread: u64,
    kept: bool,
}

thread_local! {
    /// Lanes this thread has kept, by link, most recently used last; and this thread's number.
    static KEPT_LANES: RefCell<Vec<Taken>> = const { RefCell::new(Vec::new()) };
    static THREAD: u64 = NEXT_ID.fetch_add(1, Ordering::Relaxed);
}

/// Links one thread remembers a lane of.
const KEPT_PER_THREAD: usize = 8;

impl ClientLink {
    #[inline]
    pub(crate) fn lane(&self, index: usize) -> Lane<'_> {
        Lane::new(&self.memory, index)
    }

    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// False for a link to a dead server, and for one that a forked child knows from its parent.
    #[inline]
    fn is_usable(&self) -> bool {
        self.generation == fork::generation() && !self.is_dead()
    }

    pub(crate) fn set_dead(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Number of the next request of a lane this thread calls on. 0 is skipped: it is what fresh memory says.
    pub(crate) fn next_seq(&self, index: usize) -> u32 {
        let owner = &self.lanes[index];
        let next = owner.seq.load(Ordering::Relaxed).wrapping_add(1).max(1);
        owner.seq.store(next, Ordering::Relaxed);
        next
    }

    /// Rings for a lane. The bell may be missing only if the server sent none, which it is then itself to blame for.
    pub(crate) fn ring(&self, pool: usize, index: usize) {
        pending(&self.memory, pool).fetch_or(1 << index, Ordering::SeqCst);
        if let Some(bell) = self.bells.get(pool).and_then(OnceLock::get) {
            // Non-blocking: a bell that is full has been heard.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }

    fn change(&self, index: usize, from: u64, to: u64) -> bool {
        self.lanes[index]
            .state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// A lane for `thread`: a free one, one whose abandoned call has ended, or one that another thread only keeps.
    fn take(&self, thread: u64) -> Option<usize> {
        let calling = thread << 2 | CALLING;
        let state = |index: usize| self.lanes[index].state.load(Ordering::Acquire);
        if let Some(index) =
            (0..LANES).find(|index| state(*index) == FREE && self.change(*index, FREE, calling))
        {
            return Some(index);
        }
        for index in 0..LANES {
            let now = state(index);
            let available = match now & 3 {
                KEPT => true,
                ZOMBIE => self.is_over(index),
                _ => false,
            };
            if available && self.change(index, now, calling) {
                if now & 3 == ZOMBIE {
                    if !self.is_over(index) {
                        // Between the two looks the lane was used and given up once more.
                        self.lanes[index].state.store(now, Ordering::Release);
                        continue;
                    }
                    // What came for the abandoned call goes.
                    self.drain();
                    lock(&self.inbox).retain(|parcel| parcel.lane as usize != index);
                }
                return Some(index);
            }
        }
        None
    }

    /// True if the server is done with the last request of a lane, and with the lane's window.
    fn is_over(&self, index: usize) -> bool {
        let (lane, seq) = (self.lane(index), self.lanes[index].seq.load(Ordering::Acquire));
        if lane.rep().load(Ordering::Acquire) != seq {
            return false;
        }
        // The rest of a long reply is still on its way when the call is over.
        lane.place().load(Ordering::Relaxed) & PLACE_STREAM == 0
            || lane.spilled().load(Ordering::Acquire) == seq
            || Progress::bytes(lane.made().load(Ordering::Acquire), seq) as u64
                >= lane.reply_len().load(Ordering::Relaxed)
    }

    /// Receives what is there. Challenges are answered; the rest waits for its lane. Anything unexpected ends the link.
    pub(crate) fn drain(&self) {
        if self.receive()
            && let Some(nudge) = self.nudge.get()
        {
            let _ = rustix::io::write(nudge, &1u64.to_ne_bytes());
        }
    }

    /// What the leader polls beside the socket, if there is a descriptor left for it.
    pub(crate) fn nudge(&self) -> Option<&InternalFd> {
        if self.nudge.get().is_none()
            && let Ok(fd) = super::pool::new_bell()
        {
            let _ = self.nudge.set(fd);
        }
        self.nudge.get()
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
                    } else if parcel.fds.len() + received.fds.len() <= super::MAX_DESCRIPTORS {
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

impl Taken {
    /// Ends the call: the thread keeps the lane for the next one.
    #[inline]
    pub(crate) fn keep(self) {
        if self.kept {
            self.link.lanes[self.index]
                .state
                .store(self.thread << 2 | KEPT, Ordering::Release);
        } else {
            self.link.lanes[self.index].state.store(FREE, Ordering::Release);
            return;
        }
        // At the end of the thread there is nothing to keep it in: the lane is taken away when it is needed.
        let _ = KEPT_LANES.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut() {
                if kept.len() >= KEPT_PER_THREAD {
                    kept.remove(0);
                }
                kept.push(self);
            }
        });
    }

    /// Ends a call that was given up: the lane is not used until the server has answered.
    pub(crate) fn give_up(self) {
        self.link.lanes[self.index]
            .state
            .store(self.thread << 2 | ZOMBIE, Ordering::Release);
    }
}

/// A lane to `target`'s server, and the door's handle there. `fd` is only used if the door is not known on that link yet.
#[inline]
pub(crate) fn lane_to(
    fd: BorrowedFd<'_>,
    target: &Target,
    patience: Patience,
) -> Result<(Taken, u64), CallError> {
    let wanted = target.route.link();
    if wanted != 0 {
        let kept = KEPT_LANES.try_with(|kept| {
            let mut kept = kept.try_borrow_mut().ok()?;
            let at = kept.iter().rposition(|taken| taken.link.id == wanted)?;
            Some(kept.swap_remove(at))
        });
        if let Ok(Some(taken)) = kept {
            let (from, to) = (taken.thread << 2 | KEPT, taken.thread << 2 | CALLING);
            // Another thread may have taken the lane away, and a signal handler may be calling while we are here.
            if taken.link.is_usable() && taken.link.change(taken.index, from, to) {
                if let Some(handle) = target.route.handle_on(wanted) {
                    return Ok((taken, handle));
                }
                taken.keep();
            }
        }
    }
    slow_lane_to(fd, target, patience)
}

#[cold]
fn slow_lane_to(fd: BorrowedFd<'_>, target: &Target, patience: Patience) -> Result<(Taken, u64), CallError> {
    let peers = PEERS.get_or_make(|| Mutex::new(HashMap::new()));
    let peer = Arc::clone(lock(peers).entry(target.server).or_default());
    let (thread, kept) = THREAD
        .try_with(|thread| (*thread, true))
        .unwrap_or_else(|_| (NEXT_ID.fetch_add(1, Ordering::Relaxed), false));
    // No lock is held while a server is waited for. Two threads may make a link each; both will be used.
    let links = peer.living_links();
    for link in &links {
        let Some(index) = link.take(thread) else { continue };
        let taken = Taken {
            link: Arc::clone(link),
            index,
            spin: Spin::default(),
            thread,
            kept,
        };
        let known = target
            .route
            .handle_on(link.id)
            .or_else(|| lock(&link.handles).get(&target.cookie).copied());
        if let Some(handle) = known {
            target.route.set(link.id, handle);
            return Ok((taken, handle));
        }
        match attach(fd, link, patience) {
            Ok(handle) => {
                lock(&link.handles).insert(target.cookie, handle);
                target.route.set(link.id, handle);
                return Ok((taken, handle));
            }
            Err(error) => {
                taken.keep();
                // This server does not know this link: the guess was wrong.
                if !matches!(&error, CallError::Os(error) if error.raw_os_error() == Some(libc::ESTALE)) {
                    return Err(error);
                }
            }
        }
    }
    if links.len() >= LINKS_PER_SERVER {
        return Err(CallError::Again);
    }
    forget_the_dead(&mut lock(peers));
    let (link, handle) = hello(fd, patience)?;
    let link = Arc::new(link);
    let index = link.take(thread).ok_or(CallError::Again)?;
    lock(&link.handles).insert(target.cookie, handle);
    lock(&peer.links).push(Arc::clone(&link));
    target.route.set(link.id, handle);
    Ok((
        Taken {
            link,
            index,
            spin: Spin::default(),
            thread,
            kept,
        },
        handle,
    ))
}

/// Lets go of what belongs to servers that have died, which may never be called again.
fn forget_the_dead(peers: &mut HashMap<ServerName, Arc<Peer>>) {
    peers.retain(|_, peer| {
        let mut links = lock(&peer.links);
        retain_living(&mut links);
        // A thread that is making the first link holds its own.
        !links.is_empty() || Arc::strong_count(peer) > 1
    });
    forget_unusable_lanes();
}

fn retain_living(links: &mut Vec<Arc<ClientLink>>) {
    links.retain(|link| {
        if has_hung_up(&link.socket) {
            link.set_dead();
        }
        !link.is_dead()
    });
}

/// This thread has no use any more for lanes of links that are dead, or were its parent's.
fn forget_unusable_lanes() {
    let _ = KEPT_LANES.try_with(|kept| {
        if let Ok(mut kept) = kept.try_borrow_mut() {
            kept.retain(|taken| taken.link.is_usable());
        }
    });
}

impl Peer {
    /// The links that can be used.
    fn living_links(&self) -> Vec<Arc<ClientLink>> {
        let mut links = lock(&self.links);
        retain_living(&mut links);
        let living = links.clone();
        drop(links);
        forget_unusable_lanes();
        living
    }
}

/// True if the other end of a socket is gone.
pub(crate) fn has_hung_up(socket: impl AsFd) -> bool {
    let mut polled = [PollFd::new(&socket, PollFlags::RDHUP)];
    let zero = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut polled, Some(&zero)).is_ok_and(|ready| ready > 0)
}

/// Makes a link to the server of the door `fd`.
fn hello(fd: BorrowedFd<'_>, patience: Patience) -> Result<(ClientLink, u64), CallError> {
    let (ours, theirs) = socket_pair()?;
    let number = socket::cookie(theirs.as_fd())?;
    let request = Request {
        kind: RequestKind::Hello,
        pools: 0,
        token: [0; 16],
    };
    let (answer, fds) = ask(fd, &request, &ours, theirs, patience)?;
    let mut fds = fds.into_iter();
    let (Some(memfd), Some(bell), None) = (fds.next(), fds.next(), fds.next()) else {
        return Err(CallError::OutOfDescriptors);
    };
    check_memory(&memfd)?;
    let link = ClientLink {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        generation: fork::generation(),
        token: answer.token,
        memory: Shared::map(memfd.as_fd(), LINK_BYTES)?,
        socket: InternalFd::new(ours),
        number,
        dead: AtomicBool::new(false),
        bells: [const { OnceLock::new() }; POOLS],
        lanes: std::array::from_fn(|_| Owner::default()),
        handles: Mutex::default(),
        inbox: Mutex::default(),
        leader: AtomicBool::new(false),
        nudge: OnceLock::new(),
        followers: AtomicU64::new(0),
    };
    keep_bell(&link, answer.pool, Some(bell))?;
    Ok((link, pooled(answer.pool, answer.handle)))
}

/// Makes the door `fd` known on `link`.
fn attach(fd: BorrowedFd<'_>, link: &ClientLink, patience: Patience) -> Result<u64, CallError> {
    let (ours, theirs) = socket_pair()?;
    let known = |pools: u64, (index, bell): (usize, &OnceLock<InternalFd>)| {
        pools | u64::from(bell.get().is_some()) << index
    };
    let pools = link.bells.iter().enumerate().fold(0, known);
    let request = Request {
        kind: RequestKind::Attach,
        pools,
        token: link.token,
    };
    let (answer, fds) = ask(fd, &request, &ours, theirs, patience)?;
    keep_bell(link, answer.pool, fds.into_iter().next())?;
    Ok(pooled(answer.pool, answer.handle))
}

/// A handle as kept here: with the number of the door's pool in bits the server leaves free.
fn pooled(pool: u32, handle: u64) -> u64 {
    handle & !POOL_BITS | u64::from(pool) << 16 & POOL_BITS
}

const POOL_BITS: u64 = 0xFFFF_0000;

/// The handle as the server knows it, and the number of the door's pool.
#[inline]
pub(crate) fn split(handle: u64) -> (u64, usize) {
    (handle & !POOL_BITS, (handle & POOL_BITS) as usize >> 16)
}

fn keep_bell(link: &ClientLink, pool: u32, bell: Option<OwnedFd>) -> Result<(), CallError> {
    let slot = link
        .bells
        .get(pool as usize)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    if let Some(bell) = bell {
        check_bell(&bell)?;
        // Another thread may have got one at the same time; they are alike.
        let _ = slot.set(InternalFd::new(bell));
    }
    if slot.get().is_none() {
        return Err(CallError::OutOfDescriptors);
    }
    Ok(())
}

/// A bell must be an eventfd: writing to a pipe or socket of the server's choice could end this process, or take for ever.
fn check_bell(bell: &OwnedFd) -> io::Result<()> {
    let name = rustix::fs::readlink(format!("/proc/self/fd/{}", bell.as_raw_fd()), Vec::new());
    let genuine = match name {
        Ok(name) => name.as_bytes() == b"anon_inode:[eventfd]",
        // Without /proc: at least nothing that raises a signal.
        Err(_) => rustix::pipe::fcntl_getpipe_size(bell).is_err() && socket::cookie(bell.as_fd()).is_err(),
    };
    if genuine {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// The memory must not be able to shrink under us, nor be of a kind whose faults depend on a pool of huge pages.
fn check_memory(memfd: &OwnedFd) -> io::Result<()> {
    use rustix::fs::SealFlags;
    const HUGETLBFS: i64 = 0x9584_58f6;
    // Seals first: the question is safe on any file, and the answer proves that it is a memfd.
    let seals = rustix::fs::fcntl_get_seals(memfd)?;
    let size = rustix::fs::fstat(memfd)?.st_size;
    let wrong = !seals.contains(SealFlags::SHRINK | SealFlags::SEAL)
        || u64::try_from(size).ok() != Some(LINK_BYTES as u64)
        || rustix::fs::fstatfs(memfd)?.f_type == HUGETLBFS;
    if wrong {
        Err(io::ErrorKind::InvalidData.into())
    } else {
        Ok(())
    }
}

/// Sends a request over a door, and waits for the answer on `ours`. The control thread answers at once, or not at all and
/// closes the socket; so does the kernel when the server dies.
fn ask(
    fd: BorrowedFd<'_>,
    request: &Request,
    ours: &OwnedFd,
    theirs: OwnedFd,
    patience: Patience,
) -> Result<(Answer, Vec<OwnedFd>), CallError> {
    let mut record = [0; Answer::BYTES];
    let received = exchange(fd, request, ours, theirs, patience, &mut record)?;
    let answer = (received.len == Answer::BYTES)
        .then(|| Answer::decode(&record))
        .flatten();
    let answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    match answer.error {
        0 => Ok((answer, received.fds)),
        error if error.cast_signed() == libc::EAGAIN => Err(CallError::Again),
        error => Err(io::Error::from_raw_os_error(error.cast_signed()).into()),
    }
}

/// Sends a request over a door, and receives whatever record comes back.
fn exchange(
    fd: BorrowedFd<'_>,
    request: &Request,
    ours: &OwnedFd,
    theirs: OwnedFd,
    patience: Patience,
    record: &mut [u8],
) -> Result<socket::Received, CallError> {
    loop {
        match socket::send(fd, &request.encode(), &[theirs.as_fd()], None) {
            Ok(()) => break,
            // The queue is shared by all holders of this descriptor: wait until it has room.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_for(fd, PollFlags::OUT, patience)?;
            }
            Err(error) => {
                return Err(match error.raw_os_error() {
                    Some(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN | libc::ECONNREFUSED) => {
                        CallError::Revoked
                    }
                    Some(libc::ETOOMANYREFS) => CallError::OutOfDescriptors,
                    _ => CallError::Os(error),
                });
            }
        }
    }
    drop(theirs);
    loop {
        match socket::receive(ours.as_fd(), record) {
            Ok(received) if received.len == 0 => return Err(CallError::Revoked),
            Ok(received) => return Ok(received),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_for(ours.as_fd(), PollFlags::IN, patience)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(CallError::Revoked),
        }
    }
}

pub(crate) fn wait_for(fd: BorrowedFd<'_>, events: PollFlags, patience: Patience) -> Result<(), CallError> {
    let mut polled = [PollFd::new(&fd, events)];
    let left = patience
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let timeout = left.map(super::wait::timespec);
    match rustix::event::poll(&mut polled, timeout.as_ref()) {
        Ok(0) => Err(CallError::TimedOut),
        Err(rustix::io::Errno::INTR) if patience.interruptible => Err(CallError::Again),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Tells the server of the attached door `fd` that its path has changed, and waits until it has looked.
pub(crate) fn path_changed(fd: BorrowedFd<'_>) -> Result<(), CallError> {
    let (ours, theirs) = socket_pair()?;
    let request = Request {
        kind: RequestKind::PathChanged,
        pools: 0,
        token: [0; 16],
    };
    ask(fd, &request, &ours, theirs, Patience::ENDLESS).map(drop)
}

/// What the door behind `fd` says about itself. A dead one says no more than what the kernel remembers.
pub(crate) fn info(fd: BorrowedFd<'_>, patience: Patience) -> io::Result<DoorInfo> {
    if server_id_of(fd).is_none() {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    if let Some(export) = super::server::own_door(fd) {
        return Ok(export.door.info(true));
    }
    let (ours, theirs) = socket_pair()?;
    let request = Request {
        kind: RequestKind::Info,
        pools: 0,
        token: [0; 16],
    };
    match ask(fd, &request, &ours, theirs, patience) {
        Ok((answer, _)) => {
            let mut info = answer.info;
            // The kernel's word, as seen from this process's own namespace; and a stranger's door is not ours.
            info.target = Some(socket::peer_ids(fd)?.pid)
                .filter(|pid| *pid != 0)
                .or(info.target);
            let local = info.target == Some(std::process::id());
            info.attributes.set(Attributes::LOCAL, local);
            Ok(info)
        }
        Err(CallError::Revoked) => Ok(DoorInfo {
            target: None,
            procedure: 0,
            cookie: 0,
            attributes: Attributes::REVOKED,
            unique: 0,
            limits: crate::info::Limits::default(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// What the door behind `fd` has been doing.
pub(crate) fn statistics(fd: BorrowedFd<'_>, patience: Patience) -> io::Result<Statistics> {
    let gone = || io::Error::from_raw_os_error(libc::EBADF);
    server_id_of(fd).ok_or_else(gone)?;
    if let Some(export) = super::server::own_door(fd) {
        return Ok(export.door.statistics());
    }
    let (ours, theirs) = socket_pair()?;
    let request = Request {
        kind: RequestKind::Statistics,
        pools: 0,
        token: [0; 16],
    };
    let mut record = [0; Counters::BYTES];
    let received = match exchange(fd, &request, &ours, theirs, patience, &mut record) {
        Err(CallError::Revoked) => return Err(gone()),
        outcome => outcome?,
    };
    let counters = (received.len == Counters::BYTES)
        .then(|| Counters::decode(&record))
        .flatten();
    counters.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
