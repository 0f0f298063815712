//! What can be asked at the control door.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::Guid;
#[cfg(doc)]
use crate::Reply;

/// One request. What has no answer named is answered with a status alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// State of the service. Answer: [`Reply::Service`].
    GetState {},
    /// Takes the whole service online or offline.
    SetServiceOnline {
        /// Online or offline.
        online: bool,
    },
    /// Whether ALUA is enabled, and the node number. Answer: [`Reply::Alua`].
    GetAluaState {},
    /// Enables or disables ALUA. Enabling again registers everything with the peer again.
    SetAluaState {
        /// Enable or disable.
        enabled: bool,
        /// Node number, 0 or 1; checked even when disabling.
        node: u32,
    },
    /// Installs the door that travels beside this request. Answer: [`Reply::ProxySession`], with one descriptor, the
    /// session door.
    InitProxyDoor {},
    /// Ends the proxy session and waits until its ports, sessions and tasks are gone.
    DestroyProxyDoor {
        /// From the reply of `InitProxyDoor`.
        session: u64,
    },
    /// Creates a logical unit. Answer: [`Reply::Lu`].
    CreateLu(CreateLu),
    /// Changes properties of a logical unit.
    ModifyLu(ModifyLu),
    /// Deletes a logical unit; its backing store stays.
    DeleteLu {
        /// Which one.
        guid: Guid,
        /// Keep its view entries.
        #[serde(default)]
        keep_views: bool,
    },
    /// Imports a logical unit, or makes a standby one active on this node. Answer: [`Reply::Lu`], also beside
    /// [`FileInUse`](crate::StmfStatus::FileInUse).
    ImportLu {
        /// The metadata file, or the data file when the metadata is inside it. Absolute.
        path: String,
    },
    /// Demotes an active logical unit.
    LuStandby {
        /// Which one.
        guid: Guid,
    },
    /// Makes this node the owner of a logical unit: by hand-over from the peer, or by force.
    Failover {
        /// Which one.
        guid: Guid,
        /// Take it without the peer; needs a positive verdict that the peer is out.
        #[serde(default)]
        force: bool,
    },
    /// Requests a logical unit online.
    OnlineLu {
        /// Which one.
        guid: Guid,
    },
    /// Requests a logical unit offline.
    OfflineLu {
        /// Which one.
        guid: Guid,
    },
    /// Logical units, registered or having views, sorted by GUID. Answer: [`Reply::Lus`].
    ListLus {},
    /// One logical unit with its properties. Answer: [`Reply::LuDetails`].
    LuProperties {
        /// Which one.
        guid: Guid,
    },
    /// Creates a group.
    CreateGroup {
        /// Host group or target group.
        kind: GroupKind,
        /// 1 to 255 bytes, not beginning with `*`.
        name: String,
    },
    /// Deletes a group, with its members.
    DeleteGroup {
        /// Host group or target group.
        kind: GroupKind,
        /// Its name.
        name: String,
    },
    /// Adds an initiator to a host group or a target to a target group.
    AddGroupMember {
        /// Host group or target group.
        kind: GroupKind,
        /// Name of the group.
        group: String,
        /// Name of the initiator or target; it need not exist.
        member: String,
    },
    /// Removes a member from a group.
    RemoveGroupMember {
        /// Host group or target group.
        kind: GroupKind,
        /// Name of the group.
        group: String,
        /// Name of the member.
        member: String,
    },
    /// All groups of a kind with their members. Answer: [`Reply::Groups`].
    ListGroups {
        /// Host groups or target groups.
        kind: GroupKind,
    },
    /// Adds a view entry. Answer: [`Reply::View`].
    AddView {
        /// The logical unit; it need not be registered.
        guid: Guid,
        /// The entry.
        view: View,
    },
    /// Removes a view entry.
    RemoveView {
        /// The logical unit.
        guid: Guid,
        /// Index of the entry.
        index: u32,
    },
    /// View entries of a logical unit, sorted by index. Answer: [`Reply::Views`].
    ListViews {
        /// The logical unit.
        guid: Guid,
    },
    /// Runs the rules for a view entry without adding it. Answer: [`Reply::View`] with index 0.
    ValidateView {
        /// The entry.
        view: View,
    },
    /// Target ports with their sessions. Answer: [`Reply::Targets`].
    ListTargets {},
    /// Requests a target port online.
    OnlineTarget {
        /// Its name.
        name: String,
    },
    /// Requests a target port offline.
    OfflineTarget {
        /// Its name.
        name: String,
    },
    /// The proxy service and its channel. Answer: [`Reply::Proxy`].
    ListProxy {},
    /// Counters of logical units and target ports. Answer: [`Reply::Statistics`].
    Stats {},
}

impl Request {
    /// Whether the request only looks and changes nothing.
    pub const fn is_query(&self) -> bool {
        match self {
            Self::GetState {}
            | Self::GetAluaState {}
            | Self::ListLus {}
            | Self::LuProperties { .. }
            | Self::ListGroups { .. }
            | Self::ListViews { .. }
            | Self::ValidateView { .. }
            | Self::ListTargets {}
            | Self::ListProxy {}
            | Self::Stats {} => true,
            Self::SetServiceOnline { .. }
            | Self::SetAluaState { .. }
            | Self::InitProxyDoor {}
            | Self::DestroyProxyDoor { .. }
            | Self::CreateLu(_)
            | Self::ModifyLu(_)
            | Self::DeleteLu { .. }
            | Self::ImportLu { .. }
            | Self::LuStandby { .. }
            | Self::Failover { .. }
            | Self::OnlineLu { .. }
            | Self::OfflineLu { .. }
            | Self::CreateGroup { .. }
            | Self::DeleteGroup { .. }
            | Self::AddGroupMember { .. }
            | Self::RemoveGroupMember { .. }
            | Self::AddView { .. }
            | Self::RemoveView { .. }
            | Self::OnlineTarget { .. }
            | Self::OfflineTarget { .. } => false,
        }
    }
}

/// Properties of a logical unit to be created; what is absent takes its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CreateLu {
    /// The data file, absolute. Mandatory: absent is [`MissingPropertyValue`](crate::StmfStatus::MissingPropertyValue).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_file: Option<String>,
    /// A separate metadata file; otherwise the metadata is at the start of the data file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_file: Option<String>,
    /// NAA type 6; made from company id, host id and time otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<Guid>,
    /// At most 255 bytes; the name of the data file otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Bytes; the size of an existing data file otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes: a power of two from 512 to 32768; 512 otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// Refuse writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_protect: Option<bool>,
    /// Switch the write-back cache off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_cache_disable: Option<bool>,
    /// At most 8 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// At most 16 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// At most 252 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// 24 bits, not zero: the company id of a generated GUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company_id: Option<u32>,
    /// Not zero: the host id of a generated GUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_id: Option<u32>,
    /// At most 1023 bytes; URLs separated by spaces (VPD page 85h).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mgmt_url: Option<String>,
}

/// Properties of a logical unit to be changed; what is absent stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModifyLu {
    /// Which one.
    pub lu: LuName,
    /// At most 255 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Bytes, a multiple of the block size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Refuse writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_protect: Option<bool>,
    /// Switch the write-back cache off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_cache_disable: Option<bool>,
    /// At most 1023 bytes; empty removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mgmt_url: Option<String>,
}

impl ModifyLu {
    /// A request that changes nothing yet.
    pub const fn new(lu: LuName) -> Self {
        Self {
            lu,
            alias: None,
            size: None,
            write_protect: None,
            write_cache_disable: None,
            mgmt_url: None,
        }
    }
}

/// How a logical unit to be changed is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LuName {
    /// By GUID.
    Guid(Guid),
    /// By its metadata file, or its data file when the metadata is inside it. Absolute.
    File(String),
}

/// The two kinds of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Initiators.
    Host,
    /// Target ports.
    Target,
}

/// A view entry as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct View {
    /// Name of a host group; absent means all initiators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_group: Option<String>,
    /// Name of a target group; absent means all target ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group: Option<String>,
    /// 0 to 16383; absent means the lowest free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lun: Option<u16>,
}
