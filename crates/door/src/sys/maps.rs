//! One question about this process's address space, `PROCMAP_QUERY` of proc_pid_maps(5), Linux 6.11.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct procmap_query` of <linux/fs.h>: what is asked, then what is answered.
#[repr(C)]
#[derive(Debug, Default)]
struct Query {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

/// `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: libc::Ioctl =
    3 << 30 | (size_of::<Query>() as libc::Ioctl) << 16 | (b'f' as libc::Ioctl) << 8 | 17;
const READABLE: u64 = 1;
const WRITABLE: u64 = 2;

/// One mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// First address behind it.
    pub(crate) end: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Memory of nobody else's: no file behind it can shrink.
    pub(crate) anonymous: bool,
}

/// The mapping that covers an address. `maps` is the process's own `/proc/self/maps`.
///
/// # Errors
/// `ENOENT` if nothing is there; `ENOTTY` if the kernel cannot answer, or the descriptor is not what it should be.
pub(crate) fn covering(maps: BorrowedFd<'_>, address: usize) -> io::Result<Mapping> {
    let mut query = Query {
        size: size_of::<Query>() as u64,
        query_addr: address as u64,
        ..Query::default()
    };
    // SAFETY: the kernel reads and writes `size` bytes of `query`, and no name or build id, for which no room is offered.
    if unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Mapping {
        end: usize::try_from(query.vma_end).unwrap_or(0),
        readable: query.vma_flags & READABLE != 0,
        writable: query.vma_flags & WRITABLE != 0,
        anonymous: query.inode == 0 && query.dev_major == 0 && query.dev_minor == 0,
    })
}
