//! Parameter data of REPORT TARGET PORT GROUPS. SPC-4 r37 §6.37.

use alloc::vec;
use alloc::vec::Vec;

use crate::fields::put_length32;

/// ASYMMETRIC ACCESS STATE. SPC-4 r37 table 254.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AsymmetricAccessState {
    /// Every command, at full speed.
    ActiveOptimized = 0x0,
    /// Every command, by a longer way.
    ActiveNonOptimized = 0x1,
    /// Discovery commands only.
    Standby = 0x2,
    /// Nothing to be had here now.
    Unavailable = 0x3,
    /// Not reachable through these ports.
    Offline = 0xE,
    /// On its way from one state to another.
    Transitioning = 0xF,
}

/// STATUS CODE: why the state is what it is. SPC-4 r37 table 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GroupStatus {
    /// No status available: nothing changed since power on.
    None = 0x00,
    /// Altered by SET TARGET PORT GROUPS.
    AlteredByCommand = 0x01,
    /// Altered by implicit asymmetric logical unit access behaviour.
    AlteredImplicitly = 0x02,
}

/// Which states a group may report: the second byte of its descriptor. SPC-4 r37 table 253.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SupportedStates(pub u8);

impl SupportedStates {
    /// T_SUP.
    pub const TRANSITIONING: Self = Self(0x80);
    /// O_SUP.
    pub const OFFLINE: Self = Self(0x40);
    /// U_SUP.
    pub const UNAVAILABLE: Self = Self(0x08);
    /// S_SUP.
    pub const STANDBY: Self = Self(0x04);
    /// AN_SUP.
    pub const ACTIVE_NON_OPTIMIZED: Self = Self(0x02);
    /// AO_SUP.
    pub const ACTIVE_OPTIMIZED: Self = Self(0x01);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One target port group descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPortGroup {
    /// TARGET PORT GROUP.
    pub id: u16,
    /// PREF: the place where the logical unit is best used.
    pub preferred: bool,
    /// ASYMMETRIC ACCESS STATE.
    pub state: AsymmetricAccessState,
    /// The states it may report.
    pub supported: SupportedStates,
    /// STATUS CODE.
    pub status: GroupStatus,
    /// Relative target port identifiers; at most 255 are reported.
    pub ports: Vec<u16>,
}

/// The parameter data, not truncated. `extended_header` is the implicit transition time in seconds when the CDB
/// asked for that format; its four bytes count in RETURN DATA LENGTH.
#[must_use]
pub fn parameter_data(groups: &[TargetPortGroup], extended_header: Option<u8>) -> Vec<u8> {
    let mut data = vec![0; 4];
    if let Some(seconds) = extended_header {
        data.extend_from_slice(&[0x10, seconds, 0, 0]);
    }
    for group in groups {
        let count = u8::try_from(group.ports.len()).unwrap_or(u8::MAX);
        let [id_high, id_low] = group.id.to_be_bytes();
        data.extend_from_slice(&[
            (u8::from(group.preferred) << 7) | group.state as u8,
            group.supported.0,
            id_high,
            id_low,
            0,
            group.status as u8,
            0,
            count,
        ]);
        for port in group.ports.iter().take(usize::from(count)) {
            let [high, low] = port.to_be_bytes();
            data.extend_from_slice(&[0, 0, high, low]);
        }
    }
    let length = data.len() - 4;
    put_length32(&mut data, 0, length);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: u16, preferred: bool, state: AsymmetricAccessState, ports: &[u16]) -> TargetPortGroup {
        let supported = SupportedStates::STANDBY.with(SupportedStates::ACTIVE_OPTIMIZED);
        TargetPortGroup {
            id,
            preferred,
            state,
            supported,
            status: GroupStatus::None,
            ports: ports.to_vec(),
        }
    }

    #[test]
    fn st_042_two_groups_byte_for_byte() {
        let groups = [
            group(0, true, AsymmetricAccessState::ActiveOptimized, &[1, 2]),
            group(1, false, AsymmetricAccessState::Standby, &[256]),
        ];
        let expected = [
            0, 0, 0, 28, // RETURN DATA LENGTH
            0x80, 0x05, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, //
            0x02, 0x05, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0,
        ];
        assert_eq!(parameter_data(&groups, None), expected);
    }

    #[test]
    fn st_046_the_extended_header_counts_in_the_length() {
        let data = parameter_data(
            &[group(0, true, AsymmetricAccessState::ActiveOptimized, &[1])],
            Some(60),
        );
        assert_eq!(data[..8], [0, 0, 0, 16, 0x10, 60, 0, 0]);
        assert_eq!(data.len(), 20);
    }

    #[test]
    fn no_more_than_255_ports_are_reported() {
        let ports: Vec<u16> = (1..=300).collect();
        let data = parameter_data(&[group(0, false, AsymmetricAccessState::Standby, &ports)], None);
        assert_eq!(data[11], 255);
        assert_eq!(data.len(), 4 + 8 + 255 * 4);
    }
}
