//! A call by a thread that must not sleep, or not yet: it may be over before that would be needed. Else the answer is waited for later.

use std::os::fd::BorrowedFd;

use super::call::{
    CallFailure, CallRequest, Outcome, Posted, ReplySink, Trouble, call_server, conclude, post, told,
};
use super::client::{self, Target};
use super::layout::ARGUMENT_BYTES;
use super::wait::Ended;
use crate::error::CallError;
use crate::sys::probe;

/// What came of an attempt.
#[derive(Debug)]
pub enum Attempt {
    /// The call is over.
    Over(Outcome),
    /// The request has been sent: [`resume_target`] waits for its answer.
    Unanswered(Unanswered),
    /// Nothing has been done.
    Untried,
}

/// A call in progress for which nobody waits.
#[derive(Debug)]
pub struct Unanswered(Posted);

/// Calls a door that this process has called before with a short argument and no descriptors, and looks for a short answer without any
/// for as long as a caller would before it sleeps.
#[inline]
pub fn attempt_target(target: &Target, request: &CallRequest<'_>, sink: &mut dyn ReplySink) -> Attempt {
    if request.data.len() > ARGUMENT_BYTES || !request.descriptors.is_empty() {
        return Attempt::Untried;
    }
    let Some((taken, handle)) = client::lane_at_hand(target) else {
        return Attempt::Untried;
    };
    let Ok(posted) = post(taken, handle, request) else {
        return Attempt::Untried;
    };
    let (socket, server) = target.numbers();
    probe::call_entry(socket, server, request.data.len() as u64, 0);
    match posted.look(sink) {
        Ok(outcome) => {
            let outcome = outcome.map_err(|error| CallFailure::new(error, true));
            told(target, &outcome);
            Attempt::Over(outcome)
        }
        Err(posted) => Attempt::Unanswered(Unanswered(posted)),
    }
}

/// Waits for the answer to a request that was sent by [`attempt_target`], which must be given again: as [`call_target`](super::call_target)
/// does for its own.
///
/// # Errors
/// See [`CallError`].
pub fn resume_target(
    unanswered: Unanswered,
    fd: BorrowedFd<'_>,
    target: &Target,
    request: &CallRequest<'_>,
    sink: &mut dyn ReplySink,
) -> Outcome {
    let posted = unanswered.0;
    if let Some(abort) = request.patience.abort {
        posted.follow(abort);
    }
    let outcome = match conclude(posted, target, request, sink) {
        Ok(bytes) => Ok(bytes),
        Err(Trouble::Failed(failure)) => Err(failure),
        Err(Trouble::Stale | Trouble::LinkGone) => call_server(fd, target, request, sink),
    };
    told(target, &outcome);
    outcome
}

impl Unanswered {
    /// Another thread will wait for the answer.
    pub fn pass_on(&mut self) {
        self.0.pass_on();
    }

    /// Gives the call up, because nobody will wait.
    pub fn give_up(self, target: &Target) -> Box<CallFailure> {
        let failure = match self.0.give_up(target, Ended::Interrupted) {
            Trouble::Failed(failure) => failure,
            Trouble::Stale | Trouble::LinkGone => CallFailure::early(CallError::Again),
        };
        probe::call_return(target.numbers().0, failure.error.errno(), 0);
        failure
    }
}
