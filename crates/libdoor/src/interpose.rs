//! `close`, `dup` and their relatives, exported so that the library knows what becomes of door descriptors.
//!
//! Two things depend on it. The engine remembers what a descriptor number stands for and need not ask the kernel
//! on each call, as long as it hears when a number is closed or replaced. And the copies that a server makes of
//! its own door count as references (`DOOR_IS_UNREF`, unreferenced invocations): `dup` of a door of this process makes a
//! fresh export of it, and so does a fork for doors that want to know.
//!
//! Interposition is in force only if the program finds these functions before those of the C library; otherwise
//! the engine checks each number on each call. `DOORS_FD_CHECK=always` asks for that too, `never` rules it out.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_long, c_uint};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use engine::engine as doors;
use engine::engine::DescriptorCheck;

use crate::cancel;
use crate::descriptor::{borrow, set_close_on_exec};
use crate::errno::{Errno, sheltered};
use crate::next::Next;
use crate::types::{DOOR_UNREF, DOOR_UNREF_MULTI, DoorAttr};

/// It came from `open` of an attached path.
const OPENED: u8 = 1;
/// It is a door of ours that wants unreferenced invocations.
const COUNTED: u8 = 2;

/// door_call has been given the number, so that the engine remembers what it stands for.
const CALLED: u8 = 4;

/// It belongs to a stream: the C library closes it without telling.
const STREAM: u8 = 8;

/// Descriptor numbers above this are not followed: copies of them do not count as references.
const FOLLOWED: usize = 1 << 16;

/// What is known of each number. No lock: `close` may be called in signal handlers and in forked children.
static KNOWN: [AtomicU8; FOLLOWED] = [const { AtomicU8::new(0) }; FOLLOWED];
/// One more than the greatest number in [`KNOWN`] that ever was not 0.
static KNOWN_END: AtomicUsize = AtomicUsize::new(0);
/// True once this process has made a door: until then nothing it duplicates can be one of its own.
static MADE: AtomicBool = AtomicBool::new(false);

fn known(fd: RawFd) -> u8 {
    slot(fd).map_or(0, |slot| slot.load(Ordering::Relaxed))
}

fn slot(fd: RawFd) -> Option<&'static AtomicU8> {
    KNOWN.get(usize::try_from(fd).ok()?)
}

fn remember(fd: RawFd, what: u8) {
    let Some(slot) = slot(fd) else { return };
    if what == 0 && slot.load(Ordering::Relaxed) == 0 {
        return;
    }
    slot.store(what, Ordering::Relaxed);
    KNOWN_END.fetch_max(usize::try_from(fd).unwrap_or(0) + 1, Ordering::Relaxed);
}

fn counted(attributes: DoorAttr) -> u8 {
    if attributes & (DOOR_UNREF | DOOR_UNREF_MULTI) == 0 {
        0
    } else {
        COUNTED
    }
}

/// A door of ours has this number.
pub(crate) fn created(fd: RawFd, attributes: DoorAttr) {
    set_up();
    forget(fd);
    MADE.store(true, Ordering::Release);
    remember(fd, counted(attributes));
}

/// A descriptor has arrived; `attributes` as in `door_desc_t`.
pub(crate) fn arrived(fd: RawFd, attributes: DoorAttr) {
    const DOOR_LOCAL: DoorAttr = 0x04;
    remember(
        fd,
        if attributes & DOOR_LOCAL == 0 {
            0
        } else {
            counted(attributes)
        },
    );
}

/// `open` of an attached path gave this number.
pub(crate) fn opened(fd: RawFd) {
    forget(fd);
    remember(fd, OPENED);
}

/// True if the number came from `open` of an attached path.
pub(crate) fn was_opened(fd: RawFd) -> bool {
    known(fd) & OPENED != 0
}

/// `fopen` of an attached path gave this number.
pub(crate) fn streamed(fd: RawFd) {
    remember(fd, known(fd) | STREAM);
}

/// door_call is about to be given the number.
pub(crate) fn called(fd: RawFd) {
    let what = known(fd);
    if what & STREAM != 0 {
        doors::forget(fd);
    }
    if what & CALLED == 0 {
        set_up();
        remember(fd, what | CALLED);
    }
}

/// The number is closed or stands for something else now.
///
/// Descriptors of the engine are closed through here too, with its locks held. Hence the engine is told of numbers only that it can
/// know, and `COUNTED` stays: it is a hint that the next fork checks.
pub(crate) fn forget(fd: RawFd) {
    let what = known(fd);
    if what & CALLED != 0 || slot(fd).is_none() {
        doors::forget(fd);
    }
    if what & !COUNTED != 0 {
        remember(fd, what & COUNTED);
    }
}

/// Decides how the engine may trust descriptor numbers, and prepares for forks.
fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the name is a C string; the answer is only compared.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"close".as_ptr()) };
        let ours: extern "C-unwind" fn(c_int) -> c_int = close;
        let in_force = found.addr() == ours as usize;
        let never = match std::env::var("DOORS_FD_CHECK").as_deref() {
            Ok("always") => false,
            Ok("never") => true,
            _ => in_force,
        };
        doors::set_descriptor_check(if never {
            DescriptorCheck::Never
        } else {
            DescriptorCheck::Always
        });
        // SAFETY: the three handlers have the right type and live as long as the program.
        unsafe { libc::pthread_atfork(Some(fork::prepare), Some(fork::parent), Some(fork::child)) };
    });
}

/// Runs a plain system call whose result is a descriptor or an error.
fn system_call(number: c_long, a: c_int, b: c_int, c: c_int) -> c_int {
    // SAFETY: only called for the dup and close families, which take numbers and check them.
    let result = unsafe { libc::syscall(number, a, b, c) };
    c_int::try_from(result).unwrap_or(-1)
}

/// `close` of the C library. close(2). To a program that closes whatever could be open, what the engine keeps open is not.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn close(fd: c_int) -> c_int {
    if doors::has_application_table() {
        cancel::point();
        if doors::is_internal(fd) {
            Errno(libc::EBADF).set();
            return -1;
        }
        forget(fd);
    }
    system_call(libc::SYS_close, fd, 0, 0)
}

/// A fresh export of the door `fd`, if that is one of ours.
fn export(fd: c_int) -> Option<OwnedFd> {
    if !MADE.load(Ordering::Acquire) {
        return None;
    }
    let saved = Errno::last();
    let export = sheltered(|| Ok(doors::lend(borrow(fd)?)?)).ok();
    saved.set();
    export
}

/// After `new` became a copy of `old`.
fn copied(old: c_int, new: c_int) -> c_int {
    if new >= 0 {
        forget(new);
        remember(new, known(old) & !(CALLED | STREAM));
    }
    new
}

/// `dup` of the C library. dup(2).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn dup(fd: c_int) -> c_int {
    if let Some(export) = export(fd) {
        set_close_on_exec(export.as_raw_fd(), false);
        return copied(fd, export.into_raw_fd());
    }
    copied(fd, system_call(libc::SYS_dup, fd, 0, 0))
}

/// `dup2` of the C library. dup(2).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn dup2(old: c_int, new: c_int) -> c_int {
    if old == new {
        // SAFETY: asks only; sets EBADF if it is not open.
        return if unsafe { libc::fcntl(old, libc::F_GETFD) } == -1 {
            -1
        } else {
            new
        };
    }
    dup3(old, new, 0)
}

/// `dup3` of the C library. dup(2).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    if old != new
        && let Some(export) = export(old)
    {
        return copied(old, system_call(libc::SYS_dup3, export.as_raw_fd(), new, flags));
    }
    copied(old, system_call(libc::SYS_dup3, old, new, flags))
}

/// `fcntl` of the C library: `F_DUPFD` and `F_DUPFD_CLOEXEC` are seen to here, the rest is passed on. fcntl(2).
///
/// # Safety
/// `argument` is what the command asks for. In C it is a variable argument, present only for commands that have one;
/// reading it without is harmless in the calling conventions this library supports.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => {
            let lowest = c_int::try_from(argument).unwrap_or(-1);
            let export = export(fd);
            let from = export.as_ref().map_or(fd, AsRawFd::as_raw_fd);
            copied(fd, system_call(libc::SYS_fcntl, from, command, lowest))
        }
        // SAFETY: handed on as it came.
        _ => unsafe { next_fcntl(fd, command, argument) },
    }
}

/// [`fcntl`] under its name with large files.
///
/// # Safety
/// As for [`fcntl`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the same function.
    unsafe { fcntl(fd, command, argument) }
}

/// The C library's own `fcntl`, which knows about locks, owners and cancellation.
///
/// # Safety
/// As for [`fcntl`].
unsafe fn next_fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    type Fcntl = unsafe extern "C-unwind" fn(c_int, c_int, ...) -> c_int;
    static NEXT: Next = Next::new(c"fcntl64");
    let next = NEXT.address();
    if next == 0 {
        // SAFETY: the kernel checks the argument.
        let result = unsafe { libc::syscall(libc::SYS_fcntl, fd, command, argument) };
        return c_int::try_from(result).unwrap_or(-1);
    }
    // SAFETY: the symbol is a function of this type in every C library that has it.
    let next = unsafe { std::mem::transmute::<usize, Fcntl>(next) };
    // SAFETY: handed on as it came.
    unsafe { next(fd, command, argument) }
}

/// `close_range` of the C library: spares what the engine keeps open. close_range(2).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    const CLOSE_RANGE_CLOEXEC: c_int = 4; // closes nothing now, and the engine's own are close-on-exec anyway
    if flags & CLOSE_RANGE_CLOEXEC != 0 {
        return raw_close_range(first, last, flags);
    }
    if first > last {
        Errno(libc::EINVAL).set();
        return -1;
    }
    forget_range(first, last);
    let kept = internal_descriptors(first, last);
    let mut start = first;
    for fd in kept {
        if fd > start {
            let rc = raw_close_range(start, fd - 1, flags);
            if rc != 0 {
                return rc;
            }
        }
        start = fd + 1;
    }
    if start <= last {
        raw_close_range(start, last, flags)
    } else {
        0
    }
}

/// `closefrom` of the C library. closefrom(3).
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn closefrom(first: c_int) {
    close_range(c_uint::try_from(first).unwrap_or(0), c_uint::MAX, 0);
}

fn raw_close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // SAFETY: closes what the application asked to be closed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    c_int::try_from(result).unwrap_or(-1)
}

fn internal_descriptors(first: c_uint, last: c_uint) -> Vec<c_uint> {
    let end = c_uint::try_from(FOLLOWED)
        .unwrap_or(0)
        .min(last.saturating_add(1));
    (first..end)
        .filter(|fd| RawFd::try_from(*fd).is_ok_and(doors::is_internal))
        .collect()
}

fn forget_range(first: c_uint, last: c_uint) {
    let end = KNOWN_END.load(Ordering::Relaxed);
    let numbers = first as usize..end.min((last as usize).saturating_add(1));
    numbers.filter_map(|fd| RawFd::try_from(fd).ok()).for_each(forget);
}

/// A forked child holds copies of its parent's doors. So that they count until it closes them or ends, it gets exports of
/// its own in their place.
mod fork {
    use std::os::fd::{IntoRawFd, RawFd};
    use std::sync::atomic::Ordering;
    use std::sync::{Mutex, PoisonError};

    use super::{COUNTED, KNOWN_END, doors, known, remember, sheltered, system_call};
    use crate::descriptor::borrow;

    /// The exports made for the child that is about to be: number of the door, number of the export.
    static EXPORTS: Mutex<Vec<(RawFd, RawFd)>> = Mutex::new(Vec::new());

    fn exports() -> Vec<(RawFd, RawFd)> {
        std::mem::take(&mut *EXPORTS.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) extern "C" fn prepare() {
        let _ = sheltered(|| {
            let end = RawFd::try_from(KNOWN_END.load(Ordering::Relaxed)).unwrap_or(0);
            for fd in (0..end).filter(|fd| known(*fd) & COUNTED != 0) {
                // A door that cannot be exported now is inherited as it is, and just does not count.
                let export = doors::lend(borrow(fd)?);
                if !matches!(&export, Err(error) if error.raw_os_error() == Some(libc::EMFILE))
                    && export.is_err()
                {
                    remember(fd, 0); // closed, or replaced by something that is not ours
                }
                if let Ok(export) = export {
                    EXPORTS
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((fd, export.into_raw_fd()));
                }
            }
            Ok(())
        });
    }

    pub(super) extern "C" fn parent() {
        for (_, export) in exports() {
            system_call(libc::SYS_close, export, 0, 0);
        }
    }

    pub(super) extern "C" fn child() {
        for (door, export) in exports() {
            // SAFETY: asks only.
            let flags = unsafe { libc::fcntl(door, libc::F_GETFD) };
            let close_on_exec = if flags & libc::FD_CLOEXEC == 0 {
                0
            } else {
                libc::O_CLOEXEC
            };
            system_call(libc::SYS_dup3, export, door, close_on_exec);
            system_call(libc::SYS_close, export, 0, 0);
        }
    }
}
