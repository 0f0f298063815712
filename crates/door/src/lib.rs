//! Doors for Linux: a descriptor that names a procedure in another process.
#![deny(unsafe_code)]

mod error;
mod info;

#[doc(hidden)]
pub mod engine;

pub use error::{AttachError, CallError, CredentialError, NotADoor};
pub use info::{Attributes, DoorInfo, Limits};
