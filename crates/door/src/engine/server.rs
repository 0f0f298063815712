//! The server half of a process: its doors, its links, and the control thread that watches both.
//!
//! The control thread never waits for a client, never runs a procedure, and spends time only in proportion to what is sent to it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};

use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::internal::InternalFd;
use super::layout::{LANES, pending};
use super::link::ServerLink;
use super::object::{DoorObject, Export, Reference, lock};
use super::path::Listener;
use super::pool::{Pool, Work};
use super::undertaker;
use super::wire::{Answer, Counters, Request, RequestKind};
use crate::info::Attributes;
use crate::sys::fork::PerProcess;
use crate::sys::process::{self, Ids};
use crate::sys::socket::{self, PeerIds, Received};

/// 13 bits that say "door" in the mark of a socket, above 40 bits of server id.
const MARK: u64 = 0x1D0A << 40;
const SERVER_ID: u64 = (1 << 40) - 1;

/// The server half of this process.
pub(crate) struct Server {
    /// 40 random bits: tells two servers with the same process number apart.
    pub(crate) id: u64,
    epoll: InternalFd,
    quota: Quota,
    state: Mutex<State>,
    process_pool: Arc<Pool>,
}

/// What one user may make this process hold at the same time. Root, whom nothing can stop, may have more.
struct Quota {
    links: usize,
    /// Descriptors made by opening paths.
    opens: usize,
}

impl Quota {
    /// Parts of what this process may have open: a link takes two descriptors, an open one.
    fn of_this_process() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(usize::MAX);
        Self {
            links: (limit / 8).clamp(16, 256),
            opens: (limit / 4).clamp(16, 4096),
        }
    }
}

#[derive(Default)]
struct State {
    last_key: u64,
    sources: HashMap<u64, Source>,
    own: HashMap<u64, u64>,
    links: HashMap<[u8; 16], Arc<ServerLink>>,
    links_of: HashMap<u32, usize>,
    opens_of: HashMap<u32, usize>,
}

/// Something the control thread watches.
#[derive(Clone)]
enum Source {
    Export(Arc<Export>, Option<u32>),
    Link(Arc<ServerLink>),
    Listener(Arc<Listener>),
    /// A private pool whose threads have gone, with its door.
    Retired(Weak<Pool>),
}

static SERVER: PerProcess<Mutex<Option<Arc<Server>>>> = PerProcess::new();

/// The server half of this process, made at the first use.
pub(crate) fn server() -> io::Result<Arc<Server>> {
    let mut slot = lock(SERVER.get_or_make(|| Mutex::new(None)));
    if let Some(server) = slot.as_ref() {
        return Ok(Arc::clone(server));
    }
    let random = process::random()?
        .iter()
        .fold(0, |all, byte| all << 8 | u64::from(*byte));
    let server = Arc::new(Server {
        id: (random & SERVER_ID).max(1),
        epoll: InternalFd::new(epoll::create(epoll::CreateFlags::CLOEXEC)?),
        quota: Quota::of_this_process(),
        state: Mutex::default(),
        process_pool: Pool::new()?,
    });
    let control = Arc::clone(&server);
    process::spawn_without_signals("door-control", move || control.run())?;
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
    let state = lock(&server.state);
    match state.sources.get(state.own.get(&cookie)?)? {
        Source::Export(export, _) => Some(Arc::clone(export)),
        Source::Link(_) | Source::Listener(_) | Source::Retired(_) => None,
    }
}

impl Server {
    pub(crate) fn process_pool(&self) -> &Arc<Pool> {
        &self.process_pool
    }

    /// Makes a descriptor of `door`. Its other end is watched from now on.
    pub(crate) fn export(&self, door: &Arc<DoorObject>, kind: Reference) -> io::Result<OwnedFd> {
        // The first number is the lower one: it is the application's.
        let (theirs, ours) = socket_pair()?;
        mark_as_door(theirs.as_fd(), self.id)?;
        let cookie = socket::cookie(theirs.as_fd())?;
        self.adopt(door, kind, ours, cookie, None)?;
        Ok(theirs)
    }

    /// Watches `socket`, our end of a descriptor of `door`.
    fn adopt(
        &self,
        door: &Arc<DoorObject>,
        kind: Reference,
        ours: OwnedFd,
        cookie: u64,
        user: Option<u32>,
    ) -> io::Result<()> {
        socket::pass_credentials(ours.as_fd())?;
        let number = socket::cookie(ours.as_fd())?;
        if kind == Reference::Own {
            // Set once: a door has one own end.
            let _ = door.unique.set(number);
        }
        let mut state = lock(&self.state);
        let key = state.new_key();
        let socket = InternalFd::new(ours);
        let export = Arc::new(Export {
            key,
            socket,
            cookie,
            door: Arc::clone(door),
            kind,
        });
        self.watch(
            export.socket.as_fd(),
            key,
            epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
        )?;
        door.reference_added(kind);
        if cookie != 0 {
            state.own.insert(cookie, key);
        }
        state.sources.insert(key, Source::Export(export, user));
        Ok(())
    }

    fn watch(&self, fd: BorrowedFd<'_>, key: u64, flags: epoll::EventFlags) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(key),
            flags,
        )?)
    }

    /// Watches a path's socket.
    pub(crate) fn add_listener(&self, listener: Listener) -> io::Result<()> {
        let mut state = lock(&self.state);
        let key = state.new_key();
        let listener = Arc::new(listener);
        self.watch(listener.socket.as_fd(), key, epoll::EventFlags::IN)?;
        listener.door.reference_added(Reference::Path);
        state.sources.insert(key, Source::Listener(listener));
        Ok(())
    }

    /// Drops listeners whose path leads elsewhere now, after taking in who had come before.
    pub(crate) fn check_paths(&self) {
        let listeners: Vec<(u64, Arc<Listener>)> = {
            let state = lock(&self.state);
            let listener = |(key, source): (&u64, &Source)| match source {
                Source::Listener(listener) => Some((*key, Arc::clone(listener))),
                Source::Export(..) | Source::Link(_) | Source::Retired(_) => None,
            };
            state.sources.iter().filter_map(listener).collect()
        };
        for (key, listener) in listeners {
            if !listener.is_current() {
                self.accept(&listener);
                let _ = epoll::delete(&self.epoll, &listener.socket);
                if lock(&self.state).sources.remove(&key).is_some() {
                    listener.door.reference_dropped(Reference::Path);
                }
            }
        }
    }

    /// Refuses what waits for a thread at doors that are revoked by now.
    pub(crate) fn sweep(&self) {
        let links: Vec<Arc<ServerLink>> = lock(&self.state).links.values().cloned().collect();
        for link in links {
            for index in 0..LANES {
                if link.claim(index) && !super::thread::refuse_if_revoked(&link, index) {
                    // Somebody else's business: hand it on.
                    let pool = link.resolve(link.lane(index).handle().load(Ordering::Acquire));
                    let pool =
                        pool.map_or_else(|| Arc::clone(&self.process_pool), |door| Arc::clone(door.pool()));
                    link.release(index);
                    pool.push(Work::Lane(Arc::clone(&link), index));
                }
            }
        }
    }

    /// Answers, from now on, what rings in the pool of a door that is revoked: there may be no thread that would.
    pub(crate) fn retire(&self, pool: &Arc<Pool>) -> io::Result<()> {
        let mut state = lock(&self.state);
        state
            .sources
            .retain(|_, source| !matches!(source, Source::Retired(pool) if pool.strong_count() == 0));
        let key = state.new_key();
        state.sources.insert(key, Source::Retired(Arc::downgrade(pool)));
        self.watch(pool.epoll(), key, epoll::EventFlags::IN)
    }

    /// One bell of a retired pool, and what was queued. If there is more, the pool's epoll instance stays readable.
    fn refuse_retired(&self, pool: &Weak<Pool>) -> bool {
        let Some(pool) = pool.upgrade() else { return false };
        if let Ok(Some(link)) = pool.wait(false)
            && let Some(number) = link.pool_index(&pool)
        {
            let bits = pending(&link.memory, number).swap(0, Ordering::AcqRel);
            for index in (0..LANES).filter(|index| bits & 1 << index != 0) {
                super::thread::refuse_retired(&link, index, &self.process_pool);
            }
        }
        while let Some(work) = pool.pop() {
            if let Work::Lane(link, index) = work {
                super::thread::refuse_retired(&link, index, &self.process_pool);
            }
        }
        false
    }

    // ---- Control thread ----------------------------------------------------------------------------------------------

    fn run(&self) {
        let blank = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        };
        let mut events = [blank; 32];
        loop {
            let count = match crate::sys::epoll::wait(&self.epoll, &mut events, true) {
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => continue,
                // The application has closed our descriptors: nothing can be watched any more.
                Err(_) => return,
            };
            for event in &events[..count] {
                let (key, flags) = (event.data.u64(), event.flags);
                let source = lock(&self.state).sources.get(&key).cloned();
                let gone = match &source {
                    Some(Source::Export(export, _)) => self.serve_export(export, flags),
                    Some(Source::Link(link)) => self.drop_link(key, link),
                    Some(Source::Listener(listener)) => self.accept(listener),
                    Some(Source::Retired(pool)) => self.refuse_retired(pool),
                    None => false,
                };
                if gone {
                    // With a door goes the application's procedure, and whatever that owns.
                    undertaker::bury(source);
                }
            }
        }
    }

    /// Deals with what holders of a door have sent; true if there are none left.
    fn serve_export(&self, export: &Arc<Export>, flags: epoll::EventFlags) -> bool {
        let mut record = [0; Request::BYTES];
        // A bounded number, so that one flooded descriptor does not keep the others waiting.
        for _ in 0..64 {
            match socket::receive(export.socket.as_fd(), &mut record) {
                // The end of the file has no sender.
                Ok(received) if received.len == 0 && received.ids.is_none() => {
                    return self.drop_export(export);
                }
                Ok(received) => {
                    let request = (received.len == Request::BYTES)
                        .then(|| Request::decode(&record))
                        .flatten();
                    self.answer(export, request, received);
                }
                // Something queued towards the holder was lost; the end of the file follows.
                Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    let over = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::RDHUP);
                    return over && self.drop_export(export);
                }
            }
        }
        false
    }

    fn drop_export(&self, export: &Arc<Export>) -> bool {
        let _ = epoll::delete(&self.epoll, &export.socket);
        let mut state = lock(&self.state);
        let Some(Source::Export(_, user)) = state.sources.remove(&export.key) else {
            return false;
        };
        state.own.remove(&export.cookie);
        if let Some(user) = user {
            state
                .opens_of
                .entry(user)
                .and_modify(|count| *count = count.saturating_sub(1));
        }
        let links: Vec<Arc<ServerLink>> = state.links.values().cloned().collect();
        drop(state);
        for link in links {
            link.remove_export(export.key);
        }
        export.door.reference_dropped(export.kind);
        true
    }

    fn drop_link(&self, key: u64, link: &Arc<ServerLink>) -> bool {
        let _ = epoll::delete(&self.epoll, link.socket());
        let mut state = lock(&self.state);
        if state.sources.remove(&key).is_none() {
            return false;
        }
        state.links.remove(&link.token);
        state
            .links_of
            .entry(link.user)
            .and_modify(|count| *count = count.saturating_sub(1));
        drop(state);
        link.kill();
        for index in 0..LANES {
            super::thread::cancel_running(link, index);
        }
        true
    }

    /// Takes in everybody who has opened the path. The path itself is not gone.
    fn accept(&self, listener: &Listener) -> bool {
        while let Some(socket) = listener.accept() {
            let Ok(user) = socket::peer_ids(socket.as_fd()).map(|ids| ids.uid) else {
                continue;
            };
            let mut state = lock(&self.state);
            let opens = state.opens_of.entry(user).or_default();
            if user != 0 && *opens >= self.quota.opens {
                continue;
            }
            *opens += 1;
            drop(state);
            if self
                .adopt(&listener.door, Reference::Export, socket, 0, Some(user))
                .is_err()
            {
                lock(&self.state)
                    .opens_of
                    .entry(user)
                    .and_modify(|count| *count = count.saturating_sub(1));
            }
        }
        false
    }

    /// Deals with one record from a holder of a door. What is not as it must be is closed without an answer.
    fn answer(&self, export: &Arc<Export>, request: Option<Request>, mut received: Received) {
        let socket = received.fds.pop();
        let (Some(request), Some(socket), Some(ids), true) =
            (request, socket, received.ids, received.fds.is_empty())
        else {
            undertaker::bury_all(received.fds);
            return;
        };
        let maker = if socket::is_record_socket(socket.as_fd()) {
            socket::peer_ids(socket.as_fd()).ok()
        } else {
            None
        };
        let Some(maker) = maker.filter(|maker| maker.pid == ids.pid) else {
            undertaker::bury_all(vec![socket]);
            return;
        };
        let mut answer = Answer {
            error: 0,
            pool: 0,
            handle: 0,
            token: [0; 16],
            info: export.door.info(false),
        };
        let mut sent: Vec<OwnedFd> = Vec::new();
        let outcome = match request.kind {
            RequestKind::Hello => self.welcome(export, maker, ids, socket, answer),
            RequestKind::Attach => {
                let outcome = self.attach(export, &request, maker.pid, &mut answer, &mut sent);
                answer.error = outcome.err().map_or(0, |error| {
                    error.raw_os_error().unwrap_or(libc::EIO).unsigned_abs()
                });
                reply(&socket, &answer, &sent)
            }
            RequestKind::Info => reply(&socket, &answer, &sent),
            RequestKind::Statistics => {
                let counters = Counters::encode(&export.door.statistics());
                socket::send(socket.as_fd(), &counters, &[], None)
            }
            RequestKind::PathChanged => {
                self.check_paths();
                reply(&socket, &answer, &sent)
            }
        };
        // The asker sees its socket closed if the answer could not be sent.
        drop(outcome);
    }

    fn attach(
        &self,
        export: &Arc<Export>,
        request: &Request,
        pid: u32,
        answer: &mut Answer,
        sent: &mut Vec<OwnedFd>,
    ) -> io::Result<()> {
        let link = lock(&self.state).links.get(&request.token).cloned();
        let link = link.ok_or_else(|| io::Error::from_raw_os_error(libc::ESTALE))?;
        if lock(&link.record).pid != pid || link.is_dead() {
            return Err(io::Error::from_raw_os_error(libc::ESTALE));
        }
        let (handle, pool, bell) = link.add_export(export, request.pools)?;
        (answer.handle, answer.pool) = (handle, pool);
        sent.extend(bell);
        Ok(())
    }

    /// Makes a link for a client process.
    fn welcome(
        &self,
        export: &Arc<Export>,
        maker: PeerIds,
        sender: PeerIds,
        socket: OwnedFd,
        mut answer: Answer,
    ) -> io::Result<()> {
        let mut state = lock(&self.state);
        let links = state.links_of.entry(maker.uid).or_default();
        if maker.uid != 0 && *links >= self.quota.links {
            drop(state);
            answer.error = libc::EAGAIN.unsigned_abs();
            return reply(&socket, &answer, &[]);
        }
        *links += 1;
        let key = state.new_key();
        drop(state);
        let made = self.make_link(export, key, maker, sender, &socket, &mut answer);
        let (link, sent) = match made {
            Ok(made) => made,
            Err(error) => {
                lock(&self.state)
                    .links_of
                    .entry(maker.uid)
                    .and_modify(|count| *count = count.saturating_sub(1));
                answer.error = error.raw_os_error().unwrap_or(libc::EIO).unsigned_abs();
                return reply(&socket, &answer, &[]);
            }
        };
        let mut state = lock(&self.state);
        state.links.insert(link.token, Arc::clone(&link));
        state.sources.insert(key, Source::Link(Arc::clone(&link)));
        drop(state);
        let watched = self.watch(link.socket(), key, epoll::EventFlags::RDHUP);
        let outcome = watched.and_then(|()| reply(&socket, &answer, &sent));
        if outcome.is_err() {
            self.drop_link(key, &link);
        }
        outcome
    }

    fn make_link(
        &self,
        export: &Arc<Export>,
        key: u64,
        maker: PeerIds,
        sender: PeerIds,
        socket: &OwnedFd,
        answer: &mut Answer,
    ) -> io::Result<(Arc<ServerLink>, Vec<OwnedFd>)> {
        let record = Ids {
            pid: maker.pid,
            uid: sender.uid,
            gid: sender.gid,
            euid: maker.uid,
            egid: maker.gid,
        };
        let (link, memfd) = ServerLink::new(key, record, socket.try_clone()?)?;
        let (handle, pool, bell) = link.add_export(export, 0)?;
        (answer.handle, answer.pool, answer.token) = (handle, pool, link.token);
        let mut sent = vec![memfd];
        sent.extend(bell);
        Ok((link, sent))
    }
}

impl State {
    fn new_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }
}

fn reply(socket: &OwnedFd, answer: &Answer, sent: &[OwnedFd]) -> io::Result<()> {
    let sent: Vec<BorrowedFd<'_>> = sent.iter().map(AsFd::as_fd).collect();
    socket::send(socket.as_fd(), &answer.encode(), &sent, None)
}

/// Takes a door apart: callers that wait for a thread are refused, running procedures end by themselves.
pub(crate) fn revoke(fd: BorrowedFd<'_>) -> io::Result<()> {
    if server_id_of(fd).is_none() {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    let export = own_door(fd).ok_or_else(|| io::Error::from_raw_os_error(libc::EPERM))?;
    let (door, server) = (&export.door, server()?);
    door.revoke();
    server.sweep();
    if door.attributes().contains(Attributes::PRIVATE) {
        // Calls that come from now on need an answer though the pool may have no thread. Fails if it has been retired before.
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
    let server = server()?;
    let private = spec.attributes.contains(Attributes::PRIVATE);
    let door = DoorObject::new(spec);
    if private {
        let pool = Pool::new()?;
        pool.set_door(&door);
        door.set_pool(pool);
    } else {
        door.set_pool(Arc::clone(&server.process_pool));
    }
    server.export(&door, Reference::Own)
}
