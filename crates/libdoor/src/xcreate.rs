//! `door_xcreate`: private doors that bring their own way of making threads. door_xcreate(3C).
#![allow(unsafe_code)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, IntoRawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use engine::engine as doors;
use engine::engine::Pool;

use crate::cancel;
use crate::create::{check_attributes, make_door};
use crate::descriptor;
use crate::errno::{Errno, sheltered};
use crate::info::c_info;
use crate::types::{
    DOOR_PRIVATE, DOOR_PRIVCREATE, DoorAttr, DoorInfo, ServerProcedure, StartFunc, ThreadSetupFunc,
    XcreateFunc,
};
use crate::worker;

/// How threads for one door are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template {
    create: XcreateFunc,
    setup: Option<ThreadSetupFunc>,
    crcookie: Cookie,
}

/// The application's pointer, handed back and never looked at.
#[derive(Debug, Clone, Copy)]
struct Cookie(*mut c_void);
// SAFETY: a value for this library; what it points to is the application's business, as door_xcreate(3C) says.
unsafe impl Send for Cookie {}
// SAFETY: as above.
unsafe impl Sync for Cookie {}

/// One thread between its making and its first park.
struct Handshake {
    pool: Arc<Pool>,
    template: Template,
    /// Threads of one door_xcreate or one depletion callback share a group.
    group: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The thread has not come yet.
    Starting,
    /// It has, and is binding itself.
    Binding,
    /// Bound; waits for the verdict.
    Bound,
    /// Could not bind itself, or has ended before.
    Failed,
    /// Verdict: all threads are there, serve.
    Serve,
    /// Verdict: the door could not be made, end.
    End,
}

impl Handshake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes from one state to another; false if it was in neither.
    fn step(&self, from: State, to: State) -> bool {
        let mut state = self.lock();
        let expected = *state == from;
        if expected {
            *state = to;
            self.changed.notify_all();
        }
        expected
    }

    fn wait_while(&self, waits: impl Fn(State) -> bool) -> State {
        *self
            .changed
            .wait_while(self.lock(), |state| waits(*state))
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handshake in the hands of its thread. Dropped before the thread is bound, it has failed: the application's set-up
/// function may end the thread, and what the thread holds is dropped with it.
struct Coming(Arc<Handshake>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.step(State::Binding, State::Failed);
    }
}

thread_local! {
    static COMING: Cell<Option<Coming>> = const { Cell::new(None) };
}

/// Handshakes by the number that is given out as `startfarg`: a start routine called twice, late, or with something
/// else finds nothing to do here and ends, instead of following a dangling pointer.
static STARTING: Mutex<BTreeMap<usize, Arc<Handshake>>> = Mutex::new(BTreeMap::new());

/// The last number given to a handshake or a group.
static LAST: AtomicUsize = AtomicUsize::new(0);

fn next_number() -> usize {
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

fn starting<T>(body: impl FnOnce(&mut BTreeMap<usize, Arc<Handshake>>) -> T) -> T {
    body(&mut STARTING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Expects one more thread; returns its `startfarg`.
fn expect_thread(pool: &Arc<Pool>, template: Template, group: usize) -> usize {
    let (pool, number) = (Arc::clone(pool), next_number());
    let (state, changed) = (Mutex::new(State::Starting), Condvar::new());
    let handshake = Arc::new(Handshake {
        pool,
        template,
        group,
        state,
        changed,
    });
    starting(|all| all.insert(number, handshake));
    number
}

/// The application's thread begins here: `startf(startfarg)`.
unsafe extern "C-unwind" fn start(argument: *mut c_void) -> *mut c_void {
    let found = sheltered(|| {
        let handshake = starting(|all| all.get(&argument.addr()).cloned()).ok_or(Errno(libc::EINVAL))?;
        if !handshake.step(State::Starting, State::Binding) {
            return Err(Errno(libc::EINVAL));
        }
        let template = handshake.template;
        COMING.set(Some(Coming(handshake)));
        Ok(template)
    });
    let Ok(template) = found else {
        return std::ptr::null_mut();
    };
    match template.setup {
        // SAFETY: the application's own function with its own cookie. It may unwind: this frame owns nothing.
        Some(setup) => unsafe { setup(template.crcookie.0) },
        None => cancel::disable_deferred(),
    }
    let serves = sheltered(bind);
    if serves == Ok(true) {
        worker::join_pool()
    } else {
        std::ptr::null_mut()
    }
}

/// Binds this thread and waits for the verdict. True: serve.
fn bind() -> Result<bool, Errno> {
    let Coming(handshake) = &COMING.take().ok_or(Errno(libc::EINVAL))?;
    worker::bind_to(Arc::clone(&handshake.pool))?;
    handshake.step(State::Binding, State::Bound);
    let verdict = handshake.wait_while(|state| state == State::Bound);
    if verdict != State::Serve {
        worker::unbind()?;
    }
    Ok(verdict == State::Serve)
}

/// Calls the application's creation function once. 1: a thread has been made.
fn call_creation(template: &Template, info: &mut DoorInfo, number: usize) -> c_int {
    let start: StartFunc = start;
    let argument = std::ptr::without_provenance_mut(number);
    // SAFETY: the application's function; `info` lives until it has returned, `argument` is only a number.
    let made = unsafe { (template.create)(&raw mut *info, start, argument, template.crcookie.0) };
    if !(-1..=1).contains(&made) {
        std::process::abort(); // doors.md §3.2: any other value ends the process
    }
    made
}

/// Waits for the threads of a group, unless one was not made, and gives them the verdict.
fn settle(group: usize, made: c_int) -> Result<(), Errno> {
    let threads: Vec<Arc<Handshake>> = starting(|all| {
        all.values()
            .filter(|handshake| handshake.group == group)
            .cloned()
            .collect()
    });
    let mut result = match made {
        1 => Ok(()),
        0 => Err(Errno(libc::EINVAL)),
        _ => Err(Errno(libc::EPIPE)),
    };
    if result.is_ok() {
        let bound = |handshake: &Arc<Handshake>| {
            handshake.wait_while(|state| matches!(state, State::Starting | State::Binding)) == State::Bound
        };
        if !threads.iter().all(bound) {
            result = Err(Errno(libc::EBADF));
        }
    }
    let verdict = if result.is_ok() { State::Serve } else { State::End };
    for handshake in &threads {
        *handshake.lock() = verdict;
        handshake.changed.notify_all();
    }
    starting(|all| all.retain(|_, handshake| handshake.group != group));
    result
}

/// A private pool ran dry: one more thread, if the application likes. doors.md §3.2, depletion.
pub(crate) fn grow(mut info: DoorInfo, template: Template) {
    let group = next_number();
    let expected = sheltered(|| worker::with_binding(|pool| Ok(expect_thread(pool, template, group))));
    let Ok(number) = expected else { return };
    let made = call_creation(&template, &mut info, number);
    // Declined or failed: there is just no new thread.
    let _ = sheltered(|| settle(group, made));
}

/// `door_xcreate`: makes a private door with its own thread creation function. door_xcreate(3C).
///
/// # Safety
/// The functions are what their types say, and accept their cookies.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn door_xcreate(
    server_procedure: Option<ServerProcedure>,
    cookie: *mut c_void,
    attributes: DoorAttr,
    thr_create_func: Option<XcreateFunc>,
    thr_setup_func: Option<ThreadSetupFunc>,
    crcookie: *mut c_void,
    nthread: c_int,
) -> c_int {
    let (Some(create), true) = (thr_create_func, nthread >= 1 && attributes & DOOR_PRIVCREATE == 0) else {
        Errno(libc::EINVAL).set();
        return -1;
    };
    let template = Template {
        create,
        setup: thr_setup_func,
        crcookie: Cookie(crcookie),
    };
    let attributes = attributes | DOOR_PRIVATE | DOOR_PRIVCREATE;
    let begun = sheltered(|| {
        check_attributes(attributes)?;
        let door = make_door(server_procedure, cookie, attributes, Some(Arc::new(template)))?;
        let info = c_info(&doors::info(door.as_fd())?);
        Ok((door.into_raw_fd(), info))
    });
    let (door, mut info) = match begun {
        Ok(begun) => begun,
        Err(errno) => {
            errno.set();
            return -1;
        }
    };
    let group = next_number();
    let mut made = 1;
    for _ in 0..nthread {
        let expected = sheltered(|| {
            let pool = doors::pool_of(descriptor::borrow(door)?)?;
            Ok(expect_thread(&pool, template, group))
        });
        let Ok(number) = expected else {
            made = -1;
            break;
        };
        made = call_creation(&template, &mut info, number);
        if made != 1 {
            break;
        }
    }
    match sheltered(|| settle(group, made)) {
        Ok(()) => door,
        Err(errno) => {
            crate::info::door_revoke(door);
            errno.set();
            -1
        }
    }
}
