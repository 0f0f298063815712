//! Memory: mappings shared with another process, private argument buffers, and copies between them.
//!
//! Memory another process can write is never a slice here. It is read and written through atomics, or copied as a whole by a
//! function the optimiser cannot look into, so that no byte is fetched twice.

use std::ffi::c_void;
use std::hint::black_box;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

#[cfg(not(loom))]
use super::fork;
#[cfg(loom)]
pub(crate) use super::model::{Area, Shared};
#[cfg(not(loom))]
use crate::sync::atomic::{AtomicU32, AtomicU64};

/// Copies `len` bytes with the library's memcpy, reached through a pointer the compiler must not resolve.
///
/// # Safety
/// `from` is readable and `to` is writable for `len` bytes, and they do not overlap.
#[inline]
unsafe fn opaque_copy(to: *mut u8, from: *const u8, len: usize) {
    let copy: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void =
        black_box(libc::memcpy);
    // SAFETY: the caller vouches for both ranges.
    unsafe { copy(to.cast(), from.cast(), len) };
}

/// Bytes the caller of a door lends for the time of the call. Another thread may change them meanwhile; they are read once.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    start: *const u8,
    len: usize,
    lent: PhantomData<&'a [u8]>,
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self {
            start: bytes.as_ptr(),
            len: bytes.len(),
            lent: PhantomData,
        }
    }
}

impl Source<'_> {
    /// For buffers that may overlap the one the reply goes to, or that other threads write.
    ///
    /// # Safety
    /// `start` is readable for `len` bytes until the call has ended.
    #[must_use]
    pub unsafe fn from_raw(start: *const u8, len: usize) -> Self {
        Self {
            start,
            len,
            lent: PhantomData,
        }
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of the bytes.
    #[cfg(loom)]
    pub(super) fn to_vec(self) -> Vec<u8> {
        // SAFETY: readable for this length until the call has ended.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }.to_vec()
    }

    /// The part from `offset` on, at most `len` bytes long.
    pub(crate) fn part(&self, offset: usize, len: usize) -> Self {
        let offset = offset.min(self.len);
        // SAFETY: `offset` is at most the length of the readable range.
        let start = unsafe { self.start.add(offset) };
        Self {
            start,
            len: len.min(self.len - offset),
            lent: PhantomData,
        }
    }
}

/// A buffer seen as not yet written.
pub(crate) fn as_uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: same layout; every user of the result in this crate only writes initialised bytes.
    unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) }
}

/// Collects the bytes of a reply in a `Vec`, and its descriptors in another.
#[derive(Debug, Default)]
pub struct VecSink {
    data: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl From<Vec<u8>> for VecSink {
    /// Collects it in the memory of an older one.
    fn from(mut memory: Vec<u8>) -> Self {
        memory.clear();
        Self {
            data: memory,
            descriptors: Vec::new(),
        }
    }
}

impl VecSink {
    /// The reply.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (self.data, self.descriptors)
    }
}

impl crate::engine::ReplySink for VecSink {
    fn place(
        &mut self,
        data: usize,
        _descriptors: usize,
    ) -> Result<&mut [MaybeUninit<u8>], crate::CallError> {
        self.data
            .try_reserve_exact(data)
            .map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(self.data.spare_capacity_mut())
    }

    fn placed(&mut self, data: usize, descriptors: Vec<OwnedFd>) {
        assert!(
            data <= self.data.capacity(),
            "more bytes placed than there was room for"
        );
        // SAFETY: the engine has filled the first `data` bytes of the spare capacity of an empty Vec.
        unsafe { self.data.set_len(data) };
        self.descriptors = descriptors;
    }
}

/// `LEN` bytes of memory shared with another process, which may write to them at any time. Not inherited by forked children.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Shared<const LEN: usize> {
    base: NonNull<u8>,
    generation: u32,
}

// SAFETY: the mapping is valid from any thread, and every access is atomic or an opaque copy.
#[cfg(not(loom))]
unsafe impl<const LEN: usize> Send for Shared<LEN> {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl<const LEN: usize> Sync for Shared<LEN> {}

#[cfg(not(loom))]
impl<const LEN: usize> Shared<LEN> {
    /// Maps the start of `memfd`, whose size must be sealed at no less.
    pub(crate) fn map(memfd: BorrowedFd<'_>) -> io::Result<Self> {
        let generation = fork::generation();
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                memfd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Self { base, generation };
        // The page of `fork` tells a child that this is not its own, so the child need not be without it. valgrind does not know that
        // it is, and looks for leaks in there.
        if super::valgrind::watches() {
            return Ok(mapping);
        }
        // SAFETY: the range was mapped just now and is ours alone.
        if unsafe { libc::madvise(mapping.base.as_ptr().cast(), LEN, libc::MADV_DONTFORK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(mapping)
    }

    #[inline]
    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset <= LEN && len <= LEN - offset,
            "outside of the link's memory"
        );
        // SAFETY: the offset is inside the mapping, as checked.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// The 32-bit word at `offset`.
    #[inline]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4));
        // SAFETY: aligned, inside the mapping, alive as long as `self`, and only accessed atomically by us.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }

    /// The 64-bit word at `offset`.
    #[inline]
    pub(crate) fn double_word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8));
        // SAFETY: aligned, inside the mapping, alive as long as `self`, and only accessed atomically by us.
        unsafe { AtomicU64::from_ptr(self.at(offset, 8).cast()) }
    }

    /// The bytes from `offset` on, for their words.
    #[inline]
    pub(crate) fn area<const BYTES: usize>(&self, offset: usize) -> Area<'_, BYTES> {
        assert!(offset.is_multiple_of(8));
        Area {
            start: self.at(offset, BYTES),
            memory: PhantomData,
        }
    }

    /// Copies out of shared memory: each byte is fetched once.
    #[inline]
    pub(crate) fn read(&self, offset: usize, to: &mut [MaybeUninit<u8>]) {
        let from = self.at(offset, to.len());
        // SAFETY: `from` is readable for this length, and `to` is private memory, so they do not overlap.
        unsafe { opaque_copy(to.as_mut_ptr().cast(), from, to.len()) };
    }

    /// Copies into shared memory.
    #[inline]
    pub(crate) fn write(&self, offset: usize, from: Source<'_>) {
        let to = self.at(offset, from.len);
        // SAFETY: `Source` vouches for the readable range; link memory is never handed out as a `Source`.
        unsafe { opaque_copy(to, from.start, from.len) };
    }
}

/// A part of shared memory whose words are at places known to the compiler, which checks that they are inside.
#[cfg(not(loom))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area<'a, const LEN: usize> {
    start: *mut u8,
    memory: PhantomData<&'a u8>,
}

#[cfg(not(loom))]
impl<'a, const LEN: usize> Area<'a, LEN> {
    /// The 32-bit word at `AT`.
    #[inline]
    pub(crate) fn word<const AT: usize>(self) -> &'a AtomicU32 {
        const { assert!(AT.is_multiple_of(4) && AT + 4 <= LEN) };
        // SAFETY: inside the area, as checked.
        let word = unsafe { self.start.add(AT) };
        // SAFETY: aligned as the area is, alive as long as the memory, and only accessed atomically by us.
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    /// The 64-bit word at `AT`.
    #[inline]
    pub(crate) fn double_word<const AT: usize>(self) -> &'a AtomicU64 {
        const { assert!(AT.is_multiple_of(8) && AT + 8 <= LEN) };
        // SAFETY: inside the area, as checked.
        let word = unsafe { self.start.add(AT) };
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(word.cast()) }
    }
}

#[cfg(not(loom))]
impl<const LEN: usize> Drop for Shared<LEN> {
    fn drop(&mut self) {
        // A forked child never had this mapping; something else may live at its address there.
        if self.generation == fork::last_generation() {
            // SAFETY: mapped by `map`, unmapped once, and no reference into it outlives `self`.
            unsafe { libc::munmap(self.base.as_ptr().cast(), LEN) };
        }
    }
}

/// A private, page aligned buffer that grows without touching the new part.
#[derive(Debug)]
pub(crate) struct Buffer {
    base: NonNull<u8>,
    capacity: usize,
}

// SAFETY: plain private memory owned by the value.
unsafe impl Send for Buffer {}
// SAFETY: shared access is read only.
unsafe impl Sync for Buffer {}

/// Buffers above this are given back to the system after use.
const KEEP_BYTES: usize = 1 << 20;
/// From here on huge pages pay.
const HUGE_BYTES: usize = 4 << 20;
const PAGE: usize = 4096;

impl Buffer {
    /// No memory yet.
    pub(crate) const fn new() -> Self {
        // The address is a 16-byte aligned one that is never accessed while the capacity is 0.
        Self {
            base: NonNull::<u128>::dangling().cast(),
            capacity: 0,
        }
    }

    /// Makes room for `len` bytes; what was in the buffer is lost if it has to grow.
    pub(crate) fn reserve(&mut self, len: usize) -> io::Result<()> {
        if len <= self.capacity {
            return Ok(());
        }
        let capacity = len
            .checked_next_multiple_of(PAGE)
            .ok_or(io::ErrorKind::OutOfMemory)?
            .max(4 * PAGE);
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                capacity,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base: NonNull<u8> = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        if capacity >= HUGE_BYTES {
            // SAFETY: the range was mapped just now and is ours alone. Advice may be refused.
            unsafe { libc::madvise(base.as_ptr().cast(), capacity, libc::MADV_HUGEPAGE) };
        }
        *self = Self { base, capacity };
        Ok(())
    }

    /// Gives memory back if it is more than is worth keeping.
    pub(crate) fn trim(&mut self) {
        if self.capacity > KEEP_BYTES {
            *self = Self::new();
        }
    }

    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        assert!(len <= self.capacity);
        // SAFETY: the mapping has `capacity` bytes, zeroed by the kernel or written by us since.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), len) }
    }

    pub(crate) fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        assert!(len <= self.capacity);
        // SAFETY: as in `bytes`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.capacity != 0 {
            // SAFETY: mapped by `reserve`, unmapped once, and no reference into it outlives `self`.
            unsafe { libc::munmap(self.base.as_ptr().cast(), self.capacity) };
        }
    }
}

/// A file that can no longer change, mapped for reading: the way very large replies travel.
#[derive(Debug)]
pub(crate) struct Sealed {
    base: NonNull<u8>,
    len: usize,
}

impl Sealed {
    /// Maps `len` bytes of `memfd`. Its seals (WRITE, SHRINK) and size must have been checked.
    pub(crate) fn map(memfd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_POPULATE);
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing of ours.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, memfd.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// Copies everything out. `to` must be at least as long.
    pub(crate) fn copy_to(&self, to: &mut [MaybeUninit<u8>]) {
        assert!(to.len() >= self.len);
        // SAFETY: the mapping is readable for `len` bytes, `to` has room and is other memory.
        unsafe { opaque_copy(to.as_mut_ptr().cast(), self.base.as_ptr(), self.len) };
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, unmapped once, and no reference into it exists.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_source_never_leaves_it() {
        let bytes = [1u8, 2, 3];
        let source = Source::from(&bytes[..]);
        assert_eq!(source.part(1, 9).len(), 2);
        assert!(source.part(9, 1).is_empty());
    }

    #[test]
    fn a_buffer_is_aligned_zeroed_and_given_back_when_large() {
        let mut buffer = Buffer::new();
        assert!(buffer.bytes(0).is_empty());
        buffer.reserve(KEEP_BYTES + 1).unwrap();
        assert_eq!(buffer.bytes(KEEP_BYTES).as_ptr().align_offset(16), 0);
        assert!(buffer.bytes(4096).iter().all(|byte| *byte == 0));
        buffer.trim();
        assert_eq!(buffer.capacity, 0);
    }
}
