//! The protocol two nodes speak to serve each other's logical units. Pure: no sockets, no clock, no threads.
//!
//! One message is one contiguous run of bytes and travels as the argument of one door call
//! (`stmfInitProxyDoor` side) or of one `stmfPostProxyMsg`. The transport between the nodes carries whole
//! messages and never looks inside; it may lose, delay, duplicate or reorder them, and everything here stays right.
//!
//! | Part | Subject |
//! |---|---|
//! | [`Message`], [`Envelope`] | what can be said, and its bytes (version 1, pinned by `tests/pinned_bytes.rs`) |
//! | [`Peer`] | the relation of two frameworks: greeting, heartbeat, inventories, epochs, planned hand-over |
//! | [`Requester`] | standby side of proxied tasks: outstanding tasks, read reassembly, write data, deadlines |
//! | [`Responder`] | owner side: each task of the peer executed at most once, credit, R2T, aborts |
//!
//! Every state machine has the same shape: feed it with `handle*`, then drain `poll_transmit`, then `poll_event`, then
//! read `poll_timeout` and call `handle_timeout` no later than that.
//!
//! It is *not* a transport, does not authenticate anybody (the transport does) and knows no SCSI: CDBs, sense data and
//! LUNs pass through as bytes.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic))]

extern crate alloc;

mod codec;
mod error;
pub mod handover;
mod limits;
mod message;
mod peer;
mod pieces;
mod reassembly;
mod requester;
mod responder;
mod time;

pub use codec::{DataFrame, Envelope};
pub use error::{DecodeError, Refusal, Rejected};
pub use handover::next_epoch;
pub use limits::*;
pub use message::*;
pub use peer::{
    Channel, Conflict, FailoverError, LinkLoss, Peer, PeerConfig, PeerEvent, PeerStatistics, Route, Sealer,
};
pub use requester::{NewTask, Outcome, Requester, RequesterConfig, RequesterEvent, TaskRefused};
pub use responder::{Responder, ResponderConfig, ResponderEvent, TaskKey, UnknownTask};
pub use time::Instant;
