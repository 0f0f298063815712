//! Calls that are awaited: a thread of this crate waits in the task's place, and can be told to stop.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::call::{Answer, Call, FailedCall};
use crate::engine::{self, Abort, CallRequest, Target};
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
    /// A call that is in progress takes a thread of this process as long as it lasts, and a few kilobytes; those threads are kept for the
    /// next calls, and end when there are none. They run no signal handlers: [`Call::interruptible`] has no effect.
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
        let call = call.into().into_owned()?;
        let (fd, target) = match self.shared() {
            Ok(shared) => shared,
            Err(error) => return Err(call.failed_early(error)),
        };
        let abort = Arc::default();
        let mut abandoned = Abandoned(Some(Arc::clone(&abort)));
        let (done, outcome) = oneshot::channel();
        let errand = Errand {
            fd,
            target,
            call,
            abort,
            done,
        };
        if let Err((error, errand)) = waiters::send(errand) {
            return Err(errand.call.failed_early(error));
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

/// A call for another thread to make.
pub(crate) struct Errand {
    fd: Arc<OwnedFd>,
    target: Arc<Target>,
    call: Call<'static>,
    abort: Arc<Abort>,
    done: oneshot::Sender<Result<Answer, FailedCall>>,
}

impl Errand {
    pub(crate) fn run(self) {
        if self.abort.is_fired() {
            return;
        }
        let mut sink = self.call.sink(None);
        let outcome = {
            let descriptors = self.call.borrowed();
            let request = CallRequest {
                abort: Some(&self.abort),
                ..self.call.request(&descriptors)
            };
            engine::call_target(self.fd.as_fd(), &self.target, &request, &mut sink)
        };
        let outcome = match outcome {
            Ok(reply) => Ok(Answer::new(sink, reply.descriptors)),
            Err(failure) => Err(self.call.failed(failure)),
        };
        // Nobody may be waiting any more.
        drop((self.fd, self.target));
        let _ = self.done.send(outcome);
    }
}
