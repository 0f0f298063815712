//! POSIX threads and their cancellation, declared so that unwinding through them is defined.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use crate::errno::Errno;
use crate::types::StartFunc;

const PTHREAD_CANCEL_ENABLE: c_int = 0;
const PTHREAD_CANCEL_DISABLE: c_int = 1;
const PTHREAD_CANCEL_DEFERRED: c_int = 0;

unsafe extern "C-unwind" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    fn pthread_setcanceltype(kind: c_int, old: *mut c_int) -> c_int;
    fn pthread_testcancel();
    fn pthread_exit(value: *mut c_void) -> !;
    fn pthread_cancel(thread: libc::pthread_t) -> c_int;
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: StartFunc,
        argument: *mut c_void,
    ) -> c_int;
}

/// The cancel state of a thread as its application left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CancelState(c_int);

impl CancelState {
    pub(crate) fn is_enabled(self) -> bool {
        self.0 == PTHREAD_CANCEL_ENABLE
    }
}

/// The state of threads this library makes.
pub(crate) const DISABLED: CancelState = CancelState(PTHREAD_CANCEL_DISABLE);

/// Disables cancellation of this thread, so that no unwinding starts inside the library.
pub(crate) fn disable() -> CancelState {
    let mut old = PTHREAD_CANCEL_ENABLE;
    // SAFETY: the state is a valid one and `old` outlives the call; disabling never unwinds.
    unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut old) };
    CancelState(old)
}

/// Puts the application's state back. With asynchronous cancellation pending this unwinds, hence `C-unwind`.
pub(crate) fn restore(state: CancelState) {
    if state.0 == PTHREAD_CANCEL_DISABLE {
        return;
    }
    // At a cancellation point: a thread that is cancelled because it enables that is not joined as a cancelled one everywhere.
    let kind = defer();
    // SAFETY: the state came from `disable`; no frame of ours between here and C owns anything.
    unsafe { pthread_setcancelstate(state.0, std::ptr::null_mut()) };
    restore_kind(kind);
}

/// Acts on a pending cancellation if the application allows it.
pub(crate) fn act_on_pending(state: CancelState) {
    if state.is_enabled() {
        crate::sanitizer::leaving_frames();
        restore(state);
        // SAFETY: unwinding from here is allowed, the callers are `C-unwind` frames that own nothing.
        unsafe { pthread_testcancel() };
        disable();
    }
}

/// A cancellation point at the start of an export: nothing happens where cancellation is disabled.
pub(crate) fn point() {
    // SAFETY: as for `act_on_pending`.
    unsafe { pthread_testcancel() };
}

/// Whether a thread's cancellation is asynchronous.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CancelKind(c_int);

/// Makes cancellation of this thread wait for cancellation points.
pub(crate) fn defer() -> CancelKind {
    let mut old = PTHREAD_CANCEL_DEFERRED;
    // SAFETY: a valid type, and `old` outlives the call; deferring never unwinds.
    unsafe { pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &raw mut old) };
    CancelKind(old)
}

/// Undoes [`defer`]. With a cancellation pending this may unwind.
pub(crate) fn restore_kind(kind: CancelKind) {
    if kind.0 != PTHREAD_CANCEL_DEFERRED {
        point();
        // SAFETY: the type came from `defer`; no frame of ours between here and C owns anything.
        unsafe { pthread_setcanceltype(kind.0, std::ptr::null_mut()) };
    }
}

/// What door_xcreate(3C) does for threads without a set-up function: disabled and deferred.
pub(crate) fn disable_deferred() {
    disable();
    defer();
}

/// Ends this thread.
pub(crate) fn exit() -> ! {
    // SAFETY: the callers are `C-unwind` frames that own nothing.
    unsafe { pthread_exit(std::ptr::null_mut()) }
}

/// This thread, as the token the engine's cancel hook gets.
pub(crate) fn token() -> u64 {
    // SAFETY: always succeeds.
    unsafe { libc::pthread_self() }
}

/// The engine's cancel hook: the caller of the invocation this thread runs has given up.
pub(crate) fn cancel(token: u64) {
    // SAFETY: the engine calls the hook only while the thread of this token is in its invocation, so it exists.
    unsafe { pthread_cancel(token) };
}

/// Starts a detached thread with the default stack.
pub(crate) fn start_detached(start: StartFunc, argument: *mut c_void) -> Result<(), Errno> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: `attributes` has room for what is initialised.
    let rc = unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) };
    if rc != 0 {
        return Err(Errno(rc));
    }
    // SAFETY: initialised just above.
    unsafe { libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED) };
    let mut thread: libc::pthread_t = 0;
    // SAFETY: `attributes` is initialised, `start` accepts `argument`.
    let rc = unsafe { pthread_create(&raw mut thread, attributes.as_ptr(), start, argument) };
    // SAFETY: initialised above and not used any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if rc == 0 { Ok(()) } else { Err(Errno(rc)) }
}
