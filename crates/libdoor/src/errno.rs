//! `errno`: the only place where the engine's errors become numbers, and where panics end.
#![allow(unsafe_code)]

use std::io;
use std::os::raw::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::engine::{AttachError, CallError, CredentialError, FinishError};

use crate::cancel;

/// An `errno` value to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

impl Errno {
    /// What the C library said last.
    pub(crate) fn last() -> Self {
        // SAFETY: this thread's errno is always there to be read.
        Self(unsafe { Self::place().read() })
    }

    /// Stores the value for the caller.
    pub(crate) fn set(self) {
        // SAFETY: this thread's errno is always there to be written.
        unsafe { Self::place().write(self.0) }
    }

    fn place() -> *mut c_int {
        // SAFETY: only tells where this thread's errno is.
        unsafe { libc::__errno_location() }
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// door_call(3C), ERRORS.
pub(crate) fn of_call(error: &CallError) -> Errno {
    Errno(error.errno())
}

/// door_return(3C), ERRORS. `NoCaller` is not an error there and never gets here.
pub(crate) fn of_finish(error: FinishError) -> Errno {
    match error {
        FinishError::TooBig => Errno(libc::E2BIG),
        FinishError::OutOfDescriptors => Errno(libc::EMFILE),
        FinishError::BadDescriptor | FinishError::NoCaller => Errno(libc::EINVAL),
        FinishError::Os(error) => error.into(),
    }
}

/// door_ucred(3C), ERRORS.
pub(crate) fn of_credential(error: &CredentialError) -> Errno {
    Errno(error.errno())
}

/// fattach(3C) and fdetach(3C), ERRORS.
pub(crate) fn of_attach(error: &AttachError) -> Errno {
    Errno(error.errno())
}

/// Runs the body of an export: an error or a panic becomes `errno` and -1.
pub(crate) fn guard(body: impl FnOnce() -> Result<c_int, Errno>) -> c_int {
    match sheltered(body) {
        Ok(value) => value,
        Err(errno) => {
            errno.set();
            -1
        }
    }
}

/// As [`caught`], with cancellation disabled meanwhile: no unwinding may start in the middle of Rust code.
pub(crate) fn sheltered<T>(body: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let state = cancel::disable();
    let result = caught(body);
    cancel::restore(state);
    result
}

/// Runs `body`; a panic, which would be a bug of ours, becomes `EIO` instead of unwinding into C.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Errno(libc::EIO)))
}
