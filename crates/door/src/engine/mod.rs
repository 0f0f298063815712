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
//! [`call()`] works on any descriptor number and validates it on each call (`SO_COOKIE`), unless [`set_descriptor_check`]
//! says the caller reports closed numbers through [`forget`]. [`Target`] + [`call_target`] is the same for owners that know their
//! descriptor does not change (Rust handles). The reply's place is asked for when its size is known: [`ReplySink`].
//!
//! # Signals, deadlines
//!
//! With `interruptible`, a signal handler that ran while the call slept ends it: [`CallError::Again`] if no thread had taken it
//! (EAGAIN), [`CallError::Interrupted`] otherwise. Without, waits are resumed. A deadline gives [`CallError::TimedOut`].
//! An abandoned call keeps its lane until the server has answered (zombie). An [`Abort`] lets another thread end a call so; with
//! [`attempt_target`] a thread that must not sleep posts a call, and looks for its answer, before it leaves the rest to one that may.
//!
//! # fork
//!
//! A forked child has no doors, no links and no server threads of its own; inherited door descriptors work and make links of
//! their own at first use. Nothing has to be called. Objects of the parent's engine ([`ServerThread`], [`Claimed`]) are inert
//! in the child: `park` gives `Stopped`, `finish` gives `FinishError::NoCaller`.

// What both sides of a link share.
mod layout;
mod offer;
mod spin;
mod wire;

// The client's side: a call, and what it needs.
mod call;
mod client;
mod numbers;
mod route;
mod wait;

// The server's side: doors, who may reach them, the threads that serve them, and one invocation.
mod abort;
mod answer;
mod attempt;
mod budget;
mod claimed;
mod link;
mod object;
mod path;
mod pool;
mod stats;
mod thread;

// The server's descriptors, and the thread that has them.
mod control;
mod deliver;
mod errand;
mod internal;
mod seed;
mod server;
mod undertaker;

// Who the other side is, and what this one has in its memory.
mod identity;
mod maps;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
#[cfg(all(test, loom))]
mod models;

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use abort::Abort;
pub use attempt::{Attempt, Unanswered, attempt_target, resume_target};
pub use call::{CallFailure, CallRequest, Outcome, ReplySink, call_target};
pub use claimed::{Claimed, FinishError};
pub use client::Target;
pub use identity::Credentials;
pub use maps::{Mapped, mapped};
pub use numbers::{DescriptorCheck, Unfinished, attempt, call, finish, forget, set_descriptor_check};
pub use path::{AttachOptions, DeadDoor};
pub use pool::Pool;
pub use seed::prepare;
pub use thread::{ServerThread, Stopped, set_cancel_hook};
pub use wait::Patience;

pub use crate::error::{AttachError, CallError, CredentialError};
pub use crate::info::{Attributes, DoorInfo, Limits};
pub use crate::statistics::{Histogram, Statistics};
pub use crate::sys::barrier;
pub use crate::sys::memory::{Source, VecSink};

/// Greatest number of descriptors with a call or a reply.
pub const MAX_DESCRIPTORS: usize = 1024;

/// What a door is made from.
pub struct DoorSpec {
    /// Attributes; none of the output ones.
    pub attributes: Attributes,
    /// Told by [`info`]; not used otherwise.
    pub procedure_address: u64,
    /// Told by [`info`]; not used otherwise.
    pub cookie: u64,
    /// Limits on requests.
    pub limits: Limits,
    /// Handed out by [`Claimed::procedure`]; not used otherwise.
    pub procedure: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for DoorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorSpec")
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}

fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// The door of this process behind `fd`, or `EBADF` if it is no door, or `foreign` if it is not ours.
fn ours(fd: BorrowedFd<'_>, foreign: i32) -> io::Result<Arc<object::DoorObject>> {
    if !is_door(fd) {
        return Err(error(libc::EBADF));
    }
    server::own_door(fd)
        .map(|export| Arc::clone(&export.door))
        .ok_or_else(|| error(foreign))
}

/// Makes a door.
///
/// # Errors
/// `EINVAL` for attributes that contradict each other or are for output only; `EMFILE`.
pub fn create(spec: DoorSpec) -> io::Result<OwnedFd> {
    server::create(spec)
}

/// A fresh descriptor of a door of this process, which counts as a reference of its own.
///
/// # Errors
/// `EBADF` not a door, `EINVAL` not ours, `EMFILE`.
pub fn lend(door: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let door = ours(door, libc::EINVAL)?;
    server::of_this_process()?.export(&door, object::Reference::Export)
}

/// Revokes the door of a private pool, if it still exists.
pub fn revoke_door_of(pool: &Pool) {
    server::revoke_door_of(pool);
}

/// True if the descriptor is a door, of whatever process, alive or not.
#[must_use]
pub fn is_door(fd: BorrowedFd<'_>) -> bool {
    server::server_id_of(fd).is_some()
}

/// What the door says about itself. Works for any holder, and for revoked and dead doors.
///
/// # Errors
/// `EBADF` not a door.
pub fn info(fd: BorrowedFd<'_>) -> io::Result<DoorInfo> {
    client::info(fd, &Patience::ENDLESS)
}

/// Like [`info`], for doors of servers that may not answer: gives up at `deadline`.
///
/// # Errors
/// `EBADF` not a door; `TimedOut`.
pub fn info_by(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<DoorInfo> {
    client::info(fd, &Patience::until(deadline))
}

/// What the door has been doing. Works for any holder, and for revoked doors.
///
/// # Errors
/// `EBADF` not a door, or its server is gone; `TimedOut` if the server does not answer by `deadline`.
pub fn statistics(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<Statistics> {
    client::statistics(fd, &Patience::until(deadline))
}

/// Revokes a door of this process. Does not close `fd`.
///
/// # Errors
/// `EBADF` not a door, `EPERM` not ours.
pub fn revoke(fd: BorrowedFd<'_>) -> io::Result<()> {
    server::revoke(fd)
}

/// Waits until no procedure of a revoked door of this process runs, or it is `until`; true in the first case.
///
/// # Errors
/// `EBADF` not a door, `EPERM` not ours.
pub fn wait_for_end(fd: BorrowedFd<'_>, until: Option<Instant>) -> io::Result<bool> {
    Ok(ours(fd, libc::EPERM)?.wait_for_end(until))
}

/// Changes the limits of a door of this process, as a whole and only if `change` agrees.
///
/// # Errors
/// `EBADF` not a door or revoked, `EPERM` not ours, or what `change` says.
pub fn set_limits(
    fd: BorrowedFd<'_>,
    change: &mut dyn FnMut(&mut Limits) -> io::Result<()>,
) -> io::Result<()> {
    let door = ours(fd, libc::EPERM)?;
    if door.is_revoked() {
        return Err(error(libc::EBADF));
    }
    door.change_limits(change)
}

/// The pool of this process, which serves all doors that have none of their own.
///
/// # Errors
/// Those of starting the engine.
pub fn process_pool() -> io::Result<Arc<Pool>> {
    Ok(Arc::clone(server::of_this_process()?.process_pool()))
}

/// The pool of a private door of this process.
///
/// # Errors
/// `EBADF` not a door; `EINVAL` not private, or another process's.
pub fn pool_of(door: BorrowedFd<'_>) -> io::Result<Arc<Pool>> {
    let door = ours(door, libc::EINVAL)?;
    if !door.attributes().contains(Attributes::PRIVATE) {
        return Err(error(libc::EINVAL));
    }
    Ok(Arc::clone(door.pool()))
}

/// Hands over a pool that was [closed](Pool::close) and whose last thread has gone: calls that still come are refused by the engine.
///
/// # Errors
/// Those of epoll_ctl(2).
pub fn retire(pool: &Arc<Pool>) -> io::Result<()> {
    server::of_this_process()?.retire(pool)
}

/// True if valgrind runs this process, whatever its tool.
#[must_use]
pub fn is_watched_by_valgrind() -> bool {
    crate::sys::valgrind::watches()
}

/// True for numbers the engine keeps for itself: closefrom(3) and the like should leave them.
#[must_use]
pub fn is_internal(fd: RawFd) -> bool {
    crate::sys::fork::is_tracked(fd)
}

/// True if numbers of descriptors mean to this thread what they mean to the application. To threads of the engine's own they do not.
#[must_use]
pub fn has_application_table() -> bool {
    crate::sys::table::here() == crate::sys::table::Table::Application
}

/// Attaches a door of this process to a path.
///
/// # Errors
/// See [`AttachError`].
pub fn attach(door: BorrowedFd<'_>, path: &Path, options: AttachOptions) -> Result<(), AttachError> {
    path::attach(door, path, options)
}

/// Detaches whatever door is attached to a path; what it covered comes back.
///
/// # Errors
/// See [`AttachError`].
pub fn detach(path: &Path) -> Result<(), AttachError> {
    path::detach(path)
}

/// Opens the door attached to a path.
///
/// # Errors
/// `ENXIO` if the path is no door; otherwise those of open(2).
pub fn open(path: &Path, dead: DeadDoor) -> io::Result<OwnedFd> {
    path::open(path, dead, None)
}

/// Like [`open`], for doors of servers that may not take anybody in: gives up at `deadline`.
///
/// # Errors
/// `TimedOut`; see [`open`].
pub fn open_by(path: &Path, dead: DeadDoor, deadline: Option<Instant>) -> io::Result<OwnedFd> {
    path::open(path, dead, deadline)
}
