//! The standby side: commands of this node's initiators, executed by the peer.

use super::session::Sent;
use super::{Proxy, lock, now, one_more, port_record};
use crate::target::{Function, Job, Lu, Nexus, Reply};
use proxy_proto::{
    Channel, Message, NewTask, Outcome, Refusal, Requester, RequesterConfig, RequesterEvent, TaskAttribute,
    TaskManagementFunction, TaskRefused,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use stmf_core::{Lun, NexusId, Sense, Status, TaskId};
use tracing::debug;

/// Commands wait this long for a change of owner to settle; then the initiator decides.
const TURNED_AWAY_LIMIT: Duration = Duration::from_secs(5);

/// Commands that are with the peer.
#[derive(Debug)]
pub(super) struct Standby {
    requester: Requester,
    jobs: HashMap<u64, Job>,
    /// Task management functions the peer is carrying out.
    functions: HashMap<u64, Then>,
}

/// What comes after a function.
struct Then(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Then")
    }
}

impl Standby {
    pub(super) fn new() -> Self {
        Self {
            requester: Requester::new(RequesterConfig::default()),
            jobs: HashMap::new(),
            functions: HashMap::new(),
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn requester(&mut self) -> &mut Requester {
        &mut self.requester
    }
}

impl Proxy {
    /// Sends a command to the peer; its data-out has been collected.
    pub(crate) fn forward(self: &Arc<Self>, job: Job) {
        let channel = self.channel();
        if channel != Channel::Up {
            return self.fail(job, channel_reply(channel));
        }
        let task = NewTask {
            guid: *job.lu.guid.as_bytes(),
            lun: job.lun.encode(),
            initiator: job.nexus.initiator.clone(),
            port: port_record(&job.nexus.port),
            session: job.nexus.id.0,
            cdb: job.cdb.to_vec(),
            attribute: TaskAttribute::from_number(job.attribute).unwrap_or_default(),
            expected_in: job.expected_in,
            expected_out: job.expected_out,
            data_out: job.data.clone().unwrap_or_default(),
        };
        one_more(&self.counters.tasks_sent);
        let mut standby = lock(&self.standby);
        match standby.requester.begin(now(), task) {
            Ok(number) => {
                standby.jobs.insert(number, job);
                drop(standby);
                self.standby_pump();
            }
            Err(error @ (TaskRefused::Full | TaskRefused::TooMuchData)) => {
                drop(standby);
                debug!(?error, "command not sent to the peer");
                self.fail(job, Reply::status(Status::TaskSetFull));
            }
        }
    }

    /// A message of the peer about a command of ours.
    pub(super) fn standby_message(self: &Arc<Self>, message: Message) {
        lock(&self.standby).requester.handle(now(), message);
        self.standby_pump();
    }

    pub(super) fn standby_tick(self: &Arc<Self>) {
        lock(&self.standby).requester.handle_timeout(now());
        self.standby_pump();
    }

    /// The transport did not take a command.
    pub(super) fn standby_send_failed(self: &Arc<Self>, task: u64, why: Sent) {
        let job = {
            let mut standby = lock(&self.standby);
            standby.requester.send_failed(task);
            standby.jobs.remove(&task)
        };
        if let Some(job) = job {
            let reply = match why {
                Sent::Again => busy(),
                Sent::Yes | Sent::Failed | Sent::NoDoor => not_ready(),
            };
            self.fail(job, reply);
        }
        self.standby_pump();
    }

    /// Tasks of a logical unit were aborted; those with the peer are aborted there.
    pub(crate) fn tasks_aborted(self: &Arc<Self>, lu: &Arc<Lu>, tasks: &[TaskId]) {
        let mut standby = lock(&self.standby);
        let with_peer: Vec<u64> = standby
            .jobs
            .iter()
            .filter(|(_, job)| Arc::ptr_eq(&job.lu, lu) && job.task.is_some_and(|task| tasks.contains(&task)))
            .map(|(number, _)| *number)
            .collect();
        for number in &with_peer {
            standby.requester.abort(now(), *number);
        }
        drop(standby);
        if !with_peer.is_empty() {
            self.standby_pump();
        }
        self.owner_tasks_aborted(lu);
    }

    /// Has the peer carry out a function as well; `then` runs when it has, cannot, or does not in time.
    pub(crate) fn copy_function(
        self: &Arc<Self>,
        lu: &Lu,
        lun: Lun,
        nexus: &Nexus,
        function: Function,
        then: impl FnOnce() + Send + 'static,
    ) {
        if self.channel() != Channel::Up {
            return then();
        }
        let function = match function {
            Function::Reset => TaskManagementFunction::LogicalUnitReset,
            Function::ClearTaskSet => TaskManagementFunction::ClearTaskSet,
            Function::AbortTask(_) | Function::AbortTaskSet => return then(),
        };
        let origin = (nexus.initiator.clone(), port_record(&nexus.port), nexus.id.0);
        let mut standby = lock(&self.standby);
        let guid = *lu.guid.as_bytes();
        let task = standby
            .requester
            .begin_task_management(now(), function, guid, lun.encode(), origin);
        standby.functions.insert(task, Then(Box::new(then)));
        drop(standby);
        self.standby_pump();
    }

    /// An initiator of this node has logged out.
    pub(crate) fn session_ended(self: &Arc<Self>, nexus: NexusId) {
        if self.channel() == Channel::Up {
            lock(&self.standby).requester.session_ended(nexus.0);
            self.standby_pump();
        }
    }

    /// Sends what the requester wants sent and answers what has ended.
    pub(super) fn standby_pump(self: &Arc<Self>) {
        loop {
            let mut standby = lock(&self.standby);
            if let Some(message) = standby.requester.poll_transmit() {
                drop(standby);
                let command = match &message {
                    Message::ScsiCommand(command) => Some(command.task),
                    _ => None,
                };
                match (self.sealer.seal(&message), command) {
                    (Some(bytes), command) => self.send(bytes, command),
                    (None, Some(task)) => self.standby_send_failed(task, Sent::Again),
                    (None, None) => {}
                }
                continue;
            }
            match standby.requester.poll_event() {
                Some(RequesterEvent::Finished { task, outcome }) => {
                    let job = standby.jobs.remove(&task);
                    drop(standby);
                    if let Some(job) = job {
                        self.ended(job, outcome);
                    }
                }
                // Not in time, or the channel was lost: the peer's tasks end with the link.
                Some(RequesterEvent::TaskManagementDone { task, response: _ }) => {
                    let then = standby.functions.remove(&task);
                    drop(standby);
                    if let Some(Then(then)) = then {
                        then();
                    }
                }
                // All data-out is handed over at the beginning.
                Some(RequesterEvent::DataWanted { .. }) => {}
                None => return,
            }
        }
    }

    fn ended(self: &Arc<Self>, job: Job, outcome: Outcome) {
        let reply = match outcome {
            Outcome::Status { status, sense, .. } if is_turned_away(status, &sense) => {
                return self.try_again(
                    job,
                    Reply {
                        status,
                        sense,
                        ..Reply::default()
                    },
                );
            }
            Outcome::Status { status, sense, data } => {
                // The peer moves at most what the initiator announced; the residual is found here, from the CDB.
                let moved = job.lu.lock().core.transfer_length(&job.cdb);
                let transfer_length = moved.filter(|bytes| {
                    let announced = u64::from(job.expected_out);
                    status == Status::Good.code() || (announced > 0 && *bytes > announced)
                });
                return self.answer(
                    job,
                    Reply {
                        status,
                        sense,
                        data,
                        transfer_length,
                    },
                );
            }
            // Dropped: an aborted command is not answered.
            Outcome::Aborted | Outcome::AbortUnconfirmed => return,
            Outcome::ChannelLost => channel_reply(match self.channel() {
                // A link that came back at once is as good as one in grace: the initiator tries again.
                Channel::Up => Channel::Grace,
                other => other,
            }),
            Outcome::Refused(Refusal::QueueFull) => Reply::status(Status::TaskSetFull),
            Outcome::Refused(Refusal::NotOwner | Refusal::Busy | Refusal::UnknownLogicalUnit) => {
                return self.try_again(job, transition());
            }
            Outcome::Refused(_) | Outcome::TimedOut | Outcome::PeerFault => not_ready(),
        };
        debug!(guid = %job.lu.guid, status = reply.status, "proxied command ended without the peer's status");
        self.fail(job, reply);
    }

    /// The peer has not executed the command, because the ownership is just changing: it waits here and goes to
    /// whoever owns the logical unit then. If that takes too long, the initiator hears what the peer said.
    fn try_again(self: &Arc<Self>, mut job: Job, reply: Reply) {
        let since = *job.turned_away.get_or_insert_with(Instant::now);
        if since.elapsed() > TURNED_AWAY_LIMIT {
            return self.fail(job, reply);
        }
        let lu = Arc::clone(&job.lu);
        lu.lock().held.push(job);
    }

    fn fail(self: &Arc<Self>, job: Job, reply: Reply) {
        self.counters.task_failures.fetch_add(1, Ordering::Relaxed);
        self.answer(job, reply);
    }

    fn answer(self: &Arc<Self>, job: Job, reply: Reply) {
        if let crate::target::Progress::Done(job, reply) = self.target.finish(job, reply) {
            job.answer(reply);
        }
    }
}

/// NOT READY, asymmetric access state transition or standby: said before anything was executed.
fn is_turned_away(status: u8, sense: &[u8]) -> bool {
    let decoded = Sense::decode(sense);
    status == Status::CheckCondition.code()
        && decoded.is_some_and(|sense| sense == Sense::TRANSITION || sense == Sense::STANDBY)
}

/// What an initiator hears while the peer cannot be asked.
fn channel_reply(channel: Channel) -> Reply {
    match channel {
        Channel::Up | Channel::Grace => busy(),
        Channel::Down => not_ready(),
    }
}

fn busy() -> Reply {
    Reply::status(Status::Busy)
}

/// 02/04/0C: LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN UNAVAILABLE STATE.
fn not_ready() -> Reply {
    Reply::check(Sense::UNAVAILABLE)
}

/// 02/04/0A: LOGICAL UNIT NOT ACCESSIBLE, ASYMMETRIC ACCESS STATE TRANSITION.
fn transition() -> Reply {
    Reply::check(Sense::TRANSITION)
}
