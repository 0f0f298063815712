//! What a node remembers. Properties of a logical unit are not here: they stand beside its data.

use serde::{Deserialize, Serialize};

/// The whole state of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeState {
    /// Identifies this node when GUIDs are made; chosen at random on the first start.
    pub host_id: u32,
    /// ALUA mode and node number, once set by an administrator or a transport.
    pub alua: Option<Alua>,
    /// Relative target port identifiers by target name; never renumbered.
    pub ports: Vec<Port>,
    /// Logical units this node knows.
    pub logical_units: Vec<LogicalUnit>,
    /// Host groups.
    pub host_groups: Vec<Group>,
    /// Target groups.
    pub target_groups: Vec<Group>,
    /// View entries.
    pub views: Vec<View>,
}

/// The setting of `stmfSetAluaState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alua {
    /// Whether the pair is formed.
    pub enabled: bool,
    /// This node's number, 0 or 1.
    pub node: u16,
}

/// A target port and its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// iSCSI name of the target.
    pub name: String,
    /// Relative target port identifier: 1… on node 0, 256… on node 1.
    pub relative_target_port: u16,
}

/// A logical unit that was created, imported or registered by the peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogicalUnit {
    /// 32 hexadecimal digits.
    pub guid: String,
    /// File to import: the metadata file, or the data file when they are one.
    pub path: String,
    /// The epoch of the owner as this node knows it.
    pub epoch: u64,
    /// Whether this node is the owner of that epoch.
    pub owned: bool,
    /// Whether the administrator took it offline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
}

/// A host group or target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// At most 255 bytes, not starting with `*`.
    pub name: String,
    /// Initiator or target names.
    pub members: Vec<String>,
}

/// A view entry; no group means all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The logical unit.
    pub guid: String,
    /// Entry number, unique for the logical unit.
    pub index: u32,
    /// Host group; none means all initiators.
    pub host_group: Option<String>,
    /// Target group; none means all targets.
    pub target_group: Option<String>,
    /// Logical unit number, 0…16383.
    pub lun: u16,
}
