//! The control thread: it has the descriptors of a server, and watches them all.
//!
//! It never waits for a client, never runs a procedure, and spends time only in proportion to what is sent to it. Where the kernel allows
//! it its descriptors are in a table of its own, see [`table`]; other threads have it do what takes one of them, see [`Errand`].

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rustix::event::epoll;

use super::errand::{self, Errand};
use super::internal::InternalFd;
use super::layout::{LANES, pending};
use super::link::ServerLink;
use super::object::{DoorObject, Export, Reference, lock};
use super::path::Listener;
use super::pool::{Pool, Work};
use super::server::{Promised, Server, socket_pair};
use super::undertaker;
use super::wire::{Answer, Counters, Request, RequestKind};
use crate::sys::probe;
use crate::sys::process::{self, Ids};
use crate::sys::socket::{self, PeerIds, Received};
use crate::sys::table;

/// Something the control thread watches.
#[derive(Clone)]
pub(super) enum Source {
    Export(Arc<Export>, Option<u32>),
    Link(Arc<ServerLink>),
    Listener(Arc<Listener>),
    /// A private pool whose threads have gone, with its door.
    Retired(Weak<Pool>),
}

struct Control {
    server: Arc<Server>,
    epoll: InternalFd,
    /// This thread's end of the channel.
    channel: Arc<InternalFd>,
}

/// Epoll data of the channel; sources have keys from 1 on.
const CHANNEL: u64 = 0;

/// Starts the thread, and waits until it is ready. `far` is its end of the channel.
pub(super) fn start(server: &Arc<Server>, far: Arc<InternalFd>) -> io::Result<()> {
    let for_control = Arc::clone(server);
    process::spawn_without_signals("door-control", move || {
        let channel = match table::leave(far.as_fd().as_raw_fd()) {
            Ok(channel) => {
                for_control.is_private.store(true, Ordering::Release);
                undertaker::start();
                // The copy in the application's table is not this thread's any more.
                drop(far);
                Arc::new(InternalFd::new(channel))
            }
            // Old kernels and filters: then everything is in the application's table.
            Err(_) => far,
        };
        match Control::new(for_control, Arc::clone(&channel)) {
            Ok(control) => control.run(),
            Err(error) => errand::answer(&channel, Err(error)),
        }
    })?;
    server.channel.ask(Errand::Ready, &[]).map(drop)
}

impl Control {
    fn new(server: Arc<Server>, channel: Arc<InternalFd>) -> io::Result<Self> {
        let epoll = InternalFd::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let control = Self {
            server,
            epoll,
            channel,
        };
        control.watch(control.channel.as_fd(), CHANNEL, epoll::EventFlags::IN)?;
        Ok(control)
    }

    fn watch(&self, fd: BorrowedFd<'_>, key: u64, flags: epoll::EventFlags) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(key),
            flags,
        )?)
    }

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
                if key == CHANNEL {
                    self.run_errands();
                    continue;
                }
                let source = lock(&self.server.state).sources.get(&key).cloned();
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

    // ---- Errands -----------------------------------------------------------------------------------------------------

    fn run_errands(&self) {
        let mut record = [0; Errand::BYTES];
        // What is left comes again, after the others.
        for _ in 0..256 {
            let Ok(received) = socket::receive(self.channel.as_fd(), &mut record) else {
                return;
            };
            if let Some(errand) = Errand::decode(&record) {
                self.run_errand(errand, received.fds);
            }
        }
    }

    fn run_errand(&self, errand: Errand, fds: Vec<OwnedFd>) {
        let mut fds = fds.into_iter();
        let answer = |outcome| errand::answer(&self.channel, outcome);
        match errand {
            Errand::Ready => answer(Ok(None)),
            Errand::Adopt(key) => {
                if let Some(Promised::Export(export)) = self.promised(key) {
                    let adopted = fds
                        .next()
                        .is_some_and(|ours| self.adopt(&export, ours, None).is_ok());
                    if !adopted {
                        // There was no room, or no memory. The other end says so, as that of a dead door.
                        self.forget(&export, None);
                    }
                }
            }
            Errand::Make(key) => answer(match self.promised(key) {
                Some(Promised::Reference(door, kind)) => self.make(&door, kind).map(Some),
                _ => Err(io::ErrorKind::NotFound.into()),
            }),
            Errand::Pool(key) => {
                if let (Some(Promised::Pool(pool)), Some(epoll), Some(kick)) =
                    (self.promised(key), fds.next(), fds.next())
                {
                    pool.set_far(InternalFd::new(epoll), InternalFd::new(kick));
                }
            }
            Errand::Retire(key) => {
                if let Some(Promised::Retirement(pool)) = self.promised(key) {
                    self.retire(pool);
                }
            }
            Errand::Listen(key) => answer(match (self.promised(key), fds.next()) {
                (Some(Promised::Listener(listener)), Some(socket)) => {
                    self.add_listener(listener, socket).map(|()| None)
                }
                (listener, _) => {
                    undertaker::bury(listener);
                    Err(io::Error::from_raw_os_error(libc::EMFILE))
                }
            }),
            Errand::Copy(key) => answer(match self.link(key) {
                Some(link) => link.own_socket().duplicate().map(Some),
                None => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            }),
            Errand::Wake(key, lane) => {
                if let Some(link) = self.link(key) {
                    link.send_wake(lane);
                }
            }
            Errand::Kill(key) => {
                if let Some(link) = self.link(key) {
                    link.take_down();
                }
            }
            Errand::Paths => {
                self.check_paths();
                answer(Ok(None));
            }
        }
    }

    fn promised(&self, key: u64) -> Option<Promised> {
        lock(&self.server.state).promised.remove(&key)
    }

    fn link(&self, key: u64) -> Option<Arc<ServerLink>> {
        match lock(&self.server.state).sources.get(&key) {
            Some(Source::Link(link)) => Some(Arc::clone(link)),
            _ => None,
        }
    }

    /// Watches `ours`, our end of a descriptor.
    fn adopt(&self, export: &Arc<Export>, ours: OwnedFd, user: Option<u32>) -> io::Result<()> {
        let ours = export.socket.get_or_init(|| InternalFd::new(ours));
        let source = Source::Export(Arc::clone(export), user);
        lock(&self.server.state).sources.insert(export.key, source);
        self.watch(
            ours.as_fd(),
            export.key,
            epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
        )
    }

    /// Makes a descriptor of a door, of which nothing is counted yet.
    fn make(&self, door: &Arc<DoorObject>, kind: Reference) -> io::Result<OwnedFd> {
        let (theirs, ours) = socket_pair()?;
        let export = self.server.new_export(door, kind, &theirs, &ours)?;
        lock(&self.server.state)
            .own
            .insert(export.cookie, Arc::clone(&export));
        self.adopt(&export, ours, None)
            .inspect_err(|_| self.forget(&export, None))?;
        Ok(theirs)
    }

    fn add_listener(&self, listener: Listener, socket: OwnedFd) -> io::Result<()> {
        let key = lock(&self.server.state).new_key();
        let listener = Arc::new(listener.listening(InternalFd::new(socket)));
        self.watch(listener.socket().as_fd(), key, epoll::EventFlags::IN)?;
        listener.door.reference_added(Reference::Path);
        lock(&self.server.state)
            .sources
            .insert(key, Source::Listener(listener));
        Ok(())
    }

    /// Drops listeners whose path leads elsewhere now, after taking in who had come before.
    fn check_paths(&self) {
        let listeners: Vec<(u64, Arc<Listener>)> = {
            let state = lock(&self.server.state);
            let listener = |(key, source): (&u64, &Source)| match source {
                Source::Listener(listener) => Some((*key, Arc::clone(listener))),
                Source::Export(..) | Source::Link(_) | Source::Retired(_) => None,
            };
            state.sources.iter().filter_map(listener).collect()
        };
        for (key, listener) in listeners {
            if !listener.is_current() {
                self.accept(&listener);
                let _ = epoll::delete(&self.epoll, listener.socket());
                let source = lock(&self.server.state).sources.remove(&key);
                if source.is_some() {
                    listener.door.reference_dropped(Reference::Path);
                }
                undertaker::bury((source, listener));
            }
        }
    }

    /// Watches a pool for which no thread does.
    fn retire(&self, pool: Weak<Pool>) {
        let Some(watched) = pool.upgrade() else { return };
        let mut state = lock(&self.server.state);
        let mut retired = std::mem::take(&mut state.retired);
        retired.retain(|key| match state.sources.get(key) {
            Some(Source::Retired(pool)) if pool.strong_count() > 0 => true,
            _ => {
                state.sources.remove(key);
                false
            }
        });
        let key = state.new_key();
        // Fails if it has been retired before.
        if self
            .watch(watched.epoll().as_fd(), key, epoll::EventFlags::IN)
            .is_ok()
        {
            state.sources.insert(key, Source::Retired(pool));
            retired.push(key);
        }
        state.retired = retired;
        drop(state);
        undertaker::bury(watched);
    }

    /// Answers what has rung in a retired pool, and what was queued, if none of its threads waits.
    fn refuse_retired(&self, pool: &Weak<Pool>) -> bool {
        let Some(pool) = pool.upgrade().filter(|pool| pool.is_deaf()) else {
            return false;
        };
        let process_pool = self.server.process_pool();
        pool.drain(|link| {
            let Some(number) = link.pool_index(&pool) else {
                return;
            };
            let bits = pending(&link.memory, number).swap(0, Ordering::AcqRel);
            for index in (0..LANES).filter(|index| bits & 1 << index != 0) {
                super::thread::refuse_retired(&link, index, process_pool);
            }
        });
        while let Some(work) = pool.pop() {
            if let Work::Lane(link, index) = work {
                super::thread::refuse_retired(&link, index, process_pool);
            }
        }
        // What was meant for a thread that has come to wait meanwhile may have been among it.
        if !pool.is_deaf() {
            pool.kick();
        }
        false
    }

    // ---- Holders of doors --------------------------------------------------------------------------------------------

    /// Deals with what holders of a door have sent; true if there are none left.
    fn serve_export(&self, export: &Arc<Export>, flags: epoll::EventFlags) -> bool {
        let Some(socket) = export.socket.get() else {
            return false;
        };
        let mut record = [0; Request::BYTES];
        // A bounded number, so that one flooded descriptor does not keep the others waiting.
        for _ in 0..64 {
            match socket::receive(socket.as_fd(), &mut record) {
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
        if let Some(socket) = export.socket.get() {
            let _ = epoll::delete(&self.epoll, socket);
        }
        let source = lock(&self.server.state).sources.remove(&export.key);
        let Some(Source::Export(_, user)) = source else {
            return false;
        };
        self.forget(export, user);
        true
    }

    /// Nobody holds the descriptor any more.
    fn forget(&self, export: &Arc<Export>, user: Option<u32>) {
        let mut state = lock(&self.server.state);
        state.sources.remove(&export.key);
        state.own.remove(&export.cookie);
        if let Some(user) = user {
            less_by_one(&mut state.opens_of, user);
        }
        drop(state);
        for link in export.forget_links() {
            link.remove_export(export.key);
        }
        if export.is_counted.load(Ordering::Acquire) {
            export.door.reference_dropped(export.kind);
        }
    }

    fn drop_link(&self, key: u64, link: &Arc<ServerLink>) -> bool {
        let _ = epoll::delete(&self.epoll, link.own_socket());
        let mut state = lock(&self.server.state);
        if state.sources.remove(&key).is_none() {
            return false;
        }
        state.links.remove(&link.token);
        less_by_one(&mut state.links_of, link.user);
        drop(state);
        probe::link_down(key, lock(&link.record).pid, link.user);
        link.kill();
        link.take_down();
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
            let mut state = lock(&self.server.state);
            let opens = state.opens_of.entry(user).or_default();
            if user != 0 && *opens >= self.server.quota.opens {
                continue;
            }
            *opens += 1;
            let key = state.new_key();
            drop(state);
            let export = Arc::new(Export::new(key, 0, &listener.door, Reference::Export));
            self.server.count(&export);
            let adopted = socket::pass_credentials(socket.as_fd())
                .and_then(|()| self.adopt(&export, socket, Some(user)));
            if adopted.is_err() {
                self.forget(&export, Some(user));
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
            undertaker::bury_here(received.fds);
            return;
        };
        let maker = if socket::is_record_socket(socket.as_fd()) {
            socket::peer_ids(socket.as_fd()).ok()
        } else {
            None
        };
        let Some(maker) = maker.filter(|maker| maker.pid == ids.pid) else {
            undertaker::bury_here(vec![socket]);
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
        let link = lock(&self.server.state).links.get(&request.token).cloned();
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
        let mut state = lock(&self.server.state);
        let links = state.links_of.entry(maker.uid).or_default();
        if maker.uid != 0 && *links >= self.server.quota.links {
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
                less_by_one(&mut lock(&self.server.state).links_of, maker.uid);
                answer.error = error.raw_os_error().unwrap_or(libc::EIO).unsigned_abs();
                return reply(&socket, &answer, &[]);
            }
        };
        let mut state = lock(&self.server.state);
        state.links.insert(link.token, Arc::clone(&link));
        state.sources.insert(key, Source::Link(Arc::clone(&link)));
        drop(state);
        probe::link_up(key, maker.pid, link.user);
        let watched = self.watch(link.own_socket().as_fd(), key, epoll::EventFlags::RDHUP);
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
        let (link, memfd) = ServerLink::new(key, record, socket.try_clone()?, &self.server.channel)?;
        let (handle, pool, bell) = link.add_export(export, 0)?;
        (answer.handle, answer.pool, answer.token) = (handle, pool, link.token);
        let mut sent = vec![memfd];
        sent.extend(bell);
        Ok((link, sent))
    }
}

fn less_by_one(counts: &mut HashMap<u32, usize>, user: u32) {
    if let Some(count) = counts.get_mut(&user) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&user);
        }
    }
}

fn reply(socket: &OwnedFd, answer: &Answer, sent: &[OwnedFd]) -> io::Result<()> {
    let sent: Vec<BorrowedFd<'_>> = sent.iter().map(AsFd::as_fd).collect();
    socket::send(socket.as_fd(), &answer.encode(), &sent, None)
}
