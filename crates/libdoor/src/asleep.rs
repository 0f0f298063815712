//! Cancelling a thread that sleeps in `door_call`.
//!
//! While a thread is in the engine its cancellation is disabled, because nothing may unwind through Rust, and the C library wakes only
//! threads that have it enabled. So `pthread_cancel` is exported here too: after it has done what it does, a thread that is
//! in a call is interrupted as by a signal, `door_call` comes back out of the engine, and acts on the cancellation there.
//!
//! A program that is linked statically as a whole cannot be given the C library's `pthread_cancel` behind ours: there it fails with ENOSYS.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::engine::barrier;

use crate::cancel;

/// The signal the C library cancels threads with. To one that has cancellation disabled it only means that a system call is interrupted.
const SIGCANCEL: c_int = 32;

/// A thread that has made calls with cancellation enabled.
#[derive(Debug)]
struct Caller {
    thread: libc::pthread_t,
    number: libc::pid_t,
    forks: u32,
    /// The number of its last call << 2 | how far that is.
    call: AtomicU64,
}

/// The call is over, or cancellation is disabled: nobody interrupts it.
const ALONE: u64 = 0;
/// The thread is about to look whether it is cancelled.
const LOOKS: u64 = 1;
/// It has looked, and would not look again before its answer comes.
const CALLS: u64 = 2;
const STATE: u64 = 3;

impl Caller {
    fn begin(&self) {
        let next = (self.call.load(Ordering::Relaxed) | STATE).wrapping_add(1);
        self.call.store(next | LOOKS, Ordering::Relaxed);
    }

    fn change(&self, state: u64) {
        let call = self.call.load(Ordering::Relaxed) & !STATE;
        self.call.store(call | state, Ordering::Release);
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
            call: AtomicU64::new(ALONE),
        });
        callers().push(Arc::clone(&caller));
        Self(caller)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        CALLER.set(std::ptr::null());
        self.0.change(ALONE);
        callers().retain(|caller| !Arc::ptr_eq(caller, &self.0));
    }
}

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
    /// What `PLACE` has, at hand; NULL before the first call and at the end of the thread.
    static CALLER: Cell<*const Caller> = const { Cell::new(std::ptr::null()) };
}

/// This thread is about to call: who cancels it must wake it. To be followed by a look whether somebody has.
#[inline]
pub(crate) fn begin() {
    // SAFETY: points to the caller that `PLACE` keeps, until that is dropped.
    match unsafe { CALLER.get().as_ref() } {
        Some(caller) if caller.forks == crate::worker::forks() => {
            caller.begin();
        }
        _ => take_place(),
    }
    barrier::light();
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

/// This thread has looked. With cancellation `enabled` the call is one to be interrupted, else it is left alone.
#[inline]
pub(crate) fn looked(enabled: bool) {
    change(if enabled { CALLS } else { ALONE });
}

/// The call is over.
#[inline]
pub(crate) fn end() {
    change(ALONE);
}

#[inline]
fn change(state: u64) {
    // SAFETY: as in `begin`.
    if let Some(caller) = unsafe { CALLER.get().as_ref() } {
        caller.change(state);
    }
}

/// `pthread_cancel` of the C library, which also wakes a thread from its sleep in `door_call`. pthread_cancel(3).
///
/// # Safety
/// The thread exists.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_cancel(thread: libc::pthread_t) -> c_int {
    // SAFETY: as the caller vouches.
    let result = unsafe { next_pthread_cancel(thread) };
    if result == 0 {
        // Either the thread sees that it is cancelled, or it is seen here to call.
        barrier::heavy();
        let called = callers().iter().find(|caller| caller.thread == thread).cloned();
        let called = called.map(|caller| (caller.call.load(Ordering::Acquire), caller));
        if let Some(called) = called.filter(|(call, _)| call & STATE != ALONE) {
            let called = Box::into_raw(Box::new(called));
            if cancel::start_detached(interrupt, called.cast()).is_err() {
                // SAFETY: from `into_raw` just above, and the thread that would have taken it does not exist.
                drop(unsafe { Box::from_raw(called) });
            }
        }
    }
    result
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
        if now & STATE == CALLS {
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
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut next = NEXT.load(Ordering::Relaxed);
    if next == 0 {
        // SAFETY: the name is a C string.
        next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_cancel".as_ptr()) }.addr();
        NEXT.store(next, Ordering::Relaxed);
    }
    if next == 0 {
        return libc::ENOSYS;
    }
    // SAFETY: the symbol is a function of this type.
    let next = unsafe { std::mem::transmute::<usize, Cancel>(next) };
    // SAFETY: handed on as it came.
    unsafe { next(thread) }
}
