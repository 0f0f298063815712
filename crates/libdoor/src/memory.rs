//! Memory of the application: may it be read or written? And mappings for results.
//!
//! doors answer `EFAULT` where a plain copy would crash. Memory that is certainly there (the stack of this thread, the
//! heap below the program break, the program's own segments) is recognised without a system call; of many pages the kernel
//! is asked what is mapped there; anything else is probed page by page with a system call that the kernel answers with
//! `EFAULT` (about 100 ns each).
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use engine::engine as doors;
use engine::engine::Mapped;

use crate::errno::Errno;

/// Bytes per page on every machine this library has a trampoline for, at least; probing finer is only slower.
const PROBE_STEP: usize = 4096;

/// From this many bytes on it is cheaper to ask what is mapped than to probe.
const MANY: usize = 8 * PROBE_STEP;

/// True if all of `start..start + len` can be read.
#[inline]
pub(crate) fn readable(start: *const c_void, len: usize) -> bool {
    is_on_stack(start.addr(), len) || is_elsewhere(start.addr(), len, false)
}

/// True if all of `start..start + len` can be written. What is there stays as it is.
#[inline]
pub(crate) fn writable(start: *const c_void, len: usize) -> bool {
    is_on_stack(start.addr(), len) || is_elsewhere(start.addr(), len, true)
}

#[inline(never)]
fn is_elsewhere(start: usize, len: usize, write: bool) -> bool {
    is_known(start, len, write) || is_found(start, len, write)
}

fn is_found(start: usize, len: usize, write: bool) -> bool {
    let Some(last) = start.checked_add(len.saturating_sub(1)) else {
        return false;
    };
    if len == 0 {
        return true;
    }
    if doors::is_watched_by_valgrind() {
        return populates(start, last, write);
    }
    let probe = if write { probe_write } else { probe_read };
    let mut ask = len >= MANY;
    let mut at = start & !7;
    while at <= last {
        let next = match if ask {
            doors::mapped(at, write)
        } else {
            Mapped::Unknown
        } {
            Mapped::Until(end) => Some(end),
            Mapped::Unusable => return false,
            Mapped::Unknown if !probe(at) => return false,
            Mapped::Unknown => {
                ask = false; // it would be asked for each page
                (at & !(PROBE_STEP - 1)).checked_add(PROBE_STEP)
            }
        };
        let Some(next) = next else { return true };
        at = next;
    }
    true
}

/// The same in one system call, about three times as dear for one page. memcheck takes the probes for uses of what is in
/// memory, which the application need not have set yet.
fn populates(start: usize, last: usize, write: bool) -> bool {
    let advice = if write {
        libc::MADV_POPULATE_WRITE
    } else {
        libc::MADV_POPULATE_READ
    };
    let first = start & !(PROBE_STEP - 1);
    let at: *mut c_void = std::ptr::without_provenance_mut(first);
    // SAFETY: brings pages in and leaves what is in them alone; the kernel checks the range.
    unsafe { libc::madvise(at, last - first + 1, advice) == 0 }
}

/// Reads 8 aligned bytes: rt_sigprocmask(2) copies the set in before it finds that `how` makes no sense.
fn probe_read(at: usize) -> bool {
    if at == 0 {
        return false; // no set at all, as far as the kernel is concerned
    }
    let how: c_int = -1;
    let set: *const c_void = std::ptr::without_provenance(at);
    let old: *mut c_void = std::ptr::null_mut();
    // SAFETY: an invalid `how` changes nothing; the kernel checks the address itself.
    let rc = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, set, old, 8_usize) };
    rc == 0 || Errno::last().0 != libc::EFAULT
}

/// Adds 0 atomically to 4 aligned bytes: the second word of FUTEX_WAKE_OP, see futex(2).
fn probe_write(at: usize) -> bool {
    static NOBODY_WAITS: AtomicU32 = AtomicU32::new(0);
    const FUTEX_OP_ADD: u32 = 1;
    const OP: u32 = FUTEX_OP_ADD << 28;
    let word: *const c_void = std::ptr::without_provenance(at);
    // SAFETY: adding nothing changes nothing, and the kernel checks the address itself.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_futex,
            NOBODY_WAITS.as_ptr(),
            libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG,
            0_usize,
            0_usize,
            word,
            OP,
        )
    };
    rc >= 0 || Errno::last().0 != libc::EFAULT
}

fn is_known(start: usize, len: usize, write: bool) -> bool {
    let Some(end) = start.checked_add(len) else {
        return false;
    };
    let within = |range: &Range<usize>| range.start <= start && end <= range.end && start != 0;
    let program = PROGRAM.get_or_init(Program::look);
    if within(if write { &program.data } else { &program.image }) {
        return true;
    }
    // SAFETY: asks only, and does not move the break.
    let program_break = unsafe { libc::sbrk(0) }.addr();
    within(&(program.heap_start..program_break))
}

/// True if it is in the live part of this thread's stack: from here to its end. Not if this is elsewhere: on an alternate signal stack,
/// in a coroutine.
#[inline]
fn is_on_stack(start: usize, len: usize) -> bool {
    let marker = 0_u8;
    let here = (&raw const marker).addr();
    let (mut lowest, mut end) = STACK.get();
    if end == 0 {
        (lowest, end) = find_stack();
    }
    lowest <= here && here <= start && start <= end && len <= end - start
}

thread_local! {
    /// Lowest address and end of this thread's stack; 0 before anybody asked.
    static STACK: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

#[cold]
fn find_stack() -> (usize, usize) {
    let bounds = stack_bounds().unwrap_or((1, 1));
    STACK.set(bounds);
    bounds
}

fn stack_bounds() -> Option<(usize, usize)> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: always succeeds.
    let this_thread = unsafe { libc::pthread_self() };
    // SAFETY: the thread exists, and there is room for the answer.
    if unsafe { libc::pthread_getattr_np(this_thread, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let mut lowest: *mut c_void = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: filled in just above; both places outlive the call.
    let rc = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size) };
    // SAFETY: filled in above, not used any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (rc == 0).then(|| (lowest.addr(), lowest.addr() + size))
}

/// Where the main program lies; it is never unmapped.
struct Program {
    /// Every loaded segment from first to last that is at least readable, if they leave no gap.
    image: Range<usize>,
    /// The writable segment without the part that is read-only after relocation.
    data: Range<usize>,
    /// Where the program break was at first: the heap above it grows and shrinks only at its end.
    heap_start: usize,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

impl Program {
    fn look() -> Self {
        // SAFETY: asks only.
        let heap_start = first_break().unwrap_or_else(|| unsafe { libc::sbrk(0) }.addr());
        let mut program = Self {
            image: 0..0,
            data: 0..0,
            heap_start,
        };
        // SAFETY: the callback has the right type, and `program` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(Self::first_object), (&raw mut program).cast()) };
        program
    }

    unsafe extern "C" fn first_object(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        program: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a valid description.
        let info = unsafe { &*info };
        // SAFETY: `look` passed a `Program` that nobody else touches meanwhile.
        let program = unsafe { &mut *program.cast::<Self>() };
        // SAFETY: the loader says how many headers there are.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let address = |header: &libc::Elf64_Phdr| {
            let start = usize::try_from(info.dlpi_addr.wrapping_add(header.p_vaddr)).unwrap_or(0);
            start..start.saturating_add(usize::try_from(header.p_memsz).unwrap_or(0))
        };
        let relro = headers
            .iter()
            .find(|h| h.p_type == libc::PT_GNU_RELRO)
            .map(address);
        for header in headers
            .iter()
            .filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_R != 0)
        {
            let range = address(header);
            if header.p_flags & libc::PF_W != 0 {
                let page_end = relro.as_ref().map_or(0, |r| r.end.next_multiple_of(PROBE_STEP));
                program.data = range.start.max(page_end)..range.end;
            }
            let follows = range.start & !(PROBE_STEP - 1) <= program.image.end.next_multiple_of(PROBE_STEP);
            if program.image.end == 0 {
                program.image = range;
            } else if follows {
                program.image.end = range.end;
            }
        }
        1 // the first object is the program itself
    }
}

/// `start_brk` of proc_pid_stat(5).
fn first_break() -> Option<usize> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name
        .split_ascii_whitespace()
        .nth(44)?
        .parse()
        .ok()
        .filter(|start| *start != 0)
}

/// Fresh anonymous memory for results that do not fit, unmapped again unless [`Mapping::keep`] hands it over.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: *mut c_void,
    len: usize,
}

impl Mapping {
    /// At least `len` bytes, rounded up to whole pages.
    pub(crate) fn new(len: usize) -> Result<Self, Errno> {
        // SAFETY: asks only.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(PROBE_STEP);
        let len = len.checked_next_multiple_of(page).ok_or(Errno(libc::EOVERFLOW))?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            Err(Errno(libc::EOVERFLOW))
        } else {
            Ok(Self { start, len })
        }
    }

    /// First byte; page aligned.
    pub(crate) fn start(&self) -> *mut c_void {
        self.start
    }

    /// Hands the memory over to the application; returns its size in bytes.
    pub(crate) fn keep(self) -> usize {
        let len = self.len;
        std::mem::forget(self);
        len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody was told about it.
        unsafe { libc::munmap(self.start, self.len) };
    }
}
