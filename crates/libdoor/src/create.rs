//! `door_create`, `door_server_create`, and the callbacks that make server threads.
#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use engine::engine as doors;
use engine::engine::{Attributes, Claimed, DoorSpec, Limits};

use crate::cancel;
use crate::errno::{Errno, sheltered};
use crate::info::c_info;
use crate::types::{
    DOOR_CREATE_MASK, DOOR_DEPLETION_CB, DOOR_NO_DEPLETION_CB, DOOR_PRIVATE, DOOR_PRIVCREATE,
    DOOR_REFUSE_DESC, DOOR_UNREF, DOOR_UNREF_MULTI, DoorAttr, DoorInfo, ServerFunc, ServerProcedure,
};
use crate::worker;
use crate::xcreate::{self, Template};

/// The creation function as an address; 0 is [`default_creation`].
static CREATION: AtomicUsize = AtomicUsize::new(0);

/// Creation function of a process that has not installed another: one detached thread for the process pool.
extern "C-unwind" fn default_creation(_info: *mut DoorInfo) {
    // A thread that cannot be made is not reported: callers wait for one that parks, as on Solaris.
    let _ = cancel::start_detached(worker::server_thread, std::ptr::null_mut());
}

fn creation_function(address: usize) -> ServerFunc {
    if address == 0 {
        return default_creation;
    }
    // SAFETY: only `door_server_create` stores an address, and it comes from a function of this type.
    unsafe { std::mem::transmute::<usize, ServerFunc>(address) }
}

/// `door_server_create`: installs the function that makes server threads; returns the one before.
/// door_server_create(3C). NULL stands for the library's own.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn door_server_create(create_proc: Option<ServerFunc>) -> ServerFunc {
    let address = create_proc.map_or(0, |function| function as usize);
    creation_function(CREATION.swap(address, Ordering::AcqRel))
}

/// The procedure with this address. `None` for 0: a door made with a NULL procedure cannot be served.
pub(crate) fn procedure(address: u64) -> Option<ServerProcedure> {
    let address = usize::try_from(address).ok()?;
    // SAFETY: the engine tells what `make_door` gave it for a door of this process: a procedure, or 0, which is `None`.
    unsafe { std::mem::transmute::<usize, Option<ServerProcedure>>(address) }
}

/// The cookie with this value.
pub(crate) fn cookie(value: u64) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(usize::try_from(value).unwrap_or(0))
}

/// Makes a door. The attributes have been checked.
pub(crate) fn make_door(
    procedure: Option<ServerProcedure>,
    cookie: *mut c_void,
    attributes: DoorAttr,
    template: Option<Arc<dyn Any + Send + Sync>>,
) -> Result<OwnedFd, Errno> {
    worker::forks(); // installs what must be there before anybody is served
    std::hint::black_box(&crate::load::AT_LOAD);
    let mut limits = Limits::default();
    if attributes & DOOR_REFUSE_DESC != 0 {
        limits.descriptors_max = 0;
    }
    let door = doors::create(DoorSpec {
        attributes: Attributes::from_bits(attributes).ok_or(Errno(libc::EINVAL))?,
        procedure_address: procedure.map_or(0, |procedure| procedure as usize as u64),
        cookie: cookie.expose_provenance() as u64,
        limits,
        procedure: template,
    })?;
    crate::interpose::created(door.as_raw_fd(), attributes);
    Ok(door)
}

/// What both ways of making a door refuse. door_create(3C), ERRORS.
pub(crate) fn check_attributes(attributes: DoorAttr) -> Result<(), Errno> {
    let both = DOOR_UNREF | DOOR_UNREF_MULTI;
    if attributes & !DOOR_CREATE_MASK != 0 || attributes & both == both {
        return Err(Errno(libc::EINVAL));
    }
    Ok(())
}

/// True once per process: for its first door that is not private.
fn is_first_door() -> bool {
    static SERVED: AtomicU64 = AtomicU64::new(0);
    let this_process = u64::from(worker::forks()) + 1;
    SERVED.swap(this_process, Ordering::AcqRel) != this_process
}

/// `door_create`: makes a door and returns its descriptor. door_create(3C).
///
/// # Safety
/// `server_procedure` is a server procedure and accepts `cookie`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn door_create(
    server_procedure: Option<ServerProcedure>,
    cookie: *mut c_void,
    attributes: DoorAttr,
) -> c_int {
    let made = sheltered(|| {
        if attributes & (DOOR_NO_DEPLETION_CB | DOOR_PRIVCREATE) != 0 {
            return Err(Errno(libc::EINVAL));
        }
        check_attributes(attributes)?;
        let door = make_door(server_procedure, cookie, attributes, None)?;
        let depletion = if attributes & DOOR_PRIVATE != 0 {
            Depletion::Legacy(c_info(&doors::info(door.as_fd())?))
        } else if is_first_door() {
            Depletion::Process
        } else {
            Depletion::None
        };
        Ok((door.into_raw_fd(), depletion))
    });
    match made {
        Ok((door, threads)) => {
            make_threads(threads);
            door
        }
        Err(errno) => {
            errno.set();
            -1
        }
    }
}

/// Which creation function to call, with what. Plain values: nothing here needs to be dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Depletion {
    /// None: the pool has a thread to spare, or does not grow.
    None,
    /// The process pool: the installed function, with NULL.
    Process,
    /// A private pool of `door_create`: the installed function, with the door.
    Legacy(DoorInfo),
    /// A private pool of `door_xcreate`: its own function.
    Xcreate(DoorInfo, Template),
}

impl Depletion {
    /// For an invocation that took the last thread of its pool. doors.md §4.1.
    pub(crate) fn of(claimed: &Claimed) -> Self {
        let attributes = claimed.attributes();
        if !attributes.contains(Attributes::PRIVATE) {
            return Self::Process;
        }
        if attributes.contains(Attributes::NO_DEPLETION_CB) {
            return Self::None;
        }
        let mut info = c_info(&claimed.info());
        info.attributes |= DOOR_DEPLETION_CB;
        match claimed
            .procedure()
            .and_then(|template| template.downcast_ref::<Template>())
        {
            Some(template) => Self::Xcreate(info, *template),
            None => Self::Legacy(info),
        }
    }
}

/// Calls a creation function, on this thread, before the procedure.
pub(crate) fn make_threads(depletion: Depletion) {
    let function = creation_function(CREATION.load(Ordering::Acquire));
    match depletion {
        Depletion::None => {}
        // SAFETY: NULL is what the function is called with for the process pool.
        Depletion::Process => unsafe { function(std::ptr::null_mut()) },
        Depletion::Legacy(mut info) => {
            // SAFETY: `info` lives until the function has returned, which is as long as it may look at it.
            unsafe { function(&raw mut info) }
        }
        Depletion::Xcreate(info, template) => xcreate::grow(info, template),
    }
}
