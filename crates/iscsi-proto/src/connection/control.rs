//! NOP, task management, logout and asynchronous messages.

use bytes::Bytes;

use super::Connection;
use crate::{
    CloseReason, Event, ProtocolError, TaskManagement, TaskManagementFunction, TaskManagementResponse,
    bhs::{self, RESERVED_TAG, RawHeader},
    error::RejectReason,
};

impl Connection {
    /// Answers [`Event::TaskManagement`]. Answer when the tasks concerned have been answered or aborted.
    /// False if there is no such request any more; then nothing happens.
    pub fn complete_task_management(&mut self, tag: u32, response: TaskManagementResponse) -> bool {
        let Some(immediate) = self.management.remove(&tag) else {
            return false;
        };
        self.release(immediate);
        self.send_management_response(tag, response);
        true
    }

    pub(super) fn receive_nop_out(&mut self, header: &bhs::NopOut, data: Bytes) -> Result<(), ProtocolError> {
        let tag = header.initiator_task_tag;
        // The answer to a ping has no task tag and must be immediate; that it came is all that matters.
        if tag == RESERVED_TAG || !self.admit(header.immediate, header.cmd_sn)? {
            return Ok(());
        }
        let answer = bhs::NopIn {
            lun: [0; 8],
            initiator_task_tag: tag,
            target_transfer_tag: RESERVED_TAG,
            stat_sn: self.sequence.next_stat_sn(),
            exp_cmd_sn: self.sequence.exp_cmd_sn(),
            max_cmd_sn: self.sequence.max_cmd_sn(),
        };
        let mut data = data;
        data.truncate(self.parameters.initiator_max_recv_data_segment as usize);
        self.transmit.begin(answer.encode(), data.len());
        self.transmit.piece(data);
        self.transmit.end();
        Ok(())
    }

    /// Asks the initiator whether it is there.
    pub(super) fn ping(&mut self) {
        let header = bhs::NopIn {
            lun: [0; 8],
            initiator_task_tag: RESERVED_TAG,
            target_transfer_tag: self.next_transfer_tag(),
            stat_sn: self.sequence.stat_sn(),
            exp_cmd_sn: self.sequence.exp_cmd_sn(),
            max_cmd_sn: self.sequence.max_cmd_sn(),
        };
        self.transmit.pdu(header.encode(), &[]);
    }

    pub(super) fn receive_task_management(
        &mut self,
        header: &bhs::TaskManagementRequest,
        raw: &RawHeader,
    ) -> Result<(), ProtocolError> {
        if !self.admit(header.immediate, header.cmd_sn)? {
            return Ok(());
        }
        let tag = header.initiator_task_tag;
        if tag == RESERVED_TAG {
            return Err(ProtocolError::ReservedTaskTag);
        }
        if self.tasks.contains_key(&tag) || self.management.contains_key(&tag) {
            self.reject(RejectReason::TaskInProgress, raw);
            return Ok(());
        }
        let function = match header.function {
            1 => TaskManagementFunction::AbortTask,
            2 => TaskManagementFunction::AbortTaskSet,
            4 => TaskManagementFunction::ClearTaskSet,
            5 => TaskManagementFunction::LogicalUnitReset,
            6 => TaskManagementFunction::TargetWarmReset,
            7 => TaskManagementFunction::TargetColdReset,
            8 => {
                self.send_management_response(tag, TaskManagementResponse::ReassignmentNotSupported);
                return Ok(());
            }
            _ => {
                self.send_management_response(tag, TaskManagementResponse::NotSupported);
                return Ok(());
            }
        };
        if !self.hold(header.immediate) {
            self.reject(RejectReason::TooManyImmediateCommands, raw);
            return Ok(());
        }
        self.management.insert(tag, header.immediate);
        self.events.push_back(Event::TaskManagement(TaskManagement {
            tag,
            function,
            lun: header.lun,
            referenced_tag: header.referenced_task_tag,
        }));
        Ok(())
    }

    fn send_management_response(&mut self, tag: u32, response: TaskManagementResponse) {
        let header = bhs::TaskManagementResponse {
            response: response as u8,
            initiator_task_tag: tag,
            stat_sn: self.sequence.next_stat_sn(),
            exp_cmd_sn: self.sequence.exp_cmd_sn(),
            max_cmd_sn: self.sequence.max_cmd_sn(),
        };
        self.transmit.pdu(header.encode(), &[]);
    }

    /// RFC 7143 §11.14: the session and its only connection end together.
    pub(super) fn receive_logout(&mut self, header: &bhs::LogoutRequest) -> Result<(), ProtocolError> {
        if !self.admit(header.immediate, header.cmd_sn)? {
            return Ok(());
        }
        let other_connection = self
            .session
            .as_ref()
            .is_some_and(|session| session.cid != header.cid);
        let response = match header.reason {
            0 => 0,
            1 if other_connection => 1,
            1 => 0,
            _ => 2,
        };
        // Nothing is kept after a logout, so there is nothing to wait for.
        let answer = bhs::LogoutResponse {
            response,
            initiator_task_tag: header.initiator_task_tag,
            stat_sn: self.sequence.next_stat_sn(),
            exp_cmd_sn: self.sequence.exp_cmd_sn(),
            max_cmd_sn: self.sequence.max_cmd_sn(),
            time2wait: 0,
            time2retain: 0,
        };
        self.transmit.pdu(answer.encode(), &[]);
        if response == 0 {
            self.events.push_back(Event::Logout);
            self.end(CloseReason::LoggedOut);
        }
        Ok(())
    }

    /// Asynchronous message 1: please log out within the time given.
    pub(super) fn ask_for_logout(&mut self) {
        if self.timers.is_logging_out() {
            return;
        }
        let seconds = u16::try_from(self.config.logout_timeout.as_secs()).unwrap_or(u16::MAX);
        self.send_message(1, 0, seconds);
        self.timers.start_logout();
    }

    /// Asynchronous message 3: the session is gone; come back when you like.
    pub(super) fn announce_drop(&mut self) {
        self.send_message(3, 0, 0);
    }

    fn send_message(&mut self, event: u8, parameter2: u16, parameter3: u16) {
        let header = bhs::AsyncMessage {
            initiator_task_tag: RESERVED_TAG,
            stat_sn: self.sequence.next_stat_sn(),
            exp_cmd_sn: self.sequence.exp_cmd_sn(),
            max_cmd_sn: self.sequence.max_cmd_sn(),
            event,
            parameter2,
            parameter3,
            ..bhs::AsyncMessage::default()
        };
        self.transmit.pdu(header.encode(), &[]);
    }
}
