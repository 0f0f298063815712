//! What REPORT TARGET PORT GROUPS tells: built on each node from the access state and the pair, never fetched.

use alloc::vec::Vec;

use scsi_proto::rtpg::{AsymmetricAccessState as State, GroupStatus, SupportedStates, TargetPortGroup};

use crate::access::{AccessState, PairView, StandbyIo};

/// IMPLICIT TRANSITION TIME, in seconds: how long an initiator should wait for a transition to end.
pub(crate) const IMPLICIT_TRANSITION_SECONDS: u8 = 60;

/// The groups of the pair in ascending order of id. `changed`: the access state changed since this node started.
/// A group without ports is left out.
pub(crate) fn groups(
    pair: &PairView,
    access: AccessState,
    changed: bool,
    preferred_node: Option<u16>,
) -> Vec<TargetPortGroup> {
    let (local, peer) = states(pair, access);
    let owner = match access {
        AccessState::Active | AccessState::ActiveToStandby => pair.local_node,
        AccessState::Standby | AccessState::StandbyToActive => pair.peer_node(),
    };
    let group = |id: u16, state: State, ports: &[u16]| TargetPortGroup {
        id,
        preferred: preferred_node.unwrap_or(owner) == id,
        state,
        supported: supported(pair.standby_io),
        status: if changed {
            GroupStatus::AlteredImplicitly
        } else {
            GroupStatus::None
        },
        ports: ports.to_vec(),
    };
    let mut groups = Vec::from([
        group(pair.local_node, local, &pair.local_ports),
        group(pair.peer_node(), peer, &pair.peer_ports),
    ]);
    groups.retain(|group| !group.ports.is_empty());
    groups.sort_by_key(|group| group.id);
    groups
}

/// The states of the local and of the peer's group.
fn states(pair: &PairView, access: AccessState) -> (State, State) {
    let forwarding = match pair.standby_io {
        StandbyIo::Full => State::ActiveNonOptimized,
        StandbyIo::Compat | StandbyIo::RejectReads => State::Standby,
    };
    match (access, pair.channel_up) {
        (AccessState::Active, true) => (State::ActiveOptimized, forwarding),
        (AccessState::Active, false) => (State::ActiveOptimized, State::Unavailable),
        (AccessState::Standby, true) => (forwarding, State::ActiveOptimized),
        (AccessState::Standby, false) => (State::Standby, State::Unavailable),
        (AccessState::ActiveToStandby | AccessState::StandbyToActive, true) => {
            (State::Transitioning, State::Transitioning)
        }
        (AccessState::ActiveToStandby | AccessState::StandbyToActive, false) => {
            (State::Transitioning, State::Unavailable)
        }
    }
}

/// Every state [`states`] can give with this policy.
fn supported(standby_io: StandbyIo) -> SupportedStates {
    let always = SupportedStates::TRANSITIONING
        .with(SupportedStates::UNAVAILABLE)
        .with(SupportedStates::STANDBY)
        .with(SupportedStates::ACTIVE_OPTIMIZED);
    match standby_io {
        StandbyIo::Full => always.with(SupportedStates::ACTIVE_NON_OPTIMIZED),
        StandbyIo::Compat | StandbyIo::RejectReads => always,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(local_node: u16, channel_up: bool, standby_io: StandbyIo) -> PairView {
        let (mut local_ports, mut peer_ports) = (Vec::from([1, 2]), Vec::from([256]));
        if local_node == 1 {
            core::mem::swap(&mut local_ports, &mut peer_ports);
        }
        PairView {
            alua_enabled: true,
            local_node,
            channel_up,
            standby_io,
            local_ports,
            peer_ports,
        }
    }

    /// The states of groups 0 and 1 as a node sees them.
    fn seen(pair: &PairView, access: AccessState) -> [State; 2] {
        let groups = groups(pair, access, false, None);
        assert_eq!([groups[0].id, groups[1].id], [0, 1]);
        [groups[0].state, groups[1].state]
    }

    #[test]
    fn st_043_both_nodes_tell_the_same_while_the_channel_is_up() {
        let hand_over = [
            (AccessState::Active, AccessState::Standby),
            (AccessState::ActiveToStandby, AccessState::StandbyToActive),
            (AccessState::Standby, AccessState::Active),
        ];
        for standby_io in [StandbyIo::Compat, StandbyIo::Full, StandbyIo::RejectReads] {
            for (on_0, on_1) in hand_over {
                let from_0 = groups(&pair(0, true, standby_io), on_0, true, None);
                let from_1 = groups(&pair(1, true, standby_io), on_1, true, None);
                assert_eq!(from_0, from_1, "{standby_io:?} {on_0:?}");
            }
        }
    }

    #[test]
    fn st_042_compat_reports_the_standby_group_as_standby_and_prefers_the_owner() {
        let groups = groups(
            &pair(0, true, StandbyIo::Compat),
            AccessState::Active,
            false,
            None,
        );
        assert_eq!(
            (groups[0].state, groups[0].preferred),
            (State::ActiveOptimized, true)
        );
        assert_eq!((groups[1].state, groups[1].preferred), (State::Standby, false));
        assert_eq!(groups[0].ports, [1, 2]);
        assert_eq!(groups[0].supported.0, 0x8D);
    }

    #[test]
    fn st_062_full_reports_the_standby_group_as_active_non_optimized() {
        let full = pair(1, true, StandbyIo::Full);
        assert_eq!(
            seen(&full, AccessState::Standby),
            [State::ActiveOptimized, State::ActiveNonOptimized]
        );
        assert_eq!(
            groups(&full, AccessState::Standby, false, None)[0].supported.0,
            0x8F
        );
    }

    #[test]
    fn st_044_a_standby_node_without_channel_tells_the_truth() {
        for standby_io in [StandbyIo::Compat, StandbyIo::Full, StandbyIo::RejectReads] {
            let cut = pair(1, false, standby_io);
            assert_eq!(
                seen(&cut, AccessState::Standby),
                [State::Unavailable, State::Standby]
            );
            assert_eq!(
                seen(&cut, AccessState::Active),
                [State::Unavailable, State::ActiveOptimized]
            );
            assert_eq!(
                seen(&cut, AccessState::StandbyToActive),
                [State::Unavailable, State::Transitioning]
            );
        }
    }

    #[test]
    fn st_090_a_change_is_told_as_implicit_and_preference_can_be_steered() {
        let view = pair(0, true, StandbyIo::Full);
        let steered = groups(&view, AccessState::Active, true, Some(1));
        assert_eq!([steered[0].preferred, steered[1].preferred], [false, true]);
        assert!(
            steered
                .iter()
                .all(|group| group.status == GroupStatus::AlteredImplicitly)
        );
    }

    #[test]
    fn a_peer_whose_ports_are_unknown_has_no_group() {
        let mut alone = pair(0, false, StandbyIo::Full);
        alone.peer_ports.clear();
        assert_eq!(groups(&alone, AccessState::Active, false, None).len(), 1);
    }
}
