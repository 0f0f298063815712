//! Standby side of proxied tasks: what was asked of the owner and what has come back.
//!
//! A task ends exactly once, with one [`RequesterEvent::Finished`]: by status, refusal, abort, deadline or loss of the
//! channel. Messages for a task that has ended, and data received twice or out of order, do no harm.

use crate::error::Refusal;
use crate::limits::MIN_DATA_BYTES;
use crate::message::{
    GuidBytes, Limits, Message, PortRecord, ScsiCommand, TaskAttribute, TaskManagement,
    TaskManagementFunction,
};
use crate::pieces::Pieces;
use crate::reassembly::Reassembly;
use crate::time::Instant;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// Settings of [`Requester`].
#[derive(Clone, Debug)]
pub struct RequesterConfig {
    /// Most tasks in progress; the peer's own limit holds as well.
    pub max_tasks: usize,
    /// Bytes of read data of one task that may be on their way at once.
    pub read_window: u32,
    /// A task of which nothing is heard for this long is given up: 20 s.
    pub deadline: Duration,
    /// An abort that is not answered for this long is given up: 5 s.
    pub abort_deadline: Duration,
}

impl Default for RequesterConfig {
    fn default() -> Self {
        Self {
            max_tasks: 4096,
            read_window: 4 << 20,
            deadline: Duration::from_secs(20),
            abort_deadline: Duration::from_secs(5),
        }
    }
}

/// A command to be proxied.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The logical unit.
    pub guid: GuidBytes,
    /// LUN the initiator used.
    pub lun: [u8; 8],
    /// Initiator port name.
    pub initiator: String,
    /// Target port the initiator is connected to.
    pub port: PortRecord,
    /// This node's number for the I_T nexus.
    pub session: u64,
    /// Command descriptor block.
    pub cdb: Vec<u8>,
    /// Task attribute.
    pub attribute: TaskAttribute,
    /// Bytes the initiator expects to receive.
    pub expected_in: u32,
    /// Bytes the initiator expects to send.
    pub expected_out: u32,
    /// Write data known already, from offset 0; more may follow through [`Requester::supply`].
    pub data_out: Vec<Bytes>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The owner answered.
    Status {
        /// SCSI status.
        status: u8,
        /// Sense data, empty if none.
        sense: Vec<u8>,
        /// Read data, in order, without holes.
        data: Vec<Bytes>,
    },
    /// The owner did not take it: it has not been executed.
    Refused(Refusal),
    /// Aborted here; the owner has confirmed that nothing of it runs.
    Aborted,
    /// Aborted here, but the owner did not confirm in time.
    AbortUnconfirmed,
    /// The channel was lost: whether it was executed is not known.
    ChannelLost,
    /// Nothing heard until the deadline: whether it was executed is not known. The owner has been told to abort it.
    TimedOut,
    /// The owner answered something that cannot be: more data than asked for, or data past its own total.
    PeerFault,
}

/// What the daemon hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequesterEvent {
    /// The task has ended; its number means nothing any more.
    Finished {
        /// Number [`Requester::begin`] gave.
        task: u64,
        /// How.
        outcome: Outcome,
    },
    /// The owner wants write data up to byte `end` that was not supplied yet: call [`Requester::supply`].
    DataWanted {
        /// Which task.
        task: u64,
        /// Bytes supplied so far.
        have: u64,
        /// Bytes wanted in all.
        end: u64,
    },
    /// A task management function has been answered; `None`: not in time or the channel was lost.
    TaskManagementDone {
        /// Number [`Requester::begin_task_management`] gave.
        task: u64,
        /// Response code.
        response: Option<u8>,
    },
}

/// Why a task was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskRefused {
    /// Too many in progress: TASK SET FULL.
    Full,
    /// More write data than the initiator announced.
    TooMuchData,
}

#[derive(Debug)]
struct Task {
    read: Reassembly,
    expected_in: u64,
    window: u64,
    write: WriteData,
    /// Status that waits for the last read data.
    status: Option<(u8, Vec<u8>, u64)>,
    aborting: bool,
    deadline: Instant,
}

impl Task {
    /// More credit, once half of the window is used up.
    fn credit_due(&mut self) -> Option<u32> {
        let target = self
            .read
            .received()
            .saturating_add(self.window)
            .min(self.expected_in);
        let more = target.saturating_sub(self.read.granted());
        let last = target == self.expected_in;
        if more == 0 || (!last && more < self.window / 2) {
            return None;
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.read.grant(u64::from(more));
        Some(more)
    }
}

/// Write data of one task, as far as it is known and as far as it is asked for.
#[derive(Debug)]
struct WriteData {
    expected: u64,
    have: u64,
    /// Supplied and not sent: what follows offset `sent`.
    unsent: Pieces,
    sent: u64,
    /// The owner has asked for everything before this.
    wanted: u64,
}

impl WriteData {
    fn new(expected: u64) -> Self {
        Self {
            expected,
            have: 0,
            unsent: Pieces::default(),
            sent: 0,
            wanted: 0,
        }
    }

    /// False: more than the initiator announced.
    fn supply(&mut self, data: Bytes) -> bool {
        let have = self.have.saturating_add(data.len() as u64);
        if have > self.expected {
            return false;
        }
        self.have = have;
        self.unsent.push(data);
        true
    }

    /// Takes up to `limit` bytes for the command itself.
    fn head(&mut self, limit: u32) -> Bytes {
        let head = self.take(u64::from(limit));
        self.wanted = self.sent;
        head
    }

    /// The owner asks for a range. False: it is not within the data, or leaves a hole. Asked for before: no harm.
    fn want(&mut self, offset: u64, length: u64) -> bool {
        let end = offset.saturating_add(length);
        if offset > self.wanted || end > self.expected {
            return false;
        }
        self.wanted = self.wanted.max(end);
        true
    }

    fn send(&mut self, task: u64, limit: u32, out: &mut VecDeque<Message>) {
        while self.wanted.min(self.have) > self.sent {
            let offset = self.sent;
            let data = self.take(self.wanted.saturating_sub(offset).min(u64::from(limit)));
            out.push_back(Message::DataOut { task, offset, data });
        }
    }

    fn lacking(&self) -> Option<(u64, u64)> {
        (self.wanted > self.have).then_some((self.have, self.wanted))
    }

    fn take(&mut self, n: u64) -> Bytes {
        let data = self.unsent.take(n);
        self.sent = self.sent.saturating_add(data.len() as u64);
        data
    }
}

/// Tasks this node has asked the owner to execute.
#[derive(Debug)]
pub struct Requester {
    config: RequesterConfig,
    limits: Limits,
    next: u64,
    tasks: BTreeMap<u64, Task>,
    management: BTreeMap<u64, Instant>,
    out: VecDeque<Message>,
    events: VecDeque<RequesterEvent>,
}

impl Requester {
    /// Nothing in progress. Task numbers start at 1 and are never used twice, so one requester lives as long as the boot id.
    #[must_use]
    pub fn new(config: RequesterConfig) -> Self {
        Self {
            config,
            limits: Limits::default(),
            next: 1,
            tasks: BTreeMap::new(),
            management: BTreeMap::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What the peer takes, from `Peer::peer_limits` when the channel comes up.
    pub fn set_peer_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Tasks in progress.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.tasks.len()
    }

    /// Sends a command to the owner; returns the task's number.
    ///
    /// # Errors
    /// [`TaskRefused`]; nothing has been sent then.
    pub fn begin(&mut self, now: Instant, new: NewTask) -> Result<u64, TaskRefused> {
        if self.tasks.len() >= self.config.max_tasks.min(self.limits.max_tasks as usize) {
            return Err(TaskRefused::Full);
        }
        let mut write = WriteData::new(u64::from(new.expected_out));
        for piece in new.data_out {
            if !write.supply(piece) {
                return Err(TaskRefused::TooMuchData);
            }
        }
        let task = self.take_number();
        let immediate = write.head(self.limits.max_immediate_bytes.min(self.limits.max_data_bytes));
        let window = self.config.read_window.max(MIN_DATA_BYTES);
        self.out.push_back(Message::ScsiCommand(ScsiCommand {
            task,
            guid: new.guid,
            lun: new.lun,
            initiator: new.initiator,
            port: new.port,
            session: new.session,
            cdb: new.cdb,
            attribute: new.attribute,
            expected_in: new.expected_in,
            expected_out: new.expected_out,
            read_credit: window.min(new.expected_in),
            immediate,
        }));
        let read = Reassembly::new(u64::from(window.min(new.expected_in)));
        let deadline = now.after(self.config.deadline);
        let (expected_in, window) = (u64::from(new.expected_in), u64::from(window));
        self.tasks.insert(
            task,
            Task {
                read,
                expected_in,
                window,
                write,
                status: None,
                aborting: false,
                deadline,
            },
        );
        Ok(task)
    }

    /// More write data, following what was supplied before. False: more than the initiator announced, or no such task.
    pub fn supply(&mut self, now: Instant, task: u64, data: Bytes) -> bool {
        let deadline = now.after(self.config.deadline);
        let Some(t) = self.tasks.get_mut(&task) else {
            return false;
        };
        if !t.write.supply(data) {
            return false;
        }
        t.deadline = deadline;
        t.write.send(task, self.limits.max_data_bytes, &mut self.out);
        true
    }

    /// Sends a task management function; returns its number.
    pub fn begin_task_management(
        &mut self,
        now: Instant,
        function: TaskManagementFunction,
        guid: GuidBytes,
        lun: [u8; 8],
        nexus: (String, PortRecord, u64),
    ) -> u64 {
        let task = self.take_number();
        let (initiator, port, session) = nexus;
        let request = TaskManagement {
            task,
            function,
            guid,
            lun,
            initiator,
            port,
            session,
        };
        self.out.push_back(Message::TaskManagement(request));
        self.management
            .insert(task, now.after(self.config.abort_deadline));
        task
    }

    /// An I_T nexus of this node has ended. Its tasks must be aborted one by one.
    pub fn session_ended(&mut self, session: u64) {
        self.out.push_back(Message::SessionDestroy { session });
    }

    /// Ends a task early: [`Outcome::Aborted`] follows when the owner confirms, [`Outcome::AbortUnconfirmed`] when it
    /// does not in time. A status that was on its way may still win.
    pub fn abort(&mut self, now: Instant, task: u64) {
        let deadline = now.after(self.config.abort_deadline);
        if let Some(t) = self.tasks.get_mut(&task)
            && !t.aborting
        {
            t.aborting = true;
            t.deadline = deadline;
            self.out.push_back(Message::AbortTask { task });
        }
    }

    /// The link is lost: everything in progress ends with [`Outcome::ChannelLost`]; what was to be sent is dropped.
    pub fn channel_lost(&mut self) {
        self.out.clear();
        for (task, _) in core::mem::take(&mut self.tasks) {
            self.events.push_back(RequesterEvent::Finished {
                task,
                outcome: Outcome::ChannelLost,
            });
        }
        for (task, _) in core::mem::take(&mut self.management) {
            self.events
                .push_back(RequesterEvent::TaskManagementDone { task, response: None });
        }
    }

    /// The transport failed this one message of the task (and the link goes on): it was not executed if it was the
    /// command, so the task ends as [`Outcome::ChannelLost`].
    pub fn send_failed(&mut self, task: u64) {
        if self.tasks.remove(&task).is_some() {
            self.events.push_back(RequesterEvent::Finished {
                task,
                outcome: Outcome::ChannelLost,
            });
        }
    }

    /// A message for this role. Anything about an unknown task is dropped.
    pub fn handle(&mut self, now: Instant, message: Message) {
        match message {
            Message::DataIn { task, offset, data } => self.data_in(now, task, offset, data),
            Message::R2t { task, offset, length } => self.r2t(now, task, offset, length),
            Message::Status {
                task,
                status,
                sense,
                data_in_total,
                data_offset,
                data,
            } => {
                if let Some(t) = self.tasks.get_mut(&task) {
                    t.status.get_or_insert((status, sense, data_in_total));
                    self.data_in(now, task, data_offset, data);
                }
            }
            Message::TaskAborted { task } => {
                // Only after an abort of ours; the owner's own aborts end with a status.
                let aborted = self.tasks.get(&task).is_some_and(|t| t.aborting);
                self.finish(
                    task,
                    if aborted {
                        Outcome::Aborted
                    } else {
                        Outcome::PeerFault
                    },
                );
            }
            Message::Refused { task, code, .. } => {
                if self.management.remove(&task).is_some() {
                    self.events.push_back(RequesterEvent::TaskManagementDone {
                        task,
                        response: Some(FUNCTION_REJECTED),
                    });
                } else if code == Refusal::UnknownTask && self.tasks.get(&task).is_some_and(|t| t.aborting) {
                    self.finish(task, Outcome::Aborted);
                } else {
                    self.finish(task, Outcome::Refused(code));
                }
            }
            Message::TaskManagementDone { task, response } if self.management.remove(&task).is_some() => {
                self.events.push_back(RequesterEvent::TaskManagementDone {
                    task,
                    response: Some(response),
                });
            }
            _ => {}
        }
    }

    fn data_in(&mut self, now: Instant, task: u64, offset: u64, data: Bytes) {
        let deadline = now.after(self.config.deadline);
        let Some(t) = self.tasks.get_mut(&task) else {
            return;
        };
        if !t.aborting {
            t.deadline = deadline;
        }
        if t.read.accept(offset, data).is_err() {
            return self.fail(task);
        }
        if let Some((_, _, total)) = t.status {
            if t.read.received() > total {
                return self.fail(task);
            }
            if t.read.received() == total {
                if let Some(mut t) = self.tasks.remove(&task)
                    && let Some((status, sense, _)) = t.status.take()
                {
                    let outcome = Outcome::Status {
                        status,
                        sense,
                        data: t.read.take(),
                    };
                    self.events.push_back(RequesterEvent::Finished { task, outcome });
                }
                return;
            }
        }
        if let Some(bytes) = t.credit_due() {
            self.out.push_back(Message::Credit { task, bytes });
        }
    }

    fn r2t(&mut self, now: Instant, task: u64, offset: u64, length: u32) {
        let deadline = now.after(self.config.deadline);
        let Some(t) = self.tasks.get_mut(&task) else {
            return;
        };
        if t.aborting {
            return;
        }
        t.deadline = deadline;
        if !t.write.want(offset, u64::from(length)) {
            return self.fail(task);
        }
        t.write.send(task, self.limits.max_data_bytes, &mut self.out);
        if let Some((have, end)) = t.write.lacking() {
            self.events
                .push_back(RequesterEvent::DataWanted { task, have, end });
        }
    }

    /// The peer broke the rules for this task: end it on both sides.
    fn fail(&mut self, task: u64) {
        self.out.push_back(Message::AbortTask { task });
        self.finish(task, Outcome::PeerFault);
    }

    fn finish(&mut self, task: u64, outcome: Outcome) {
        if self.tasks.remove(&task).is_some() {
            self.events.push_back(RequesterEvent::Finished { task, outcome });
        }
    }

    /// Ends what is overdue.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, t)| t.deadline <= now)
            .map(|(n, t)| (*n, t.aborting))
            .collect();
        for (task, aborting) in late {
            if !aborting {
                self.out.push_back(Message::AbortTask { task });
            }
            self.finish(
                task,
                if aborting {
                    Outcome::AbortUnconfirmed
                } else {
                    Outcome::TimedOut
                },
            );
        }
        let late: Vec<_> = self
            .management
            .iter()
            .filter(|(_, d)| **d <= now)
            .map(|(n, _)| *n)
            .collect();
        for task in late {
            self.management.remove(&task);
            self.events
                .push_back(RequesterEvent::TaskManagementDone { task, response: None });
        }
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.tasks
            .values()
            .map(|t| t.deadline)
            .chain(self.management.values().copied())
            .min()
    }

    /// The next message to seal and send.
    pub fn poll_transmit(&mut self) -> Option<Message> {
        self.out.pop_front()
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<RequesterEvent> {
        self.events.pop_front()
    }

    fn take_number(&mut self) -> u64 {
        let task = self.next;
        self.next = self.next.saturating_add(1);
        task
    }
}

/// Task management response "function rejected", RFC 7143 §11.6.1.
const FUNCTION_REJECTED: u8 = 255;
