//! What other threads have the control thread do, because only it has the descriptors: the records of the channel between the two.
//!
//! The channel is a pair of record sockets, one end in each table. Most errands are not waited for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags};

use super::internal::InternalFd;
use super::object::lock;
use crate::sys::socket;

/// Something for the control thread to do. Those that are asked, not posted, are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Answer when everything before this has been done. Asked.
    Ready,
    /// Watch the socket that comes along, the server's end of a descriptor that was promised under this key.
    Adopt(u64),
    /// Make such a descriptor, and send it. Asked.
    Make(u64),
    /// The ends of the pool that was promised under this key.
    Pool(u64),
    /// Watch the pool that was promised under this key: no thread does.
    Retire(u64),
    /// Watch the socket that comes along, of the path that was promised under this key. Asked.
    Listen(u64),
    /// Send a copy of the socket of this link. Asked.
    Copy(u64),
    /// Wake the client of a lane, who sleeps on the socket of this link.
    Wake(u64, u32),
    /// Take down this link.
    Kill(u64),
    /// Look whether paths still lead here. Asked.
    Paths,
}

impl Errand {
    pub(crate) const BYTES: usize = 16;

    fn encode(self) -> [u8; Self::BYTES] {
        let (kind, lane, key) = match self {
            Self::Ready => (0u32, 0u32, 0u64),
            Self::Adopt(key) => (1, 0, key),
            Self::Make(key) => (2, 0, key),
            Self::Pool(key) => (3, 0, key),
            Self::Listen(key) => (4, 0, key),
            Self::Copy(key) => (5, 0, key),
            Self::Wake(key, lane) => (6, lane, key),
            Self::Kill(key) => (7, 0, key),
            Self::Paths => (8, 0, 0),
            Self::Retire(key) => (9, 0, key),
        };
        let mut record = [0; Self::BYTES];
        record[..4].copy_from_slice(&kind.to_ne_bytes());
        record[4..8].copy_from_slice(&lane.to_ne_bytes());
        record[8..].copy_from_slice(&key.to_ne_bytes());
        record
    }

    pub(crate) fn decode(record: &[u8; Self::BYTES]) -> Option<Self> {
        let (kind, rest) = record.split_first_chunk()?;
        let (lane, rest) = rest.split_first_chunk()?;
        let (lane, key) = (
            u32::from_ne_bytes(*lane),
            u64::from_ne_bytes(*rest.first_chunk()?),
        );
        Some(match u32::from_ne_bytes(*kind) {
            0 => Self::Ready,
            1 => Self::Adopt(key),
            2 => Self::Make(key),
            3 => Self::Pool(key),
            4 => Self::Listen(key),
            5 => Self::Copy(key),
            6 => Self::Wake(key, lane),
            7 => Self::Kill(key),
            8 => Self::Paths,
            9 => Self::Retire(key),
            _ => return None,
        })
    }
}

/// The application's end of the channel.
#[derive(Debug)]
pub(crate) struct Channel {
    end: InternalFd,
    /// One question at a time: answers carry no name.
    asking: Mutex<()>,
}

impl Channel {
    pub(crate) fn new(end: InternalFd) -> Self {
        Self {
            end,
            asking: Mutex::default(),
        }
    }

    /// Sends an errand with descriptors, of which the control thread gets copies.
    ///
    /// # Errors
    /// `EMFILE` if descriptors cannot travel now.
    pub(crate) fn post(&self, errand: Errand, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        match self.try_post(errand, fds) {
            Err(error) if error.raw_os_error() == Some(libc::ETOOMANYREFS) => {
                // Too many are on their way, perhaps to the control thread. Once more when those have arrived.
                self.ask(Errand::Ready, &[])?;
                self.try_post(errand, fds)
            }
            outcome => outcome,
        }
        .map_err(out_of_descriptors)
    }

    fn try_post(&self, errand: Errand, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        loop {
            match socket::send(self.end.as_fd(), &errand.encode(), fds, None) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(PollFlags::OUT)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Sends an errand and waits for what comes back. No lock of a link or of the server may be held: the control thread may want it.
    ///
    /// # Errors
    /// What the control thread says, or `EMFILE` if there is no number here for what it sends.
    pub(crate) fn ask(&self, errand: Errand, fds: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
        let _alone = lock(&self.asking);
        self.try_post(errand, fds).map_err(out_of_descriptors)?;
        let mut record = [0; 4];
        loop {
            match socket::receive(self.end.as_fd(), &mut record) {
                Ok(received) if received.len != record.len() => {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(received) if received.truncated => return Err(io::Error::from_raw_os_error(libc::EMFILE)),
                Ok(received) => {
                    return match i32::from_ne_bytes(record) {
                        0 => Ok(received.fds),
                        errno => Err(io::Error::from_raw_os_error(errno)),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(PollFlags::IN)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn wait(&self, events: PollFlags) -> io::Result<()> {
        let mut polled = [PollFd::new(&self.end, events)];
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if polled[0].revents().contains(PollFlags::NVAL) {
            // The application has closed it.
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(())
    }
}

/// The control thread's answer to an errand that was asked.
pub(crate) fn answer(end: &InternalFd, outcome: io::Result<Option<OwnedFd>>) {
    let (errno, fd) = match outcome {
        Ok(fd) => (0, fd),
        Err(error) => (error.raw_os_error().unwrap_or(libc::EIO), None),
    };
    let fds: Vec<BorrowedFd<'_>> = fd.iter().map(AsFd::as_fd).collect();
    if let Err(error) = socket::send(end.as_fd(), &errno.to_ne_bytes(), &fds, None) {
        // Without the descriptor the answer always gets through: one thread asks at a time.
        let errno = out_of_descriptors(error).raw_os_error().unwrap_or(libc::EIO);
        let _ = socket::send(end.as_fd(), &errno.to_ne_bytes(), &[], None);
    }
}

fn out_of_descriptors(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ETOOMANYREFS) {
        io::Error::from_raw_os_error(libc::EMFILE)
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_survive_the_channel() {
        let key = 0x0102_0304_0506_0708;
        for errand in [
            Errand::Ready,
            Errand::Adopt(key),
            Errand::Make(key),
            Errand::Pool(key),
            Errand::Listen(key),
            Errand::Copy(key),
            Errand::Wake(key, 63),
            Errand::Kill(key),
            Errand::Paths,
            Errand::Retire(key),
        ] {
            assert_eq!(Errand::decode(&errand.encode()), Some(errand));
        }
        assert_eq!(Errand::decode(&[10; Errand::BYTES]), None);
    }
}
