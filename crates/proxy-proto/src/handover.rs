//! Planned hand-over of one logical unit, both sides, as two small state machines.
//!
//! ```text
//! old owner                                    new owner
//! Draining ──drained──> HandOver{epoch'} ────> Activating
//!    │                     Offered                 │ activated          │ could not
//!    │ could not              │ <── HandOverDone ──┘                    │
//!    v                        v                                         │
//! RollBack               HandedOver                RollBack <── HandOverDone{error}
//! ```
//!
//! When the link ends after the offer, the old owner does not know whether the offer arrived and stays in transition.
//! An offer cannot arrive on a later link, so what the peer says of the logical unit on the next link settles it: an
//! epoch at least as high as the offered one means taken, a lower one (or nothing) means not taken and never to be.

use crate::error::Refusal;
use crate::message::AccessState;
use crate::time::Instant;

/// The lowest epoch above `current` that node `node` may use. Even epochs belong to node 0 and odd ones to node 1, so
/// two nodes that cannot see each other never take the same one.
#[must_use]
pub fn next_epoch(current: u64, node: u16) -> u64 {
    let next = current.saturating_add(1);
    if next & 1 == u64::from(node & 1) {
        next
    } else {
        next.saturating_add(1)
    }
}

/// The side that lets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldOwner {
    /// The daemon finishes commands, flushes and closes.
    Draining {
        /// The peer's number for the request, zero when this node began it.
        token: u64,
    },
    /// The peer has been offered it under `epoch`.
    Offered {
        /// Epoch of the offer.
        epoch: u64,
        /// When the link is renewed to find out what became of it.
        deadline: Instant,
    },
    /// The link ended after the offer.
    InTransit {
        /// Epoch of the offer.
        epoch: u64,
    },
}

/// What the old owner must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait on.
    Wait,
    /// The peer owns it under this epoch.
    HandedOver(u64),
    /// Take it back under this epoch.
    RollBack(u64, Refusal),
}

impl OldOwner {
    /// The link has ended: an offer may or may not have arrived. True if that is the question now.
    pub fn link_lost(&mut self) -> bool {
        if let Self::Offered { epoch, .. } = *self {
            *self = Self::InTransit { epoch };
            return true;
        }
        false
    }

    /// The peer answered the offer of `epoch`.
    #[must_use]
    pub fn answered(&self, epoch: u64, error: Option<Refusal>, node: u16) -> Verdict {
        match *self {
            Self::Offered { epoch: offered, .. } | Self::InTransit { epoch: offered } if offered == epoch => {
                match error {
                    None => Verdict::HandedOver(epoch),
                    Some(why) => Verdict::RollBack(next_epoch(epoch, node), why),
                }
            }
            _ => Verdict::Wait,
        }
    }

    /// The peer said this about the logical unit, or (`None`) ended its inventory without it. `access` and epoch.
    #[must_use]
    pub fn peer_said(&self, said: Option<(AccessState, u64)>, node: u16) -> Verdict {
        let (offered, fresh_link) = match *self {
            Self::Draining { .. } => return Verdict::Wait,
            Self::Offered { epoch, .. } => (epoch, false),
            Self::InTransit { epoch } => (epoch, true),
        };
        match said {
            Some((AccessState::StandbyToActive, epoch)) if epoch >= offered => Verdict::Wait,
            Some((_, epoch)) if epoch >= offered => Verdict::HandedOver(epoch),
            // On the link of the offer a lower epoch only says that the offer is still on its way.
            Some(_) | None if fresh_link => Verdict::RollBack(next_epoch(offered, node), Refusal::Stale),
            Some(_) | None => Verdict::Wait,
        }
    }

    /// When to ask anew.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Offered { deadline, .. } => Some(*deadline),
            Self::Draining { .. } | Self::InTransit { .. } => None,
        }
    }
}

/// The side that takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewOwner {
    /// Has asked, nothing came yet.
    Asked {
        /// This node's number for the request.
        token: u64,
        /// Message id of the request.
        request: u64,
    },
    /// The daemon opens the store under `epoch`.
    Activating {
        /// This node's number for the request, zero when the peer began it.
        token: u64,
        /// Epoch of the offer.
        epoch: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: OldOwner = OldOwner::Offered {
        epoch: 5,
        deadline: Instant(9),
    };
    const TRANSIT: OldOwner = OldOwner::InTransit { epoch: 5 };

    #[test]
    fn epochs_of_two_nodes_never_meet() {
        for current in 0..100 {
            let (a, b) = (next_epoch(current, 0), next_epoch(current, 1));
            assert!(a > current && b > current && a % 2 == 0 && b % 2 == 1);
            assert!(a.max(b) <= current + 2);
        }
    }

    #[test]
    fn an_answer_settles_the_offer_it_belongs_to_and_no_other() {
        assert_eq!(OFFERED.answered(5, None, 0), Verdict::HandedOver(5));
        assert_eq!(TRANSIT.answered(5, None, 0), Verdict::HandedOver(5));
        assert_eq!(OFFERED.answered(3, None, 0), Verdict::Wait);
        assert_eq!(
            OFFERED.answered(5, Some(Refusal::ActivationFailed), 0),
            Verdict::RollBack(6, Refusal::ActivationFailed)
        );
        assert_eq!(
            OldOwner::Draining { token: 1 }.answered(5, None, 0),
            Verdict::Wait
        );
    }

    #[test]
    fn after_a_lost_link_the_higher_epoch_decides() {
        let rows = [
            (Some((AccessState::Active, 5)), Verdict::HandedOver(5)),
            (Some((AccessState::Standby, 5)), Verdict::HandedOver(5)),
            (Some((AccessState::StandbyToActive, 5)), Verdict::Wait),
            (
                Some((AccessState::Standby, 4)),
                Verdict::RollBack(6, Refusal::Stale),
            ),
            (
                Some((AccessState::Active, 3)),
                Verdict::RollBack(6, Refusal::Stale),
            ),
            (None, Verdict::RollBack(6, Refusal::Stale)),
        ];
        for (said, verdict) in rows {
            assert_eq!(TRANSIT.peer_said(said, 0), verdict, "{said:?}");
        }
        assert_eq!(
            OFFERED.peer_said(Some((AccessState::Standby, 4)), 0),
            Verdict::Wait,
            "the offer is on its way"
        );
    }
}
