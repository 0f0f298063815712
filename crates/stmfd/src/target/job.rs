//! One command on its way: where it came from, what it carries, and that it is answered exactly once.

use super::budget::Reserved;
use super::lu::Lu;
use super::nexus::Nexus;
use crate::iscsi::ConnectionMessage;
use crate::proxy::PeerTask;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;
use stmf_core::{Command, Lun, PairView, Sense, Status, TaskId};
use tokio::sync::mpsc::UnboundedSender;

/// What goes back to whoever sent the command.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// SCSI status byte.
    pub(crate) status: u8,
    /// Sense data, empty if none.
    pub(crate) sense: Vec<u8>,
    /// Data for the initiator.
    pub(crate) data: Vec<Bytes>,
    /// Bytes of data-out the CDB asked for, if none were collected because the initiator announced too few.
    pub(crate) transfer_length: Option<u64>,
}

impl Reply {
    /// A status alone.
    pub(crate) fn status(status: Status) -> Self {
        Self {
            status: status.code(),
            ..Self::default()
        }
    }

    /// CHECK CONDITION with this sense.
    pub(crate) fn check(sense: Sense) -> Self {
        Self {
            sense: sense.encode(),
            ..Self::status(Status::CheckCondition)
        }
    }
}

/// Where a command came from and its answer goes to.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A connection of this node.
    Iscsi {
        /// The connection's own queue.
        connection: UnboundedSender<ConnectionMessage>,
        /// Initiator task tag.
        tag: u32,
    },
    /// The peer.
    Peer(PeerTask),
}

/// A command in progress. Dropping it ends its task without an answer.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) lu: Arc<Lu>,
    pub(crate) nexus: Arc<Nexus>,
    pub(crate) lun: Lun,
    pub(crate) tag: u64,
    pub(crate) cdb: CdbBytes,
    pub(crate) attribute: u8,
    pub(crate) expected_in: u32,
    pub(crate) expected_out: u32,
    /// The whole data-out, once it has been collected.
    pub(crate) data: Option<Vec<Bytes>>,
    pub(crate) origin: Origin,
    /// Number of the task in the logical unit's task set, from the first attempt on.
    pub(crate) task: Option<TaskId>,
    pub(crate) reserved: Option<Reserved>,
    /// When the peer first said that it is not (or not yet) the owner.
    pub(crate) turned_away: Option<Instant>,
    /// The origin has its answer; nothing is left to say when the job is dropped.
    pub(crate) answered: bool,
}

/// A CDB held by value: sixteen bytes need no allocation.
#[derive(Debug, Clone)]
pub(crate) enum CdbBytes {
    Short([u8; 16]),
    Long(Box<[u8]>),
}

impl CdbBytes {
    pub(crate) fn new(cdb: &[u8]) -> Self {
        match cdb.try_into() {
            Ok(short) => Self::Short(short),
            Err(_) => Self::Long(cdb.into()),
        }
    }
}

impl std::ops::Deref for CdbBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }
}

/// The data-out a command needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Bytes to collect.
    pub(crate) length: u32,
    /// Bytes the CDB asks for; more than `length` when the initiator announced less.
    pub(crate) transfer_length: u64,
}

/// How far a command got.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Ended: answer it.
    Done(Job, Reply),
    /// Collect that many bytes from the initiator, then start again with them.
    NeedData(Job, Wanted),
    /// Somebody else has it and will answer through its origin.
    Pending,
    /// Aborted: nobody is to be answered.
    Swallowed,
}

impl Job {
    /// The command as the framework's core sees it.
    pub(crate) fn command<'a>(&'a self, pair: &'a PairView) -> Command<'a> {
        Command {
            nexus: self.nexus.id,
            lun: self.lun,
            cdb: &self.cdb,
            expected_data_out: self.expected_out,
            expected_data_in: self.expected_in,
            port: &self.nexus.port,
            pair,
            through_proxy: self.nexus.through_proxy,
        }
    }

    /// Sends the answer on its way. The task must have been ended before.
    pub(crate) fn answer(mut self, reply: Reply) {
        self.answered = true;
        let reserved = self.reserved.take();
        match &self.origin {
            Origin::Iscsi { connection, tag } => {
                // A connection that is gone has no use for the answer.
                let _ = connection.send(ConnectionMessage::Complete {
                    tag: *tag,
                    reply,
                    reserved,
                });
            }
            Origin::Peer(task) => task.complete(reply, reserved),
        }
    }

    /// The caller answers the origin itself, at once.
    pub(crate) fn answered_here(mut self) {
        self.answered = true;
    }

    /// Asks the origin for the data-out.
    pub(crate) fn request_data(self, wanted: Wanted) {
        match &self.origin {
            Origin::Iscsi { connection, .. } => {
                let connection = connection.clone();
                let _ = connection.send(ConnectionMessage::NeedData {
                    job: Box::new(self),
                    wanted,
                });
            }
            Origin::Peer(task) => {
                let task = task.clone();
                task.request_data(self, wanted.length);
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.lu.end_task(task);
        }
        if !self.answered {
            match &self.origin {
                Origin::Iscsi { connection, tag } => {
                    let _ = connection.send(ConnectionMessage::Aborted { tag: *tag });
                }
                Origin::Peer(task) => task.aborted(),
            }
        }
    }
}
