//! How many threads serve, and what they are like.

use std::io;

use crate::workers;

/// The threads of a pool: those of a door of its own ([`Builder::threads`](crate::Builder::threads)), or those that serve
/// all other doors of the process ([`set_process_threads`]).
///
/// A pool starts with [`started_with`](Self::started_with) threads, and starts another one whenever an invocation takes its last idle
/// thread, until there are as many as it may have. It never shrinks, and it is never left without a thread: a procedure that
/// panics fails its call, and its thread goes on.
///
/// ```
/// use door::{Door, Reply, Threads};
///
/// # fn main() -> std::io::Result<()> {
/// let door = Door::builder()
///     .threads(Threads::fixed(2).name("archive").stack_bytes(256 << 10))
///     .create(|_| Reply::empty())?;
/// # Ok(())
/// # }
/// ```
///
/// A pool with a bound can be exhausted: while all threads run procedures, further callers wait. Procedures that call doors
/// served by their own pool deadlock if they nest deeper than the pool has threads.
#[derive(Debug, Clone)]
pub struct Threads {
    pub(crate) first: usize,
    pub(crate) most: usize,
    name: String,
    stack: Option<usize>,
}

/// Threads of the process pool, unless [`set_process_threads`] says otherwise.
const PROCESS_POOL: usize = 1024;

impl Default for Threads {
    /// One thread at first, 1,024 at most, named `door-server`, with the stack a thread of the standard library has.
    fn default() -> Self {
        Self::up_to(PROCESS_POOL)
    }
}

impl Threads {
    /// Exactly this many, from the start.
    #[must_use]
    pub fn fixed(count: usize) -> Self {
        Self::up_to(count).started_with(count)
    }

    /// One at first, at most this many.
    #[must_use]
    pub fn up_to(most: usize) -> Self {
        Self {
            first: 1,
            most,
            name: "door-server".to_owned(),
            stack: None,
        }
    }

    /// Starts with this many.
    #[must_use]
    pub fn started_with(mut self, count: usize) -> Self {
        self.first = count;
        self
    }

    /// Name of each, as `top -H` and debuggers show it; Linux keeps the first 15 bytes.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Size of each stack in bytes.
    #[must_use]
    pub fn stack_bytes(mut self, bytes: usize) -> Self {
        self.stack = Some(bytes);
        self
    }

    /// `EINVAL` for a pool that could not exist.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.first == 0 || self.first > self.most || self.name.contains('\0') {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(())
    }

    pub(crate) fn builder(&self) -> std::thread::Builder {
        let builder = std::thread::Builder::new().name(self.name.clone());
        match self.stack {
            Some(bytes) => builder.stack_size(bytes),
            None => builder,
        }
    }
}

/// Chooses the threads that serve all doors of this process that have none of their own; the default is [`Threads::default`].
///
/// It can be called before or after doors are made. Threads that are there already stay as they are, and are counted. A forked child
/// begins with the default again.
///
/// # Errors
/// `EINVAL` if the pool would start with no thread or with more than it may have; `EAGAIN` if a thread cannot be started.
pub fn set_process_threads(threads: Threads) -> io::Result<()> {
    threads.check()?;
    workers::set_process_threads(threads)
}
