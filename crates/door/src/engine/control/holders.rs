//! Holders of doors and clients, as the control thread meets them: what they ask, what they may have, and when they have gone.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::epoll;

use super::{Control, Source};
use crate::engine::budget::Account;
use crate::engine::layout::LANES;
use crate::engine::link::ServerLink;
use crate::engine::object::{DoorObject, Export, Reference, lock};
use crate::engine::path::Listener;
use crate::engine::server::State;
use crate::engine::thread::cancel_running;
use crate::engine::undertaker;
use crate::engine::wire::{Answer, Counters, Request, RequestKind};
use crate::sys::probe;
use crate::sys::process::Ids;
use crate::sys::socket::{self, PeerIds, Received};

impl Control {
    /// Deals with what holders of a door have sent; true if there are none left.
    pub(super) fn serve_export(&self, export: &Arc<Export>, flags: epoll::EventFlags) -> bool {
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
    pub(super) fn forget(&self, export: &Arc<Export>, user: Option<u32>) {
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

    pub(super) fn drop_link(&self, key: u64, link: &Arc<ServerLink>) -> bool {
        let _ = epoll::delete(&self.epoll, link.own_socket());
        let mut state = lock(&self.server.state);
        if state.sources.remove(&key).is_none() {
            return false;
        }
        state.links.remove(&link.token);
        state.one_link_less(link.user);
        drop(state);
        probe::link_down(key, lock(&link.record).pid, link.user);
        link.kill();
        link.take_down();
        for index in 0..LANES {
            cancel_running(link, index);
        }
        true
    }

    /// Takes in everybody who has opened the path. The path itself is not gone.
    pub(super) fn accept(&self, key: u64, listener: &Listener) -> bool {
        loop {
            let socket = match listener.accept() {
                Ok(Some(socket)) => socket,
                Ok(None) => return false,
                Err(_) => {
                    self.ignore(key, listener);
                    return false;
                }
            };
            let Ok(user) = socket::peer_ids(socket.as_fd()).map(|ids| ids.uid) else {
                continue;
            };
            let mut state = lock(&self.server.state);
            let opens = state.opens_of.entry(user).or_default();
            if user != 0 && *opens >= self.server.quota.opens {
                drop(state);
                turn_away(&socket, &listener.door, libc::EAGAIN);
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
    }

    /// Who has opened the path can neither be taken in nor turned away now, and would be announced over and over.
    fn ignore(&self, key: u64, listener: &Listener) {
        let data = epoll::EventData::new_u64(key);
        if epoll::modify(&self.epoll, listener.socket(), data, epoll::EventFlags::empty()).is_ok() {
            self.unheard.borrow_mut().push(key);
        }
    }

    /// Watches again what was not watched for a while.
    pub(super) fn hear_again(&self) {
        for key in self.unheard.take() {
            let source = lock(&self.server.state).sources.get(&key).cloned();
            if let Some(Source::Listener(listener)) = source {
                let data = epoll::EventData::new_u64(key);
                let _ = epoll::modify(&self.epoll, listener.socket(), data, epoll::EventFlags::IN);
            }
        }
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
        let account = Arc::clone(state.accounts.entry(maker.uid).or_default());
        let key = state.new_key();
        drop(state);
        let record = Ids {
            pid: maker.pid,
            uid: sender.uid,
            gid: sender.gid,
            euid: maker.uid,
            egid: maker.gid,
        };
        let made = self.make_link(export, key, record, &socket, account, &mut answer);
        let (link, sent) = match made {
            Ok(made) => made,
            Err(error) => {
                lock(&self.server.state).one_link_less(maker.uid);
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
        record: Ids,
        socket: &OwnedFd,
        account: Arc<Account>,
        answer: &mut Answer,
    ) -> io::Result<(Arc<ServerLink>, Vec<OwnedFd>)> {
        let (link, memfd) = ServerLink::new(key, record, socket.try_clone()?, &self.server.channel, account)?;
        let (handle, pool, bell) = link.add_export(export, 0)?;
        (answer.handle, answer.pool, answer.token) = (handle, pool, link.token);
        let mut sent = vec![memfd];
        sent.extend(bell);
        Ok((link, sent))
    }
}

/// Tells somebody who has opened a path why the descriptor is closed at once. See the client's `turned_away`.
pub(in crate::engine) fn turn_away(socket: &OwnedFd, door: &DoorObject, errno: i32) {
    let answer = Answer {
        error: errno.unsigned_abs(),
        pool: 0,
        handle: 0,
        token: [0; 16],
        info: door.info(false),
    };
    // Its queue is empty: there is room.
    let _ = reply(socket, &answer, &[]);
}

impl State {
    fn one_link_less(&mut self, user: u32) {
        less_by_one(&mut self.links_of, user);
        if !self.links_of.contains_key(&user) {
            self.accounts.remove(&user);
        }
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
