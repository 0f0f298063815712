//! Who calls. Recorded when the link is made, and checked with the kernel whenever somebody asks.
//!
//! The record alone is stale: the caller may have changed its ids since. What the kernel says about the process now is not enough either: the
//! caller may have posted its call and then executed a set-uid program under the same process number. So where both agree, and
//! the record is of plain ids, which no set-uid program gives, and not root's, that is the answer; otherwise the caller has to
//! prove its ids with a message the kernel checks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::answer::Origin;
use super::layout::small;
use super::object::lock;
use super::server::socket_pair;
use super::wire::{Note, NoteKind};
use crate::error::CredentialError;
use crate::sync::atomic::{Ordering, fence};
use crate::sys::process::{self, Ids};
use crate::sys::socket::{self, PeerIds};

/// How long a caller may take to prove its ids.
const PROOF_TIME: Duration = Duration::from_millis(100);
/// In front of a proof; what counts is what the kernel attaches.
const PROOF: [u8; 8] = *b"DRPROOF1";

/// The content of a proof: the number of the socket of the link it is about. A server that is asked for its own proof could pass
/// the question on to a client of its own; that one's proof is about another link.
fn proof(number: u64) -> [u8; 16] {
    let mut content = [0; 16];
    content[..8].copy_from_slice(&PROOF);
    content[8..].copy_from_slice(&number.to_le_bytes());
    content
}

/// Who a process is. All ids are of the moment they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// Real user.
    pub uid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective user.
    pub euid: u32,
    /// Effective group.
    pub egid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Process.
    pub pid: u32,
}

/// This process itself, shown with process number `pid`.
pub(crate) fn own(pid: u32) -> Credentials {
    use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};
    Credentials {
        uid: getuid().as_raw(),
        gid: getgid().as_raw(),
        euid: geteuid().as_raw(),
        egid: getegid().as_raw(),
        groups: getgroups()
            .map(|groups| groups.into_iter().map(rustix::process::Gid::as_raw).collect())
            .unwrap_or_default(),
        pid,
    }
}

/// The caller of an invocation.
pub(crate) fn of_caller(origin: &Origin) -> Result<Credentials, CredentialError> {
    let link = &origin.lease.link;
    let record = *lock(&link.record);
    if record.pid == std::process::id() {
        return Ok(own(record.pid));
    }
    let now = current(link.socket()?.as_fd(), record.pid);
    if let Ok(Some((now, groups))) = &now
        && *now == record
        && record.euid != 0
        && (record.uid, record.gid) == (record.euid, record.egid)
    {
        return Ok(with_groups(*now, groups.clone()));
    }
    let (proven, groups) = challenge(origin)?;
    // The proof covers the effective ids; the real ones are the kernel's word about the process.
    let (uid, gid) = match &now {
        Ok(Some((now, _))) => (now.uid, now.gid),
        _ => (record.uid, record.gid),
    };
    let ids = Ids {
        pid: record.pid,
        uid,
        gid,
        euid: proven.uid,
        egid: proven.gid,
    };
    *lock(&link.record) = ids;
    let groups = match now {
        Ok(Some((now, current))) if now.euid == ids.euid => current,
        _ => groups,
    };
    Ok(with_groups(ids, groups))
}

/// The ids the caller's process has now, by the kernel's word alone: a tenth of the cost of [`of_caller`].
///
/// Not good enough to give away a privilege: the process may have executed a set-uid program after it made its call. Good
/// enough to see that one was given up, where the caller proved itself before.
pub(crate) fn of_process(origin: &Origin) -> Result<Ids, CredentialError> {
    let link = &origin.lease.link;
    let record = *lock(&link.record);
    if record.pid != std::process::id()
        && let Ok(socket) = link.socket()
        && let Ok(pidfd) = socket::peer_pidfd(socket.as_fd())
        && let Ok(ids) = process::pidfd_ids(pidfd.as_fd())
    {
        return Ok(ids);
    }
    of_caller(origin).map(|c| Ids {
        pid: c.pid,
        uid: c.uid,
        gid: c.gid,
        euid: c.euid,
        egid: c.egid,
    })
}

/// A descriptor of the caller's process, which the kernel made from its end of the link: never another process's that got the number.
pub(crate) fn pidfd_of_caller(origin: &Origin) -> Result<OwnedFd, CredentialError> {
    let link = &origin.lease.link;
    let pidfd = socket::peer_pidfd(link.socket()?.as_fd())?;
    let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
    let zero = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut polled, Some(&zero)) {
        Ok(0) => Ok(pidfd),
        Ok(_) => Err(CredentialError::CallerGone),
        Err(errno) => Err(errno.into()),
    }
}

fn with_groups(ids: Ids, groups: Vec<u32>) -> Credentials {
    Credentials {
        uid: ids.uid,
        gid: ids.gid,
        euid: ids.euid,
        egid: ids.egid,
        groups,
        pid: ids.pid,
    }
}

/// What the kernel says about the process at the other end of `socket`; `None` if it cannot be asked from here.
fn current(socket: BorrowedFd<'_>, pid: u32) -> io::Result<Option<(Ids, Vec<u32>)>> {
    let Ok(pidfd) = socket::peer_pidfd(socket) else {
        return Ok(None);
    };
    let ids = match process::pidfd_ids(pidfd.as_fd()) {
        Ok(ids) => Some(ids),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Err(error),
        Err(_) => None,
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    // The file is about this process only if it still lives after the file was read.
    let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
    let zero = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let alive = rustix::event::poll(&mut polled, Some(&zero)) == Ok(0);
    let Ok(status) = status else {
        return Ok(ids.map(|ids| (ids, socket::peer_groups(socket).unwrap_or_default())));
    };
    if !alive {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(parse_status(&status, pid).map(|(from_file, groups)| (ids.unwrap_or(from_file), groups)))
}

/// Ids and groups from the text of `/proc/PID/status`, proc_pid_status(5).
pub(crate) fn parse_status(status: &str, pid: u32) -> Option<(Ids, Vec<u32>)> {
    let field = |name: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace()
            .map(|word| word.parse().ok())
            .collect()
    };
    let (uids, gids, groups) = (field("Uid:")?, field("Gid:")?, field("Groups:")?);
    let ids = Ids {
        pid,
        uid: *uids.first()?,
        euid: *uids.get(1)?,
        gid: *gids.first()?,
        egid: *gids.get(1)?,
    };
    Some((ids, groups))
}

/// Makes the caller prove its effective ids, and tells its groups.
fn challenge(origin: &Origin) -> Result<(PeerIds, Vec<u32>), CredentialError> {
    let link = &origin.lease.link;
    let (ours, theirs) = socket_pair()?;
    socket::pass_credentials(ours.as_fd())?;
    let note = Note {
        kind: NoteKind::Challenge,
        lane: small(origin.lease.index),
        seq: origin.seq,
        first: 0,
        len: 0,
    };
    link.send_descriptors(&note, &[theirs.as_fd()])?;
    drop(theirs);
    link.lane(origin.lease.index)
        .notice()
        .fetch_add(1, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    link.wake(origin.lease.index);

    let pid = lock(&link.record).pid;
    let content = proof(socket::cookie(link.socket()?.as_fd())?);
    let end = Instant::now() + PROOF_TIME;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(CredentialError::Unproven);
        }
        let timeout = rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut polled = [PollFd::new(&ours, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(0) => return Err(CredentialError::Unproven),
            Ok(_) => return check_proof(&ours, pid, content),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A proof has the kernel's word for the ids (no other message but one sent on purpose can carry a descriptor), and a socket
/// whose maker's groups can be asked for.
fn check_proof(ours: &OwnedFd, pid: u32, wanted: [u8; 16]) -> Result<(PeerIds, Vec<u32>), CredentialError> {
    let mut content = [0; 16];
    let received = socket::receive(ours.as_fd(), &mut content)?;
    let (Some(ids), [maker]) = (received.ids, received.fds.as_slice()) else {
        super::undertaker::bury_all(received.fds);
        return Err(CredentialError::CallerGone);
    };
    let genuine = received.len == wanted.len()
        && content == wanted
        && ids.pid == pid
        && socket::is_record_socket(maker.as_fd())
        && socket::peer_ids(maker.as_fd()).is_ok_and(|made| made == ids);
    let groups = if genuine {
        socket::peer_groups(maker.as_fd()).unwrap_or_default()
    } else {
        Vec::new()
    };
    super::undertaker::bury_all(received.fds);
    if genuine {
        Ok((ids, groups))
    } else {
        Err(CredentialError::Unproven)
    }
}

/// The client's part: proves this thread's effective ids, as the other end of link socket `number`, on the socket a challenge brought.
pub(crate) fn prove(socket: &OwnedFd, number: u64) {
    let Ok((sent, kept)) = socket_pair() else { return };
    let ids = PeerIds {
        pid: std::process::id(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    // If it cannot be sent the server learns nothing and says so to its procedure.
    let _ = socket::send(socket.as_fd(), &proof(number), &[sent.as_fd()], Some(ids));
    drop(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_file_is_understood() {
        let text = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nNSpid:\t1\n";
        let (ids, groups) = parse_status(text, 77).unwrap();
        assert_eq!(
            ids,
            Ids {
                pid: 77,
                uid: 1,
                euid: 2,
                gid: 5,
                egid: 6
            }
        );
        assert_eq!(groups, [9, 10]);
        assert!(parse_status("Uid:\tx\n", 1).is_none());
    }
}
