//! Typed services over doors: a trait in, a client and a server out.
//!
//! ```
//! use std::fs::File;
//! use std::os::fd::OwnedFd;
//!
//! use door_service::Context;
//! use serde::{Deserialize, Serialize};
//!
//! /// Opens files for those who may not.
//! #[door::service(version = 1)]
//! trait Files {
//!     /// Opens a file of the served directory.
//!     fn open(&self, name: &str) -> Result<OwnedFd, Refusal>;
//!     /// The user the server takes the caller for.
//!     fn who_am_i(&self, context: &Context<'_>) -> Option<u32>;
//! }
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Refusal(String);
//!
//! struct Directory(std::path::PathBuf);
//!
//! impl Files for Directory {
//!     fn open(&self, name: &str) -> Result<OwnedFd, Refusal> {
//!         if name.contains('/') {
//!             return Err(Refusal("a plain name, please".to_owned()));
//!         }
//!         File::open(self.0.join(name)).map(OwnedFd::from).map_err(|error| Refusal(error.to_string()))
//!     }
//!
//!     fn who_am_i(&self, context: &Context<'_>) -> Option<u32> {
//!         context.credentials().ok().map(|caller| caller.euid)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # std::fs::write(directory.path().join("letter"), "dear reader")?;
//! # let path = directory.path().join("files.door");
//! let door = FilesServer::new(Directory(directory.path().to_owned())).create()?;
//! let _attachment = door.attach(&path)?;
//!
//! let files = FilesClient::at(&path)?;                     // in any process that may write to the path
//! let letter = files.open("letter")?.expect("it is there");
//! assert_eq!(std::io::read_to_string(File::from(letter))?, "dear reader");
//! assert!(files.open("../etc/passwd")?.is_err());
//! assert!(files.who_am_i()?.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of the trait
//!
//! `trait Files` stays, and gets `Send + Sync + 'static`. `FilesServer` serves whatever implements it, from as many threads as there are
//! calls. `FilesClient` has a method for each of its methods, which gives `Result<R, Error>` where the trait's gives `R`: the outer
//! [`Error`] is the transport's, an error inside of `R` is the method's own.
//!
//! | In the trait | What happens |
//! |---|---|
//! | `&Context<'_>` | not sent: the [`Context`] of this call, with the caller's credentials |
//! | any type of serde's, also with parts of the types below | encoded with postcard |
//! | `&str`, `&[u8]`, `&[T]`, `&Path`, `&T` | sent by value; `&str` and `&[u8]` are not copied again in the server |
//! | `OwnedFd`, `DoorHandle`, also within `Option`, `Result`, `Vec`, `Box`, tuples | given away as descriptor |
//! | `BorrowedFd<'_>`, as a parameter | a copy is sent; the method borrows it |
//! | [`Fd`], within any type of serde's | a descriptor as a field |
//! | a client type such as `FilesClient` | a reference to another service, for instance to an object with a door of its own |
//!
//! # async
//!
//! With the feature `tokio` a client has a twin whose methods give futures, under any runtime: `files.awaited().open("letter").await`. The
//! parameters are encoded at once, so a future borrows nothing. Methods of the trait itself stay plain functions: a server made by
//! `create_with(Door::builder().runtime(&handle))` runs them on the blocking pool of a runtime, where they may `block_on` what they like.
//!
//! # What is on the wire
//!
//! A request is a header of 20 bytes (format, version, service, method) and the parameters as a postcard tuple; a reply is a
//! header of 4 bytes (format, outcome) and the result. The service is told by a hash of its name, a method by a hash of its name
//! and the types of its signature as they are written. So methods can be added and moved, parameters renamed; a method that was
//! changed is another method, and gives [`Error::UnknownMethod`]. What the hash cannot see is a change inside a type that
//! keeps its name: say `version = N + 1` then, and old clients get [`Error::OtherVersion`].
//!
//! # Limits
//!
//! A server made by `create` takes arguments of at most 1 MiB; a client takes replies of at most 16 MiB unless
//! [`max_reply_bytes`](Stub::max_reply_bytes) says otherwise. What is decoded takes memory in proportion to what was sent, a few
//! dozen bytes for a byte at most. Types that contain themselves can exhaust the stack, and sequences of nothing (`Vec<()>`)
//! can take for ever, when the other side wants it: use neither where the other side is not trusted.
#![forbid(unsafe_code)]

mod client;
mod context;
mod descriptors;
mod error;
mod server;
mod wire;

#[cfg(feature = "tokio")]
pub use client::Prepared;
pub use client::Stub;
pub use context::Context;
pub use descriptors::Fd;
pub use door::service;
pub use error::Error;
pub use server::{Answered, Refused, Request, Serve, Served, create, create_with};
pub use wire::Identity;

/// For the code the attribute writes.
#[doc(hidden)]
pub mod __private {
    pub use door::{Builder, Door, DoorHandle};
    pub use serde;

    pub use crate::client::Stub;
    pub use crate::descriptors::{DoorFd, Fd, Lent};
    pub use crate::wire::{ByteBuf, ByteSlice};
}
