//! `libdoor`: the C interface of doors, source compatible with door_create(3C).
//!
//! The header files in `include/` are the contract; this crate is what stands behind them. It owns the C side of
//! things: memory of the caller that may be bad, `errno`, POSIX threads, cancellation, and [`trampoline`], which
//! makes `door_return` not return. Links, slots, pools, reference counts and credentials are the engine's, the crate
//! `door`.
//!
//! # What differs from Solaris
//!
//! `docs/door.md` lists it.
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
mod sanitizer;
mod status;
mod stream;
mod trampoline;
mod types;
mod worker;
mod xcreate;
