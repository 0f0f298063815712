//! Who serves a logical unit, and what a port of this node may promise about it.

use alloc::string::String;
use alloc::vec::Vec;

/// The access state of a logical unit on this node; the numbers are those of libstmf's access state property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AccessState {
    /// This node owns the logical unit and its backing store is open here.
    Active = 0,
    /// This node is giving it up; the store is being closed or is closed.
    ActiveToStandby = 1,
    /// The other node owns it.
    Standby = 2,
    /// This node is taking it over; the store is being opened.
    StandbyToActive = 3,
}

impl AccessState {
    /// The number libstmf shows.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The state of a number from libstmf or a message.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Active),
            1 => Some(Self::ActiveToStandby),
            2 => Some(Self::Standby),
            3 => Some(Self::StandbyToActive),
            _ => None,
        }
    }

    /// Is it one of the two that lie between active and standby?
    #[must_use]
    pub const fn in_transition(self) -> bool {
        matches!(self, Self::ActiveToStandby | Self::StandbyToActive)
    }
}

/// What a standby node does with commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StandbyIo {
    /// As Solaris: reads and a fixed list are forwarded, everything that writes is refused with 02/04/0B, and the
    /// group is reported as standby.
    Compat,
    /// Everything is forwarded, and the group is reported as active/non-optimized.
    #[default]
    Full,
    /// As [`StandbyIo::Compat`], and reads are refused too.
    RejectReads,
}

/// The target port a command came in on: the one the initiator is really connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortIdentity {
    /// Its name, for example an iSCSI name.
    pub name: String,
    /// Its relative target port identifier, never 0.
    pub relative_target_port: u16,
    /// The node it belongs to (0 or 1), which is also its target port group.
    pub node: u16,
}

/// What this node knows about the pair when a command is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairView {
    /// ALUA is on: there is a pair, and initiators may know.
    pub alua_enabled: bool,
    /// The number of this node.
    pub local_node: u16,
    /// The peer can be reached.
    pub channel_up: bool,
    /// What a standby node does with commands.
    pub standby_io: StandbyIo,
    /// Relative target port identifiers of this node's ports.
    pub local_ports: Vec<u16>,
    /// Relative target port identifiers of the peer's ports, as last heard of.
    pub peer_ports: Vec<u16>,
}

impl PairView {
    /// The number of the other node of the pair.
    #[must_use]
    pub const fn peer_node(&self) -> u16 {
        self.local_node ^ 1
    }
}
