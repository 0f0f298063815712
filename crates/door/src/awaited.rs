//! Calls that are awaited: a thread of this crate waits in the task's place, and can be told to stop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::oneshot;

use crate::call::{Answer, Call, FailedCall};
use crate::engine::{self, Abort, Attempt, CallFailure, Target, Unanswered};
use crate::error::CallError;
use crate::handle::DoorHandle;
use crate::waiters;

impl DoorHandle {
    /// Runs the door's procedure without blocking the task's thread, under any runtime. What can be said of a [`Call`] holds here, too.
    ///
    /// Dropping the future gives the call up, as a deadline does: the server is told
    /// ([`Invocation::is_cancelled`](crate::Invocation::is_cancelled)), its answer is thrown away, and descriptors the call gave are
    /// closed. So `select!` and `timeout` of a runtime can be used with it. A future that was never polled has done nothing.
    ///
    /// An answer that is there within ten microseconds is waited for in place. Otherwise a thread of this process waits for it, and a copy of
    /// the argument with it; those threads are kept for the next calls, and end when there are none for a while. They run no signal
    /// handlers: [`Call::interruptible`] has no effect.
    ///
    /// A forked child has no such threads: what was in progress belongs to its parent, and its future never ends in the child. Calls the child
    /// begins are its own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use door::{Call, Door, Reply};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let door = Door::builder().create(|call| Reply::bytes(call.argument().to_ascii_uppercase()))?;
    /// let handle = door.handle()?;
    /// let (one, other) = tokio::join!(handle.call_async(b"one"), handle.call_async(b"other"));
    /// assert_eq!(one?.data(), b"ONE");
    /// assert_eq!(other?.data(), b"OTHER");
    ///
    /// let call = Call::new(b"soon").timeout(Duration::from_secs(5));
    /// assert_eq!(handle.call_async(call).await?.data(), b"SOON");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`call_with`](Self::call_with); also `EAGAIN` if no thread can be started, and [`CallError::OutOfDescriptors`] if what is lent
    /// cannot be duplicated. Nothing has run then.
    pub async fn call_async<'a>(&self, call: impl Into<Call<'a>>) -> Result<Answer, FailedCall> {
        let call = call.into();
        let unanswered = match self.attempt(&call) {
            Attempted::Over(Ok(answer)) => return Ok(answer),
            Attempted::Over(Err(failure)) => return Err(call.failed(*failure)),
            Attempted::Unanswered(unanswered) => Some(unanswered),
            Attempted::Untried => None,
        };
        // With descriptors, which may not let themselves be duplicated, nothing has been attempted.
        let call = call.into_owned()?;
        let fd = match self.awaited.duplicate(self.as_fd()) {
            Ok(fd) => fd,
            Err(error) => return Err(refused(call, unanswered, self.target(), error)),
        };
        let (abort, (done, outcome)) = (Arc::default(), oneshot::channel());
        let mut abandoned = Abandoned(Some(Arc::clone(&abort)));
        let errand = Box::new(Errand {
            fd,
            target: Arc::clone(self.target()),
            call,
            unanswered,
            abort,
            done,
        });
        if let Err((error, errand)) = waiters::send(errand) {
            return Err(refused(errand.call, errand.unanswered, &errand.target, error));
        }
        let outcome = outcome.await;
        abandoned.0 = None;
        // Without a word only a thread ends that has panicked.
        outcome.unwrap_or_else(|_| {
            Err(FailedCall {
                error: CallError::Interrupted,
                returned: Vec::new(),
            })
        })
    }

    /// Makes the call here, if it is likely to be over in less time than another thread needs to begin with it.
    fn attempt(&self, call: &Call<'_>) -> Attempted {
        if !self.awaited.is_worth_an_attempt() {
            return Attempted::Untried;
        }
        let mut sink = call.sink(None);
        let attempt = engine::attempt_target(self.target(), &call.request(&call.borrowed()), &mut sink);
        match attempt {
            Attempt::Untried => Attempted::Untried,
            Attempt::Unanswered(mut unanswered) => {
                self.awaited.missed();
                unanswered.pass_on();
                Attempted::Unanswered(unanswered)
            }
            Attempt::Over(outcome) => {
                self.awaited.hit();
                Attempted::Over(outcome.map(|_| sink.into()))
            }
        }
    }
}

enum Attempted {
    Over(Result<Answer, Box<CallFailure>>),
    Unanswered(Unanswered),
    Untried,
}

/// After so many attempts in a row without an answer …
const MISSES: u32 = 4;
/// … so many calls are left to other threads at once.
const SKIPPED: u32 = 64;

/// What awaited calls over one handle share.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    /// A duplicate for threads that may use it longer than the handle lives; made when it is needed.
    fd: OnceLock<Arc<OwnedFd>>,
    misses: AtomicU32,
    skip: AtomicU32,
}

impl Awaited {
    fn duplicate(&self, fd: BorrowedFd<'_>) -> io::Result<Arc<OwnedFd>> {
        if let Some(fd) = self.fd.get() {
            return Ok(Arc::clone(fd));
        }
        let fd = Arc::new(fd.try_clone_to_owned()?);
        Ok(Arc::clone(self.fd.get_or_init(|| fd)))
    }

    // Hints, to which it does not matter who was first.

    fn is_worth_an_attempt(&self) -> bool {
        let skip = self.skip.load(Ordering::Relaxed);
        if skip > 0 {
            self.skip.store(skip - 1, Ordering::Relaxed);
        }
        skip == 0
    }

    fn hit(&self) {
        self.misses.store(0, Ordering::Relaxed);
    }

    fn missed(&self) {
        let misses = self.misses.load(Ordering::Relaxed) + 1;
        self.misses.store(misses % MISSES, Ordering::Relaxed);
        if misses == MISSES {
            self.skip.store(SKIPPED, Ordering::Relaxed);
        }
    }
}

/// Gives the call up when it is dropped.
struct Abandoned(Option<Arc<Abort>>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(abort) = &self.0 {
            abort.fire();
        }
    }
}

/// A call for another thread to make, or to wait for.
pub(crate) struct Errand {
    fd: Arc<OwnedFd>,
    target: Arc<Target>,
    call: Call<'static>,
    unanswered: Option<Unanswered>,
    abort: Arc<Abort>,
    done: oneshot::Sender<Result<Answer, FailedCall>>,
}

impl Errand {
    pub(crate) fn run(self) {
        let Self {
            fd,
            target,
            call,
            unanswered,
            abort,
            done,
        } = self;
        if unanswered.is_none() && abort.is_fired() {
            return;
        }
        let mut sink = call.sink(None);
        let outcome = {
            let descriptors = call.borrowed();
            let mut request = call.request(&descriptors);
            request.patience.abort = Some(&abort);
            match unanswered {
                None => engine::call_target(fd.as_fd(), &target, &request, &mut sink),
                Some(unanswered) => {
                    engine::resume_target(unanswered, fd.as_fd(), &target, &request, &mut sink)
                }
            }
        };
        let outcome = match outcome {
            Ok(_) => {
                drop(call);
                Ok(sink.into())
            }
            Err(failure) => Err(call.failed(*failure)),
        };
        // Whoever hears of the end may count what is open.
        drop((fd, target, abort));
        // Nobody may be waiting any more.
        let _ = done.send(outcome);
    }
}

/// No other thread can go on with a call.
fn refused(call: Call<'_>, unanswered: Option<Unanswered>, target: &Target, error: io::Error) -> FailedCall {
    match unanswered {
        None => call.failed_early(error),
        Some(unanswered) => call.failed(*unanswered.give_up(target)),
    }
}
