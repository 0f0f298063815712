//! Sockets: records with descriptors and credentials, and the options rustix does not know.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::PollFd;
use rustix::io::Errno;
use rustix::time::Timespec;

/// Descriptors one record may carry (SCM_MAX_FD).
pub(crate) const MAX_DESCRIPTORS: usize = 253;

/// `struct ucred` with any value the kernel may put there, 0 included.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PeerIds {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}
const _: () = assert!(size_of::<PeerIds>() == size_of::<libc::ucred>());

/// What one record brought.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Bytes of the record, possibly more than the buffer has.
    pub(crate) len: usize,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) ids: Option<PeerIds>,
    /// Descriptors were lost because this process has no room for them.
    pub(crate) truncated: bool,
}

/// Room for the ancillary data of one record; a union-like array for its alignment.
const CONTROL_WORDS: usize = (16 + MAX_DESCRIPTORS * 4 + 32 + 64) / 8 + 1;

/// Waits until one of these is ready.
///
/// # Errors
/// See poll(2).
pub(crate) fn poll(polled: &mut [PollFd<'_>], time: Option<&Timespec>) -> Result<usize, Errno> {
    #[cfg(loom)]
    return super::model::until(|| {
        let zero = Timespec::default();
        let found = rustix::event::poll(polled, Some(&zero));
        Some(found).filter(|found| time == Some(&zero) || *found != Ok(0))
    });
    #[cfg(not(loom))]
    rustix::event::poll(polled, time)
}

/// Ends a connection for both sides, whoever else has a descriptor of it.
pub(crate) fn hang_up(socket: BorrowedFd<'_>) {
    let hang_up = || rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
    #[cfg(not(loom))]
    let _ = hang_up();
    #[cfg(loom)]
    let _ = super::model::act(hang_up);
}

/// Receives one record without waiting; one of no bytes and without a sender is the end.
///
/// # Errors
/// `WouldBlock` if there is none; see recvmsg(2).
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let received = receive_once(socket, buffer)?;
    if received.len > 0 || received.ids.is_some() || !received.fds.is_empty() {
        return Ok(received);
    }
    // The kernel looks for a record first and for the end then. Between the two a last record may have come, and then the end: it is
    // there now, and nothing can come after it.
    receive_once(socket, buffer)
}

fn receive_once(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<[u64; CONTROL_WORDS]>();
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | libc::MSG_TRUNC;
    // SAFETY: the message points to buffers that outlive the call and announces their sizes.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let Ok(len) = usize::try_from(len) else {
        return Err(io::Error::last_os_error());
    };
    let mut received = Received {
        len,
        truncated: message.msg_flags & libc::MSG_CTRUNC != 0,
        ..Received::default()
    };
    // SAFETY: the kernel has filled the control buffer and set its length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR only give headers that lie in the buffer.
        let header = unsafe { next.read_unaligned() };
        // SAFETY: as above; the data follows the header.
        let data = unsafe { libc::CMSG_DATA(next) };
        let data_len = header.cmsg_len.saturating_sub(size_of::<libc::cmsghdr>());
        match (header.cmsg_level, header.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for index in 0..data_len / size_of::<RawFd>() {
                    // SAFETY: the kernel wrote that many descriptors.
                    let place = unsafe { data.cast::<RawFd>().add(index) };
                    // SAFETY: as above; the place need not be aligned.
                    let fd = unsafe { place.read_unaligned() };
                    // SAFETY: the kernel has just installed it for us, and nobody else knows it.
                    received.fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if data_len >= size_of::<PeerIds>() => {
                // SAFETY: the kernel wrote a `ucred`, which has the layout of `PeerIds`.
                received.ids = Some(unsafe { data.cast::<PeerIds>().read_unaligned() });
            }
            _ => {}
        }
        // SAFETY: `next` came from the same buffer.
        next = unsafe { libc::CMSG_NXTHDR(&raw const message, next) };
    }
    Ok(received)
}

/// Sends one record without waiting and without SIGPIPE.
///
/// # Errors
/// `WouldBlock` if the queue is full; see sendmsg(2).
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    ids: Option<PeerIds>,
) -> io::Result<()> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut vector = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let mut writer = ControlWriter {
        words: &mut control,
        used: 0,
    };
    if !raw.is_empty() {
        let bytes: Vec<u8> = raw.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
        writer.push(libc::SCM_RIGHTS, &bytes)?;
    }
    if let Some(ids) = ids {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&ids.pid.to_ne_bytes());
        bytes[4..8].copy_from_slice(&ids.uid.to_ne_bytes());
        bytes[8..].copy_from_slice(&ids.gid.to_ne_bytes());
        writer.push(libc::SCM_CREDENTIALS, &bytes)?;
    }
    let used = writer.used;
    if used > 0 {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = used;
    }
    let send = || {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the message points to buffers that outlive the call and announces their sizes.
        if unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) } < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    #[cfg(not(loom))]
    return send();
    #[cfg(loom)]
    super::model::act(send)
}

/// Writes control messages: header (length, level, type), data, padding to 8 bytes. cmsg(3).
struct ControlWriter<'a> {
    words: &'a mut [u64; CONTROL_WORDS],
    used: usize,
}

impl ControlWriter<'_> {
    fn push(&mut self, kind: i32, data: &[u8]) -> io::Result<()> {
        let length = size_of::<libc::cmsghdr>() + data.len();
        let mut bytes = Vec::with_capacity(length + 8);
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(length.next_multiple_of(8), 0);
        for chunk in bytes.chunks_exact(8) {
            let word = self
                .words
                .get_mut(self.used / 8)
                .ok_or(io::ErrorKind::InvalidInput)?;
            *word = u64::from_ne_bytes(chunk.try_into().expect("chunks of 8"));
            self.used += 8;
        }
        Ok(())
    }
}

/// Size of a type that is a few words long.
const fn size_in_words<T>() -> libc::socklen_t {
    assert!(size_of::<T>() <= 64);
    #[expect(clippy::cast_possible_truncation, reason = "at most 64, as asserted")]
    let size = size_of::<T>() as libc::socklen_t;
    size
}

/// Reads a socket option of fixed size. Safe to ask of any descriptor: others give `ENOTSOCK`.
fn option<T: Copy + Default>(socket: BorrowedFd<'_>, name: i32) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_in_words::<T>();
    // SAFETY: `value` and `len` outlive the call, and `len` holds the size of `value`; all Ts used are plain integers.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(value)
}

fn set_option<T: Copy>(socket: BorrowedFd<'_>, name: i32, value: &T) -> io::Result<()> {
    let len = size_in_words::<T>();
    // SAFETY: `value` outlives the call and `len` is its size.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    if rc != 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// True if `fd` is a Unix-domain socket of kind SEQPACKET. Asks nothing that could block in a file's driver.
pub(crate) fn is_record_socket(fd: BorrowedFd<'_>) -> bool {
    option::<i32>(fd, libc::SO_DOMAIN).is_ok_and(|domain| domain == libc::AF_UNIX)
        && option::<i32>(fd, libc::SO_TYPE).is_ok_and(|kind| kind == libc::SOCK_SEQPACKET)
}

/// Process, effective user and effective group that made the other end. SO_PEERCRED, unix(7).
pub(crate) fn peer_ids(socket: BorrowedFd<'_>) -> io::Result<PeerIds> {
    // SAFETY of the type: three 32-bit integers, any value valid.
    option::<[u32; 3]>(socket, libc::SO_PEERCRED).map(|[pid, uid, gid]| PeerIds { pid, uid, gid })
}

/// Supplementary groups of whoever made the other end. SO_PEERGROUPS, Linux 4.13.
pub(crate) fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    const SO_PEERGROUPS: i32 = 59;
    let mut groups = vec![0u32; 64];
    loop {
        let mut len = u32::try_from(groups.len() * 4).map_err(|_| io::ErrorKind::InvalidData)?;
        // SAFETY: the buffer has `len` bytes; the kernel writes no more and says how many.
        let rc = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        let count = len as usize / 4;
        if rc == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// A pidfd for the process that made the other end. SO_PEERPIDFD, Linux 6.5.
pub(crate) fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const SO_PEERPIDFD: i32 = 77;
    let fd = option::<RawFd>(socket, SO_PEERPIDFD)?;
    // SAFETY: the kernel has just installed `fd` for us and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Asks the kernel to attach the sender's credentials to what arrives here.
pub(crate) fn pass_credentials(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SO_PASSCRED, &1i32)
}

/// Number of this socket, never reused while the system runs.
pub(crate) fn cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    option(socket, libc::SO_COOKIE)
}

/// Seconds of the receive timeout: where doors carry their mark.
pub(crate) fn mark(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let [seconds, microseconds] = option::<[i64; 2]>(socket, libc::SO_RCVTIMEO)?;
    if microseconds != 0 {
        return Ok(0);
    }
    Ok(u64::try_from(seconds).unwrap_or(0))
}

/// Sets the mark; at most 53 bits.
pub(crate) fn set_mark(socket: BorrowedFd<'_>, mark: u64) -> io::Result<()> {
    let seconds = i64::try_from(mark).map_err(|_| io::ErrorKind::InvalidInput)?;
    set_option(socket, libc::SO_RCVTIMEO, &[seconds, 0])
}

/// Bytes of the next record that can be received. SIOCINQ, unix(7).
pub(crate) fn unread_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    Ok(usize::try_from(rustix::io::ioctl_fionread(socket)?).unwrap_or(usize::MAX))
}

/// Bytes sent that the other end has not received. SIOCOUTQ, unix(7).
pub(crate) fn unsent_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes = 0i32;
    // SAFETY: the kernel writes one integer, which outlives the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    }

    /// The first thing there is to receive, its length.
    fn first(socket: &OwnedFd) -> usize {
        loop {
            match receive(socket.as_fd(), &mut [0; 8]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received.unwrap().len,
            }
        }
    }

    #[test]
    fn the_end_does_not_overtake_the_last_record() {
        // Handed over one by one, so that the two meet at every possible moment.
        let (give, take) = std::sync::mpsc::sync_channel::<OwnedFd>(0);
        let sender = std::thread::spawn(move || {
            for socket in take {
                send(socket.as_fd(), b"last", &[], None).unwrap();
            }
        });
        for _ in 0..2_000 {
            let (ours, theirs) = pair();
            give.send(theirs).unwrap();
            assert_eq!((first(&ours), first(&ours)), (4, 0));
        }
        drop(give);
        sender.join().unwrap();
    }
}
