//! Threads that make a call in place of a task, which must not block.
//!
//! They are no runtime's: in a pool they would share with the procedures they wait for, each could take the other's last thread. There is
//! one for each awaited call that is in progress; the one that was used last is used first, because it has kept its lane.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::awaited::Errand;
use crate::sys::fork::PerProcess;
use crate::sys::process;

/// A thread that had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);
/// The engine needs little, and who is told of the end is a runtime's waker.
const STACK_BYTES: usize = 256 << 10;

/// A thread, by its number, and how it is given something to do.
#[derive(Clone)]
struct Waiter {
    number: u64,
    errands: Sender<Box<Errand>>,
}

/// Those that have nothing to do; the one at the end was used last. A forked child has its own.
static IDLE_WAITERS: PerProcess<Mutex<Vec<Waiter>>> = PerProcess::new();
static NEXT: AtomicU64 = AtomicU64::new(0);

fn idle_waiters() -> MutexGuard<'static, Vec<Waiter>> {
    let waiters = IDLE_WAITERS.get_or_make(Mutex::default);
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a thread run the errand.
///
/// # Errors
/// `EAGAIN` if there is no thread and none can be started; with the errand, of which nothing was done.
pub(crate) fn send(errand: Box<Errand>) -> Result<(), (io::Error, Box<Errand>)> {
    let idle = idle_waiters().pop();
    let waiter = match idle.map_or_else(Waiter::start, Ok) {
        Ok(waiter) => waiter,
        Err(error) => return Err((error, errand)),
    };
    // It takes what it was sent before it ends.
    let sent = waiter.errands.send(errand);
    sent.map_err(|refused| (io::ErrorKind::BrokenPipe.into(), refused.0))
}

impl Waiter {
    fn start() -> io::Result<Self> {
        let (errands, received) = channel();
        let waiter = Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            errands,
        };
        let thread = std::thread::Builder::new()
            .name("door-await".to_owned())
            .stack_size(STACK_BYTES);
        let itself = waiter.clone();
        process::build_without_signals(thread, move || itself.serve(&received))?;
        Ok(waiter)
    }

    fn serve(self, errands: &Receiver<Box<Errand>>) {
        let mut next = errands.recv();
        while let Ok(errand) = next {
            errand.run();
            idle_waiters().push(self.clone());
            next = match errands.recv_timeout(IDLE) {
                Err(RecvTimeoutError::Timeout) if self.retires() => return,
                // Whoever has taken it off the list is about to send something.
                Err(_) => errands.recv(),
                Ok(errand) => Ok(errand),
            };
        }
    }

    /// Takes this thread off the list, so that it can end; false if somebody has done so already.
    fn retires(&self) -> bool {
        let mut idle = idle_waiters();
        let at = idle.iter().position(|waiter| waiter.number == self.number);
        at.map(|at| idle.remove(at)).is_some()
    }
}
