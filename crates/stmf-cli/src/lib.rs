//! `stmfadm`: administration of the target framework, with the sub-commands, labels and messages of stmfadm(1M).
//!
//! The program is [`run`]; the rest is by subject: what is typed ([`args`]), what is shown, and one module of commands
//! per kind of object. Nothing here is kept: each run asks `stmfd` through its control door and ends.
#![deny(unsafe_code)]

pub mod args;
mod failure;
mod group;
mod logical_unit;
mod run;
mod service;
mod show;
#[allow(unsafe_code)]
mod sys;
mod target;
mod view;

pub use run::run;
