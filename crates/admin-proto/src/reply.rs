//! What the control door answers.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    AccessState, Channel, ConfigurationState, FailoverKind, Guid, LuState, ServiceState, StmfStatus,
    TargetState,
};

/// The answer to one request: a status, a text for people, and what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The outcome.
    pub status: StmfStatus,
    /// What happened and what to do, when the status alone does not say it.
    pub message: Option<String>,
    /// What was asked for; a failure may have one too (`ImportLu` of an active logical unit names it).
    pub reply: Option<Reply>,
}

impl Answer {
    /// Success with nothing to say.
    pub const fn done() -> Self {
        Self {
            status: StmfStatus::Success,
            message: None,
            reply: None,
        }
    }

    /// Success with a reply.
    pub const fn good(reply: Reply) -> Self {
        Self {
            status: StmfStatus::Success,
            message: None,
            reply: Some(reply),
        }
    }

    /// A failure. `message` says what is wrong and what to do; it does not repeat the text of the status.
    pub fn failed(status: StmfStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
            reply: None,
        }
    }
}

impl From<StmfStatus> for Answer {
    fn from(status: StmfStatus) -> Self {
        Self {
            status,
            message: None,
            reply: None,
        }
    }
}

/// What was asked for, by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// Of `GetState`.
    Service(ServiceStatus),
    /// Of `GetAluaState`.
    Alua {
        /// Whether ALUA is enabled.
        enabled: bool,
        /// Number of this node: 0 or 1.
        node: u32,
    },
    /// Of `InitProxyDoor`; the descriptor of the session door travels beside it.
    ProxySession {
        /// Names the session in `DestroyProxyDoor`.
        session: u64,
    },
    /// Of `CreateLu` and `ImportLu`.
    Lu {
        /// The logical unit created, imported or found.
        guid: Guid,
    },
    /// Of `ListLus`.
    Lus {
        /// Sorted by GUID.
        lus: Vec<LuSummary>,
    },
    /// Of `LuProperties`.
    LuDetails(LuDetails),
    /// Of `ListGroups`.
    Groups {
        /// Sorted by name.
        groups: Vec<Group>,
    },
    /// Of `AddView` and `ValidateView`: the entry as it is, or would be.
    View(ViewEntry),
    /// Of `ListViews`.
    Views {
        /// Sorted by index.
        views: Vec<ViewEntry>,
    },
    /// Of `ListTargets`.
    Targets {
        /// Sorted by name.
        targets: Vec<Target>,
    },
    /// Of `ListProxy`.
    Proxy(ProxyStatus),
    /// Of `Stats`.
    Statistics(Statistics),
}

/// State of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Operational state.
    pub service: ServiceState,
    /// Whether the configuration is loaded.
    pub configuration: ConfigurationState,
    /// Whether ALUA is enabled.
    pub alua_enabled: bool,
    /// Number of this node.
    pub alua_node: u32,
    /// Channel to the peer.
    pub proxy_channel: Channel,
    /// Number of the peer node, once it has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_node: Option<u32>,
    /// Version of the peer's software, once it has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_version: Option<String>,
    /// The last change of an owner since this daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failover: Option<LastFailover>,
}

/// A change of the owner of a logical unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailover {
    /// The logical unit.
    pub guid: Guid,
    /// Planned or forced.
    pub kind: FailoverKind,
    /// The new owner's node number.
    pub owner: u32,
    /// When it was complete: seconds since 1970, UTC.
    pub at: u64,
    /// How long commands waited, in milliseconds.
    pub duration_ms: u64,
}

/// What the framework knows of a logical unit, whatever its access state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LuSummary {
    /// Its GUID.
    pub guid: Guid,
    /// Operational state.
    pub state: LuState,
    /// Name of the provider (`sbd`); absent when unregistered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Alias; absent when it has none or is unregistered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Access state on this node; absent when unregistered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessState>,
    /// Number of view entries.
    pub view_entries: u32,
}

/// A logical unit with its properties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LuDetails {
    /// What the framework knows.
    pub summary: LuSummary,
    /// What the provider knows; absent unless this node is the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskProperties>,
    /// Ownership epoch: how often the owner has changed.
    #[serde(default)]
    pub epoch: u64,
}

/// Properties of a disk logical unit. Texts carry no padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskProperties {
    /// The data file.
    pub data_file: String,
    /// The separate metadata file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_file: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub block_size: u32,
    /// Its own, or the one of the whole service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mgmt_url: Option<String>,
    /// Vendor of INQUIRY.
    pub vendor: String,
    /// Product of INQUIRY.
    pub product: String,
    /// Product revision of INQUIRY.
    pub revision: String,
    /// VPD page 80h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Refuses writes.
    pub write_protected: bool,
    /// The write-back cache is on.
    pub write_cache: bool,
}

/// A host or target group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Names of its members, in the order they were added.
    pub members: Vec<String>,
}

/// A view entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewEntry {
    /// Index within the logical unit.
    pub index: u32,
    /// Absent means all initiators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_group: Option<String>,
    /// Absent means all target ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_group: Option<String>,
    /// 0 to 16383.
    pub lun: u16,
}

/// A target port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// iSCSI name.
    pub name: String,
    /// `iscsit`, or `pppt` for a port of the peer.
    pub provider: String,
    /// Operational state.
    pub state: TargetState,
    /// Alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Relative target port identifier.
    pub relative_target_port: u16,
    /// I_T nexuses.
    #[serde(default)]
    pub sessions: Vec<Session>,
}

/// An I_T nexus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// iSCSI name of the initiator.
    pub initiator: String,
    /// What the initiator calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// When it logged in: seconds since 1970, UTC.
    pub since: u64,
}

/// The proxy service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// Whether a door is installed.
    pub door_installed: bool,
    /// Process that installed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_pid: Option<u32>,
    /// State of the channel.
    pub channel: Channel,
    /// Number of this node.
    pub node: u32,
    /// Drawn when this daemon started.
    pub boot_id: u64,
    /// Version of the proxy protocol this daemon speaks.
    pub protocol: u16,
    /// Number of the peer node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_node: Option<u32>,
    /// Drawn when the peer's daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_boot_id: Option<u64>,
    /// Version of the proxy protocol agreed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_protocol: Option<u16>,
    /// Counters since this daemon started.
    pub counters: ProxyCounters,
}

/// Counters of the proxy service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyCounters {
    /// Calls of the installed door.
    pub upcalls: u64,
    /// Of these, calls that failed or were answered with something other than success.
    pub upcall_failures: u64,
    /// Of these, calls that were answered "the peer is not connected now".
    pub upcall_again: u64,
    /// Bytes of the messages handed to the door.
    pub upcall_bytes: u64,
    /// Messages posted.
    pub posts: u64,
    /// Of these, messages refused.
    pub post_failures: u64,
    /// Bytes of the messages posted.
    pub post_bytes: u64,
    /// Commands sent to the peer.
    pub tasks_sent: u64,
    /// Commands taken from the peer.
    pub tasks_received: u64,
    /// Commands sent to the peer that ended without its status.
    pub task_failures: u64,
    /// Commands sent to the peer and not ended yet.
    pub tasks_outstanding: u64,
    /// Times the channel came up.
    pub channel_ups: u64,
    /// Times the channel was lost.
    pub channel_losses: u64,
}

/// Counters of the whole daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
    /// Per logical unit, sorted by GUID.
    pub logical_units: Vec<LuCounters>,
    /// Per target port, sorted by name.
    pub targets: Vec<TargetCounters>,
    /// Of the proxy service.
    pub proxy: ProxyCounters,
}

/// Counters of one logical unit on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LuCounters {
    /// The logical unit.
    pub guid: Guid,
    /// Commands begun.
    pub commands: u64,
    /// Commands ended with CHECK CONDITION.
    pub check_conditions: u64,
    /// Read commands that reached the store.
    pub reads: u64,
    /// Bytes read from the store.
    pub read_bytes: u64,
    /// Write commands that reached the store.
    pub writes: u64,
    /// Bytes written to the store.
    pub write_bytes: u64,
    /// Commands sent to the peer.
    pub proxied: u64,
}

/// Counters of one target port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetCounters {
    /// iSCSI name.
    pub name: String,
    /// Sessions now.
    pub sessions: u64,
    /// Logins accepted.
    pub logins: u64,
    /// Logins refused.
    pub login_failures: u64,
    /// Commands received.
    pub commands: u64,
}
