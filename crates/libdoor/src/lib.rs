//! `libdoor`: the C interface of doors, source compatible with door_create(3C).
//!
//! The header files in `include/` are the contract; this crate is what stands behind them. It owns the C side of
//! things: memory of the caller that may be bad, `errno`, POSIX threads, cancellation, and [`trampoline`], which
//! makes `door_return` not return. Links, slots, pools, reference counts and credentials are the engine's, the crate
//! `door`.
//!
//! # What differs from Solaris
//!
//! - Only a door of the calling process can be attached; a descriptor of another
//!   process's door gives `EINVAL` where Solaris would attach it.
//! - A request is limited by memory (1 GiB), not by the server thread's stack: arguments do not lie on it.
//! - `DOOR_RELEASE` descriptors of a call are closed when it ends, not when the server has taken them.
//! - A signal whose handler runs in the microseconds in which `door_call` has not yet gone to sleep does not interrupt it.
//! - After an abort, `door_return` acts on a cancellation that the abort left pending, if the procedure's thread allows
//!   cancellation: it ends that thread, not the invocation of somebody else.
//! - `open` is a cancellation point only at its start, and so is `close`.
//!
//! # Unsafe
//!
//! Unlike the other crates this one is unsafe by trade: each module that exports or calls C allows `unsafe` for
//! itself and says at each block why it holds. Everything exported catches panics, see [`errno::guard`].
#![deny(unsafe_code)]

mod asleep;
mod call;
mod cancel;
mod create;
mod credential;
mod descriptor;
mod errno;
mod info;
mod interpose;
mod load;
mod memory;
mod next;
mod path;
mod status;
mod stream;
mod trampoline;
mod types;
mod worker;
mod xcreate;
