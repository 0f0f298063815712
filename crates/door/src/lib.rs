//! Doors for Linux: a descriptor that names a procedure in another process.
#![deny(unsafe_code)]

mod descriptor;
mod door;
mod error;
mod handle;
mod info;
mod sys;
mod workers;

#[doc(hidden)]
pub mod engine;

pub use descriptor::ReceivedDescriptor;
pub use door::{Attachment, Builder, Door, Invocation, Reply};
pub use engine::Credentials;
pub use error::{AttachError, CallError, CredentialError, NotADoor};
pub use handle::{Answer, Call, DoorHandle};
pub use info::{Attributes, DoorInfo, Limits};
