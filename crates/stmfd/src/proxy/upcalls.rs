//! The threads that call the transport's door.
//!
//! A good transport takes a message in microseconds, so one thread that never sleeps between calls beats many that
//! wake each other. A bad one blocks, and then others must go on: a watcher looks whether the queue moves and adds a
//! thread each time it does not. A transport that blocks each call gets up to the limit of calls at once.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Work = Box<dyn FnOnce() + Send>;

/// A queue that does not move for this long gets another thread.
const PATIENCE: Duration = Duration::from_micros(500);

/// Runs work in order, on one thread while that goes well.
#[derive(Clone)]
pub(super) struct Upcalls {
    shared: Arc<Shared>,
}

struct Shared {
    limit: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Wakes the watcher alone.
    watch: Condvar,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    /// Pieces of work begun so far.
    begun: u64,
    running: usize,
    idle: usize,
    threads: usize,
    watched: bool,
}

impl Upcalls {
    /// At most `limit` threads, started when they are first needed.
    pub(super) fn new(limit: usize) -> Self {
        let shared = Shared {
            limit,
            queue: Mutex::default(),
            wake: Condvar::new(),
            watch: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Runs `work` after what was given before, or beside it if that does not move.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let mut queue = self.shared.lock();
        queue.work.push_back(Box::new(work));
        if queue.running == 0 || !queue.watched {
            self.more_hands(queue);
        }
    }

    /// Wakes a thread, or starts one.
    fn more_hands(&self, mut queue: MutexGuard<'_, Queue>) {
        if queue.idle > 0 {
            drop(queue);
            self.shared.wake.notify_one();
        } else if queue.threads < self.shared.limit {
            queue.threads += 1;
            let name = format!("upcall-{}", queue.threads);
            drop(queue);
            let pool = self.clone();
            if std::thread::Builder::new()
                .name(name)
                .spawn(move || pool.serve())
                .is_err()
            {
                // Those that run will take the work; if none does, the next message tries again.
                self.shared.lock().threads -= 1;
            }
        }
    }

    fn serve(&self) {
        let mut queue = self.shared.lock();
        let mut stuck = false;
        loop {
            if queue.work.is_empty() {
                stuck = false;
                queue.idle += 1;
                queue = self
                    .shared
                    .wake
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            } else if queue.running == 0 || stuck {
                stuck = false;
                let Some(work) = queue.work.pop_front() else {
                    continue;
                };
                queue.begun += 1;
                queue.running += 1;
                if !queue.watched && !queue.work.is_empty() {
                    self.more_hands(queue);
                } else {
                    drop(queue);
                }
                work();
                queue = self.shared.lock();
                queue.running -= 1;
            } else if queue.watched {
                queue.idle += 1;
                queue = self
                    .shared
                    .wake
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            } else {
                let before = queue.begun;
                queue.watched = true;
                let waited = self.shared.watch.wait_timeout(queue, PATIENCE);
                queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                queue.watched = false;
                stuck = queue.begun == before;
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Upcalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upcalls")
            .field("limit", &self.shared.limit)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn work_that_blocks_does_not_hold_up_other_work_below_the_limit() {
        let upcalls = Upcalls::new(8);
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Arc::new(Mutex::new(blocked));
        for _ in 0..7 {
            let blocked = Arc::clone(&blocked);
            upcalls.run(move || drop(blocked.lock().map(|end| end.recv())));
        }
        let (done, finished) = mpsc::channel();
        for n in 0..100 {
            let done = done.clone();
            upcalls.run(move || done.send(n).unwrap_or_default());
        }
        assert_eq!(finished.iter().take(100).sum::<i32>(), 4950);
        drop(release);
    }

    #[test]
    fn work_that_does_not_block_is_done_in_order() {
        let upcalls = Upcalls::new(1);
        let (done, finished) = mpsc::channel();
        for n in 0..1000 {
            let done = done.clone();
            upcalls.run(move || done.send(n).unwrap_or_default());
        }
        assert!(finished.iter().take(1000).eq(0..1000));
    }
}
