//! iSCSI (RFC 7143) as a state machine: PDUs, text keys, login, full feature phase. Pure.
//!
//! [`Connection`] is the target end of one TCP connection, and of its session: one connection a session,
//! error recovery level 0. It has no socket and no clock. Bytes that came go in with
//! [`Connection::handle_input`], time with [`Connection::handle_timeout`]; after each call take what
//! [`Connection::poll_transmit`] has to send, then what [`Connection::poll_event`] wants done.
//!
//! Data is never copied on its way: a write arrives as slices of the buffer it was received in, a read is
//! sent as the slices the daemon gives.
//!
//! ```
//! use bytes::BytesMut;
//! use iscsi_proto::{Connection, ConnectionConfig, Event, Instant, LoginGrant, ScsiResponse};
//!
//! # fn received() -> BytesMut { BytesMut::new() }
//! # fn send(_: bytes::Bytes) {}
//! let mut connection = Connection::new(ConnectionConfig::default(), Instant(0));
//! let mut input: BytesMut = received();
//! if let Err(offence) = connection.handle_input(Instant(1), &mut input) {
//!     eprintln!("{offence}"); // Event::Closed follows
//! }
//! while let Some(event) = connection.poll_event() {
//!     match event {
//!         Event::Login(_) => {
//!             connection.login_verdict(Instant(1), Ok(LoginGrant { tsih: 1, target_alias: None }));
//!         }
//!         Event::Command(command) if command.write => {
//!             let _ = connection.request_data(command.tag, command.expected_data_out);
//!         }
//!         Event::Command(command) => {
//!             connection.complete(command.tag, ScsiResponse::default());
//!         }
//!         Event::DataOut { tag, data: _ } => {
//!             connection.complete(tag, ScsiResponse::default());
//!         }
//!         _ => {}
//!     }
//! }
//! while let Some(bytes) = connection.poll_transmit() {
//!     send(bytes);
//! }
//! ```
//!
//! # What it is not
//!
//! It does not know logical units, does not look into a CDB, and keeps no list of sessions: the daemon
//! decides in [`Event::Login`] what a session identity means and closes the connection that a new one
//! replaces. There is no CHAP yet: AuthMethod is None. It does not recover within a session, so every
//! offence of the initiator that loses data or numbers ends the connection, each under its own name in
//! [`ProtocolError`]; what the standard lets a target refuse is answered with Reject instead.
//!
//! # Limits
//!
//! A data segment is judged before it is waited for. Text is at most 64 KiB and 256 keys. Commands are
//! bounded by the window, immediate ones by a number of their own, and the data collected from the initiator
//! by a budget for the connection ([`ConnectionConfig`]). What waits to be sent is in proportion to what was
//! received and completed: the daemon stops reading while it cannot send.
//!
//! # Where it differs from the standard
//!
//! - DEVIATION: bidirectional commands are rejected ("command not supported").
//! - DEVIATION: MaxConnections is 1, so ST-161's 32 never comes up.
//! - InitialR2T is always Yes, DataPDUInOrder always Yes, ErrorRecoveryLevel always 0, no markers: all as the
//!   standard lets a target choose.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod ahs;
pub mod bhs;
mod config;
mod connection;
mod digest;
mod error;
mod event;
mod framing;
pub mod keys;
mod login;
mod negotiation;
mod number;
mod text;
mod time;
mod transmit;

pub use config::ConnectionConfig;
pub use connection::{Connection, Counters};
pub use error::{CloseReason, LoginStatus, ProtocolError, RequestDataError, TextError};
pub use event::{
    Cdb, Closing, Event, LoginGrant, LoginRequest, LoginVerdict, ScsiCommand, ScsiResponse, SendTargets,
    SessionOpened, TargetRecord, TaskAttribute, TaskManagement, TaskManagementFunction,
    TaskManagementResponse,
};
pub use negotiation::Parameters;
pub use time::Instant;
