//! Signatures first; bodies follow.
#![allow(missing_docs, missing_debug_implementations, dead_code)]
use super::{AttachError, Attributes, CallError, CredentialError, DoorInfo, Limits};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn soon<T>() -> io::Result<T> { Err(io::Error::from_raw_os_error(libc::ENOSYS)) }

/// What a door is made from.
pub struct DoorSpec {
    pub attributes: Attributes,       // creation bits only (no LOCAL, REVOKED, IS_UNREF)
    pub procedure_address: u64,       // told by info, never used by the engine
    pub cookie: u64,
    pub limits: Limits,
    pub procedure: Option<Arc<dyn std::any::Any + Send + Sync>>, // opaque to the engine; Claimed::procedure() gives it back
}
pub fn create(spec: DoorSpec) -> io::Result<OwnedFd> { let _ = spec; soon() }
/// A fresh export of a door of this process. EBADF not a door, EINVAL not ours.
pub fn lend(door: BorrowedFd<'_>) -> io::Result<OwnedFd> { let _ = door; soon() }
pub fn is_door(fd: BorrowedFd<'_>) -> bool { let _ = fd; false }
/// Works for any holder, revoked and dead doors included. EBADF if not a door. Includes the limits (door_getparam).
pub fn info(fd: BorrowedFd<'_>) -> io::Result<DoorInfo> { let _ = fd; soon() }
/// EBADF not a door, EPERM not ours. Does not close `fd` (door_revoke must, afterwards).
pub fn revoke(fd: BorrowedFd<'_>) -> io::Result<()> { let _ = fd; soon() }
/// Unchecked replacement of all three limits of a door of ours: EBADF not a door or revoked, EPERM not ours.
pub fn set_limits(fd: BorrowedFd<'_>, change: &mut dyn FnMut(&mut Limits) -> io::Result<()>) -> io::Result<()> { let _ = (fd, change); soon() }

/// A pool of server threads.
pub struct Pool(());
pub fn process_pool() -> io::Result<Arc<Pool>> { soon() }
/// Private pool of a door of ours: EBADF not a door; EINVAL not private or another process's.
pub fn pool_of(door: BorrowedFd<'_>) -> io::Result<Arc<Pool>> { let _ = door; soon() }
impl Pool { pub fn door_info(&self) -> Option<DoorInfo> { None } } // the door of a private pool (DOOR_QUERY); None for the process pool

#[derive(Debug)] pub struct Stopped;
pub struct ServerThread(());
impl ServerThread {
    pub fn new(token: u64) -> io::Result<Self> { let _ = token; soon() }
    pub fn bind(&mut self, pool: Option<Arc<Pool>>) { let _ = pool; }
    pub fn binding(&self) -> Option<&Arc<Pool>> { None }
    pub fn park(&mut self) -> Result<Claimed, Stopped> { Err(Stopped) }
    pub fn retire(&mut self, claimed: Claimed) { drop(claimed); }
}
/// Called (by any server thread) when the caller of the invocation running on the thread with this token gave up or died,
/// unless the door is NO_CANCEL. The thread cannot finish or retire that invocation while the hook runs.
pub fn set_cancel_hook(hook: fn(token: u64)) { let _ = hook; }

pub struct Claimed(());
impl Claimed {
    pub fn cookie(&self) -> u64 { 0 }
    pub fn procedure_address(&self) -> u64 { 0 }
    pub fn procedure(&self) -> Option<&Arc<dyn std::any::Any + Send + Sync>> { None }
    pub fn info(&self) -> DoorInfo { unreachable!() }
    pub fn attributes(&self) -> Attributes { Attributes::empty() }
    /// 16-byte aligned private copy; empty slice when the caller sent nothing.
    pub fn argument(&self) -> &[u8] { &[] }
    pub fn argument_mut(&mut self) -> &mut [u8] { &mut [] }
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> { Vec::new() }
    pub fn is_unreferenced(&self) -> bool { false }
    pub fn depleted(&self) -> bool { false }
    pub fn is_cancelled(&self) -> bool { false }
    pub fn credentials(&self) -> Result<Credentials, CredentialError> { Err(CredentialError::CallerGone) }
    pub fn finish(&mut self, data: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), FinishError> { let _ = (data, descriptors); Ok(()) }
}
/// Why finish failed; the invocation is still owned.
#[derive(Debug)]
pub enum FinishError { TooBig /* E2BIG */, OutOfDescriptors /* EMFILE */, BadDescriptor /* EINVAL */, NoCaller /* aborted: treat as success, close RELEASE */, Os(io::Error) }

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials { pub uid: u32, pub gid: u32, pub euid: u32, pub egid: u32, pub groups: Vec<u32>, pub pid: u32 }

/// Where a reply goes. `place` is called once, with the final sizes, only for a successful call with data or descriptors.
pub trait ReplySink {
    /// Room for at least `data` bytes. An error fails the call with it; descriptors of the reply are closed.
    fn place(&mut self, data: usize, descriptors: usize) -> Result<&mut [MaybeUninit<u8>], CallError>;
    /// The first `data` bytes of what `place` returned are now filled.
    fn placed(&mut self, data: usize);
}
/// Bytes of the caller. They are read once, before the call is posted to its end; `results: false` = params NULL: a non-empty answer fails in the server.
pub struct CallRequest<'a> {
    pub data: Source<'a>,
    pub descriptors: &'a [BorrowedFd<'a>],
    pub deadline: Option<Instant>,
    pub interruptible: bool,
    pub results: bool,
}
#[derive(Clone, Copy)] pub struct Source<'a>(&'a [u8]);
impl<'a> From<&'a [u8]> for Source<'a> { fn from(b: &'a [u8]) -> Self { Self(b) } }
// plus: unsafe fn Source::from_raw(ptr, len) for callers whose buffer may alias the reply buffer
pub struct CallReply { pub data_len: usize, pub descriptors: Vec<OwnedFd> }
pub struct CallFailure { pub error: CallError, /** the descriptors left the caller: close those marked RELEASE */ pub consumed: bool }
pub fn call(fd: BorrowedFd<'_>, request: &CallRequest<'_>, sink: &mut dyn ReplySink) -> Result<CallReply, CallFailure> { let _ = (fd, request, sink); Err(CallFailure { error: CallError::Revoked, consumed: false }) }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptorCheck { Always, Never }
pub fn set_descriptor_check(check: DescriptorCheck) { let _ = check; }
/// This number was closed or replaced.
pub fn forget(fd: std::os::fd::RawFd) { let _ = fd; }
/// Numbers the engine keeps for itself (closefrom and close_range should leave them).
pub fn is_internal(fd: std::os::fd::RawFd) -> bool { let _ = fd; false }

#[derive(Debug, Clone, Copy)]
pub struct AttachOptions { /** create the path if it does not exist (else ENOENT) */ pub create: bool, /** replace the attachment of a dead server (else EBUSY) */ pub replace_stale: bool }
pub fn attach(door: BorrowedFd<'_>, path: &Path, options: AttachOptions) -> Result<(), AttachError> { let _ = (door, path, options); Err(AttachError::NotOurs) }
pub fn detach(path: &Path) -> Result<(), AttachError> { let _ = path; Err(AttachError::NotAttached) }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadDoor { /** ECONNREFUSED */ Refuse, /** a descriptor whose calls give Revoked, as on Solaris */ Yield }
/// ENXIO if the path is no door.
pub fn open(path: &Path, dead: DeadDoor) -> io::Result<OwnedFd> { let _ = (path, dead); soon() }
