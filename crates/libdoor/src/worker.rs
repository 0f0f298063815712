//! Server threads: `door_return`, the loop it comes back to, `door_bind` and `door_unbind`.
//!
//! A thread that calls `door_return` for the first time enters [`serve`] and stays there for good: every procedure
//! runs above that frame, and the `door_return` that ends it drops everything above. What the thread owns lives in its
//! [`Worker`], reached through thread-specific data, never on the stack: see [`crate::trampoline`].
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use engine::engine as doors;
use engine::engine::{Claimed, FinishError, Pool, ServerThread, Stopped};

use crate::cancel::{self, CancelState};
use crate::create::Depletion;
use crate::descriptor::{self, Outgoing};
use crate::errno::{Errno, caught, guard, of_finish};
use crate::memory;
use crate::sanitizer;
use crate::trampoline;
use crate::types::{DOOR_UNREF_DATA, DoorDesc, ServerProcedure};

/// What one thread needs to serve doors.
struct Worker {
    thread: ServerThread,
    /// The invocation this thread runs, or has just answered and not yet given back.
    invocation: Option<Box<Claimed>>,
    /// True from the start of the procedure until `door_return` has succeeded.
    in_procedure: bool,
    /// The caller of the invocation answered last had given up, or seemed to.
    aborted: bool,
    /// The array the procedure sees as `dp`.
    descriptors: Vec<DoorDesc>,
    /// The invocation as the procedure gets it.
    ready: Ready,
    /// Stack pointer stored by `trampoline::invoke`; NULL while this thread has no [`serve`] frame.
    save: *mut c_void,
    cancel_state: CancelState,
    /// [`FORKS`] when `thread` was made.
    forks: u32,
}

/// Counts how often this process is the child of a fork: what was made before belongs to the parent.
static FORKS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static CURRENT: Cell<*mut Worker> = const { Cell::new(std::ptr::null_mut()) };
}

/// How many forks lie between the first process that loaded this library and this one.
pub(crate) fn forks() -> u32 {
    static ONCE: OnceLock<()> = OnceLock::new();
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    ONCE.get_or_init(|| {
        // SAFETY: the handler only counts.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        doors::set_cancel_hook(cancel::cancel);
        sanitizer::look();
    });
    FORKS.load(Ordering::Relaxed)
}

/// Key whose destructor ends the thread's part in doors: its client, if it has one, gets `EINTR`.
fn key() -> Result<libc::pthread_key_t, Errno> {
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    unsafe extern "C" fn end_of_thread(worker: *mut c_void) {
        CURRENT.set(std::ptr::null_mut());
        // SAFETY: `Worker::current_or_new` stored a pointer from `Box::into_raw`, and it is the last user.
        let worker = unsafe { Box::from_raw(worker.cast::<Worker>()) };
        let _ = caught(|| {
            drop(worker);
            Ok(())
        });
    }
    KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` outlives the call and the destructor has the right type.
        (unsafe { libc::pthread_key_create(&raw mut key, Some(end_of_thread)) } == 0).then_some(key)
    })
    .ok_or(Errno(libc::EAGAIN))
}

impl Worker {
    /// This thread's record, if it has ever had to do with serving.
    #[inline]
    fn current<'a>() -> Option<&'a mut Self> {
        // SAFETY: only this thread knows the pointer, it is valid until the thread ends, and no function of this
        // module holds the reference across a call into application code.
        unsafe { CURRENT.get().as_mut() }
    }

    #[inline]
    fn current_or_new<'a>() -> Result<&'a mut Self, Errno> {
        match Self::current() {
            Some(worker) => Ok(worker),
            None => Self::make(),
        }
    }

    #[cold]
    fn make<'a>() -> Result<&'a mut Self, Errno> {
        let key = key()?;
        let worker = Box::into_raw(Box::new(Self {
            thread: ServerThread::new(cancel::token())?,
            invocation: None,
            in_procedure: false,
            aborted: false,
            descriptors: Vec::new(),
            ready: Ready::NOTHING,
            save: std::ptr::null_mut(),
            cancel_state: cancel::DISABLED,
            forks: forks(),
        }));
        // SAFETY: the key exists, and its destructor takes what is stored here.
        if unsafe { libc::pthread_setspecific(key, worker.cast()) } != 0 {
            // SAFETY: made by `Box::into_raw` a moment ago and told to nobody.
            drop(unsafe { Box::from_raw(worker) });
            return Err(Errno(libc::ENOMEM));
        }
        CURRENT.set(worker);
        // SAFETY: as in `current`.
        Ok(unsafe { &mut *worker })
    }

    /// After a fork: the record is a copy of what the parent's thread had.
    #[inline]
    fn is_inherited(&self) -> bool {
        self.forks != forks()
    }

    /// Gives the copy up and starts afresh in this process.
    fn renew(&mut self) -> Result<(), Errno> {
        self.invocation = None;
        self.in_procedure = false;
        self.thread = ServerThread::new(cancel::token())?;
        self.forks = forks();
        Ok(())
    }
}

/// Asks about the invocation the procedure of this thread is running. `EINVAL` outside one.
pub(crate) fn with_invocation<T>(ask: impl FnOnce(&Claimed) -> Result<T, Errno>) -> Result<T, Errno> {
    let worker = Worker::current().ok_or(Errno(libc::EINVAL))?;
    match &worker.invocation {
        Some(invocation) if worker.in_procedure && !worker.is_inherited() => ask(invocation),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// The pool this thread is bound to. `EBADF` if none.
pub(crate) fn with_binding<T>(ask: impl FnOnce(&Arc<Pool>) -> Result<T, Errno>) -> Result<T, Errno> {
    let worker = Worker::current().ok_or(Errno(libc::EBADF))?;
    match worker.thread.binding() {
        Some(pool) if !worker.is_inherited() => ask(pool),
        _ => Err(Errno(libc::EBADF)),
    }
}

/// Binds this thread to a pool, from its next park on.
pub(crate) fn bind_to(pool: Arc<Pool>) -> Result<(), Errno> {
    let worker = Worker::current_or_new()?;
    if worker.is_inherited() {
        worker.renew()?;
    }
    worker.thread.bind(Some(pool));
    Ok(())
}

/// `door_bind`: this thread serves the private door `did` only. door_bind(3C).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn door_bind(did: c_int) -> c_int {
    guard(|| {
        let pool = doors::pool_of(descriptor::borrow(did)?)?;
        bind_to(pool)?;
        Ok(0)
    })
}

/// `door_unbind`: this thread serves the process pool again. door_bind(3C).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn door_unbind() -> c_int {
    guard(|| unbind().map(|()| 0))
}

/// Undoes [`bind_to`]. `EBADF` if the thread is not bound.
pub(crate) fn unbind() -> Result<(), Errno> {
    let worker = Worker::current().ok_or(Errno(libc::EBADF))?;
    if worker.thread.binding().is_none() {
        return Err(Errno(libc::EBADF));
    }
    if worker.is_inherited() {
        return worker.renew(); // a copy of the parent's binding goes with the rest
    }
    worker.thread.bind(None);
    Ok(())
}

/// `door_return`: answers the invocation of this thread and waits for the next one. door_return(3C).
///
/// Returns only on failure, and the thread still owns the invocation then.
///
/// # Safety
/// `data` and `desc` are what the application says they are, or unmapped, which is noticed. No frame of the thread
/// above its first `door_return` may need to be unwound.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn door_return(
    data: *mut c_char,
    size: usize,
    desc: *mut DoorDesc,
    n: c_uint,
) -> c_int {
    let state = cancel::disable();
    match caught(move || answer(state, data.cast(), size, desc, n)) {
        Ok(worker) => {
            // SAFETY: this thread's own, and valid until it ends.
            if unsafe { (*worker).aborted } {
                // The caller's abort may have left a cancellation pending. It must end this thread now, not in the
                // middle of somebody else's invocation.
                cancel::act_on_pending(state);
            }
            sanitizer::leaving_frames();
            // SAFETY: as above.
            let save = unsafe { (*worker).save };
            if save.is_null() {
                serve(worker)
            }
            // SAFETY: stored by the `invoke` below this frame; C code and this frame own nothing.
            unsafe { trampoline::resume(save) }
        }
        Err(errno) => {
            cancel::restore(state);
            errno.set();
            -1
        }
    }
}

/// The part of `door_return` that can fail. Returns this thread's record.
#[inline]
fn answer(
    state: CancelState,
    data: *const u8,
    size: usize,
    desc: *const DoorDesc,
    n: c_uint,
) -> Result<*mut Worker, Errno> {
    let worker = Worker::current_or_new()?;
    if worker.is_inherited() {
        if worker.thread.binding().is_some() {
            return Err(Errno(libc::EINVAL));
        }
        worker.renew()?;
    }
    worker.aborted = match &mut worker.invocation {
        Some(invocation) if worker.in_procedure => finish(invocation, data, size, desc, n)?,
        _ => {
            Outgoing::read(desc, n)?.release();
            false
        }
    };
    worker.in_procedure = false;
    worker.cancel_state = state;
    Ok(worker)
}

/// Sends the result. True if there was nobody to send it to, or this thread was cancelled for its caller.
#[inline]
fn finish(
    invocation: &mut Claimed,
    data: *const u8,
    size: usize,
    desc: *const DoorDesc,
    n: c_uint,
) -> Result<bool, Errno> {
    let something = size > 0 || n > 0;
    if something && invocation.is_cancelled() {
        Outgoing::read(desc, n)?.release();
        return Ok(invocation.finish(&[], &[]).is_err() || invocation.was_cancelled());
    }
    if something && (invocation.is_unreferenced() || n as usize > crate::types::DESCRIPTORS_MAX) {
        return Err(Errno(libc::E2BIG));
    }
    let bytes = if size == 0 {
        &[]
    } else if in_argument(invocation, data, size) || memory::readable(data.cast(), size) {
        // SAFETY: found readable; the application must not change it before `door_return` is done with it.
        unsafe { std::slice::from_raw_parts(data, size) }
    } else {
        return Err(Errno(libc::EFAULT));
    };
    let sent = if n == 0 {
        invocation.finish(bytes, &[])
    } else {
        finish_with_descriptors(invocation, bytes, &Outgoing::read(desc, n)?)?
    };
    match sent {
        Ok(()) => Ok(invocation.was_cancelled()),
        Err(FinishError::NoCaller) => Ok(true),
        Err(error) => Err(of_finish(error)),
    }
}

/// Sends a result with descriptors, and closes what is released in any case but that it can be tried again.
fn finish_with_descriptors(
    invocation: &mut Claimed,
    bytes: &[u8],
    outgoing: &Outgoing,
) -> Result<Result<(), FinishError>, Errno> {
    if !outgoing.is_sound() {
        return Err(outgoing.spoil());
    }
    let mut release = || outgoing.release();
    let taken: Option<&mut dyn FnMut()> = outgoing.releases().then_some(&mut release);
    let sent = invocation.finish_and(bytes, &outgoing.borrowed(), taken);
    if matches!(sent, Err(FinishError::NoCaller | FinishError::BadDescriptor)) {
        outgoing.release();
    }
    Ok(sent)
}

/// True if the result lies within the argument, as many procedures answer in place.
fn in_argument(invocation: &Claimed, data: *const u8, size: usize) -> bool {
    let argument = invocation.argument().as_ptr_range();
    argument.contains(&data) && size <= argument.end.addr() - data.addr()
}

/// One invocation, as plain values: nothing here needs to be dropped.
#[derive(Debug, Clone, Copy)]
struct Ready {
    procedure: ServerProcedure,
    cookie: *mut c_void,
    argp: *mut c_char,
    size: usize,
    descriptors: *mut DoorDesc,
    n: c_uint,
    /// What is to be done before the procedure runs.
    depletion: Depletion,
}

impl Ready {
    const NOTHING: Self = Self {
        procedure: no_procedure,
        cookie: std::ptr::null_mut(),
        argp: std::ptr::null_mut(),
        size: 0,
        descriptors: std::ptr::null_mut(),
        n: 0,
        depletion: Depletion::None,
    };
}

/// Stands where no procedure does.
unsafe extern "C-unwind" fn no_procedure(
    _cookie: *mut c_void,
    _argp: *mut c_char,
    _size: usize,
    _descriptors: *mut DoorDesc,
    _n: c_uint,
) {
}

/// Serves for the rest of the thread's life. Called with cancellation disabled.
///
/// `pthread_exit` and cancellation unwind through this frame, so it owns nothing.
fn serve(worker: *mut Worker) -> ! {
    loop {
        if caught(move || next_invocation(worker)).is_err() {
            cancel::exit()
        }
        // SAFETY: this thread's own, and valid until it ends; what the procedure does may change other fields only.
        let ready = unsafe { &(*worker).ready };
        // SAFETY: as above.
        cancel::restore(unsafe { (*worker).cancel_state });
        if !matches!(ready.depletion, Depletion::None) {
            crate::create::make_threads(ready.depletion);
        }
        // SAFETY: as above.
        let save = unsafe { &raw mut (*worker).save };
        // SAFETY: `save` lies in this thread's `Worker`; the procedure is the one given to door_create, and its
        // arguments live in the `Worker` until the next invocation is asked for.
        let ended = unsafe {
            trampoline::invoke(
                save,
                ready.procedure,
                ready.cookie,
                ready.argp,
                ready.size,
                ready.descriptors,
                ready.n,
            )
        };
        if ended != trampoline::ANSWERED {
            // The procedure returned without door_return: the thread ends, and its client is told by the destructor.
            cancel::disable();
            cancel::exit();
        }
    }
}

/// Gives the last invocation back, waits for the next, and makes it ready in this thread's record.
#[inline]
fn next_invocation(worker: *mut Worker) -> Result<(), Errno> {
    // SAFETY: this thread's own, valid until it ends, and not used across a call into application code.
    let worker = unsafe { &mut *worker };
    worker.descriptors.clear();
    if let Some(answered) = worker.invocation.take() {
        worker.thread.retire(answered);
    }
    let claimed = match worker.thread.park() {
        Ok(claimed) => claimed,
        Err(Stopped) if worker.is_inherited() => {
            worker.renew()?;
            worker.thread.park().map_err(|Stopped| Errno(libc::EINVAL))?
        }
        Err(Stopped) => return Err(Errno(libc::EINVAL)),
    };
    let ready = &mut worker.ready;
    ready.procedure = crate::create::procedure(claimed.procedure_address()).ok_or(Errno(libc::EINVAL))?;
    let claimed = worker.invocation.insert(claimed);
    ready.cookie = crate::create::cookie(claimed.cookie());
    ready.depletion = Depletion::None;
    if claimed.depleted() {
        ready.depletion = Depletion::of(claimed);
    }
    (ready.descriptors, ready.n) = (std::ptr::null_mut(), 0);
    if claimed.has_descriptors() {
        let taken = claimed.take_descriptors().into_iter();
        worker.descriptors.extend(taken.map(descriptor::hand_over));
        ready.descriptors = worker.descriptors.as_mut_ptr();
        ready.n = c_uint::try_from(worker.descriptors.len()).unwrap_or(0);
    }
    let argument = claimed.argument_mut();
    ready.size = argument.len();
    ready.argp = if ready.size > 0 {
        argument.as_mut_ptr().cast()
    } else if claimed.is_unreferenced() {
        DOOR_UNREF_DATA
    } else {
        std::ptr::null_mut()
    };
    worker.in_procedure = true;
    Ok(())
}

/// Start of a thread this library makes: cancellation disabled, as on Solaris, then into the pool.
pub(crate) unsafe extern "C-unwind" fn server_thread(_argument: *mut c_void) -> *mut c_void {
    cancel::disable();
    join_pool()
}

/// Parks this thread for good; comes back only if it cannot.
pub(crate) fn join_pool() -> *mut c_void {
    // SAFETY: no data and no descriptors.
    unsafe { door_return(std::ptr::null_mut(), 0, std::ptr::null_mut(), 0) };
    std::ptr::null_mut()
}
