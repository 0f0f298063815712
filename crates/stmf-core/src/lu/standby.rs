//! Commands on a node that does not own the logical unit: forwarded, answered here, held, or refused.

use scsi_proto::Sense;
use scsi_proto::cdb::Cdb;
use scsi_proto::opcode::{self, Operation};

use super::{LogicalUnit, operation};
use crate::access::{AccessState, StandbyIo};
use crate::action::Action;
use crate::command::Command;

/// What a standby node does with a command while the peer can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// Forward it to the owner.
    Forward,
    /// 02/04/0B.
    Refuse,
    /// 05/20/00: neither node knows it.
    Unknown,
}

impl LogicalUnit {
    /// In a transition the commands SPC-4 r37 §5.15.2.7 asks for are answered; everything else waits or is refused.
    /// What came through the proxy never waits: its initiator's node decides about that.
    pub(super) fn execute_in_transition(&mut self, command: &Command<'_>) -> Action {
        match operation(command) {
            Some(
                Operation::Inquiry
                | Operation::ReportLuns
                | Operation::RequestSense
                | Operation::ReportTargetPortGroups,
            ) => self.answer_here(command),
            _ if self.hold && !command.through_proxy => Action::Hold,
            _ => Sense::TRANSITION.into(),
        }
    }

    /// On a standby node: what is known here is answered here, unit attentions of this node's nexuses are told,
    /// and the rest goes to the owner or is refused.
    pub(super) fn execute_standby(&mut self, command: &Command<'_>) -> Action {
        if command.through_proxy {
            return Sense::STANDBY.into(); // the peer takes us for the owner; forwarding it back would be a loop
        }
        let operation = operation(command);
        if let Some(attention) = self.report_attention(command, operation) {
            return attention.into();
        }
        if let Some(Operation::ReportLuns | Operation::RequestSense | Operation::ReportTargetPortGroups) =
            operation
        {
            return self.answer_here(command);
        }
        let route = route(command.pair.standby_io, operation, command.cdb);
        match route {
            Route::Refuse => Sense::STANDBY.into(),
            Route::Unknown => Sense::INVALID_OPCODE.into(),
            Route::Forward if command.pair.alua_enabled && command.pair.channel_up => Action::Proxy,
            Route::Forward => self.without_peer(command, operation),
        }
    }

    /// A command to be forwarded when there is nobody to forward it to.
    fn without_peer(&mut self, command: &Command<'_>, operation: Option<Operation>) -> Action {
        match operation {
            Some(Operation::Inquiry) => self.answer_here(command),
            Some(Operation::TestUnitReady) if command.pair.alua_enabled => Sense::STANDBY.into(),
            _ => Sense::UNAVAILABLE.into(),
        }
    }

    /// Answers from what this node knows.
    fn answer_here(&mut self, command: &Command<'_>) -> Action {
        match Cdb::parse(command.cdb) {
            Ok(cdb) => self.report(cdb, command),
            Err(error) => error.sense().into(),
        }
    }

    /// The sense data of a logical unit nobody has anything else to say about. SPC-4 r37 §5.15.2.
    pub(super) fn state_sense(&self, command: &Command<'_>) -> Sense {
        match self.access {
            AccessState::Active => Sense::NO_SENSE,
            AccessState::ActiveToStandby | AccessState::StandbyToActive => Sense::TRANSITION,
            AccessState::Standby if !command.pair.alua_enabled => Sense::UNAVAILABLE,
            AccessState::Standby if command.pair.channel_up && command.pair.standby_io == StandbyIo::Full => {
                Sense::NO_SENSE
            }
            AccessState::Standby => Sense::STANDBY,
        }
    }
}

/// The standby command filter: everything with `Full`, the fixed list with `Compat`, that list without reads with
/// `RejectReads`.
fn route(standby_io: StandbyIo, operation: Option<Operation>, cdb: &[u8]) -> Route {
    let first = cdb.first().copied();
    let reserve = matches!(
        first,
        Some(opcode::PERSISTENT_RESERVE_IN | opcode::PERSISTENT_RESERVE_OUT)
    );
    match (standby_io, operation) {
        (_, None) if reserve => Route::Forward,
        (StandbyIo::Full, None) => Route::Unknown,
        (StandbyIo::Full, Some(_)) => Route::Forward,
        (StandbyIo::Compat | StandbyIo::RejectReads, None) => Route::Refuse,
        (StandbyIo::Compat | StandbyIo::RejectReads, Some(operation)) => {
            let forward =
                forwarded_by_compat(operation) || (standby_io == StandbyIo::Compat && is_read(operation));
            if forward { Route::Forward } else { Route::Refuse }
        }
    }
}

/// The list of commands without medium access that Solaris forwards.
const fn forwarded_by_compat(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Inquiry
            | Operation::ModeSense6
            | Operation::ModeSense10
            | Operation::ModeSelect6
            | Operation::ModeSelect10
            | Operation::Reserve6
            | Operation::Release6
            | Operation::ReadCapacity10
            | Operation::ReadCapacity16
            | Operation::TestUnitReady
            | Operation::StartStopUnit
            | Operation::ReportIdentifyingInformation
    )
}

const fn is_read(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Read6 | Operation::Read10 | Operation::Read12 | Operation::Read16
    )
}
