//! Owner side of proxied tasks: what the peer has asked for, executed at most once.
//!
//! Tasks are known by [`TaskKey`], so that a restarted peer, which counts from 1 again, cannot reach tasks of its former
//! instance. A task number is accepted once: duplicates, and commands that come after their own abort, are not executed.

use crate::error::Refusal;
use crate::message::{GuidBytes, Limits, Message, ScsiCommand, TaskManagement};
use crate::pieces::Pieces;
use crate::reassembly::Reassembly;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// Task numbers remembered so as not to be accepted again; older ones are never accepted.
const SEEN: usize = 65_536;
/// Read data of several pieces is copied together for the last message only up to this size.
const JOIN_BYTES: u64 = 64 * 1024;

/// A task of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// Boot id of the peer that sent it.
    pub boot_id: u64,
    /// Number the peer gave it.
    pub task: u64,
}

/// Settings of [`Responder`].
#[derive(Clone, Debug)]
pub struct ResponderConfig {
    /// Most tasks in progress; as announced in this node's [`Limits`].
    pub max_tasks: usize,
    /// Most bytes of write data all tasks together may announce.
    pub max_write_bytes: u64,
}

impl Default for ResponderConfig {
    fn default() -> Self {
        Self {
            max_tasks: Limits::default().max_tasks as usize,
            max_write_bytes: 256 << 20,
        }
    }
}

/// What the daemon must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponderEvent {
    /// Execute this; ends with [`Responder::complete`] (or [`Responder::aborted`] after an abort).
    Execute {
        /// Which task.
        key: TaskKey,
        /// The command; its `immediate` data is kept here and given out by [`Responder::request_data`].
        command: ScsiCommand,
    },
    /// The write data asked for with [`Responder::request_data`], in order.
    DataOut {
        /// Which task.
        key: TaskKey,
        /// Exactly as many bytes as asked for.
        data: Vec<Bytes>,
    },
    /// Stop this task, then call [`Responder::aborted`] (a completion counts as that, too).
    Abort {
        /// Which task.
        key: TaskKey,
    },
    /// Carry this out, then call [`Responder::task_management_done`].
    TaskManagement {
        /// Number to answer with.
        key: TaskKey,
        /// What to do.
        request: TaskManagement,
    },
    /// This I_T nexus of the peer is gone; its tasks are being aborted.
    SessionDestroyed {
        /// The peer's boot id.
        boot_id: u64,
        /// The peer's number for it.
        session: u64,
    },
}

/// The task has ended, was aborted, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTask;

#[derive(Debug)]
struct Task {
    guid: GuidBytes,
    session: u64,
    expected_in: u64,
    expected_out: u64,
    write: Reassembly,
    /// Write data the daemon has asked for, from offset 0.
    requested: u64,
    /// The daemon waits for it.
    collecting: bool,
    /// Bytes of read data the peer has room for.
    credit: u64,
    ending: Option<Ending>,
    /// Aborted: the peer wants to hear of the end (true), or nobody does.
    aborted: Option<bool>,
    /// Counted in [`Responder::dying`].
    dying: bool,
    /// Not given to the daemon yet: tasks of a lost link still run on its logical unit.
    held: Option<ScsiCommand>,
}

#[derive(Debug)]
struct Ending {
    status: u8,
    sense: Vec<u8>,
    rest: Pieces,
    total: u64,
}

/// Tasks the peer has asked this node to execute.
#[derive(Debug)]
pub struct Responder {
    config: ResponderConfig,
    limits: Limits,
    boot_id: u64,
    seen: Seen,
    tasks: BTreeMap<TaskKey, Task>,
    management: BTreeSet<TaskKey>,
    write_bytes: u64,
    /// Tasks of lost links that still run, by logical unit. The peer has given them up and may have sent the same
    /// command again; a write of the lost link must not land after a newer one.
    dying: BTreeMap<GuidBytes, usize>,
    out: VecDeque<Message>,
    events: VecDeque<ResponderEvent>,
}

impl Responder {
    /// Nothing in progress.
    #[must_use]
    pub fn new(config: ResponderConfig) -> Self {
        Self {
            config,
            limits: Limits::default(),
            boot_id: 0,
            seen: Seen::default(),
            tasks: BTreeMap::new(),
            management: BTreeSet::new(),
            write_bytes: 0,
            dying: BTreeMap::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What the peer takes, from `Peer::peer_limits` when the channel comes up.
    pub fn set_peer_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Tasks in progress, those being aborted included.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.tasks.len()
    }

    /// A message for this role, from the peer instance `boot_id`, which `Peer::handle` has accepted.
    pub fn handle(&mut self, boot_id: u64, message: Message) {
        if boot_id != self.boot_id {
            self.channel_lost();
            self.boot_id = boot_id;
            self.seen = Seen::default();
        }
        match message {
            Message::ScsiCommand(command) => self.command(command),
            Message::Credit { task, bytes } => {
                let key = TaskKey { boot_id, task };
                if let Some(t) = self.tasks.get_mut(&key) {
                    t.credit = t.credit.saturating_add(u64::from(bytes));
                    self.pump(key);
                }
            }
            Message::DataOut { task, offset, data } => {
                let key = TaskKey { boot_id, task };
                if let Some(t) = self.tasks.get_mut(&key) {
                    // What was not asked for is dropped; the peer gains nothing by it.
                    let _ = t.write.accept(offset, data);
                    self.collect(key);
                }
            }
            Message::AbortTask { task } => self.abort(TaskKey { boot_id, task }),
            Message::TaskManagement(request) => {
                let key = TaskKey {
                    boot_id,
                    task: request.task,
                };
                if self.seen.first_time(request.task) {
                    self.management.insert(key);
                    self.events
                        .push_back(ResponderEvent::TaskManagement { key, request });
                }
            }
            Message::SessionDestroy { session } => {
                let keys: Vec<_> = self
                    .tasks
                    .iter()
                    .filter(|(k, t)| k.boot_id == boot_id && t.session == session)
                    .map(|(k, _)| *k)
                    .collect();
                for key in keys {
                    self.begin_abort(key, false);
                }
                self.events
                    .push_back(ResponderEvent::SessionDestroyed { boot_id, session });
            }
            _ => {}
        }
    }

    fn command(&mut self, mut command: ScsiCommand) {
        let task = command.task;
        let key = TaskKey {
            boot_id: self.boot_id,
            task,
        };
        if !self.seen.first_time(task) {
            // In progress or ended: the answer is on its way or has been given.
            return;
        }
        let expected_out = u64::from(command.expected_out);
        let write_bytes = self.write_bytes.saturating_add(expected_out);
        let refusal = if self.tasks.len() >= self.config.max_tasks
            || (write_bytes > self.config.max_write_bytes && self.write_bytes > 0)
        {
            Some(Refusal::QueueFull)
        } else {
            None
        };
        if let Some(code) = refusal {
            self.out.push_back(Message::Refused {
                in_reply_to: 0,
                task,
                code,
                epoch: 0,
            });
            return;
        }
        self.write_bytes = write_bytes;
        let immediate = core::mem::take(&mut command.immediate);
        let mut write = Reassembly::new(immediate.len() as u64);
        let _ = write.accept(0, immediate);
        let guid = command.guid;
        let held = self.dying.contains_key(&guid);
        let mut task = Task {
            guid,
            session: command.session,
            expected_in: u64::from(command.expected_in),
            expected_out,
            write,
            requested: 0,
            collecting: false,
            credit: u64::from(command.read_credit),
            ending: None,
            aborted: None,
            dying: false,
            held: None,
        };
        if held {
            task.held = Some(command);
        } else {
            self.events.push_back(ResponderEvent::Execute { key, command });
        }
        self.tasks.insert(key, task);
    }

    /// Collects the next `length` bytes of write data: what came with the command first, the rest by R2T.
    /// [`ResponderEvent::DataOut`] follows.
    ///
    /// # Errors
    /// [`UnknownTask`]: no such task, or it is being aborted, or this asks for more than the initiator announced.
    pub fn request_data(&mut self, key: TaskKey, length: u32) -> Result<(), UnknownTask> {
        let t = self
            .tasks
            .get_mut(&key)
            .filter(|t| t.aborted.is_none())
            .ok_or(UnknownTask)?;
        let end = t.requested.saturating_add(u64::from(length));
        if end > t.expected_out || t.collecting {
            return Err(UnknownTask);
        }
        t.requested = end;
        t.collecting = true;
        let offset = t.write.granted();
        if end > offset {
            let more = end.saturating_sub(offset);
            t.write.grant(more);
            let length = u32::try_from(more).unwrap_or(u32::MAX);
            self.out.push_back(Message::R2t {
                task: key.task,
                offset,
                length,
            });
        }
        self.collect(key);
        Ok(())
    }

    fn collect(&mut self, key: TaskKey) {
        if let Some(t) = self.tasks.get_mut(&key)
            && t.collecting
            && t.aborted.is_none()
            && t.write.received() >= t.requested
        {
            t.collecting = false;
            // Immediate data may go beyond this step; it stays for the next.
            let mut pieces = Pieces::default();
            for piece in t.write.take() {
                pieces.push(piece);
            }
            let beyond = t.write.received().saturating_sub(t.requested);
            let now = pieces.len().saturating_sub(beyond);
            let mut data = Vec::new();
            if now > 0 {
                data.push(pieces.take(now));
            }
            if pieces.len() > 0 {
                let rest = pieces.take(u64::MAX);
                t.write.put_back(rest);
            }
            self.events.push_back(ResponderEvent::DataOut { key, data });
        }
    }

    /// The task has ended: its read data (cut to what the initiator expects) and status go to the peer as far as credit
    /// allows, the rest as credit comes.
    ///
    /// # Errors
    /// [`UnknownTask`]: it has ended already. A task that is being aborted ends without status and is no error.
    pub fn complete(
        &mut self,
        key: TaskKey,
        status: u8,
        sense: Vec<u8>,
        data: Vec<Bytes>,
    ) -> Result<(), UnknownTask> {
        let t = self
            .tasks
            .get_mut(&key)
            .filter(|t| t.ending.is_none())
            .ok_or(UnknownTask)?;
        if t.aborted.is_some() {
            self.aborted(key);
            return Ok(());
        }
        let mut rest = Pieces::default();
        for piece in data {
            rest.push(piece);
        }
        rest.truncate(t.expected_in);
        let total = rest.len();
        t.ending = Some(Ending {
            status,
            sense,
            rest,
            total,
        });
        self.pump(key);
        Ok(())
    }

    /// Sends what credit allows.
    fn pump(&mut self, key: TaskKey) {
        let limit = u64::from(self.limits.max_data_bytes);
        let task = key.task;
        let Some(t) = self.tasks.get_mut(&key).filter(|t| t.aborted.is_none()) else {
            return;
        };
        let Some(ending) = t.ending.as_mut() else { return };
        loop {
            let rest = ending.rest.len();
            let data_offset = ending.total.saturating_sub(rest);
            if rest <= t.credit && rest <= limit && (rest <= JOIN_BYTES || ending.rest.is_one_piece()) {
                let data = ending.rest.take(rest);
                let sense = core::mem::take(&mut ending.sense);
                let (status, data_in_total) = (ending.status, ending.total);
                self.out.push_back(Message::Status {
                    task,
                    status,
                    sense,
                    data_in_total,
                    data_offset,
                    data,
                });
                self.forget(key);
                return;
            }
            let chunk = ending.rest.next_piece().min(t.credit).min(limit);
            if chunk == 0 {
                return;
            }
            t.credit = t.credit.saturating_sub(chunk);
            let data = ending.rest.take(chunk);
            self.out.push_back(Message::DataIn {
                task,
                offset: data_offset,
                data,
            });
        }
    }

    fn abort(&mut self, key: TaskKey) {
        if self.tasks.contains_key(&key) {
            self.begin_abort(key, true);
        } else {
            // Ended, or not arrived yet; the latter must not be executed any more.
            self.seen.first_time(key.task);
            self.out.push_back(Message::TaskAborted { task: key.task });
        }
    }

    fn begin_abort(&mut self, key: TaskKey, tell: bool) {
        let Some(t) = self.tasks.get_mut(&key) else { return };
        if let Some(told) = t.aborted.as_mut() {
            *told |= tell;
            return;
        }
        t.aborted = Some(tell);
        if t.ending.is_some() || t.held.is_some() {
            // Executed, only the answer was still going out; or never begun.
            self.aborted(key);
        } else {
            self.events.push_back(ResponderEvent::Abort { key });
        }
    }

    /// Nothing of the task runs any more, after [`ResponderEvent::Abort`]. An unknown key does nothing.
    pub fn aborted(&mut self, key: TaskKey) {
        if self.tasks.get(&key).is_some_and(|t| t.aborted == Some(true)) && key.boot_id == self.boot_id {
            self.out.push_back(Message::TaskAborted { task: key.task });
        }
        self.forget(key);
    }

    /// Answers [`ResponderEvent::TaskManagement`].
    pub fn task_management_done(&mut self, key: TaskKey, response: u8) {
        if self.management.remove(&key) && key.boot_id == self.boot_id {
            self.out.push_back(Message::TaskManagementDone {
                task: key.task,
                response,
            });
        }
    }

    /// The link is lost: every task of the peer is aborted, and what was to be sent is dropped.
    pub fn channel_lost(&mut self) {
        self.out.clear();
        self.management.clear();
        let keys: Vec<_> = self.tasks.keys().copied().collect();
        for key in keys {
            self.begin_abort(key, false);
            if let Some(t) = self.tasks.get_mut(&key) {
                t.aborted = Some(false);
                if !t.dying {
                    t.dying = true;
                    let count = self.dying.entry(t.guid).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// The next message to seal and send.
    pub fn poll_transmit(&mut self) -> Option<Message> {
        self.out.pop_front()
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<ResponderEvent> {
        self.events.pop_front()
    }

    fn forget(&mut self, key: TaskKey) {
        let Some(t) = self.tasks.remove(&key) else { return };
        self.write_bytes = self.write_bytes.saturating_sub(t.expected_out);
        if t.dying
            && let Some(count) = self.dying.get_mut(&t.guid)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.dying.remove(&t.guid);
                self.release(t.guid);
            }
        }
    }

    /// Nothing of a lost link runs on the logical unit any more.
    fn release(&mut self, guid: GuidBytes) {
        for (key, task) in &mut self.tasks {
            if task.guid == guid
                && let Some(command) = task.held.take()
            {
                self.events
                    .push_back(ResponderEvent::Execute { key: *key, command });
            }
        }
    }
}

/// Task numbers that have been used.
#[derive(Debug, Default)]
struct Seen {
    /// All lower ones count as used.
    floor: u64,
    above: BTreeSet<u64>,
}

impl Seen {
    fn first_time(&mut self, task: u64) -> bool {
        if task < self.floor || !self.above.insert(task) {
            return false;
        }
        while self.above.remove(&self.floor) || self.floor == 0 {
            self.floor = self.floor.saturating_add(1);
        }
        if self.above.len() > SEEN
            && let Some(lowest) = self.above.pop_first()
        {
            self.floor = lowest.saturating_add(1);
        }
        true
    }
}
