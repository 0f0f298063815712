//! What is mapped in this process, for those who are handed addresses they must not trust.

use std::io;
use std::os::fd::AsFd;

use super::internal::InternalFd;
use crate::sys::fork::PerProcess;
use crate::sys::maps;

/// A forked child has another address space, and opens its own.
static MAPS: PerProcess<Option<InternalFd>> = PerProcess::new();

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapped {
    /// Everything up to this address can be used.
    Until(usize),
    /// Nothing is there, or not for this use.
    Unusable,
    /// It takes a try: a file lies there, which may be shorter than its mapping, or the kernel cannot say (Linux before 6.11, no
    /// /proc, no descriptor left).
    Unknown,
}

/// What is mapped at `address`. Costs a system call, however large the mapping, and a descriptor from the first question on.
#[must_use]
pub fn mapped(address: usize, to_write: bool) -> Mapped {
    let Some(maps) = MAPS.get_or_make(open).as_ref().filter(|maps| maps.is_here()) else {
        return Mapped::Unknown;
    };
    match maps::covering(maps.as_fd(), address) {
        Ok(mapping) if !mapping.readable || (to_write && !mapping.writable) => Mapped::Unusable,
        Ok(mapping) if mapping.anonymous && mapping.end > address => Mapped::Until(mapping.end),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Mapped::Unusable,
        Ok(_) | Err(_) => Mapped::Unknown,
    }
}

fn open() -> Option<InternalFd> {
    let opened: io::Result<std::fs::File> = std::fs::File::open("/proc/self/maps");
    opened.ok().map(|file| InternalFd::new(file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_usable_up_to_its_end_and_the_first_page_not_at_all() {
        let memory = vec![0_u8; 1 << 20];
        let bytes = memory.as_ptr_range();
        match mapped(bytes.start.addr(), true) {
            Mapped::Until(end) => assert!(end >= bytes.end.addr()),
            // An older kernel.
            other => assert_eq!(other, Mapped::Unknown),
        }
        assert_ne!(mapped(0, false), Mapped::Until(4096));
    }

    #[test]
    fn a_file_takes_a_try() {
        let code = memory_is_usable_up_to_its_end_and_the_first_page_not_at_all as fn() as usize;
        assert_eq!(mapped(code, false), Mapped::Unknown);
    }
}
