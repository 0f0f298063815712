//! The owner side: commands of the peer's initiators, executed here.

use super::{Proxy, lock, one_more};
use crate::target::{CdbBytes, Job, Lu, Nexus, Origin, Reply, Reserved};
use proxy_proto::{
    Message, Responder, ResponderConfig, ResponderEvent, ScsiCommand, TaskKey, TaskManagement,
    TaskManagementFunction,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;
use stmf_core::{AbortFilter, Guid, Lun, NexusId, PortIdentity, Sense, Status};
use tracing::warn;

/// Commands of the peer, and the I_T nexuses they came through.
#[derive(Debug)]
pub(super) struct Owner {
    responder: Responder,
    running: HashMap<TaskKey, (Arc<Lu>, NexusId)>,
    collecting: HashMap<TaskKey, Job>,
    nexuses: HashMap<NexusKey, Arc<Nexus>>,
}

/// An I_T nexus of the peer: its initiator, its port and its number for the session.
type NexusKey = (String, String, u64);

/// One command of the peer.
#[derive(Debug, Clone)]
pub(crate) struct PeerTask {
    proxy: Arc<Proxy>,
    key: TaskKey,
}

impl Owner {
    pub(super) fn new() -> Self {
        Self {
            responder: Responder::new(ResponderConfig::default()),
            running: HashMap::new(),
            collecting: HashMap::new(),
            nexuses: HashMap::new(),
        }
    }

    pub(super) fn responder(&mut self) -> &mut Responder {
        &mut self.responder
    }

    /// Initiators that have come through a port of the peer.
    pub(super) fn initiators(&self, port: &str) -> Vec<(String, SystemTime)> {
        let through = self.nexuses.iter().filter(|((_, name, _), _)| name == port);
        through
            .map(|((initiator, ..), nexus)| (initiator.clone(), nexus.since))
            .collect()
    }
}

impl PeerTask {
    /// The command has ended.
    pub(crate) fn complete(&self, reply: Reply, reserved: Option<Reserved>) {
        let Reply {
            status, sense, data, ..
        } = reply;
        let mut owner = lock(&self.proxy.owner);
        owner.running.remove(&self.key);
        // An unknown task was aborted by the peer or lost with its link: there is nobody to tell.
        let _ = owner.responder.complete(self.key, status, sense, data);
        drop(owner);
        self.proxy.owner_pump();
        drop(reserved);
    }

    /// The command was aborted: it gets no answer.
    pub(crate) fn aborted(&self) {
        let mut owner = lock(&self.proxy.owner);
        owner.running.remove(&self.key);
        owner.responder.aborted(self.key);
        drop(owner);
        self.proxy.owner_pump();
    }

    /// The command needs its data-out.
    pub(crate) fn request_data(&self, job: Job, length: u32) {
        let mut owner = lock(&self.proxy.owner);
        let refused = match owner.responder.request_data(self.key, length) {
            Ok(()) => owner.collecting.insert(self.key, job),
            Err(_) => Some(job),
        };
        drop(owner);
        // Dropping the job ends its task and says so; not under the lock.
        drop(refused);
        self.proxy.owner_pump();
    }
}

impl Proxy {
    /// A message of the peer about a command of its initiators.
    pub(super) fn owner_message(self: &Arc<Self>, boot_id: u64, message: Message) {
        lock(&self.owner).responder.handle(boot_id, message);
        self.owner_pump();
    }

    /// The link is gone: the peer's commands are aborted and its sessions end.
    pub(super) fn owner_channel_lost(self: &Arc<Self>) {
        lock(&self.owner).responder.channel_lost();
        self.owner_pump();
        self.forget_nexuses(|_| true);
    }

    pub(super) fn owner_port_removed(&self, port: &str) {
        self.forget_nexuses(|(_, name, _)| name == port);
    }

    /// Tasks of a logical unit were aborted: those that still wait for their data-out end here and now.
    pub(super) fn owner_tasks_aborted(&self, lu: &Arc<Lu>) {
        let mut owner = lock(&self.owner);
        let inner = lu.lock();
        let aborted =
            |job: &Job| Arc::ptr_eq(&job.lu, lu) && job.task.is_some_and(|task| inner.tasks.is_aborted(task));
        let keys: Vec<TaskKey> = owner
            .collecting
            .iter()
            .filter(|(_, job)| aborted(job))
            .map(|(key, _)| *key)
            .collect();
        drop(inner);
        let jobs: Vec<Job> = keys
            .iter()
            .filter_map(|key| owner.collecting.remove(key))
            .collect();
        drop(owner);
        drop(jobs);
    }

    /// Sends what the responder wants sent and does what it wants done.
    pub(super) fn owner_pump(self: &Arc<Self>) {
        loop {
            let mut owner = lock(&self.owner);
            if let Some(message) = owner.responder.poll_transmit() {
                drop(owner);
                if let Some(bytes) = self.sealer.seal(&message) {
                    self.send(bytes, None);
                }
                continue;
            }
            let event = owner.responder.poll_event();
            drop(owner);
            match event {
                Some(ResponderEvent::Execute { key, command }) => self.execute(key, command),
                Some(ResponderEvent::DataOut { key, data }) => {
                    let job = lock(&self.owner).collecting.remove(&key);
                    if let Some(mut job) = job {
                        job.data = Some(data);
                        self.target.drive(job);
                    }
                }
                Some(ResponderEvent::Abort { key }) => self.abort_for_peer(key),
                Some(ResponderEvent::TaskManagement { key, request }) => self.manage_for_peer(key, &request),
                Some(ResponderEvent::SessionDestroyed { session, .. }) => {
                    self.forget_nexuses(|(_, _, number)| *number == session);
                }
                None => return,
            }
        }
    }

    fn execute(self: &Arc<Self>, key: TaskKey, command: ScsiCommand) {
        one_more(&self.counters.tasks_received);
        let guid = Guid(command.guid);
        let Some(lu) = self.target.lu(guid) else {
            warn!(%guid, "the peer sent a command for a logical unit this node does not have");
            return self.refuse(key, Sense::UNAVAILABLE);
        };
        let nexus = self.nexus_of(&command);
        lock(&self.owner).running.insert(key, (Arc::clone(&lu), nexus.id));
        let mut job = Job {
            lu,
            nexus,
            lun: Lun::decode(command.lun),
            tag: key.task,
            cdb: CdbBytes::new(&command.cdb),
            attribute: command.attribute as u8,
            expected_in: command.expected_in,
            expected_out: command.expected_out,
            data: None,
            origin: Origin::Peer(PeerTask {
                proxy: Arc::clone(self),
                key,
            }),
            task: None,
            reserved: None,
            turned_away: None,
            answered: false,
        };
        if self.target.reserve(&mut job) {
            self.target.drive(job);
        } else {
            job.answer(Reply::status(Status::TaskSetFull));
        }
    }

    fn refuse(self: &Arc<Self>, key: TaskKey, sense: Sense) {
        let _ =
            lock(&self.owner)
                .responder
                .complete(key, Status::CheckCondition.code(), sense.encode(), vec![]);
    }

    /// The I_T nexus of a command; a new one is made known to every logical unit.
    fn nexus_of(&self, command: &ScsiCommand) -> Arc<Nexus> {
        let key = (
            command.initiator.clone(),
            command.port.name.clone(),
            command.session,
        );
        let mut owner = lock(&self.owner);
        if let Some(nexus) = owner.nexuses.get(&key) {
            return Arc::clone(nexus);
        }
        let port = Arc::new(PortIdentity {
            name: command.port.name.clone(),
            relative_target_port: command.port.relative_target_port,
            node: command.port.node,
        });
        let nexus = Arc::new(Nexus::remote(
            self.target.new_nexus_id(),
            command.initiator.clone(),
            port,
        ));
        owner.nexuses.insert(key, Arc::clone(&nexus));
        drop(owner);
        for lu in self.target.lus() {
            lu.lock().core.nexus_added(nexus.id);
        }
        nexus
    }

    fn abort_for_peer(self: &Arc<Self>, key: TaskKey) {
        let mut owner = lock(&self.owner);
        let collecting = owner.collecting.remove(&key);
        let running = owner.running.get(&key).cloned();
        drop(owner);
        drop(collecting);
        match running {
            Some((lu, nexus)) => self.target.abort(&lu, AbortFilter::Task(nexus, key.task), || {}),
            None => lock(&self.owner).responder.aborted(key),
        }
    }

    fn manage_for_peer(self: &Arc<Self>, key: TaskKey, request: &TaskManagement) {
        let Some(lu) = self.target.lu(Guid(request.guid)) else {
            // 2: LOGICAL UNIT DOES NOT EXIST.
            return lock(&self.owner).responder.task_management_done(key, 2);
        };
        let nexus_key = (
            request.initiator.clone(),
            request.port.name.clone(),
            request.session,
        );
        let nexus = lock(&self.owner).nexuses.get(&nexus_key).map(|nexus| nexus.id);
        let filter = match request.function {
            TaskManagementFunction::ClearTaskSet | TaskManagementFunction::LogicalUnitReset => {
                AbortFilter::All
            }
            TaskManagementFunction::AbortTaskSet | TaskManagementFunction::NexusLoss => match nexus {
                Some(nexus) => AbortFilter::Nexus(nexus),
                None => return lock(&self.owner).responder.task_management_done(key, 0),
            },
        };
        if request.function == TaskManagementFunction::LogicalUnitReset {
            lu.lock().core.reset(nexus);
        }
        let proxy = Arc::clone(self);
        self.target.abort(&lu, filter, move || {
            lock(&proxy.owner).responder.task_management_done(key, 0);
            proxy.owner_pump();
        });
    }

    fn forget_nexuses(&self, which: impl Fn(&NexusKey) -> bool) {
        let mut owner = lock(&self.owner);
        let gone: Vec<NexusKey> = owner.nexuses.keys().filter(|key| which(key)).cloned().collect();
        let gone: Vec<Arc<Nexus>> = gone.iter().filter_map(|key| owner.nexuses.remove(key)).collect();
        drop(owner);
        for lu in self.target.lus() {
            for nexus in &gone {
                lu.lock().core.nexus_removed(nexus.id);
            }
        }
    }
}
