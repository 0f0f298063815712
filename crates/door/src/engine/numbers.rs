//! Calls by bare number, as C makes them: the number may mean another door than it did before.

use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::attempt::{Attempt, Unanswered, attempt_target, resume_target};
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
#[derive(Debug)]
pub struct Last {
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

/// A call that [`attempt`] has left to [`finish`].
#[derive(Debug)]
pub enum Unfinished {
    /// Nothing has been done.
    Untried,
    /// The request has been sent.
    Unanswered(Box<Last>, Unanswered),
}

/// Calls the door behind any descriptor, if this thread called it last, with no more than [`attempt_target`] does.
///
/// # Errors
/// What is left to do.
#[inline]
pub fn attempt(
    fd: BorrowedFd<'_>,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Result<Outcome, Unfinished> {
    let last = recall(fd).ok_or(Unfinished::Untried)?;
    match attempt_target(&last.target, request, sink) {
        Attempt::Over(outcome) => {
            remember(last);
            Ok(outcome)
        }
        Attempt::Unanswered(unanswered) => Err(Unfinished::Unanswered(last, unanswered)),
        Attempt::Untried => {
            remember(last);
            Err(Unfinished::Untried)
        }
    }
}

/// Does what [`attempt`] has left. All but `unfinished` is what that was given.
///
/// # Errors
/// As [`call`].
pub fn finish(
    unfinished: Unfinished,
    fd: BorrowedFd<'_>,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Outcome {
    match unfinished {
        Unfinished::Untried => call(fd, request, sink),
        Unfinished::Unanswered(last, unanswered) => {
            let outcome = resume_target(unanswered, fd, &last.target, request, sink);
            remember(last);
            outcome
        }
    }
}

impl Unfinished {
    /// Gives the call up.
    #[must_use]
    pub fn give_up(self) -> Box<CallFailure> {
        match self {
            Self::Untried => CallFailure::early(CallError::Again),
            Self::Unanswered(last, unanswered) => unanswered.give_up(&last.target),
        }
    }
}

/// Calls the door behind any descriptor.
///
/// # Errors
/// [`CallError::NotADoor`], or see [`CallError`].
pub fn call(fd: BorrowedFd<'_>, request: &CallRequest<'_>, sink: &mut dyn ReplySink) -> Outcome {
    let last = match recall(fd) {
        Some(last) => last,
        None => Last::look_up(fd)?,
    };
    let outcome = call_target(fd, &last.target, request, sink);
    remember(last);
    outcome
}

/// What this thread remembers, if that is what the number means. Taken out for the time of the call: a signal handler that calls meanwhile
/// finds nothing here, and looks it up.
#[inline]
fn recall(fd: BorrowedFd<'_>) -> Option<Box<Last>> {
    let last = LAST.try_with(Cell::take).ok()??;
    last.means(fd).then_some(last)
}

/// At the end of the thread there is nothing to remember it in.
#[inline]
fn remember(last: Box<Last>) {
    let _ = LAST.try_with(|slot| slot.set(Some(last)));
}

impl Last {
    #[inline]
    fn means(&self, fd: BorrowedFd<'_>) -> bool {
        self.number == fd.as_raw_fd()
            && self.forgotten == FORGOTTEN.load(Ordering::Acquire)
            && self.generation == fork::generation()
            && (!CHECK.load(Ordering::Acquire) || self.target.is(fd))
    }

    #[cold]
    fn look_up(fd: BorrowedFd<'_>) -> Result<Box<Self>, Box<CallFailure>> {
        // Before the look: what is forgotten meanwhile is looked up again.
        let (forgotten, generation) = (FORGOTTEN.load(Ordering::Acquire), fork::generation());
        Ok(Box::new(Self {
            number: fd.as_raw_fd(),
            forgotten,
            generation,
            target: look_up(fd)?,
        }))
    }
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
