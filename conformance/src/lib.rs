//! The whole system under test: real daemons, real initiators, real faults.
//!
//! [`Pair`] starts two nodes, each an `stmfd` and a transport (`stmfproxyd`, or a program in its place), in a
//! temporary directory with ports of their own, waits until they *say* that they are ready, and ends them when it
//! is dropped: also when a test panics, and by the kernel when the test process itself is killed. Around it stand
//! the things a test needs to make life hard for a pair and to see what an initiator sees:
//!
//! | Module | What |
//! |---|---|
//! | [`pair`], [`node`] | the system: start, kill, restart, create a logical unit, move it |
//! | [`cutter`] | a TCP forwarder between the two transports that can be cut, stalled and restored |
//! | [`initiator`] | a small blocking iSCSI initiator that can send what a real one would not |
//! | [`tools`] | real initiators: libiscsi's tools and QEMU's, each with a time limit |
//! | [`tgt`] | Debian's target, to check this harness and to compare with |
//! | [`image`] | a real ext4 file system in a file, and its digest |
//! | [`verify_job`] | a verifying writer and reader over `qemu-io`, with the longest stall it saw |
//! | [`writer`] | writes that count as kept once acknowledged, across killed daemons |
//! | [`ports`], [`process`], [`wait`], [`binaries`] | ports, processes, deadlines, where the programs are |
//!
//! What this is *not*: a benchmark (see `cargo xtask bench`) and a place for unit tests. Nothing here uses a fixed
//! port or sleeps for a fixed time to wait for something.
//!
//! The programs come from one build: `cargo build --workspace` first, or let `cargo xtask test` do it.
#![deny(unsafe_code)]

pub mod binaries;
pub mod c_program;
pub mod cutter;
pub mod image;
pub mod initiator;
pub mod node;
pub mod pair;
pub mod ports;
pub mod process;
pub mod random;
mod sys;
pub mod tgt;
pub mod tools;
pub mod verify_job;
pub mod wait;
pub mod writer;

pub use cutter::Cutter;
pub use initiator::{Initiator, Outcome};
pub use node::{Node, NodeId, Program};
pub use pair::{Pair, PairBuilder};
pub use wait::until;
