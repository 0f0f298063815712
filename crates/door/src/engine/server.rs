//! The server half of a process: its doors, and who holds what of them. The descriptors behind it are the [control thread](super::control)'s.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::budget::Account;
use super::control::{self, Source};
use super::errand::{Channel, Errand};
use super::internal::{self, InternalFd};
use super::layout::LANES;
use super::link::ServerLink;
use super::object::{DoorObject, Export, Reference, lock};
use super::path::Listener;
use super::pool::Pool;
use super::seed::Seed;
use super::undertaker;
use crate::info::Attributes;
use crate::sys::fork::PerProcess;
use crate::sys::{barrier, process, socket};

/// 13 bits that say "door" in the mark of a socket, above 40 bits of server id.
const MARK: u64 = 0x1D0A << 40;
const SERVER_ID: u64 = (1 << 40) - 1;

/// The server half of this process.
pub(crate) struct Server {
    /// 40 random bits: tells two servers with the same process number apart.
    pub(crate) id: u64,
    pub(super) quota: Quota,
    pub(super) state: Mutex<State>,
    process_pool: Arc<Pool>,
    pub(super) channel: Arc<Channel>,
    /// The control thread's end in the application's table. Its number becomes free after the first door has got the lowest one.
    far: Mutex<Option<Arc<InternalFd>>>,
    /// The control thread has a descriptor table of its own.
    pub(super) is_private: AtomicBool,
}

/// What one user may make this process hold at the same time. Root, whom nothing can stop, may have more.
pub(super) struct Quota {
    pub(super) links: usize,
    /// Descriptors made by opening paths.
    pub(super) opens: usize,
}

impl Quota {
    /// Parts of what a table of this process may have: a link takes two descriptors, an open one. A quarter stays for the others.
    fn of_this_process() -> Self {
        let limit = internal::limit();
        Self {
            links: (limit / 4).clamp(16, 8192),
            opens: (limit / 4).clamp(16, 8192),
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    last_key: u64,
    pub(super) sources: HashMap<u64, Source>,
    /// By the number of the other end.
    pub(super) own: HashMap<u64, Arc<Export>>,
    pub(super) promised: HashMap<u64, Promised>,
    /// Keys of retired pools.
    pub(super) retired: Vec<u64>,
    pub(super) links: HashMap<[u8; 16], Arc<ServerLink>>,
    pub(super) links_of: HashMap<u32, usize>,
    /// Of users with links.
    pub(super) accounts: HashMap<u32, Arc<Account>>,
    pub(super) opens_of: HashMap<u32, usize>,
}

/// What an errand is about, until the control thread has it.
pub(super) enum Promised {
    Export(Arc<Export>),
    /// A descriptor that is still to be made.
    Reference(Arc<DoorObject>, Reference),
    Pool(Arc<Pool>),
    Retirement(Weak<Pool>),
    Listener(Listener),
}

static SERVER: PerProcess<Mutex<Option<Arc<Server>>>> = PerProcess::new();

/// The server half of this process, made at the first use.
pub(crate) fn of_this_process() -> io::Result<Arc<Server>> {
    let mut slot = lock(SERVER.get_or_make(|| Mutex::new(None)));
    if let Some(server) = slot.as_ref() {
        return Ok(Arc::clone(server));
    }
    barrier::prepare();
    let random = process::random()?
        .iter()
        .fold(0, |all, byte| all << 8 | u64::from(*byte));
    let seed = Seed::take()?;
    let far = Arc::new(seed.far);
    let server = Arc::new(Server {
        id: (random & SERVER_ID).max(1),
        quota: Quota::of_this_process(),
        state: Mutex::default(),
        process_pool: seed.pool,
        channel: Arc::new(Channel::new(seed.near)),
        far: Mutex::new(Some(Arc::clone(&far))),
        is_private: AtomicBool::new(false),
    });
    // From here on the control thread relies on it, and cannot start it.
    undertaker::start();
    control::start(&server, far)?;
    server.introduce(&server.process_pool)?;
    *slot = Some(Arc::clone(&server));
    Ok(server)
}

/// The server half of this process if it ever made a door.
pub(crate) fn existing() -> Option<Arc<Server>> {
    SERVER.existing().and_then(|slot| lock(slot).clone())
}

/// Server id in the mark of a descriptor; `None` if it is not a door.
#[inline]
pub(crate) fn server_id_of(fd: BorrowedFd<'_>) -> Option<u64> {
    let mark = socket::mark(fd).ok()?;
    (mark & !SERVER_ID == MARK).then_some(mark & SERVER_ID)
}

/// Makes a socket recognisable as a door of server `id`.
pub(crate) fn mark_as_door(fd: BorrowedFd<'_>, id: u64) -> io::Result<()> {
    socket::set_mark(fd, MARK | (id & SERVER_ID))
}

/// A pair of connected record sockets.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The door of this process behind `fd`, if it is one.
pub(crate) fn own_door(fd: BorrowedFd<'_>) -> Option<Arc<Export>> {
    let server = existing()?;
    if server_id_of(fd)? != server.id {
        return None;
    }
    let cookie = socket::cookie(fd).ok()?;
    lock(&server.state).own.get(&cookie).cloned()
}

impl Server {
    pub(crate) fn process_pool(&self) -> &Arc<Pool> {
        &self.process_pool
    }

    /// Makes a descriptor of `door`. Its other end is watched from now on. One free number is enough.
    pub(crate) fn export(&self, door: &Arc<DoorObject>, kind: Reference) -> io::Result<OwnedFd> {
        match self.export_from_here(door, kind) {
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => self.export_from_there(door, kind),
            outcome => outcome,
        }
    }

    /// The quick way: makes both ends and hands the other one over.
    fn export_from_here(&self, door: &Arc<DoorObject>, kind: Reference) -> io::Result<OwnedFd> {
        if !internal::has_private_room(lock(&self.state).promised.len()) {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        // The first number is the lower one: it is the application's.
        let (theirs, ours) = socket_pair()?;
        let export = self.new_export(door, kind, &theirs, &ours)?;
        self.count(&export);
        let mut state = lock(&self.state);
        state.own.insert(export.cookie, Arc::clone(&export));
        state
            .promised
            .insert(export.key, Promised::Export(Arc::clone(&export)));
        drop(state);
        if let Err(error) = self.channel.post(Errand::Adopt(export.key), &[ours.as_fd()]) {
            let mut state = lock(&self.state);
            state.promised.remove(&export.key);
            state.own.remove(&export.cookie);
            drop(state);
            export.door.reference_dropped(kind);
            return Err(error);
        }
        Ok(theirs)
    }

    /// The way that takes one number only: the control thread makes both ends.
    fn export_from_there(&self, door: &Arc<DoorObject>, kind: Reference) -> io::Result<OwnedFd> {
        let key = self.promise(|_| Promised::Reference(Arc::clone(door), kind));
        let made = self.channel.ask(Errand::Make(key), &[])?.pop();
        let made = made.ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))?;
        if let Some(export) = own_door(made.as_fd()) {
            self.count(&export);
        }
        Ok(made)
    }

    /// What there is to know about a descriptor `theirs`, whose other end is `ours`.
    pub(super) fn new_export(
        &self,
        door: &Arc<DoorObject>,
        kind: Reference,
        theirs: &OwnedFd,
        ours: &OwnedFd,
    ) -> io::Result<Arc<Export>> {
        mark_as_door(theirs.as_fd(), self.id)?;
        socket::pass_credentials(ours.as_fd())?;
        let (cookie, number) = (socket::cookie(theirs.as_fd())?, socket::cookie(ours.as_fd())?);
        if kind == Reference::Own {
            // Set once: a door has one own end.
            let _ = door.unique.set(number);
        }
        let key = lock(&self.state).new_key();
        Ok(Arc::new(Export::new(key, cookie, door, kind)))
    }

    /// Somebody is about to have the descriptor: from here on it is a reference to the door.
    pub(super) fn count(&self, export: &Export) {
        export.is_counted.store(true, Ordering::Release);
        export.door.reference_added(export.kind);
    }

    fn promise(&self, what: impl FnOnce(u64) -> Promised) -> u64 {
        let mut state = lock(&self.state);
        let key = state.new_key();
        let promised = what(key);
        state.promised.insert(key, promised);
        key
    }

    /// Gives the control thread its ends of a pool.
    fn introduce(&self, pool: &Arc<Pool>) -> io::Result<()> {
        if !self.is_private.load(Ordering::Acquire) {
            return Ok(());
        }
        let key = self.promise(|_| Promised::Pool(Arc::clone(pool)));
        self.channel.post(Errand::Pool(key), &pool.ends())
    }

    /// Watches a path's socket.
    pub(crate) fn add_listener(&self, listener: Listener, socket: &OwnedFd) -> io::Result<()> {
        let key = self.promise(|_| Promised::Listener(listener));
        let outcome = self.channel.ask(Errand::Listen(key), &[socket.as_fd()]);
        let unused = lock(&self.state).promised.remove(&key);
        drop(unused);
        outcome.map(drop)
    }

    /// Drops listeners whose path leads elsewhere now, after taking in who had come before.
    pub(crate) fn check_paths(&self) -> io::Result<()> {
        self.channel.ask(Errand::Paths, &[]).map(drop)
    }

    /// Refuses what waits for a thread at doors that are revoked by now.
    pub(crate) fn sweep(&self) {
        let links: Vec<Arc<ServerLink>> = lock(&self.state).links.values().cloned().collect();
        for link in links {
            for index in 0..LANES {
                if link.claim(index) {
                    super::thread::refuse_if_revoked(&link, index, &self.process_pool);
                }
            }
        }
    }

    /// Answers, from now on, what rings in the pool of a door that is revoked: there may be no thread that would.
    pub(crate) fn retire(&self, pool: &Arc<Pool>) -> io::Result<()> {
        let key = self.promise(|_| Promised::Retirement(Arc::downgrade(pool)));
        self.channel.post(Errand::Retire(key), &[])
    }
}

impl State {
    pub(super) fn new_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }
}

/// Takes a door apart: callers that wait for a thread are refused, running procedures end by themselves.
pub(crate) fn revoke(fd: BorrowedFd<'_>) -> io::Result<()> {
    if server_id_of(fd).is_none() {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    let export = own_door(fd).ok_or_else(|| io::Error::from_raw_os_error(libc::EPERM))?;
    revoke_door(&export.door)
}

/// The same for the door of a private pool.
pub(crate) fn revoke_door_of(pool: &Pool) {
    if let Some(door) = pool.door() {
        // There is an engine: the pool is a part of it.
        let _ = revoke_door(&door);
    }
}

fn revoke_door(door: &Arc<DoorObject>) -> io::Result<()> {
    let server = of_this_process()?;
    door.revoke();
    server.sweep();
    if door.attributes().contains(Attributes::PRIVATE) {
        // Calls that come from now on need an answer though the pool may have no thread.
        let _ = server.retire(door.pool());
    }
    Ok(())
}

/// Makes a door; see [`DoorSpec`](super::DoorSpec).
pub(crate) fn create(spec: super::DoorSpec) -> io::Result<OwnedFd> {
    let output = Attributes::LOCAL | Attributes::REVOKED | Attributes::IS_UNREF;
    if spec.attributes.intersects(output)
        || spec
            .attributes
            .contains(Attributes::UNREF | Attributes::UNREF_MULTI)
    {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let server = of_this_process()?;
    let private = spec.attributes.contains(Attributes::PRIVATE);
    let door = DoorObject::new(spec);
    if private {
        let pool = Pool::new()?;
        server.introduce(&pool)?;
        pool.set_door(&door);
        door.set_pool(pool);
    } else {
        door.set_pool(Arc::clone(&server.process_pool));
    }
    let made = server.export(&door, Reference::Own)?;
    drop(lock(&server.far).take());
    Ok(made)
}
