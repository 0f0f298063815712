//! The server's half of a link: the private truth behind the shared words.

mod bells;
mod descriptors;
mod doors;
mod lanes;
mod running;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::budget::{Account, Budget};
use super::errand::{Channel, Errand};
use super::internal::InternalFd;
use super::layout::{LANES, LINK_BYTES, Lane, Memory};
use super::object::{Export, lock};
use super::undertaker;
use super::wire::{Note, NoteKind};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use crate::sys::process::Ids;
use crate::sys::{process, socket};

use bells::Bell;
use descriptors::Parcel;
use doors::Table;

pub(crate) use descriptors::{Held, Missing};
pub(crate) use lanes::{LaneState, Transfer};

/// A client process, as the server knows it.
#[derive(Debug)]
pub(crate) struct ServerLink {
    pub(crate) key: u64,
    pub(crate) token: [u8; 16],
    /// User the link is counted for.
    pub(crate) user: u32,
    pub(crate) memory: Memory,
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
    bells: Mutex<Vec<Bell>>,
    inbox: Mutex<Vec<Parcel>>,
    /// Descriptors that are on their way to the client.
    unreceived: AtomicUsize,
    parked: Arc<Budget>,
    account: Arc<Account>,
    /// Threads that wait for the client to say whether it has room for descriptors.
    pub(crate) offering: AtomicUsize,
    /// The client said nothing to an offer for longer than can be waited.
    pub(crate) slow_to_take: AtomicBool,
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

impl ServerLink {
    /// Makes a link and the memory for it. The memory can neither grow nor shrink nor change its seals.
    pub(crate) fn new(
        key: u64,
        record: Ids,
        socket: OwnedFd,
        channel: &Arc<Channel>,
        account: Arc<Account>,
    ) -> io::Result<(Arc<Self>, OwnedFd)> {
        let memfd = sealed_memory()?;
        let link = Self {
            key,
            token: process::random()?,
            user: record.euid,
            memory: Memory::map(memfd.as_fd())?,
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
            parked: Arc::default(),
            account,
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
        parcels.into_iter().for_each(|parcel| parcel.held.bury());
        self.account.received(&self.unreceived);
        for state in &self.lanes {
            let transfer = lock(&state.transfer).take();
            if let Some(transfer) = transfer {
                transfer.request.bury();
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
        let mut bells = std::mem::take(&mut *lock(&self.bells));
        for bell in &mut bells {
            bell.silence(self.key);
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
        socket::hang_up(self.socket.as_fd());
    }

    /// Wakes the client of a lane who sleeps on the link's socket. If there is no room for the note, there is something to wake him.
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
        let _ = socket::send(socket.as_fd(), &note.encode(), &[], None);
    }

    /// Sends descriptors of a reply, or a file with its bytes, or a challenge.
    ///
    /// # Errors
    /// `EMFILE` if the client has not received what was sent before.
    pub(crate) fn send_descriptors(&self, note: &Note, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let socket = self.socket()?;
        // Nothing unread means nothing is owed any more.
        if socket::unsent_bytes(socket.as_fd()).unwrap_or(0) == 0 {
            self.account.received(&self.unreceived);
        }
        let full = || io::Error::from_raw_os_error(libc::EMFILE);
        if !self.account.send(&self.unreceived, fds.len()) {
            return Err(full());
        }
        socket::send(socket.as_fd(), &note.encode(), fds, None).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => full(),
            // The client has gone, and nobody has heard of it yet.
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                self.kill();
                error
            }
            _ => error,
        })
    }
}

impl Drop for ServerLink {
    /// Gives back what was sent when it was dead already.
    fn drop(&mut self) {
        self.account.received(&self.unreceived);
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::server::socket_pair;

    #[test]
    fn what_is_sent_to_a_client_that_has_died_meanwhile_does_not_count_for_its_user_for_ever() {
        let (ours, theirs) = socket_pair().unwrap();
        let (channel, _) = socket_pair().unwrap();
        let channel = Arc::new(Channel::new(InternalFd::new(channel)));
        let account = Arc::new(Account::default());
        let (link, memory) =
            ServerLink::new(1, Ids::default(), ours, &channel, Arc::clone(&account)).unwrap();
        drop(theirs);
        link.kill();
        let note = Note {
            kind: NoteKind::Descriptors,
            lane: 0,
            seq: 1,
            first: 0,
            len: 1,
        };
        link.send_descriptors(&note, &[memory.as_fd()]).unwrap_err();
        drop(link);
        assert_eq!(account.on_their_way(), 0);
    }
}
