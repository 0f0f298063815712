//! States of the service, of logical units and of target ports, with the numbers of `libstmf.h`.

use serde::{Deserialize, Serialize};

/// Operational state of a logical unit (`STMF_LOGICAL_UNIT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LuState {
    /// Not presented to anybody.
    Offline = 0,
    /// On the way to [`LuState::Offline`].
    Offlining = 1,
    /// Presented through its views; a standby logical unit counts as online.
    Online = 2,
    /// On the way to [`LuState::Online`].
    Onlining = 3,
    /// Only view entries exist, no logical unit of that GUID.
    Unregistered = 4,
}

/// Operational state of a target port (`STMF_TARGET_PORT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TargetState {
    /// Takes no login.
    Offline = 5,
    /// On the way to [`TargetState::Offline`].
    Offlining = 6,
    /// Takes logins.
    Online = 7,
    /// On the way to [`TargetState::Online`].
    Onlining = 8,
}

/// Operational state of the service (`STMF_SERVICE_STATE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ServiceState {
    /// Target ports and logical units follow their own states.
    Online = 9,
    /// Every target port and logical unit is down.
    Offline = 10,
    /// On the way to [`ServiceState::Online`].
    Onlining = 11,
    /// On the way to [`ServiceState::Offline`].
    Offlining = 12,
}

/// Whether the stored configuration has been loaded (`STMF_CONFIG_STATE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ConfigurationState {
    /// Nothing loaded.
    None = 14,
    /// Loading.
    Init = 15,
    /// Loaded.
    InitDone = 16,
}

/// Access state of a logical unit on this node (`STMF_ACCESS_*`, the digit of the property).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AccessState {
    /// This node owns the store.
    Active = 0,
    /// Demoted; the peer has not taken over yet.
    ActiveToStandby = 1,
    /// The peer owns the store.
    Standby = 2,
    /// Being promoted.
    StandbyToActive = 3,
}

impl AccessState {
    /// The value of `STMF_LU_PROP_ACCESS_STATE`: `"0"` to `"3"`.
    pub const fn property_value(self) -> &'static str {
        match self {
            Self::Active => "0",
            Self::ActiveToStandby => "1",
            Self::Standby => "2",
            Self::StandbyToActive => "3",
        }
    }
}

/// State of the channel to the peer node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// No door, or nothing heard from the peer for longer than the grace time.
    Down,
    /// Lost a moment ago, or not answered yet: commands wait.
    Connecting,
    /// The peer answers.
    Up,
}

/// How a logical unit changed its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailoverKind {
    /// Handed over by its owner.
    Planned,
    /// Taken without the owner, after a verdict that it is out.
    Forced,
}
