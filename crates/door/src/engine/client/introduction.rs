//! How a link is made, and how a door is made known on one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use super::ClientLink;
use super::ask::ask;
use crate::engine::internal::InternalFd;
use crate::engine::layout::{LINK_BYTES, Memory};
use crate::engine::server::socket_pair;
use crate::engine::wait::Patience;
use crate::engine::wire::{Request, RequestKind};
use crate::error::CallError;
use crate::sys::socket;

/// Makes a link to the server of the door `fd`.
pub(super) fn hello(fd: BorrowedFd<'_>, patience: &Patience<'_>) -> Result<(ClientLink, u64), CallError> {
    let (ours, theirs) = socket_pair()?;
    let number = socket::cookie(theirs.as_fd())?;
    let request = Request {
        kind: RequestKind::Hello,
        pools: 0,
        token: [0; 16],
    };
    let (answer, fds) = ask(fd, &request, &ours, theirs, patience)?;
    let mut fds = fds.into_iter();
    let (Some(memfd), Some(bell), None) = (fds.next(), fds.next(), fds.next()) else {
        return Err(CallError::OutOfDescriptors);
    };
    check_memory(&memfd)?;
    let memory = Memory::map(memfd.as_fd())?;
    let link = ClientLink::new(InternalFd::new(ours), number, answer.token, memory);
    keep_bell(&link, answer.pool, Some(bell))?;
    Ok((link, pooled(answer.pool, answer.handle)))
}

#[cfg(all(test, loom))]
impl ClientLink {
    /// A link whose two ends are in one process. `known` is what the server says of the door.
    pub(in crate::engine) fn of_model(
        socket: OwnedFd,
        memory: Memory,
        known: (u64, u32, Option<OwnedFd>),
    ) -> (Self, u64) {
        let (handle, pool, bell) = known;
        let link = Self::new(InternalFd::new(socket), 0, [0; 16], memory);
        keep_bell(&link, pool, bell).unwrap();
        (link, pooled(pool, handle))
    }
}

/// Makes the door `fd` known on `link`.
pub(super) fn attach(
    fd: BorrowedFd<'_>,
    link: &ClientLink,
    patience: &Patience<'_>,
) -> Result<u64, CallError> {
    let (ours, theirs) = socket_pair()?;
    let known = |pools: u64, (index, bell): (usize, &OnceLock<InternalFd>)| {
        pools | u64::from(bell.get().is_some()) << index
    };
    let pools = link.bells.iter().enumerate().fold(0, known);
    let request = Request {
        kind: RequestKind::Attach,
        pools,
        token: link.token,
    };
    let (answer, fds) = ask(fd, &request, &ours, theirs, patience)?;
    keep_bell(link, answer.pool, fds.into_iter().next())?;
    Ok(pooled(answer.pool, answer.handle))
}

/// A handle as kept here: with the number of the door's pool in bits the server leaves free.
fn pooled(pool: u32, handle: u64) -> u64 {
    handle & !POOL_BITS | u64::from(pool) << 16 & POOL_BITS
}

const POOL_BITS: u64 = 0xFFFF_0000;

/// The handle as the server knows it, and the number of the door's pool.
#[inline]
pub(crate) fn split(handle: u64) -> (u64, usize) {
    (handle & !POOL_BITS, (handle & POOL_BITS) as usize >> 16)
}

fn keep_bell(link: &ClientLink, pool: u32, bell: Option<OwnedFd>) -> Result<(), CallError> {
    let slot = link
        .bells
        .get(pool as usize)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    if let Some(bell) = bell {
        check_bell(&bell)?;
        // Another thread may have got one at the same time; they are alike.
        let _ = slot.set(InternalFd::new(bell));
    }
    if slot.get().is_none() {
        return Err(CallError::OutOfDescriptors);
    }
    Ok(())
}

/// A bell must be an eventfd: writing to a pipe or socket of the server's choice could end this process, or take for ever.
fn check_bell(bell: &OwnedFd) -> io::Result<()> {
    let name = rustix::fs::readlink(format!("/proc/self/fd/{}", bell.as_raw_fd()), Vec::new());
    let genuine = match name {
        Ok(name) => name.as_bytes() == b"anon_inode:[eventfd]",
        // Without /proc: at least nothing that raises a signal.
        Err(_) => rustix::pipe::fcntl_getpipe_size(bell).is_err() && socket::cookie(bell.as_fd()).is_err(),
    };
    if genuine {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// The memory must not be able to shrink under us, nor be of a kind whose faults depend on a pool of huge pages.
fn check_memory(memfd: &OwnedFd) -> io::Result<()> {
    use rustix::fs::SealFlags;
    const HUGETLBFS: i64 = 0x9584_58f6;
    // Seals first: the question is safe on any file, and the answer proves that it is a memfd.
    let seals = rustix::fs::fcntl_get_seals(memfd)?;
    let size = rustix::fs::fstat(memfd)?.st_size;
    let wrong = !seals.contains(SealFlags::SHRINK | SealFlags::SEAL)
        || u64::try_from(size).ok() != Some(LINK_BYTES as u64)
        || rustix::fs::fstatfs(memfd)?.f_type == HUGETLBFS;
    if wrong {
        Err(io::ErrorKind::InvalidData.into())
    } else {
        Ok(())
    }
}
