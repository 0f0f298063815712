//! The engine: doors without a language on top. Not a stable interface; it exists for this crate's own
//! API and for the C library `libdoor`.
//!
//! # Server
//!
//! [`create`] makes a door and returns its descriptor (close-on-exec, lowest free number). The engine starts one hidden
//! control thread per process with the first door, but **never a server thread**: threads belong to the caller.
//! A server thread is a loop over a [`ServerThread`]:
//!
//! ```ignore
//! let mut thread = ServerThread::new(token)?;           // token: opaque, handed to the cancel hook (pthread_t for C)
//! thread.bind(Some(engine::pool_of(fd)?));              // optional: door_bind; None = process pool (door_unbind)
//! loop {
//!     let mut claimed = thread.park()?;                 // blocks; Err(Stopped) only if the process lost the engine (fork child)
//!     if claimed.depleted() { /* run the creation function, on this thread, before the procedure */ }
//!     /* claimed.procedure(), .cookie(), .argument_mut(), .take_descriptors(), .is_unreferenced() */
//!     claimed.finish(&data, &descriptors)?;             // may be repeated after an error; the client still waits then
//!     thread.retire(claimed);                           // gives back buffer and sticky lane; dropping instead is correct but slower
//! }
//! ```
//!
//! [`Claimed`] owns everything it needs and borrows nothing: keep it wherever "the invocation of this thread" lives.
//! Dropping one that was not finished fails the client's call with `Interrupted` (EINTR): that is what thread exit,
//! cancellation and a procedure that returns need. The argument buffer stays valid until `retire` or drop, so
//! `door_return` may answer from it in place.
//!
//! # Descriptors
//!
//! The engine never closes a descriptor of the caller: pass borrowed ones, and close those marked `DOOR_RELEASE` after
//! success ([`Claimed::finish`] is `Ok`, or [`CallFailure::consumed`] / a successful call). A door of this process that is
//! passed is replaced by a fresh export of itself on the way, so that its references are counted exactly.
//! Received descriptors are close-on-exec.
//!
//! # Client
//!
//! [`call`] works on any descriptor number and validates it on each call (`SO_COOKIE`), unless [`set_descriptor_check`]
//! says the caller reports closed numbers through [`forget`]. [`Target`] + [`call_target`] is the same for owners that know their
//! descriptor does not change (Rust handles). The reply's place is asked for when its size is known: [`ReplySink`].
//!
//! # Signals, deadlines
//!
//! With `interruptible`, a signal handler that ran while the call slept ends it: [`CallError::Again`] if no thread had taken it
//! (EAGAIN), [`CallError::Interrupted`] otherwise. Without, waits are resumed. A deadline gives [`CallError::TimedOut`].
//! An abandoned call keeps its lane until the server has answered (zombie).
//!
//! # fork
//!
//! A forked child has no doors, no links and no server threads of its own; inherited door descriptors work and make links of
//! their own at first use. Nothing has to be called. Objects of the parent's engine ([`ServerThread`], [`Claimed`]) are inert
//! in the child: `park` gives `Stopped`, `finish` gives `FinishError::NoCaller`.

mod stub;
pub use stub::*;
pub use crate::error::{AttachError, CallError, CredentialError};
pub use crate::info::{Attributes, DoorInfo, Limits};
