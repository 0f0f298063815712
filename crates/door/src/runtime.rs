//! Doors served by the threads of a tokio runtime.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::builder::Builder;
use crate::door::Door;
use crate::engine::{self, Pool};
use crate::invocation::Invocation;
use crate::reply::Reply;
use crate::sys::{fork, process};
use crate::threads::Threads;
use crate::workers::ThreadSource;

/// Threads that serve a door of a runtime, unless the builder says otherwise. They stay as long as the door, and a runtime has 512.
const MOST: usize = 64;

impl Builder {
    /// Serves the door on the blocking pool of a tokio runtime. [`threads`](Self::threads) still says on how many of its threads: 64 at most
    /// if it is not called. A runtime has 512 unless its builder says otherwise, and those that have come to serve a door do
    /// nothing else until it is revoked.
    ///
    /// When the runtime is shut down the door is revoked: callers that wait for a thread get
    /// [`CallError::Revoked`](crate::CallError::Revoked). A procedure of [`create`](Self::create) that runs then runs to its end, and the
    /// runtime waits for it as for all that runs in its blocking pool; `Runtime::shutdown_background` is for those who will not.
    pub fn runtime(self, runtime: &Handle) -> Self {
        self.threads_of(Host::new(runtime), MOST)
    }

    /// Makes a door whose procedure is asynchronous, and is served as by [`runtime`](Self::runtime): it may use whatever the runtime offers.
    ///
    /// Each invocation has a thread of the runtime's blocking pool, which runs the future from beginning to end. So the future need not be
    /// `Send`, and borrows what it likes of its [`Invocation`]; one that is ready at once is as quick as a plain procedure. When the
    /// runtime is shut down, futures that are not ready are dropped, and their callers get
    /// [`CallError::Interrupted`](crate::CallError::Interrupted).
    ///
    /// ```
    /// use std::time::Duration;
    /// use door::{Door, Invocation, Reply};
    /// use tokio::runtime::Handle;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let door = Door::builder().create_async(&Handle::current(), async |call: Invocation<'_>| {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    ///     Reply::bytes(call.argument())
    /// })?;
    /// assert_eq!(door.handle()?.call_async(b"later").await?.data(), b"later");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A runtime must be running for its timers and sockets to do so: one of a single thread runs only inside of `block_on`.
    /// [`Door::close`] blocks: a task does that by way of `spawn_blocking`.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn create_async<F>(self, runtime: &Handle, procedure: F) -> io::Result<Door>
    where
        F: for<'i> AsyncFn(Invocation<'i>) -> Reply + Send + Sync + 'static,
    {
        let host = Host::new(runtime);
        let server = Arc::clone(&host);
        self.threads_of(host, MOST).create(move |call| {
            let answer = server.runtime.block_on(unless(&server.ended, procedure(call)));
            // The caller of an invocation that was left without an answer gets `Interrupted`.
            answer.unwrap_or_else(Reply::sent)
        })
    }
}

/// The outcome of `procedure`, unless the runtime ends first.
async fn unless<T>(ended: &watch::Sender<bool>, procedure: impl Future<Output = T>) -> Option<T> {
    let mut ended = ended.subscribe();
    let mut end = pin!(ended.wait_for(|ended| *ended));
    let mut procedure = pin!(procedure);
    // What the procedure waits for panics once the runtime has ended, so that comes first.
    poll_fn(|context| match end.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => procedure.as_mut().poll(context).map(Some),
    })
    .await
}

/// The runtime that serves a door.
#[derive(Debug)]
struct Host {
    runtime: Handle,
    ended: watch::Sender<bool>,
    /// A task that does nothing but notice the end of its runtime.
    sentinel: OnceLock<AbortHandle>,
}

impl Host {
    fn new(runtime: &Handle) -> Arc<Self> {
        Arc::new(Self {
            runtime: runtime.clone(),
            ended: watch::Sender::new(false),
            sentinel: OnceLock::new(),
        })
    }
}

impl ThreadSource for Host {
    fn open(&self, pool: &Arc<Pool>) {
        let revoker = Revoker {
            pool: Arc::clone(pool),
            ended: self.ended.clone(),
            generation: fork::generation(),
        };
        let sentinel = self.runtime.spawn(async move {
            let _revoker = revoker;
            std::future::pending::<()>().await;
        });
        // Once: a crew has one pool.
        let _ = self.sentinel.set(sentinel.abort_handle());
    }

    fn start(&self, _threads: &Threads, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        let spawn = || {
            self.runtime
                .spawn_blocking(move || process::without_signals(body));
        };
        // It panics when the system has no thread to give.
        catch_unwind(AssertUnwindSafe(spawn)).map_err(|panic: Box<dyn Any + Send>| {
            std::mem::forget(panic);
            io::Error::from_raw_os_error(libc::EAGAIN)
        })
    }

    /// Other work may keep a runtime's threads for as long as it likes.
    fn is_prompt(&self) -> bool {
        false
    }

    fn close(&self) {
        if let Some(sentinel) = self.sentinel.get() {
            sentinel.abort();
        }
    }
}

/// Ends a door when its runtime ends.
struct Revoker {
    pool: Arc<Pool>,
    ended: watch::Sender<bool>,
    generation: u32,
}

impl Drop for Revoker {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            engine::revoke_door_of(&self.pool);
            self.pool.close();
            self.ended.send_replace(true);
        }
    }
}
