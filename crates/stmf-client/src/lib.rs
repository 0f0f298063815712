//! Blocking client of the control door of `stmfd`.
//!
//! [`Client`] has one method for each request of [`admin_proto`]; [`ProxySession`] is what the program that carries
//! messages between the nodes holds. Every call has a deadline, so a daemon that hangs never hangs its clients.
//!
//! ```no_run
//! # fn main() -> Result<(), stmf_client::ClientError> {
//! let client = stmf_client::Client::connect(None)?;
//! for lu in client.list_lus()? {
//!     println!("{} {:?}", lu.guid, lu.state);
//! }
//! # Ok(()) }
//! ```
//!
//! This crate is not the C interface (that is `libstmf`, which uses it) and it keeps no state: a client that lost its
//! daemon is dropped and connected again.
#![forbid(unsafe_code)]

mod client;
mod error;
mod groups;
mod logical_units;
mod proxy;

pub use client::{CONTROL_ENVIRONMENT, Client, DEFAULT_CONTROL};
pub use error::{ClientError, Refusal};
pub use proxy::ProxySession;
