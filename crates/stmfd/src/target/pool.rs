//! Threads for work that may wait: disk operations and calls of other processes' doors.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

type Work = Box<dyn FnOnce() + Send>;

/// A bounded set of threads that grows while work waits and nobody is idle.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    limit: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    idle: usize,
    threads: usize,
}

impl Pool {
    /// A pool of at most `limit` threads, started when they are first needed.
    pub(crate) fn new(name: &'static str, limit: usize) -> Self {
        let shared = Shared {
            name,
            limit,
            queue: Mutex::default(),
            wake: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Runs `work` on a thread of the pool, in the order given while threads are free.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let mut queue = self.shared.lock();
        queue.work.push_back(Box::new(work));
        if queue.idle >= queue.work.len() {
            drop(queue);
            self.shared.wake.notify_one();
        } else if queue.threads < self.shared.limit {
            queue.threads += 1;
            let shared = Arc::clone(&self.shared);
            let name = format!("{}-{}", shared.name, queue.threads);
            drop(queue);
            if std::thread::Builder::new()
                .name(name)
                .spawn(move || shared.serve())
                .is_err()
            {
                // Out of threads: those that run will take the work, unless there is none.
                let mut queue = self.shared.lock();
                queue.threads -= 1;
                if queue.threads == 0
                    && let Some(work) = queue.work.pop_back()
                {
                    drop(queue);
                    work();
                }
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut queue = self.lock();
        loop {
            if let Some(work) = queue.work.pop_front() {
                drop(queue);
                work();
                queue = self.lock();
            } else {
                queue.idle += 1;
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.shared.name)
            .field("limit", &self.shared.limit)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn blocked_work_does_not_hold_up_other_work_below_the_limit() {
        let pool = Pool::new("test", 3);
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Arc::new(Mutex::new(blocked));
        for _ in 0..2 {
            let blocked = Arc::clone(&blocked);
            pool.run(move || drop(blocked.lock().map(|end| end.recv())));
        }
        let (done, finished) = mpsc::channel();
        for n in 0..100 {
            let done = done.clone();
            pool.run(move || done.send(n).unwrap_or_default());
        }
        assert_eq!(finished.iter().take(100).sum::<i32>(), 4950);
        drop(release);
    }
}
