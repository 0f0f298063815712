//! libstmf: the C interface of the target framework, with the names and the layouts of libstmf(3LIB).
//!
//! The header `include/libstmf.h` is the contract. Each function asks `stmfd` through its control door and returns a
//! status code; nothing is kept between calls but the handles this library has given out. A panic never leaves an
//! exported function: it becomes `STMF_STATUS_ERROR`.
//!
//! `unsafe` is allowed in the modules that meet C memory and nowhere else: [`api`] (the exports), [`memory`] (lists and
//! pointers of the caller) and [`sys`] (descriptors that are numbers of the caller).
#![deny(unsafe_code)]

// The names are those of the manual pages.
#[allow(unsafe_code, non_snake_case)]
mod api;
mod convert;
#[allow(unsafe_code)]
mod memory;
mod proxy;
mod resource;
#[allow(unsafe_code)]
mod sys;
mod types;
