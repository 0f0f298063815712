//! What [`super::Peer`] reports and how it is set up.

use crate::error::Refusal;
use crate::limits::VERSION;
use crate::message::{GuidBytes, Limits, LuRecord, Message, PortRecord};
use alloc::string::String;
use bytes::Bytes;
use core::time::Duration;

/// Settings of [`super::Peer`]. The times are the project's own choice; tests shorten none of them, they move the clock.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// This node's number until `set_alua` gives another.
    pub node: u16,
    /// New at each start of the framework; never zero.
    pub boot_id: u64,
    /// Which pair this node belongs to; zero matches any.
    pub cluster: u64,
    /// Protocol versions spoken. Only [`VERSION`] makes sense outside tests.
    pub versions: (u16, u16),
    /// What this node takes.
    pub limits: Limits,
    /// HELLO is repeated this often while there is no link: 500 ms.
    pub hello_interval: Duration,
    /// PING is sent this often on a link: 1 s.
    pub ping_interval: Duration,
    /// A link on which nothing arrives for this long is lost: 4 s.
    pub lost_after: Duration,
    /// A link on which a message is missing for this long is lost: 5 s.
    pub gap_tolerance: Duration,
    /// After a loss the channel is in [`Channel::Grace`] for this long: 10 s.
    pub grace: Duration,
    /// An offered logical unit that is neither taken nor refused for this long gets the link renewed: 30 s.
    pub hand_over_deadline: Duration,
}

impl PeerConfig {
    /// The defaults for this node and this start of it.
    #[must_use]
    pub fn new(node: u16, boot_id: u64) -> Self {
        Self {
            node,
            boot_id: boot_id.max(1),
            cluster: 0,
            versions: (VERSION, VERSION),
            limits: Limits::default(),
            hello_interval: Duration::from_millis(500),
            ping_interval: Duration::from_secs(1),
            lost_after: Duration::from_secs(4),
            gap_tolerance: Duration::from_secs(5),
            grace: Duration::from_secs(10),
            hand_over_deadline: Duration::from_secs(30),
        }
    }
}

/// Whether the peer can be asked, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// No: proxied commands end 02/04/0C.
    Down,
    /// Lost moments ago, may come back: proxied commands end BUSY or 02/04/0A.
    Grace,
    /// Yes.
    Up,
}

/// Why a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkLoss {
    /// The transport did not take a message.
    SendFailed,
    /// Nothing arrived for `lost_after`.
    Silence,
    /// A message is missing for `gap_tolerance`.
    MessageLost,
    /// The peer gave the link up.
    PeerRenewed,
    /// The peer's framework started anew.
    PeerRestarted,
    /// The proxy door was removed.
    DoorRemoved,
    /// ALUA was disabled, or the node number changed.
    AluaChanged,
    /// A hand-over has been waited for too long.
    HandOverOverdue,
}

/// Two claims of owning a logical unit that cannot both be true. An alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Which logical unit.
    pub guid: GuidBytes,
    /// Epoch known here.
    pub local_epoch: u64,
    /// Epoch the peer claims.
    pub peer_epoch: u64,
}

/// Where a message belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Done; look at `poll_transmit` and `poll_event`.
    Consumed,
    /// A message of the data path: give it to [`crate::Requester::handle`] or [`crate::Responder::handle`], as
    /// [`Message::role`] says.
    Data(Message),
}

/// What the daemon must know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// The channel changed.
    ChannelChanged(Channel),
    /// The link ended: call `Requester::channel_lost` and `Responder::channel_lost`. Comes before `ChannelChanged`.
    LinkLost(LinkLoss),
    /// The peer's framework is a new instance: sessions of the old one are gone.
    PeerRestarted {
        /// Boot id of the instance that is gone.
        old: u64,
        /// Boot id of the present one.
        new: u64,
    },
    /// The peer's greeting was refused (ST-115, ST-116); said once per reason. An alert.
    PeerRefused(Refusal),
    /// The peer refuses this node's greeting; said once per reason. An alert.
    RefusedByPeer(Refusal),
    /// The peer has this target port: make or change a proxy port.
    PeerPort(PortRecord),
    /// It has it no more.
    PeerPortRemoved(String),
    /// The peer's view of a logical unit is new or changed. Make a standby logical unit only if the record is active.
    PeerLun(LuRecord),
    /// The peer has the logical unit no more; a standby one that exists only because of it may go. Never said about one
    /// this node owns.
    PeerLunRemoved {
        /// Which one.
        guid: GuidBytes,
    },
    /// The peer's whole inventory is known.
    InventoryReceived,
    /// The peer has taken in the whole of ours.
    InventorySent,
    /// The peer refused a port of ours (ST-120).
    PortRefused {
        /// Port name.
        name: String,
        /// Why.
        why: Refusal,
    },
    /// The peer refused what we say about a logical unit.
    LunRefused {
        /// Which one.
        guid: GuidBytes,
        /// Why.
        why: Refusal,
        /// The highest epoch the peer knows.
        epoch: u64,
    },
    /// Both nodes claim it. An alert.
    Conflict(Conflict),
    /// The peer owns a logical unit with a higher epoch than this node, which still serves it: stop its I/O, close the
    /// store, then call `stepped_down`.
    StepDown {
        /// Which one.
        guid: GuidBytes,
        /// The peer's epoch.
        epoch: u64,
    },
    /// The peer asks for a logical unit this node owns: stop new commands, finish or abort those in progress, flush,
    /// close, then call `drained` or `drain_failed`.
    FailoverRequested {
        /// Which one.
        guid: GuidBytes,
        /// The peer's number for the request.
        token: u64,
    },
    /// The peer has let go of a logical unit: persist the epoch, open the store, then call `activated`.
    Offered {
        /// The logical unit as the peer had it, with the epoch this node is to own it under.
        lu: LuRecord,
        /// Opaque state that `drained` was given on the other side.
        state: Bytes,
    },
    /// The peer has activated what this node offered: it is standby here now.
    HandedOver {
        /// Which one.
        guid: GuidBytes,
        /// Epoch of the new owner.
        epoch: u64,
    },
    /// The peer has not taken, and cannot any more take, what this node let go: activate it again under this epoch.
    RollBack {
        /// Which one.
        guid: GuidBytes,
        /// New epoch of this node.
        epoch: u64,
        /// Why.
        why: Refusal,
    },
    /// It is not known whether the peer has taken it; it stays in transition until inventories have been exchanged.
    /// An alert when it lasts.
    InTransit {
        /// Which one.
        guid: GuidBytes,
    },
    /// What became of `request_failover`.
    FailoverFinished {
        /// Which one.
        guid: GuidBytes,
        /// This node's number for the request.
        token: u64,
        /// Whether it is active here now.
        result: Result<(), Refusal>,
    },
}

/// Why a hand-over cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverError {
    /// The channel is not up.
    ChannelDown,
    /// Neither node has told of such a logical unit.
    UnknownLogicalUnit,
    /// This node owns it already (asking) or does not own it (offering).
    WrongOwner,
    /// A hand-over of it is under way.
    InProgress,
}

impl core::fmt::Display for FailoverError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::ChannelDown => "the channel to the peer is not up",
            Self::UnknownLogicalUnit => "the logical unit is unknown",
            Self::WrongOwner => "the logical unit is not with the node it would have to be with",
            Self::InProgress => "a hand-over is in progress",
        })
    }
}

impl core::error::Error for FailoverError {}

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerStatistics {
    /// Control messages sent.
    pub sent: u64,
    /// Messages accepted.
    pub received: u64,
    /// Messages dropped by [`super::Peer::handle`].
    pub rejected: u64,
    /// Links agreed upon.
    pub links: u64,
    /// Links lost.
    pub losses: u64,
}
