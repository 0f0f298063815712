//! Questions to the control thread behind a door.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::RecvFlags;

use crate::engine::server::{own_door, server_id_of, socket_pair};
use crate::engine::wait::{Patience, timespec};
use crate::engine::wire::{Answer, Counters, Request, RequestKind};
use crate::error::CallError;
use crate::info::{Attributes, DoorInfo, Limits};
use crate::statistics::Statistics;
use crate::sys::socket;

/// Sends a request over a door, and waits for the answer on `ours`. The control thread answers at once, or not at all and
/// closes the socket; so does the kernel when the server dies.
pub(super) fn ask(
    fd: BorrowedFd<'_>,
    request: &Request,
    ours: &OwnedFd,
    theirs: OwnedFd,
    patience: &Patience<'_>,
) -> Result<(Answer, Vec<OwnedFd>), CallError> {
    let mut record = [0; Answer::BYTES];
    let received = exchange(fd, request, ours, theirs, patience, &mut record)?;
    let answer = (received.len == Answer::BYTES)
        .then(|| Answer::decode(&record))
        .flatten();
    let answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    match answer.error {
        0 => Ok((answer, received.fds)),
        error => Err(error_of(error)),
    }
}

/// Sends a request over a door, and receives whatever record comes back.
fn exchange(
    fd: BorrowedFd<'_>,
    request: &Request,
    ours: &OwnedFd,
    theirs: OwnedFd,
    patience: &Patience<'_>,
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
                        turned_away(fd).unwrap_or(CallError::Revoked)
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
            Ok(received) if received.len == 0 => return Err(closed(fd)),
            Ok(received) => return Ok(received),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait_for(ours.as_fd(), PollFlags::IN, patience)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(closed(fd)),
        }
    }
}

/// Why the server of the door `fd` closed a socket without an answer: it is gone, or had no room for the socket.
fn closed(fd: BorrowedFd<'_>) -> CallError {
    // A process that ends may close the one a moment before the other.
    let patience = &Patience::until(Instant::now().checked_add(Duration::from_millis(100)));
    match turned_away(fd) {
        Some(error) => error,
        None if wait_for(fd, PollFlags::RDHUP, patience).is_ok() => CallError::Revoked,
        None => CallError::OutOfDescriptors,
    }
}

/// What the server left behind on a descriptor it could not keep: the one record that ever travels this way. It stays, for everybody who
/// shares the descriptor.
fn turned_away(fd: BorrowedFd<'_>) -> Option<CallError> {
    let mut record = [0; Answer::BYTES];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let mut peek = || rustix::net::recv(fd, &mut record, flags);
    // That the server did not read what was sent is told first, once.
    let (len, _) = peek().or_else(|_| peek()).ok()?;
    let answer = (len == Answer::BYTES)
        .then(|| Answer::decode(&record))
        .flatten()?;
    (answer.error != 0).then(|| error_of(answer.error))
}

fn error_of(answer: u32) -> CallError {
    match answer.cast_signed() {
        libc::EAGAIN => CallError::Again,
        libc::EMFILE => CallError::OutOfDescriptors,
        error => io::Error::from_raw_os_error(error).into(),
    }
}

/// Waits until `fd` is ready.
pub(crate) fn wait_for(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    patience: &Patience<'_>,
) -> Result<(), CallError> {
    let mut polled = vec![PollFd::new(&fd, events)];
    if let Some(abort) = patience.abort {
        polled.push(PollFd::new(abort.bell()?, PollFlags::IN));
        if abort.is_fired() {
            return Err(CallError::Again);
        }
    }
    let left = patience
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let timeout = left.map(timespec);
    match rustix::event::poll(&mut polled, timeout.as_ref()) {
        Ok(0) => Err(CallError::TimedOut),
        Err(rustix::io::Errno::INTR) if patience.interruptible => Err(CallError::Again),
        Ok(_) if patience.is_aborted() => Err(CallError::Again),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
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

/// Tells the server of the attached door `fd` that its path has changed, and waits until it has looked.
pub(crate) fn path_changed(fd: BorrowedFd<'_>, patience: &Patience<'_>) -> Result<(), CallError> {
    let (ours, theirs) = socket_pair()?;
    let request = Request {
        kind: RequestKind::PathChanged,
        pools: 0,
        token: [0; 16],
    };
    ask(fd, &request, &ours, theirs, patience).map(drop)
}

/// What the door behind `fd` says about itself. A dead one says no more than what the kernel remembers.
pub(crate) fn info(fd: BorrowedFd<'_>, patience: &Patience<'_>) -> io::Result<DoorInfo> {
    if server_id_of(fd).is_none() {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    if let Some(export) = own_door(fd) {
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
            limits: Limits::default(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// What the door behind `fd` has been doing.
pub(crate) fn statistics(fd: BorrowedFd<'_>, patience: &Patience<'_>) -> io::Result<Statistics> {
    let gone = || io::Error::from_raw_os_error(libc::EBADF);
    server_id_of(fd).ok_or_else(gone)?;
    if let Some(export) = own_door(fd) {
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
