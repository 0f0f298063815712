//! Cancelling a thread that is in `door_call`.
//!
//! Nothing may unwind through Rust, and to disable cancellation and enable it again takes two locked operations. Most calls are answered
//! before they have to sleep, and need neither: `pthread_cancel` is exported here too, and leaves a thread that has just begun a call a mark,
//! on which it acts when it is about to sleep, or at the end. Only then is cancellation disabled. A sleeping thread would not be woken by the C
//! library, which wakes only those that have it enabled: it is interrupted here as by a signal, comes back out of the engine, and acts on the
//! cancellation in `door_call`.
//!
//! Where the program finds another `pthread_cancel`, cancellation is disabled from the start. A program that is linked statically as a whole
//! cannot be given the C library's behind ours: there it fails with ENOSYS.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::engine::barrier;

use crate::cancel::{self, CancelState};
use crate::errno::Errno;
use crate::next::Next;

/// The signal the C library cancels threads with. To one that has cancellation disabled it only means that a system call is interrupted.
const SIGCANCEL: c_int = 32;

/// A thread that has made calls.
#[derive(Debug)]
struct Caller {
    thread: libc::pthread_t,
    number: libc::pid_t,
    forks: u32,
    /// Whoever cancels the thread does it here.
    guarded: bool,
    /// The number of its last call << 2 | how far that is.
    call: AtomicU64,
    /// Whether somebody cancels the thread, and who carries it out.
    mark: AtomicU8,
}

/// The call is over, or cancellation is disabled: nobody interrupts it.
const ALONE: u64 = 0;
/// The thread is about to look whether it is cancelled, or has looked and not begun to sleep.
const BEGINS: u64 = 1;
/// It would not look again before its answer comes.
const SLEEPS: u64 = 2;
const STATE: u64 = 3;

/// Nobody cancels the thread.
const UNMARKED: u8 = 0;
/// The thread cancels itself.
const LEFT: u8 = 1;
/// Who has come to cancel it is about to: it may not begin a call with its cancellation enabled.
const HELD: u8 = 2;

impl Caller {
    /// From here on its thread acts on a mark. True if there was none: then it will see any other.
    #[inline]
    fn begin(&self) -> bool {
        let next = (self.call.load(Ordering::Relaxed) | STATE).wrapping_add(1);
        self.call.store(next | BEGINS, Ordering::Relaxed);
        barrier::light();
        // Whoever has taken a mark back has cancelled before.
        self.mark.load(Ordering::Acquire) == UNMARKED
    }

    /// Its thread has got so far. True if it was left a mark, which is gone now.
    #[inline]
    fn change(&self, state: u64) -> bool {
        let call = self.call.load(Ordering::Relaxed) & !STATE;
        self.call.store(call | state, Ordering::Release);
        barrier::light();
        self.mark.load(Ordering::Relaxed) == LEFT && self.change_mark(LEFT, UNMARKED)
    }

    fn change_mark(&self, from: u8, to: u8) -> bool {
        self.mark
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Cancels the thread, which is not this one; `None` if it does that itself. Never both: after the first it may not exist any more.
    ///
    /// # Safety
    /// The thread exists.
    unsafe fn cancel(&self) -> Option<c_int> {
        self.mark.store(LEFT, Ordering::Relaxed);
        // Either the thread is seen here to begin, or sees the mark.
        barrier::heavy();
        if self.call.load(Ordering::Acquire) & STATE == BEGINS || !self.change_mark(LEFT, HELD) {
            return None;
        }
        // SAFETY: as the caller vouches.
        let result = unsafe { next_pthread_cancel(self.thread) };
        self.change_mark(HELD, UNMARKED);
        Some(result)
    }
}

/// The callers of one process, and how many forks lie before it.
type Callers = (u32, Mutex<Vec<Arc<Caller>>>);

/// Never freed: in a forked child the parent's list may be locked by a thread that does not exist there, and is left where it is.
static CALLERS: AtomicPtr<Callers> = AtomicPtr::new(std::ptr::null_mut());

fn callers() -> MutexGuard<'static, Vec<Arc<Caller>>> {
    let forks = crate::worker::forks();
    let mut current = CALLERS.load(Ordering::Acquire);
    loop {
        // SAFETY: null or a box that was leaked below.
        if let Some((made_in, list)) = unsafe { current.as_ref() }
            && *made_in == forks
        {
            return list.lock().unwrap_or_else(PoisonError::into_inner);
        }
        let new = Box::into_raw(Box::new((forks, Mutex::new(Vec::new()))));
        match CALLERS.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => current = new,
            Err(other) => {
                // SAFETY: made just above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                current = other;
            }
        }
    }
}

/// A thread's own place in the list.
struct Place(Arc<Caller>);

impl Place {
    fn new() -> Self {
        let caller = Arc::new(Caller {
            // SAFETY: always succeeds.
            thread: unsafe { libc::pthread_self() },
            // SAFETY: always succeeds.
            number: unsafe { libc::gettid() },
            forks: crate::worker::forks(),
            guarded: is_in_force(),
            call: AtomicU64::new(ALONE),
            mark: AtomicU8::new(UNMARKED),
        });
        callers().push(Arc::clone(&caller));
        Self(caller)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        CALLER.set(std::ptr::null());
        self.0.call.store(ALONE, Ordering::Release);
        callers().retain(|caller| !Arc::ptr_eq(caller, &self.0));
    }
}

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
    /// What `PLACE` has, at hand; NULL before the first call and at the end of the thread.
    static CALLER: Cell<*const Caller> = const { Cell::new(std::ptr::null()) };
}

/// A thread's stay in `door_call`.
#[derive(Debug)]
#[must_use]
pub(crate) struct Stay {
    /// What the thread was about before: a signal handler may have interrupted a call.
    before: u64,
    /// Cancellation is disabled. It was like this.
    disabled: Option<CancelState>,
}

impl Stay {
    /// A cancellation point; afterwards nothing unwinds this thread until the [end](Self::end).
    #[inline]
    pub(crate) fn begin() -> Self {
        let (mut before, mut acts_on_marks) = (ALONE, false);
        // SAFETY: points to the caller that `PLACE` keeps, until that is dropped.
        match unsafe { CALLER.get().as_ref() } {
            Some(caller) if caller.forks == crate::worker::forks() => {
                before = caller.call.load(Ordering::Relaxed);
                if before & STATE != ALONE {
                    // What is interrupted goes on after this, and acts on marks for both.
                    caller.call.store(before & !STATE | BEGINS, Ordering::Relaxed);
                    return Self {
                        before,
                        disabled: Some(cancel::disable()),
                    };
                }
                acts_on_marks = caller.begin() && caller.guarded;
            }
            _ => {
                // An asynchronous cancellation would leave locks behind.
                let state = cancel::disable();
                take_place();
                cancel::restore(state);
            }
        }
        cancel::point();
        let mut stay = Self {
            before,
            disabled: None,
        };
        if !acts_on_marks
            && stay.disable()
            && let Some(state) = stay.disabled
        {
            cancel::act_on_pending(state);
        }
        stay
    }

    /// The call may sleep from here on. `EINTR` if this thread has been cancelled meanwhile.
    #[cold]
    pub(crate) fn sleep(&mut self) -> Result<(), Errno> {
        if self.disabled.is_none() && self.disable() {
            Err(Errno(libc::EINTR))
        } else {
            Ok(())
        }
    }

    /// True if this thread has been cancelled meanwhile, and lets itself be.
    #[cold]
    fn disable(&mut self) -> bool {
        let state = cancel::disable();
        self.disabled = Some(state);
        change(if state.is_enabled() { SLEEPS } else { ALONE }) && state.is_enabled()
    }

    /// The call is over. If it was `interrupted`, and nothing is lost, acts on a cancellation.
    #[inline]
    pub(crate) fn end(self, interrupted: bool) {
        if self.before & STATE != BEGINS && change(self.before & STATE) && self.before & STATE == SLEEPS {
            // The call that goes on would not look again.
            // SAFETY: always succeeds.
            wake(unsafe { libc::pthread_self() });
        }
        if let Some(state) = self.disabled {
            if interrupted {
                cancel::act_on_pending(state);
            }
            cancel::restore(state);
        }
    }
}

/// How far the call is now. True if this thread was left a mark, and has been cancelled for it.
#[inline]
fn change(state: u64) -> bool {
    // SAFETY: as in `Stay::begin`.
    let Some(caller) = (unsafe { CALLER.get().as_ref() }) else {
        return false;
    };
    let is_marked = caller.change(state);
    if is_marked {
        act_on_mark(caller.thread);
    }
    is_marked
}

/// Cancels this thread. If its cancellation is asynchronous and enabled it ends here, in frames that own nothing.
#[cold]
fn act_on_mark(this_thread: libc::pthread_t) {
    let kind = cancel::defer();
    // SAFETY: this thread exists.
    unsafe { next_pthread_cancel(this_thread) };
    cancel::restore_kind(kind);
}

#[cold]
fn take_place() {
    barrier::prepare();
    // A signal handler that calls while its thread is just here does without; so does a thread that is about to end.
    let _ = PLACE.try_with(|place| {
        if let Ok(mut place) = place.try_borrow_mut() {
            let place = place.insert(Place::new());
            place.0.begin();
            CALLER.set(Arc::as_ptr(&place.0));
        }
    });
}

/// True if the program finds the `pthread_cancel` of this library.
fn is_in_force() -> bool {
    // SAFETY: the name is a C string; the answer is only compared.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"pthread_cancel".as_ptr()) };
    let ours: unsafe extern "C-unwind" fn(libc::pthread_t) -> c_int = pthread_cancel;
    found.addr() == ours as usize
}

/// `pthread_cancel` of the C library, for threads that may be in `door_call`. pthread_cancel(3).
///
/// # Safety
/// The thread exists.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_cancel(thread: libc::pthread_t) -> c_int {
    // SAFETY: always succeeds.
    if thread == unsafe { libc::pthread_self() } {
        if mark_this() {
            return 0;
        }
        // SAFETY: this thread exists. With asynchronous cancellation it ends here: this frame owns nothing.
        let result = unsafe { next_pthread_cancel(thread) };
        if result == 0 {
            wake(thread);
        }
        return result;
    }
    // An asynchronous cancellation of this thread would leave the list locked.
    let state = cancel::disable();
    let caller = caller(thread);
    let result = match &caller {
        // SAFETY: as the caller vouches.
        Some(caller) => unsafe { caller.cancel() },
        // SAFETY: as the caller vouches.
        None => Some(unsafe { next_pthread_cancel(thread) }),
    };
    drop(caller);
    if result == Some(0) {
        wake(thread);
    }
    cancel::restore(state);
    result.unwrap_or(0)
}

/// The record of a thread that has made calls.
fn caller(thread: libc::pthread_t) -> Option<Arc<Caller>> {
    callers().iter().find(|caller| caller.thread == thread).cloned()
}

/// True if this thread has left itself a mark: a signal handler cancels it, and what it has interrupted must not be unwound.
fn mark_this() -> bool {
    // SAFETY: as in `Stay::begin`.
    let caller = unsafe { CALLER.get().as_ref() };
    let begins = caller.filter(|caller| caller.call.load(Ordering::Relaxed) & STATE == BEGINS);
    if let Some(caller) = begins {
        caller.mark.store(LEFT, Ordering::Relaxed);
    }
    begins.is_some()
}

/// Interrupts the call of a thread that has just been cancelled, if it is in one.
fn wake(thread: libc::pthread_t) {
    // Either the thread sees that it is cancelled, or it is seen here to call.
    barrier::heavy();
    let called = caller(thread).map(|caller| (caller.call.load(Ordering::Acquire), caller));
    if let Some(called) = called.filter(|(call, _)| call & STATE != ALONE) {
        let called = Box::into_raw(Box::new(called));
        if cancel::start_detached(interrupt, called.cast()).is_err() {
            // SAFETY: from `into_raw` just above, and the thread that would have taken it does not exist.
            drop(unsafe { Box::from_raw(called) });
        }
    }
}

/// Interrupts a call until it is over: a thread that was about to go to sleep would not notice a single time. The thread's next call, which
/// may be that of a cleanup handler, is left alone.
unsafe extern "C-unwind" fn interrupt(called: *mut c_void) -> *mut c_void {
    cancel::disable();
    // SAFETY: `pthread_cancel` gave the box away.
    let (call, caller) = *unsafe { Box::from_raw(called.cast::<(u64, Arc<Caller>)>()) };
    let mut pause = Duration::from_micros(100);
    loop {
        let now = caller.call.load(Ordering::Acquire);
        if now & STATE == ALONE || now | STATE != call | STATE {
            return std::ptr::null_mut();
        }
        if now & STATE == SLEEPS {
            // SAFETY: always succeeds.
            let process = unsafe { libc::getpid() };
            // SAFETY: takes numbers. If the thread has ended meanwhile nobody is hurt: without a pending cancellation the signal means nothing.
            unsafe { libc::syscall(libc::SYS_tgkill, process, caller.number, SIGCANCEL) };
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// The C library's own `pthread_cancel`.
///
/// # Safety
/// The thread exists.
unsafe fn next_pthread_cancel(thread: libc::pthread_t) -> c_int {
    type Cancel = unsafe extern "C-unwind" fn(libc::pthread_t) -> c_int;
    static NEXT: Next = Next::new(c"pthread_cancel");
    let next = NEXT.address();
    if next == 0 {
        return libc::ENOSYS;
    }
    // SAFETY: the symbol is a function of this type.
    let next = unsafe { std::mem::transmute::<usize, Cancel>(next) };
    // SAFETY: handed on as it came.
    unsafe { next(thread) }
}
