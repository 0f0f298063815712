//! The control thread: it has the descriptors of a server, and watches them all.
//!
//! It never waits for a client, never runs a procedure, and spends time only in proportion to what is sent to it. Where the kernel allows
//! it its descriptors are in a table of its own, see [`table`]; other threads have it do what takes one of them, see [`Errand`].

mod holders;

use std::cell::RefCell;
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
use crate::sys::process;
use crate::sys::socket;
use crate::sys::table;

pub(super) use holders::turn_away;

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
    /// Listeners for whose callers there is no descriptor at all: not watched for a while.
    unheard: RefCell<Vec<u64>>,
}

/// How long a listener is not watched once there was no descriptor for its caller, not even one to say so.
const DEAF_MS: i32 = 100;
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
            unheard: RefCell::default(),
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
            let timeout = if self.unheard.borrow().is_empty() {
                -1
            } else {
                DEAF_MS
            };
            let count = match crate::sys::epoll::wait_for(&self.epoll, &mut events, timeout) {
                Ok(0) => {
                    self.hear_again();
                    0
                }
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
                    Some(Source::Listener(listener)) => self.accept(key, listener),
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
                self.accept(key, &listener);
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
}
