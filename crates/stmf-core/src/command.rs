//! A command as it arrives at a logical unit.

use scsi_proto::Lun;

use crate::access::{PairView, PortIdentity};

/// An I_T nexus: one session. The caller allots the numbers and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NexusId(pub u64);

/// A command and where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The I_T nexus that sent it.
    pub nexus: NexusId,
    /// The LUN it was sent to.
    pub lun: Lun,
    /// The CDB; bytes behind its length are ignored.
    pub cdb: &'a [u8],
    /// How many bytes the initiator will send, as its transport says.
    pub expected_data_out: u32,
    /// How many bytes the initiator will take, as its transport says.
    pub expected_data_in: u32,
    /// The port the initiator is connected to (on the other node, when `through_proxy`).
    pub port: &'a PortIdentity,
    /// The pair as it is now.
    pub pair: &'a PairView,
    /// The peer forwarded it: it is never forwarded back, and unit attentions are the peer's business.
    pub through_proxy: bool,
}
