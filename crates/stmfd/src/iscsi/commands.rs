//! The commands of one session: from the connection to the target and back.

use super::ConnectionMessage;
use crate::target::{CdbBytes, Function, Job, Lu, Nexus, Origin, Progress, Reply, Reserved, Target, Wanted};
use bytes::Bytes;
use iscsi_proto::{
    Connection, ScsiCommand, ScsiResponse, SessionOpened, TaskManagement, TaskManagementFunction,
    TaskManagementResponse,
};
use std::collections::HashMap;
use std::sync::Arc;
use stmf_core::{Lun, Sense, Status};
use tokio::sync::mpsc::UnboundedSender;

/// The session of a connection and its commands.
#[derive(Debug)]
pub(crate) struct Commands {
    target: Arc<Target>,
    connection: UnboundedSender<ConnectionMessage>,
    session: Option<(SessionOpened, Option<Arc<Nexus>>)>,
    /// Commands whose data-out is being collected, by initiator task tag.
    collecting: HashMap<u32, Job>,
}

impl Commands {
    pub(crate) fn new(target: Arc<Target>, connection: UnboundedSender<ConnectionMessage>) -> Self {
        Self {
            target,
            connection,
            session: None,
            collecting: HashMap::new(),
        }
    }

    /// The session has been opened.
    pub(crate) fn open(&mut self, session: SessionOpened) {
        let nexus = (!session.discovery).then(|| {
            self.target
                .open_nexus(session.initiator.clone(), self.connection.clone())
        });
        self.session = Some((session, nexus));
    }

    /// A command has arrived.
    pub(crate) fn start(&mut self, connection: &mut Connection, command: ScsiCommand) {
        let Some((_, Some(nexus))) = &self.session else {
            return;
        };
        let luns = nexus.luns();
        let (expected_in, expected_out) = (command.expected_data_in, command.expected_data_out);
        let lun = Lun::decode(command.lun);
        let unit = luns.units.get(&lun);
        let report_luns = stmf_core::unmapped::is_report_luns(&command.cdb);
        let Some(lu) = unit.filter(|_| !report_luns) else {
            if report_luns {
                luns.units
                    .values()
                    .for_each(|lu| lu.lock().luns_reported(nexus.id));
            }
            let reply = self
                .target
                .unmapped(nexus, lun, &command.cdb, expected_in, &luns.map);
            respond(connection, command.tag, reply);
            return;
        };
        let mut job = Job {
            lu: Arc::clone(lu),
            nexus: Arc::clone(nexus),
            lun,
            tag: u64::from(command.tag),
            cdb: CdbBytes::new(&command.cdb),
            attribute: command.attribute as u8,
            expected_in,
            expected_out,
            data: None,
            origin: Origin::Iscsi {
                connection: self.connection.clone(),
                tag: command.tag,
            },
            task: None,
            reserved: None,
            turned_away: None,
            answered: false,
        };
        if self.target.reserve(&mut job) {
            self.go_on(connection, job);
        } else {
            respond(connection, command.tag, Reply::status(Status::TaskSetFull));
        }
    }

    /// The data-out of a command is complete.
    pub(crate) fn data(&mut self, connection: &mut Connection, tag: u32, data: Vec<Bytes>) {
        if let Some(mut job) = self.collecting.remove(&tag) {
            job.data = Some(data);
            self.go_on(connection, job);
        }
    }

    /// A command wants its data-out.
    pub(crate) fn need_data(&mut self, connection: &mut Connection, job: Job, wanted: Wanted) {
        let Origin::Iscsi { tag, .. } = job.origin else {
            return;
        };
        match connection.request_data(tag, wanted.length) {
            Ok(()) => {
                if wanted.transfer_length > u64::from(wanted.length) {
                    connection.set_transfer_length(tag, wanted.transfer_length);
                }
                self.collecting.insert(tag, job);
            }
            Err(error) => {
                tracing::debug!(tag, ?error, "data-out cannot be collected");
                job.answered_here();
                respond(connection, tag, Reply::check(Sense::INVALID_FIELD_IN_CDB));
            }
        }
    }

    /// A command has ended.
    pub(crate) fn complete(
        &mut self,
        connection: &mut Connection,
        tag: u32,
        reply: Reply,
        reserved: Option<Reserved>,
    ) {
        respond(connection, tag, reply);
        // The data now counts against the socket, not against the budget of commands.
        drop(reserved);
    }

    /// A task management request has arrived.
    pub(crate) fn manage(&mut self, connection: &mut Connection, request: &TaskManagement) {
        let Some((_, Some(nexus))) = &self.session else {
            return;
        };
        let function = match request.function {
            TaskManagementFunction::AbortTask => Function::AbortTask(u64::from(request.referenced_tag)),
            TaskManagementFunction::AbortTaskSet => Function::AbortTaskSet,
            TaskManagementFunction::ClearTaskSet => Function::ClearTaskSet,
            TaskManagementFunction::LogicalUnitReset
            | TaskManagementFunction::TargetWarmReset
            | TaskManagementFunction::TargetColdReset => Function::Reset,
        };
        let luns = nexus.luns();
        let lun = Lun::decode(request.lun);
        let lus = match request.function {
            TaskManagementFunction::TargetWarmReset | TaskManagementFunction::TargetColdReset => luns
                .units
                .iter()
                .map(|(lun, lu)| (*lun, Arc::clone(lu)))
                .collect(),
            _ => match luns.units.get(&lun) {
                Some(lu) => vec![(lun, Arc::clone(lu))],
                None => {
                    let response = TaskManagementResponse::LunDoesNotExist;
                    connection.complete_task_management(request.tag, response);
                    return;
                }
            },
        };
        let (sender, tag) = (self.connection.clone(), request.tag);
        self.target.manage(nexus, lus, function, move || {
            let response = TaskManagementResponse::Complete;
            let _ = sender.send(ConnectionMessage::TaskManagementDone { tag, response });
        });
    }

    /// Tasks of a logical unit were aborted: those that still wait for their data-out end here and now.
    pub(crate) fn sweep(&mut self, lu: &Arc<Lu>) {
        let aborted = |job: &Job| {
            Arc::ptr_eq(&job.lu, lu) && job.task.is_some_and(|task| lu.lock().tasks.is_aborted(task))
        };
        let tags: Vec<u32> = self
            .collecting
            .iter()
            .filter(|(_, job)| aborted(job))
            .map(|(tag, _)| *tag)
            .collect();
        for tag in tags {
            self.collecting.remove(&tag);
        }
    }

    fn go_on(&mut self, connection: &mut Connection, job: Job) {
        let tag = match &job.origin {
            Origin::Iscsi { tag, .. } => *tag,
            Origin::Peer(_) => return,
        };
        match self.target.start(job) {
            Progress::Done(job, reply) => {
                job.answered_here();
                respond(connection, tag, reply);
            }
            Progress::NeedData(job, wanted) => self.need_data(connection, job, wanted),
            Progress::Pending | Progress::Swallowed => {}
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.collecting.clear();
        if let Some((session, nexus)) = self.session.take() {
            if let Some(nexus) = nexus {
                self.target.close_nexus(&nexus);
            }
            self.target
                .sessions
                .ended(&session.initiator, session.isid, session.tsih);
        }
    }
}

fn respond(connection: &mut Connection, tag: u32, reply: Reply) {
    let Reply {
        status,
        sense,
        data: data_in,
        transfer_length,
    } = reply;
    if let Some(bytes) = transfer_length {
        connection.set_transfer_length(tag, bytes);
    }
    connection.complete(
        tag,
        ScsiResponse {
            status,
            sense,
            data_in,
        },
    );
}
