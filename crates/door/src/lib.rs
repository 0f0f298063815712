//! Doors for Linux: a descriptor that names a procedure in another process.
//!
//! A server makes a [`Door`] from a closure. Whoever holds a descriptor of it, because it opened the path the door is attached to,
//! inherited it, or was sent it, can run the closure, now, with bytes and descriptors as argument, and gets bytes and
//! descriptors back. The server learns from the kernel who calls. When the last holder lets go, the server is told; when the server
//! dies, callers are told at once.
//!
//! ```
//! use door::{Door, DoorHandle, Reply};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("upper.door");
//! let door = Door::builder()
//!     .max_argument_bytes(4096)
//!     .create(|call| Reply::bytes(call.argument().to_ascii_uppercase()))?;
//! let _attachment = door.attach(&path)?;                 // detached when dropped
//!
//! let handle = DoorHandle::open(&path)?;                 // in any process that may write to the path
//! assert_eq!(handle.call(b"hello")?.data(), b"HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//!
//! - A call is synchronous, and runs on a server thread of its own; the server makes as many as there are calls at once.
//! - Arguments are private copies: nobody can change them while the procedure looks at them. An argument has at most 1 GiB, a call
//!   or reply at most 1024 descriptors.
//! - After [`CallError::Revoked`] and [`CallError::Again`] the procedure has not run. After [`CallError::Interrupted`] and
//!   [`CallError::TimedOut`] it may have.
//! - A call whose server lives but does not answer waits as long as its [`deadline`](Call::deadline) says: without one, for ever.
//! - A forked child keeps the door descriptors it inherits, as a client. Its parent's doors stay its parent's.
//!
//! # What it is not
//!
//! Not a message queue, not asynchronous, and not for other machines. It needs Linux 5.9; credentials are checked best from 6.13.
#![deny(unsafe_code)]

mod descriptor;
mod door;
mod error;
mod handle;
mod info;
mod statistics;
mod sync;
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
pub use statistics::{Histogram, Statistics};
