//! How a server procedure is entered, and how `door_return` leaves it for good.
//!
//! [`invoke`] calls the procedure and remembers its own stack pointer; [`resume`] puts that stack pointer back
//! and returns from `invoke` as if the procedure had returned, whatever is on the stack above. This is not
//! `setjmp`: each call of `invoke` returns exactly once, so the compiler's picture of its caller stays true.
//!
//! Rules for whoever calls these, because frames are thrown away without running destructors and because
//! `pthread_exit` and `pthread_cancel` unwind through them:
//! - between `invoke` and `resume` no Rust frame may own anything that needs dropping;
//! - every Rust frame below `invoke` is `extern "C-unwind"` or plain Rust without drop glue.
//!
//! The unwind tables are complete, so a cancelled procedure runs its clean-up handlers *and* those of the
//! application's frames below a `door_return` with which one of its own threads joined the pool.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{invoke, resume};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{invoke, resume};

/// What [`invoke`] returns when `door_return` ended the procedure through [`resume`].
pub(crate) const ANSWERED: core::ffi::c_int = 0;

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
compile_error!("libdoor needs invoke and resume for this architecture: see src/trampoline");
