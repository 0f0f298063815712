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
//! - A call is synchronous, and runs on a server thread of its own: each door has [threads of its own](Builder::threads), or shares
//!   those of the process, of which there are as many as there are calls at once, up to a [bound](set_process_threads).
//! - A procedure is a closure that returns a [`Reply`]. A panic fails its call, with [`CallError::Interrupted`], and nothing else.
//! - Arguments are private copies: nobody can change them while the procedure looks at them. An argument has at most 1 GiB, a call
//!   or reply at most 1024 descriptors.
//! - Descriptors are lent or given. Given ones belong to the receiver after success, and come [back](FailedCall::returned) if the
//!   server did not take them; nothing leaks and nothing is closed twice. Those that arrive are close-on-exec.
//! - After [`CallError::Revoked`] and [`CallError::Again`] the procedure has not run. After [`CallError::Interrupted`] and
//!   [`CallError::TimedOut`] it may have. [`CallError::has_not_run`] tells. No call is ever made again behind its caller's back.
//! - A call whose server lives but does not answer waits as long as its [`timeout`](Call::timeout) says: without one, for ever.
//! - A small call allocates nothing on either side. See [`DoorHandle::call_reusing`], [`Invocation::buffer`] and
//!   [`Invocation::reply`] for large ones.
//!
//! # async
//!
//! With the feature `tokio`, `DoorHandle::call_async` makes a call that is awaited, under any runtime: dropping the future gives it up.
//! `Builder::create_async` serves a door by an asynchronous procedure on the blocking pool of a tokio runtime, and `Builder::runtime`
//! by a plain one.
//!
//! # fork
//!
//! A forked child keeps the door descriptors it inherits, as a client: a [`DoorHandle`] goes on working. Its parent's doors stay its
//! parent's: dropping a [`Door`] or an [`Attachment`] there revokes and detaches nothing, server threads do not exist, and an
//! [`Invocation`] it was forked in the middle of cannot be answered by it. It may make doors of its own, which have their own threads.
//! Nothing has to be called before or after. Inherited descriptors are references: a door with a living child is not unreferenced.
//!
//! # What it is not
//!
//! Not a message queue, and not for other machines. It needs Linux 5.9; credentials are checked best from 6.13.
#![deny(unsafe_code)]

#[cfg(feature = "tokio")]
mod awaited;
mod builder;
mod call;
mod descriptor;
mod door;
mod error;
mod handle;
mod info;
mod invocation;
mod reply;
#[cfg(feature = "tokio")]
mod runtime;
mod small;
mod statistics;
mod sync;
mod sys;
mod threads;
#[cfg(feature = "tokio")]
mod waiters;
mod workers;

#[doc(hidden)]
pub mod engine;

pub use builder::Builder;
pub use call::{Answer, Call, FailedCall};
pub use descriptor::ReceivedDescriptor;
pub use door::{Attachment, Door};
pub use engine::Credentials;
pub use error::{AttachError, CallError, CredentialError, NotADoor, ReplyError};
pub use handle::DoorHandle;
pub use info::{Attributes, DoorInfo, Limits};
pub use invocation::Invocation;
pub use reply::{Reply, ReplyBytes};
pub use statistics::{Histogram, Statistics};
pub use threads::{Threads, set_process_threads};

#[cfg(feature = "service")]
pub use door_service_macros::service;
