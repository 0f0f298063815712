//! State of the daemon that survives kill -9 and power loss: small, precious, readable by a person.
//!
//! [`StateFile`] writes the whole state as a new generation (temporary file, fsync, rename, fsync of the
//! folder) and refuses to load a file whose checksum differs. [`model`] is what is kept.
#![forbid(unsafe_code)]

pub mod file;
pub mod model;

pub use file::{LoadError, StateFile};
pub use model::NodeState;
