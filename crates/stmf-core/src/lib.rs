//! The target framework as pure state machines: logical units, views, tasks, asymmetric access.
//!
//! Nothing here does I/O, reads a clock or blocks. A [`LogicalUnit`] takes a [`Command`] and returns an [`Action`]:
//! the answer, or what the caller has to do before there is one. Ownership of a logical unit is its
//! [`AccessState`]; what a port of this node reports about it follows from that and a [`PairView`].
//!
//! How a command travels:
//! 1. the caller looks the LUN up in the [`LunMap`] of the session ([`Views::lun_map`]);
//! 2. REPORT LUNS, and any command to a LUN without a logical unit, goes to [`unmapped::execute`];
//! 3. everything else to [`LogicalUnit::execute`], and from there by the [`Action`] that comes back;
//! 4. a [`TaskSet`] for each logical unit knows which tasks are under way, so that an aborted one is never answered
//!    and a task management function is answered only when nothing aborted can touch the medium any more.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

extern crate alloc;

#[cfg(test)]
extern crate std;

mod access;
mod action;
mod command;
mod guid;
mod lu;
mod lun_map;
mod target_port_groups;
mod task_set;
mod unit_attention;
pub mod unmapped;
mod view;

pub use access::{AccessState, PairView, PortIdentity, StandbyIo};
pub use action::{Action, AfterData, Extent, MediumError, MediumOp, Response};
pub use command::{Command, NexusId};
pub use guid::{Guid, ParseGuidError};
pub use lu::{LogicalUnit, LuEvent, LuProperties, MAX_TRANSFER_BYTES};
pub use lun_map::LunMap;
pub use scsi_proto::{Lun, Sense, Status};
pub use task_set::{AbortFilter, Aborted, Ended, TaskId, TaskSet, Verdict, Waiter};
pub use unit_attention::{Pending, UnitAttention};
pub use view::{
    Group, GroupError, RestoreError, Restored, View, ViewEntry, ViewError, Views, canonical_name,
};
