//! Calls by bare number, as C makes them: the number may mean another door than it did before.

use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::call::{CallFailure, CallRequest, Outcome, ReplySink, call_target};
use super::client::Target;
use crate::error::CallError;
use crate::sys::fork::{self, PerProcess};

/// How [`call`] knows that a number still means the door it meant before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptorCheck {
    /// It asks the kernel at each call.
    Always,
    /// It is told, through [`forget`].
    Never,
}

static CHECK: AtomicBool = AtomicBool::new(true);
static NUMBERS: PerProcess<RwLock<HashMap<RawFd, Arc<Target>>>> = PerProcess::new();
/// Counts what was forgotten: what a thread remembers from before does not hold.
static FORGOTTEN: AtomicU64 = AtomicU64::new(0);

/// What a thread remembers of the number it called last, so that it shares nothing with other threads at the next call.
struct Last {
    number: RawFd,
    forgotten: u64,
    generation: u32,
    target: Arc<Target>,
}

thread_local! {
    static LAST: Cell<Option<Box<Last>>> = const { Cell::new(None) };
}

/// Chooses how numbers are checked; at first [`DescriptorCheck::Always`].
pub fn set_descriptor_check(check: DescriptorCheck) {
    CHECK.store(check == DescriptorCheck::Always, Ordering::Release);
}

/// This number was closed, or means something else now.
pub fn forget(fd: RawFd) {
    if let Some(numbers) = NUMBERS.existing() {
        let mut numbers = numbers.write().unwrap_or_else(PoisonError::into_inner);
        if numbers.remove(&fd).is_some() {
            FORGOTTEN.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Calls the door behind any descriptor.
///
/// # Errors
/// [`CallError::NotADoor`], or see [`CallError`].
pub fn call(fd: BorrowedFd<'_>, request: &CallRequest<'_>, sink: &mut dyn ReplySink) -> Outcome {
    let (number, generation) = (fd.as_raw_fd(), fork::generation());
    let forgotten = FORGOTTEN.load(Ordering::Acquire);
    let still = |last: &Last| {
        last.number == number
            && last.forgotten == forgotten
            && last.generation == generation
            && (!CHECK.load(Ordering::Acquire) || last.target.is(fd))
    };
    // Taken out for the time of the call: a signal handler that calls meanwhile finds nothing here, and looks it up.
    let last = match LAST
        .try_with(Cell::take)
        .ok()
        .flatten()
        .filter(|last| still(last))
    {
        Some(last) => last,
        None => Box::new(Last {
            number,
            forgotten,
            generation,
            target: look_up(fd)?,
        }),
    };
    let outcome = call_target(fd, &last.target, request, sink);
    // At the end of the thread there is nothing to remember it in.
    let _ = LAST.try_with(|slot| slot.set(Some(last)));
    outcome
}

fn look_up(fd: BorrowedFd<'_>) -> Result<Arc<Target>, Box<CallFailure>> {
    let numbers = NUMBERS.get_or_make(|| RwLock::new(HashMap::new()));
    let number = fd.as_raw_fd();
    let known = numbers
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&number)
        .cloned();
    if let Some(target) = known
        && (!CHECK.load(Ordering::Acquire) || target.is(fd))
    {
        return Ok(target);
    }
    let target = Arc::new(Target::of(fd).map_err(|_| CallFailure::early(CallError::NotADoor))?);
    numbers
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(number, Arc::clone(&target));
    Ok(target)
}
