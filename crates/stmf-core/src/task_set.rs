//! The tasks of one logical unit: each is answered exactly once or, once aborted, never.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::command::NexusId;

/// A task between its beginning and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// Something that waits until tasks have ended: a task management function, or a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(u64);

/// Which tasks to abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortFilter {
    /// ABORT TASK: the task of this nexus with this tag.
    Task(NexusId, u64),
    /// ABORT TASK SET, or the end of the session: every task of this nexus.
    Nexus(NexusId),
    /// CLEAR TASK SET, LOGICAL UNIT RESET, or the logical unit going away: every task.
    All,
}

/// What [`TaskSet::abort`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aborted {
    /// The tasks this call aborted: stop what can be stopped, then [`TaskSet::end`] each.
    pub tasks: Vec<TaskId>,
    /// The nexuses that lost those tasks. After CLEAR TASK SET the others than the one that asked are told 2F/00
    /// ([`UnitAttention::CommandsCleared`](crate::UnitAttention::CommandsCleared)).
    pub nexuses: Vec<NexusId>,
    /// Satisfied when every matching task has ended, also those an earlier function had aborted. `None`: none is
    /// left, answer at once.
    pub waiter: Option<Waiter>,
}

/// May the answer of a task go to the initiator?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes: this is the one answer.
    Deliver,
    /// No: it was aborted, or it had ended before.
    Swallow,
}

/// What [`TaskSet::end`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What to do with the answer.
    pub verdict: Verdict,
    /// Waiters that waited for this task last.
    pub satisfied: Vec<Waiter>,
}

#[derive(Debug)]
struct Task {
    nexus: NexusId,
    tag: u64,
    generation: u64,
    aborted: bool,
    waiters: Vec<Waiter>,
}

/// The tasks of one logical unit.
#[derive(Debug, Default)]
pub struct TaskSet {
    tasks: BTreeMap<TaskId, Task>,
    /// How many tasks each waiter still waits for; never zero.
    waiters: BTreeMap<Waiter, usize>,
    next: u64,
}

impl TaskSet {
    /// No tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A task begins. `tag` is its transport's tag, `generation` whatever the caller wants kept with it (the
    /// ownership epoch it began under).
    pub fn begin(&mut self, nexus: NexusId, tag: u64, generation: u64) -> TaskId {
        let id = TaskId(self.number());
        self.tasks.insert(
            id,
            Task {
                nexus,
                tag,
                generation,
                aborted: false,
                waiters: Vec::new(),
            },
        );
        id
    }

    /// A task can touch the medium no more, whether it succeeded, failed or was cut off.
    ///
    /// Call it once for each task, aborted ones too, and deliver the answer only on [`Verdict::Deliver`]. A second
    /// call for the same task swallows.
    pub fn end(&mut self, id: TaskId) -> Ended {
        let Some(task) = self.tasks.remove(&id) else {
            return Ended {
                verdict: Verdict::Swallow,
                satisfied: Vec::new(),
            };
        };
        let satisfied = task
            .waiters
            .into_iter()
            .filter(|waiter| self.count_down(*waiter))
            .collect();
        Ended {
            verdict: if task.aborted {
                Verdict::Swallow
            } else {
                Verdict::Deliver
            },
            satisfied,
        }
    }

    /// Aborts the tasks that match: none of them is answered any more.
    pub fn abort(&mut self, filter: AbortFilter) -> Aborted {
        let mut tasks = Vec::new();
        let mut nexuses = Vec::new();
        for (id, task) in self.tasks.iter_mut().filter(|(_, task)| filter.matches(task)) {
            if !task.aborted {
                task.aborted = true;
                tasks.push(*id);
                if !nexuses.contains(&task.nexus) {
                    nexuses.push(task.nexus);
                }
            }
        }
        Aborted {
            tasks,
            nexuses,
            waiter: self.wait(filter),
        }
    }

    /// Waits for matching tasks without aborting them: what a planned hand-over does after it stopped new ones.
    /// `None`: there is none.
    pub fn wait(&mut self, filter: AbortFilter) -> Option<Waiter> {
        let waiter = Waiter(self.number());
        let mut count = 0;
        for task in self.tasks.values_mut().filter(|task| filter.matches(task)) {
            task.waiters.push(waiter);
            count += 1;
        }
        (count > 0).then(|| {
            self.waiters.insert(waiter, count);
            waiter
        })
    }

    /// Nobody waits any more (a deadline passed); the waiter will not be satisfied.
    pub fn forget(&mut self, waiter: Waiter) {
        if self.waiters.remove(&waiter).is_some() {
            for task in self.tasks.values_mut() {
                task.waiters.retain(|other| *other != waiter);
            }
        }
    }

    /// The tasks a filter matches and nobody has aborted, in the order they began.
    pub fn running(&self, filter: AbortFilter) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks
            .iter()
            .filter(move |(_, task)| filter.matches(task) && !task.aborted)
            .map(|(id, _)| *id)
    }

    /// Has the task been aborted? A task that has ended counts as aborted: nothing may be done for it.
    #[must_use]
    pub fn is_aborted(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_none_or(|task| task.aborted)
    }

    /// What `begin` was given with the task.
    #[must_use]
    pub fn generation(&self, id: TaskId) -> Option<u64> {
        self.tasks.get(&id).map(|task| task.generation)
    }

    /// How many tasks have not ended, aborted ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Have all tasks ended?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn number(&mut self) -> u64 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    /// One task less to wait for; was it the last?
    fn count_down(&mut self, waiter: Waiter) -> bool {
        let Some(left) = self.waiters.get_mut(&waiter) else {
            return false;
        };
        *left = left.saturating_sub(1);
        let satisfied = *left == 0;
        if satisfied {
            self.waiters.remove(&waiter);
        }
        satisfied
    }
}

impl AbortFilter {
    fn matches(self, task: &Task) -> bool {
        match self {
            Self::Task(nexus, tag) => task.nexus == nexus && task.tag == tag,
            Self::Nexus(nexus) => task.nexus == nexus,
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const I1: NexusId = NexusId(1);
    const I2: NexusId = NexusId(2);

    #[test]
    fn a_task_is_answered_exactly_once() {
        let mut set = TaskSet::new();
        let task = set.begin(I1, 7, 0);
        assert_eq!(set.end(task).verdict, Verdict::Deliver);
        assert_eq!(set.end(task).verdict, Verdict::Swallow);
        assert!(set.is_empty() && set.is_aborted(task));
    }

    #[test]
    fn st_077_abort_task_aborts_that_task_only() {
        let mut set = TaskSet::new();
        let (victim, same_tag, other) = (set.begin(I1, 7, 0), set.begin(I2, 7, 0), set.begin(I1, 8, 0));
        let aborted = set.abort(AbortFilter::Task(I1, 7));
        assert_eq!(aborted.tasks, [victim]);
        assert_eq!(
            set.end(same_tag),
            Ended {
                verdict: Verdict::Deliver,
                satisfied: Vec::new()
            }
        );
        assert_eq!(set.end(other).verdict, Verdict::Deliver);
        let ended = set.end(victim);
        assert_eq!(
            ended,
            Ended {
                verdict: Verdict::Swallow,
                satisfied: aborted.waiter.into_iter().collect()
            }
        );
    }

    #[test]
    fn a_function_with_nothing_to_abort_is_answered_at_once() {
        let mut set = TaskSet::new();
        let task = set.begin(I1, 7, 0);
        let aborted = set.abort(AbortFilter::Nexus(I2));
        assert_eq!(
            aborted,
            Aborted {
                tasks: Vec::new(),
                nexuses: Vec::new(),
                waiter: None
            }
        );
        assert_eq!(set.end(task).verdict, Verdict::Deliver);
    }

    #[test]
    fn a_second_function_waits_for_what_the_first_aborted() {
        let mut set = TaskSet::new();
        let (a, b) = (set.begin(I1, 1, 0), set.begin(I2, 2, 0));
        let first = set.abort(AbortFilter::Nexus(I1));
        let second = set.abort(AbortFilter::All);
        assert_eq!((first.tasks, second.tasks), (std::vec![a], std::vec![b]));
        assert_eq!((first.nexuses, second.nexuses), (std::vec![I1], std::vec![I2]));
        assert_eq!(set.end(a).satisfied, [first.waiter.unwrap()]);
        assert_eq!(set.end(b).satisfied, [second.waiter.unwrap()]);
    }

    #[test]
    fn st_098_a_hand_over_waits_for_every_task_begun_before() {
        let mut set = TaskSet::new();
        let tasks: Vec<_> = (0..32).map(|tag| set.begin(I1, tag, 5)).collect();
        let waiter = set.wait(AbortFilter::All).unwrap();
        let (last, rest) = tasks.split_last().unwrap();
        for task in rest {
            assert_eq!(
                set.end(*task),
                Ended {
                    verdict: Verdict::Deliver,
                    satisfied: Vec::new()
                }
            );
        }
        assert_eq!(set.generation(*last), Some(5));
        assert_eq!(set.end(*last).satisfied, [waiter]);
        assert_eq!(set.wait(AbortFilter::All), None);
    }

    #[test]
    fn a_forgotten_waiter_is_never_satisfied() {
        let mut set = TaskSet::new();
        let task = set.begin(I1, 1, 0);
        let waiter = set.abort(AbortFilter::All).waiter.unwrap();
        set.forget(waiter);
        assert_eq!(
            set.end(task),
            Ended {
                verdict: Verdict::Swallow,
                satisfied: Vec::new()
            }
        );
    }

    proptest! {
        /// Any sequence of begin, abort and end: no task is delivered twice or after an abort, and a waiter is
        /// satisfied exactly once, at a moment when none of the tasks it covers is left.
        #[test]
        fn no_aborted_task_is_left_when_its_function_is_answered(
            steps in proptest::collection::vec((0u8..4, 0u64..3, 0u64..4, any::<prop::sample::Index>()), 0..120),
        ) {
            let mut set = TaskSet::new();
            let mut live: Vec<(TaskId, NexusId, u64, bool)> = Vec::new();
            let mut waiting: Vec<(Waiter, Vec<TaskId>)> = Vec::new();
            for (what, nexus, tag, index) in steps {
                let nexus = NexusId(nexus);
                match what {
                    0 => live.push((set.begin(nexus, tag, 0), nexus, tag, false)),
                    1 if !live.is_empty() => {
                        let (id, _, _, aborted) = live.swap_remove(index.index(live.len()));
                        let ended = set.end(id);
                        prop_assert_eq!(ended.verdict == Verdict::Swallow, aborted);
                        for waiter in ended.satisfied {
                            let at = waiting.iter().position(|(w, _)| *w == waiter).expect("satisfied once");
                            let (_, covered) = waiting.swap_remove(at);
                            prop_assert!(covered.iter().all(|id| live.iter().all(|(other, ..)| other != id)));
                        }
                    }
                    _ => {
                        let filter = match tag {
                            0 => AbortFilter::All,
                            1 => AbortFilter::Nexus(nexus),
                            _ => AbortFilter::Task(nexus, tag),
                        };
                        let matches = |n: NexusId, t: u64| match filter {
                            AbortFilter::All => true,
                            AbortFilter::Nexus(wanted) => n == wanted,
                            AbortFilter::Task(wanted, tag) => n == wanted && t == tag,
                        };
                        let covered: Vec<_> =
                            live.iter().filter(|(_, n, t, _)| matches(*n, *t)).map(|(id, ..)| *id).collect();
                        let result = set.abort(filter);
                        prop_assert_eq!(result.waiter.is_some(), !covered.is_empty());
                        for (id, n, t, aborted) in &mut live {
                            if matches(*n, *t) {
                                prop_assert_eq!(result.tasks.contains(id), !*aborted);
                                *aborted = true;
                            }
                        }
                        waiting.extend(result.waiter.map(|waiter| (waiter, covered)));
                    }
                }
                prop_assert_eq!(set.len(), live.len());
            }
        }
    }
}
