//! The only `unsafe` of this crate, in small pieces; everything above uses the safe functions here.
#![allow(unsafe_code)]

pub mod barrier;
pub(crate) mod epoll;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod maps;
pub(crate) mod memory;
#[cfg(loom)]
pub(crate) mod model;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod socket;
pub(crate) mod table;
pub(crate) mod valgrind;
