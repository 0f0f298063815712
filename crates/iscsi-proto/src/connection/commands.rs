//! Commands: taking them, and ending them.

use alloc::boxed::Box;

use bytes::Bytes;

use super::{Connection, task::Task};
use crate::{
    Cdb, Event, ProtocolError, ScsiCommand, ScsiResponse, TaskAttribute, ahs,
    bhs::{self, RESERVED_TAG},
    error::RejectReason,
    framing::Pdu,
    number::len32,
};

impl Connection {
    /// Answers [`Event::Command`]: data, status and residual count are queued for sending. False if there is
    /// no such task any more; then nothing happens.
    pub fn complete(&mut self, tag: u32, response: ScsiResponse) -> bool {
        let Some(task) = self.forget(tag) else {
            return false;
        };
        self.respond(tag, &task, response);
        self.start_waiting();
        true
    }

    /// Forgets the task without a response; data the initiator still sends for it is dropped. False if there
    /// is no such task any more.
    pub fn task_aborted(&mut self, tag: u32) -> bool {
        let known = self.forget(tag).is_some();
        self.start_waiting();
        known
    }

    pub(super) fn receive_command(
        &mut self,
        header: &bhs::ScsiCommand,
        pdu: Pdu,
    ) -> Result<(), ProtocolError> {
        if !self.admit(header.immediate, header.cmd_sn)? {
            return Ok(());
        }
        let tag = header.initiator_task_tag;
        let additional = ahs::parse(&pdu.additional)?;
        let attribute = attribute(header.attribute)?;
        self.check_immediate_data(header, &pdu.data)?;
        let bidirectional = additional.bidirectional || (header.read && header.write);
        let rejected = if tag == RESERVED_TAG {
            return Err(ProtocolError::ReservedTaskTag);
        } else if self.tasks.contains_key(&tag) || self.management.contains_key(&tag) {
            Some(RejectReason::TaskInProgress)
        } else if bidirectional {
            Some(RejectReason::CommandNotSupported)
        } else if additional.unknown {
            Some(RejectReason::InvalidPduField)
        } else if !self.hold(header.immediate) {
            Some(RejectReason::TooManyImmediateCommands)
        } else {
            None
        };
        if let Some(reason) = rejected {
            self.reject(reason, &pdu.header);
            return Ok(());
        }
        let length = header.expected_data_transfer_length;
        let task = Task {
            lun: header.lun,
            immediate_delivery: header.immediate,
            read: header.read,
            write: header.write,
            expected_in: if header.read { length } else { 0 },
            expected_out: if header.write { length } else { 0 },
            immediate: pdu.data.clone(),
            requested: 0,
            transfer_length: None,
            collected: 0,
            r2t_sn: 0,
            reserved: 0,
            collecting: None,
        };
        self.events.push_back(Event::Command(ScsiCommand {
            tag,
            lun: header.lun,
            cdb: additional
                .cdb_extension
                .map_or_else(|| Cdb::new(header.cdb), |rest| Cdb::extended(header.cdb, rest)),
            attribute,
            read: task.read,
            write: task.write,
            expected_data_in: task.expected_in,
            expected_data_out: task.expected_out,
            immediate: pdu.data,
            command_sn: header.cmd_sn,
        }));
        self.tasks.insert(tag, Box::new(task));
        Ok(())
    }

    /// RFC 7143 §11.3.4, §13.11, §13.14, with InitialR2T=Yes.
    fn check_immediate_data(&self, header: &bhs::ScsiCommand, data: &Bytes) -> Result<(), ProtocolError> {
        if header.write && !header.finished {
            return Err(ProtocolError::UnsolicitedData);
        }
        if data.is_empty() {
            return Ok(());
        }
        if !header.write {
            return Err(ProtocolError::DataWithoutWrite);
        }
        if !self.parameters.immediate_data {
            return Err(ProtocolError::ImmediateDataNotAllowed);
        }
        let limit = self
            .parameters
            .first_burst
            .min(header.expected_data_transfer_length);
        let length = len32(data.len());
        if length > limit {
            return Err(ProtocolError::ImmediateDataTooLong { length, limit });
        }
        Ok(())
    }

    /// Takes the task out of every list.
    fn forget(&mut self, tag: u32) -> Option<Box<Task>> {
        let task = self.tasks.remove(&tag)?;
        self.release(task.immediate_delivery);
        self.stop_collecting(tag, &task);
        Some(task)
    }
}

fn attribute(value: u8) -> Result<TaskAttribute, ProtocolError> {
    Ok(match value {
        0 => TaskAttribute::Untagged,
        1 => TaskAttribute::Simple,
        2 => TaskAttribute::Ordered,
        3 => TaskAttribute::HeadOfQueue,
        4 => TaskAttribute::Aca,
        attribute => return Err(ProtocolError::ReservedTaskAttribute { attribute }),
    })
}
