//! A logical unit: its properties, its access state, and the way a command takes through it.

mod inquiry;
mod media;
mod mode;
mod report;
mod standby;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use scsi_proto::cdb::Cdb;
use scsi_proto::opcode::{self, Operation};
use scsi_proto::sense::SenseFormat;
use scsi_proto::{Sense, Status};

use crate::access::AccessState;
use crate::action::{Action, AfterData, MediumError, MediumOp, Response, Step};
use crate::command::{Command, NexusId};
use crate::guid::Guid;
use crate::unit_attention::{Pending, UnitAttention};

/// The most bytes one READ, WRITE or VERIFY may move; MAXIMUM TRANSFER LENGTH in VPD page B0h.
pub const MAX_TRANSFER_BYTES: u32 = 16 << 20;

/// How many events a logical unit keeps for a caller who does not take them.
const MAX_EVENTS: usize = 32;

/// What is fixed about a logical unit, or changed by its administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LuProperties {
    /// Its identity.
    pub guid: Guid,
    /// A name for people.
    pub alias: String,
    /// INQUIRY vendor identification, padded with spaces.
    pub vendor: [u8; 8],
    /// INQUIRY product identification, padded with spaces.
    pub product: [u8; 16],
    /// INQUIRY product revision level, padded with spaces.
    pub revision: [u8; 4],
    /// Unit serial number; the GUID in hexadecimal when there is none.
    pub serial: Option<String>,
    /// Bytes in a logical block: a power of two, 512 to 32768.
    pub block_size: u32,
    /// Number of logical blocks.
    pub blocks: u64,
    /// Commands that change the medium are refused with 07/27/00.
    pub write_protected: bool,
    /// The saved state of the write cache: with it, acknowledged writes need a flush to be on stable storage.
    pub write_cache: bool,
    /// The backing medium rotates.
    pub rotational: bool,
    /// Blocks can be deallocated and then read as zeros.
    pub unmap: bool,
}

/// Something a command changed that the caller has to carry on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LuEvent {
    /// MODE SELECT with SP=1: store this as the saved state of the write cache.
    WriteCacheSaved(bool),
    /// A unit attention was raised here: raise it on the peer's side of the logical unit too.
    Raised {
        /// Which.
        attention: UnitAttention,
        /// The nexus that caused it and is not told.
        except: Option<NexusId>,
    },
}

/// A logical unit on this node, active or standby.
#[derive(Debug)]
pub struct LogicalUnit {
    properties: LuProperties,
    access: AccessState,
    /// In transition: commands wait instead of being refused.
    hold: bool,
    /// The access state has changed since this node started.
    access_changed: bool,
    preferred_node: Option<u16>,
    mode: mode::ModeState,
    nexuses: BTreeMap<NexusId, Pending>,
    /// The holder of a RESERVE(6) reservation.
    reserved_by: Option<NexusId>,
    events: Vec<LuEvent>,
}

impl LogicalUnit {
    /// A logical unit without nexuses.
    #[must_use]
    pub fn new(properties: LuProperties, access: AccessState) -> Self {
        Self {
            mode: mode::ModeState::new(&properties),
            properties,
            access,
            hold: false,
            access_changed: false,
            preferred_node: None,
            nexuses: BTreeMap::new(),
            reserved_by: None,
            events: Vec::new(),
        }
    }

    /// Its properties.
    #[must_use]
    pub const fn properties(&self) -> &LuProperties {
        &self.properties
    }

    /// Its access state on this node.
    #[must_use]
    pub const fn access(&self) -> AccessState {
        self.access
    }

    /// Is the write cache on now (MODE SELECT may have changed it without saving)?
    #[must_use]
    pub const fn write_cache_enabled(&self) -> bool {
        self.mode.write_cache
    }

    /// The node initiators should use (PREF); `None`: the owner, whichever it is.
    pub const fn set_preferred_node(&mut self, node: Option<u16>) {
        self.preferred_node = node;
    }

    /// Changes the access state. In a transition, `hold` makes commands wait ([`Action::Hold`]) instead of failing
    /// with 02/04/0A; it means nothing in the other two states.
    ///
    /// Becoming active raises 29/00 and 2A/06 on every nexus, becoming standby 2A/06; a transition alone, or one
    /// that ends where it began on the standby side, raises nothing. A RESERVE(6) reservation does not survive
    /// leaving the active state.
    pub fn set_access(&mut self, access: AccessState, hold: bool) {
        let before = core::mem::replace(&mut self.access, access);
        self.hold = hold && access.in_transition();
        if before == access {
            return;
        }
        self.access_changed = true;
        match (before, access) {
            (AccessState::ActiveToStandby, AccessState::Active)
            | (AccessState::Active | AccessState::ActiveToStandby, AccessState::Standby) => {
                self.raise(UnitAttention::AccessStateChanged, None);
            }
            (_, AccessState::Active) => {
                self.raise(UnitAttention::PowerOnOrReset, None);
                self.raise(UnitAttention::AccessStateChanged, None);
            }
            _ => {}
        }
        if access == AccessState::Standby {
            self.reserved_by = None;
        }
    }

    /// A session came to see this logical unit. On its owner the first command of the nexus reports 29/00; on a
    /// standby node nothing is reported. A nexus that is known already is left as it is.
    pub fn nexus_added(&mut self, nexus: NexusId) {
        let owner = matches!(self.access, AccessState::Active | AccessState::ActiveToStandby);
        self.nexuses.entry(nexus).or_insert_with(|| {
            let mut pending = Pending::NONE;
            if owner {
                pending.raise(UnitAttention::PowerOnOrReset);
            }
            pending
        });
    }

    /// A session ended or lost sight of this logical unit. Its RESERVE(6) reservation goes with it.
    pub fn nexus_removed(&mut self, nexus: NexusId) {
        self.nexuses.remove(&nexus);
        if self.reserved_by == Some(nexus) {
            self.reserved_by = None;
        }
    }

    /// The nexuses that see this logical unit.
    pub fn nexuses(&self) -> impl Iterator<Item = NexusId> + '_ {
        self.nexuses.keys().copied()
    }

    /// Raises a unit attention on every nexus but `except`.
    pub fn raise(&mut self, attention: UnitAttention, except: Option<NexusId>) {
        for (nexus, pending) in &mut self.nexuses {
            if Some(*nexus) != except {
                pending.raise(attention);
            }
        }
    }

    /// Raises a unit attention on one nexus, if it is known.
    pub fn raise_on(&mut self, nexus: NexusId, attention: UnitAttention) {
        if let Some(pending) = self.nexuses.get_mut(&nexus) {
            pending.raise(attention);
        }
    }

    /// Takes a unit attention back from one nexus; was it pending?
    pub fn clear_on(&mut self, nexus: NexusId, attention: UnitAttention) -> bool {
        self.nexuses
            .get_mut(&nexus)
            .is_some_and(|pending| pending.clear(attention))
    }

    /// Takes over changed properties and tells the initiators: 2A/09 for the capacity, 2A/01 for the write cache
    /// or write protection, 3F/03 for what INQUIRY shows. The GUID and the block size never change.
    pub fn modify(&mut self, new: LuProperties) {
        let new = LuProperties {
            guid: self.properties.guid,
            block_size: self.properties.block_size,
            ..new
        };
        let old = core::mem::replace(&mut self.properties, new);
        let new = &self.properties;
        let identity = |p: &LuProperties| (p.vendor, p.product, p.revision, p.rotational, p.unmap);
        let changes = [
            (old.blocks != new.blocks, UnitAttention::CapacityChanged),
            (
                old.write_cache != new.write_cache || old.write_protected != new.write_protected,
                UnitAttention::ModeParametersChanged,
            ),
            (
                identity(&old) != identity(new) || old.serial != new.serial,
                UnitAttention::InquiryDataChanged,
            ),
        ];
        if old.write_cache != new.write_cache {
            self.mode.write_cache = new.write_cache;
        }
        for (_, attention) in changes.into_iter().filter(|(changed, _)| *changed) {
            self.raise_and_tell(attention, None);
        }
    }

    /// LOGICAL UNIT RESET, after its tasks were aborted: mode parameters go back to their saved values, a
    /// reservation ends, and every nexus is told: 29/00 the one who asked, 29/03 the others.
    pub fn reset(&mut self, by: Option<NexusId>) {
        self.mode = mode::ModeState::new(&self.properties);
        self.reserved_by = None;
        self.raise(UnitAttention::BusDeviceReset, by);
        if let Some(nexus) = by {
            self.raise_on(nexus, UnitAttention::PowerOnOrReset);
        }
    }

    /// What happened since the last call that the caller has to carry on: to the store, or to the peer.
    #[must_use]
    pub fn take_events(&mut self) -> Vec<LuEvent> {
        core::mem::take(&mut self.events)
    }

    /// Carries out a command as far as that goes without data and medium.
    pub fn execute(&mut self, command: &Command<'_>) -> Action {
        let action = match self.access {
            AccessState::Active => self.execute_active(command),
            AccessState::ActiveToStandby | AccessState::StandbyToActive => {
                self.execute_in_transition(command)
            }
            AccessState::Standby => self.execute_standby(command),
        };
        self.finish(action)
    }

    /// Goes on with a command after [`Action::DataOut`]. `data` is what was collected; a WRITE or VERIFY
    /// ([`AfterData::needs_contents`] is false) does not look at it.
    ///
    /// A command that was taken in while active still goes on in the transition to standby: a planned hand-over
    /// waits for it. If the store has been closed meanwhile, [`MediumError::Gone`] is the answer to the operation.
    pub fn resume(&mut self, then: AfterData, data: &[u8], command: &Command<'_>) -> Action {
        let action = match self.access {
            AccessState::Standby => Sense::STANDBY.into(),
            AccessState::StandbyToActive => Sense::TRANSITION.into(),
            AccessState::Active | AccessState::ActiveToStandby => match then.step {
                Step::Medium(op) => Action::Medium(op),
                Step::ModeSelect { form, save_pages } => {
                    self.mode_select(form, save_pages, data, command.nexus)
                }
                Step::Unmap => self.unmap(data),
                Step::WriteSame {
                    offset,
                    length,
                    unmap,
                } => self.write_same(offset, length, unmap, data),
            },
        };
        self.finish(action)
    }

    /// The answer to a command whose operation has ended. The caller adds the data of a READ.
    #[must_use]
    pub fn medium_done(&self, _op: &MediumOp, result: Result<(), MediumError>) -> Response {
        let sense = match result {
            Ok(()) => return Response::good(),
            Err(MediumError::Read) => Sense::READ_ERROR,
            Err(MediumError::Write) => Sense::WRITE_ERROR,
            Err(MediumError::NoSpace) => Sense::SPACE_ALLOCATION_FAILED,
            Err(MediumError::Miscompare { offset }) => Sense::MISCOMPARE.with_information(offset),
            Err(MediumError::Gone) => match self.access {
                AccessState::ActiveToStandby | AccessState::StandbyToActive => Sense::TRANSITION,
                AccessState::Standby => Sense::STANDBY,
                AccessState::Active => Sense::UNAVAILABLE,
            },
        };
        Response::check(sense.with_format(self.mode.sense_format()))
    }

    /// On the owner: unit attentions, reservation, then the command itself.
    fn execute_active(&mut self, command: &Command<'_>) -> Action {
        let operation = operation(command);
        if let Some(refusal) = self.before_opcode(command, operation) {
            return refusal.into();
        }
        match Cdb::parse(command.cdb) {
            Ok(cdb) => self.perform(cdb, command),
            Err(error) => error.sense().into(),
        }
    }

    /// Power on, reservation conflict, the other unit attentions: in this order, before anything is looked at.
    fn before_opcode(&mut self, command: &Command<'_>, operation: Option<Operation>) -> Option<Response> {
        let conflict = self.reserved_by.is_some_and(|holder| holder != command.nexus)
            && !operation.is_some_and(|operation| allowed_despite_reservation(operation, command.cdb));
        if !conflict {
            return self.report_attention(command, operation);
        }
        let power_on = self
            .nexuses
            .get(&command.nexus)
            .is_some_and(|p| p.contains(UnitAttention::PowerOnOrReset));
        let attention = if power_on {
            self.report_attention(command, operation)
        } else {
            None
        };
        Some(attention.unwrap_or_else(|| Response::status(Status::ReservationConflict)))
    }

    /// The unit attention to answer this command with, if there is one and the command reports any.
    fn report_attention(&mut self, command: &Command<'_>, operation: Option<Operation>) -> Option<Response> {
        if command.through_proxy {
            return None;
        }
        let pending = self.nexuses.get_mut(&command.nexus)?;
        match operation {
            Some(Operation::Inquiry | Operation::RequestSense) => return None,
            Some(Operation::ReportLuns) => {
                pending.clear(UnitAttention::ReportedLunsChanged);
                return None;
            }
            // The command is about to tell what the unit attention would: it is not worth a failure.
            Some(Operation::ReadCapacity10 | Operation::ReadCapacity16)
                if !pending.contains(UnitAttention::PowerOnOrReset) =>
            {
                pending.clear(UnitAttention::CapacityChanged);
            }
            _ => {}
        }
        pending.take().map(|attention| Response::check(attention.sense()))
    }

    /// Carries out a parsed command on its owner.
    fn perform(&mut self, cdb: Cdb, command: &Command<'_>) -> Action {
        match cdb {
            Cdb::TestUnitReady
            | Cdb::StartStopUnit { .. }
            | Cdb::SendDiagnostic
            | Cdb::PreventAllowMediumRemoval { .. } => Response::good().into(),
            Cdb::Reserve6 => {
                self.reserved_by = Some(command.nexus);
                Response::good().into()
            }
            Cdb::Release6 => {
                self.reserved_by.take_if(|holder| *holder == command.nexus);
                Response::good().into()
            }
            Cdb::Read(transfer) => self.read(transfer),
            Cdb::Write(transfer) => self.write(transfer, command),
            Cdb::WriteAndVerify(verify) => self.write_and_verify(verify, command),
            Cdb::Verify(verify) => self.verify(verify, command),
            Cdb::SynchronizeCache(range) => self.synchronize_cache(range),
            Cdb::WriteSame(request) => self.start_write_same(request, command),
            Cdb::Unmap(request) => self.start_unmap(request, command),
            Cdb::ModeSelect(request) => Self::start_mode_select(request, command),
            _ => self.report(cdb, command),
        }
    }

    /// Commands that only tell something, on any node and in any state.
    fn report(&mut self, cdb: Cdb, command: &Command<'_>) -> Action {
        let data = match cdb {
            Cdb::RequestSense { descriptor, .. } => Ok(self.request_sense(descriptor, command)),
            _ => self.describe(cdb, command),
        };
        match data {
            Ok(mut data) => {
                scsi_proto::truncate(&mut data, cdb.allocation_length().unwrap_or(u64::MAX));
                Response::data(data).into()
            }
            Err(sense) => sense.into(),
        }
    }

    /// The sense data REQUEST SENSE returns: the next unit attention, else what stands in the way, else nothing.
    fn request_sense(&mut self, descriptor: bool, command: &Command<'_>) -> Vec<u8> {
        let attention = match self.nexuses.get_mut(&command.nexus) {
            Some(pending) if !command.through_proxy => pending.take(),
            _ => None,
        };
        let sense = attention.map_or_else(|| self.state_sense(command), UnitAttention::sense);
        let format = if descriptor {
            SenseFormat::Descriptor
        } else {
            SenseFormat::Fixed
        };
        sense.with_format(format).encode()
    }

    /// Gives sense data the format the control mode page asks for.
    fn finish(&self, mut action: Action) -> Action {
        if let Action::Respond(Response {
            sense: Some(sense), ..
        }) = &mut action
        {
            sense.format = self.mode.sense_format();
        }
        action
    }

    /// Raises a unit attention and keeps it for the peer.
    fn raise_and_tell(&mut self, attention: UnitAttention, except: Option<NexusId>) {
        self.raise(attention, except);
        self.keep(LuEvent::Raised { attention, except });
    }

    /// Keeps an event; of a kind that is there already only the newest.
    fn keep(&mut self, event: LuEvent) {
        self.events
            .retain(|other| *other != event && !supersedes(&event, other));
        if self.events.len() < MAX_EVENTS {
            self.events.push(event);
        }
    }
}

/// Does `new` make `old` pointless?
fn supersedes(new: &LuEvent, old: &LuEvent) -> bool {
    matches!(
        (new, old),
        (LuEvent::WriteCacheSaved(_), LuEvent::WriteCacheSaved(_))
    )
}

/// The row of the command table, if the command is one of ours.
fn operation(command: &Command<'_>) -> Option<Operation> {
    opcode::lookup(command.cdb).map(|row| row.operation)
}

/// Commands a RESERVE(6) of another nexus does not keep out. SPC-2 r20 table 9.
fn allowed_despite_reservation(operation: Operation, cdb: &[u8]) -> bool {
    match operation {
        Operation::Inquiry
        | Operation::RequestSense
        | Operation::ReportLuns
        | Operation::Release6
        | Operation::ReportTargetPortGroups
        | Operation::ReportSupportedOperationCodes
        | Operation::ReportSupportedTaskManagementFunctions => true,
        Operation::PreventAllowMediumRemoval => cdb.get(4).is_some_and(|byte| byte & 0x03 == 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
