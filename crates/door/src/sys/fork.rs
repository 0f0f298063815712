//! Noticing that this process is a forked child, and state that starts afresh in one.
//!
//! One page is wiped by the kernel in every child (MADV_WIPEONFORK), however it was forked. It is read at each entry into the
//! engine. The first thread of a child that finds it wiped closes the engine's inherited descriptors; everything else of the
//! parent's engine is left where it is and never touched again: its locks may be held by threads that do not exist here.

use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Number of forks between the first process and this one, plus 1.
static GENERATION: AtomicU32 = AtomicU32::new(1);
/// In the page: 0 = wiped by a fork, `BUSY` = being reset, else the generation.
const BUSY: u32 = u32::MAX;
/// No lock guards it: a child that was forked while a thread made it would wait for that thread for ever.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

#[inline]
fn page() -> Option<&'static AtomicU32> {
    // SAFETY: null, or a word that is never freed.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

/// The generation of this process. Resets the engine first if the process was forked since the last time.
#[inline]
pub(crate) fn generation() -> u32 {
    let page = match page() {
        Some(page) => page,
        None => make_page(),
    };
    match page.load(Ordering::Acquire) {
        0 | BUSY => reset(page),
        generation => generation,
    }
}

/// The generation as last noticed; for destructors, which may not start anything.
pub(crate) fn last_generation() -> u32 {
    GENERATION.load(Ordering::Acquire)
}

/// Threads that come at the same time make one each; the first one is everybody's.
#[cold]
fn make_page() -> &'static AtomicU32 {
    static FALLBACK: AtomicU32 = AtomicU32::new(1);
    // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing of ours.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    let made = if mapped == libc::MAP_FAILED {
        &FALLBACK
    } else {
        // SAFETY: the page was mapped just now. Kernels before 4.14 refuse; the handler below does the work there.
        unsafe { libc::madvise(mapped, 4096, libc::MADV_WIPEONFORK) };
        // SAFETY: zeroed and aligned; unmapped only where nobody else has seen it.
        let word = unsafe { AtomicU32::from_ptr(mapped.cast()) };
        word.store(GENERATION.load(Ordering::Relaxed), Ordering::Release);
        word
    };
    let new = std::ptr::from_ref(made).cast_mut();
    let null = std::ptr::null_mut();
    match PAGE.compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            // SAFETY: the handler is a function that lives as long as the process.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
            made
        }
        Err(winner) => {
            if mapped != libc::MAP_FAILED {
                // SAFETY: this thread's own mapping, which nobody else has seen.
                unsafe { libc::munmap(mapped, 4096) };
            }
            // SAFETY: not null, as the exchange failed, and never freed.
            unsafe { &*winner }
        }
    }
}

extern "C" fn in_child() {
    if let Some(page) = page() {
        page.store(0, Ordering::Release);
        reset(page);
    }
}

#[cold]
fn reset(page: &AtomicU32) -> u32 {
    loop {
        match page.compare_exchange(0, BUSY, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                close_internal();
                let generation = GENERATION.load(Ordering::Relaxed) + 1;
                GENERATION.store(generation, Ordering::Release);
                page.store(generation, Ordering::Release);
                return generation;
            }
            // Another thread of the child is at it; it does not block.
            Err(BUSY) => std::hint::spin_loop(),
            Err(generation) => return generation,
        }
    }
}

/// Descriptors the engine keeps for itself: one bit each. Higher numbers are not tracked.
const TRACKED: usize = 1 << 20;
static INTERNAL: [AtomicU64; TRACKED / 64] = [const { AtomicU64::new(0) }; TRACKED / 64];

fn bit(fd: i32) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(fd).ok()?;
    Some((INTERNAL.get(number / 64)?, 1 << (number % 64)))
}

/// Remembers that `fd` is the engine's own.
pub(crate) fn track(fd: i32) {
    if let Some((word, bit)) = bit(fd) {
        word.fetch_or(bit, Ordering::AcqRel);
    }
}

/// Forgets `fd` again, before it is closed.
pub(crate) fn untrack(fd: i32) {
    if let Some((word, bit)) = bit(fd) {
        word.fetch_and(!bit, Ordering::AcqRel);
    }
}

/// True if `fd` is the engine's own.
pub(crate) fn is_tracked(fd: i32) -> bool {
    bit(fd).is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
}

fn close_internal() {
    for (index, word) in INTERNAL.iter().enumerate() {
        // Most words are 0, and reading them does not make their pages ours.
        if word.load(Ordering::Relaxed) == 0 {
            continue;
        }
        let mut bits = word.swap(0, Ordering::AcqRel);
        while bits != 0 {
            let number = index * 64 + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            if let Ok(fd) = i32::try_from(number) {
                // SAFETY: the engine owns it, and the owner's value is never used in this process again.
                unsafe { libc::close(fd) };
            }
        }
    }
}

/// A value that each process makes for itself: a forked child does not see its parent's.
pub(crate) struct PerProcess<T: 'static> {
    current: AtomicPtr<(u32, T)>,
}

impl<T: Send + Sync + 'static> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self {
            current: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The value of this process, made by `make` if there is none yet. `make` must not have effects that outlive its value:
    /// when two threads race, one value is dropped.
    #[inline]
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &'static T {
        let generation = generation();
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: only ever null or a leaked box.
        if let Some((made_in, value)) = unsafe { current.as_ref() }
            && *made_in == generation
        {
            return value;
        }
        self.replace(current, generation, make())
    }

    /// The value of this process if it has been made.
    pub(crate) fn existing(&self) -> Option<&'static T> {
        let generation = generation();
        // SAFETY: only ever null or a leaked box.
        let current = unsafe { self.current.load(Ordering::Acquire).as_ref() };
        current
            .filter(|(made_in, _)| *made_in == generation)
            .map(|(_, value)| value)
    }

    #[cold]
    fn replace(&self, old: *mut (u32, T), generation: u32, value: T) -> &'static T {
        let new = Box::into_raw(Box::new((generation, value)));
        match self
            .current
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
        {
            // SAFETY: leaked above, never freed. The parent's value stays leaked too, on purpose.
            Ok(_) => unsafe { &(*new).1 },
            Err(winner) => {
                // SAFETY: nobody else has seen `new`.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: never null once set, and never freed.
                unsafe { &(*winner).1 }
            }
        }
    }
}

/// Takes a descriptor that will not be used again out of its owner. To be called once, from a destructor.
pub(crate) fn take_now(fd: &mut std::mem::ManuallyDrop<std::os::fd::OwnedFd>) -> std::os::fd::OwnedFd {
    // SAFETY: the only caller is a destructor, which runs once and does not touch the field afterwards.
    unsafe { std::mem::ManuallyDrop::take(fd) }
}
