//! Planned hand-over within the relation: who is asked, what is sent, what the daemon hears.

use super::{Asked, FailoverError, Peer, PeerEvent};
use crate::error::Refusal;
use crate::handover::{NewOwner, OldOwner, Verdict, next_epoch};
use crate::message::{AccessState, GuidBytes, LuRecord, Message};
use crate::time::Instant;
use alloc::vec::Vec;
use bytes::Bytes;

impl Peer {
    /// Asks the owner to hand `guid` over to this node. [`PeerEvent::Offered`] or [`PeerEvent::FailoverFinished`] with a
    /// refusal follows, or the link is lost, which finishes it too.
    ///
    /// # Errors
    /// [`FailoverError`] when it cannot begin.
    pub fn request_failover(
        &mut self,
        _now: Instant,
        guid: GuidBytes,
        token: u64,
    ) -> Result<(), FailoverError> {
        if !self.link.is_up() {
            return Err(FailoverError::ChannelDown);
        }
        if self
            .lus
            .get(&guid)
            .is_some_and(|l| l.access == AccessState::Active)
        {
            return Err(FailoverError::WrongOwner);
        }
        if !self.peer_lus.contains_key(&guid) {
            return Err(FailoverError::UnknownLogicalUnit);
        }
        if self.new_owner.contains_key(&guid) || self.old_owner.contains_key(&guid) {
            return Err(FailoverError::InProgress);
        }
        let Some(request) = self.send(&Message::FailoverRequest { guid, token }) else {
            return Err(FailoverError::ChannelDown);
        };
        self.new_owner.insert(guid, NewOwner::Asked { token, request });
        self.remember(Some(request), Asked::Failover(guid));
        Ok(())
    }

    /// Begins to hand `guid` over to the peer without being asked. The daemon now drains and calls
    /// [`Self::drained`] or [`Self::drain_failed`], as after [`PeerEvent::FailoverRequested`].
    ///
    /// # Errors
    /// [`FailoverError`] when it cannot begin.
    pub fn begin_hand_over(&mut self, _now: Instant, guid: GuidBytes) -> Result<(), FailoverError> {
        if !self.link.is_up() {
            return Err(FailoverError::ChannelDown);
        }
        if self.old_owner.contains_key(&guid) || self.new_owner.contains_key(&guid) {
            return Err(FailoverError::InProgress);
        }
        match self.lus.get(&guid) {
            None => return Err(FailoverError::UnknownLogicalUnit),
            Some(lu) if lu.access != AccessState::Active => return Err(FailoverError::WrongOwner),
            Some(_) => {}
        }
        self.old_owner.insert(guid, OldOwner::Draining { token: 0 });
        Ok(())
    }

    pub(super) fn failover_requested(&mut self, id: u64, guid: GuidBytes, token: u64) {
        let refusal = match self.lus.get(&guid) {
            None => Some(Refusal::UnknownLogicalUnit),
            Some(_) if self.old_owner.contains_key(&guid) || self.new_owner.contains_key(&guid) => {
                Some(Refusal::Busy)
            }
            Some(lu) if lu.access == AccessState::ActiveToStandby => Some(Refusal::Busy),
            Some(lu) if lu.access != AccessState::Active => Some(Refusal::NotOwner),
            Some(_) => None,
        };
        if let Some(code) = refusal {
            return self.refuse(id, code, 0);
        }
        self.old_owner.insert(guid, OldOwner::Draining { token });
        self.failover_asked.insert(guid, id);
        self.events
            .push_back(PeerEvent::FailoverRequested { guid, token });
    }

    /// The store is closed, nothing runs: offer it to the peer, with `state` (at most 16 MiB) for the new owner.
    pub fn drained(&mut self, now: Instant, guid: GuidBytes, state: Bytes) {
        let Some(OldOwner::Draining { token }) = self.old_owner.get(&guid).cloned() else {
            return;
        };
        let Some(local) = self.lus.get(&guid) else {
            self.old_owner.remove(&guid);
            return;
        };
        let epoch = next_epoch(local.epoch, self.config.node ^ 1);
        let lu = LuRecord {
            epoch,
            access: AccessState::ActiveToStandby,
            ..local.clone()
        };
        self.failover_asked.remove(&guid);
        if self.send(&Message::HandOver { token, lu, state }).is_some() {
            let deadline = now.after(self.config.hand_over_deadline);
            self.old_owner.insert(guid, OldOwner::Offered { epoch, deadline });
        } else {
            // Nothing was offered, so nothing is in doubt.
            self.old_owner.remove(&guid);
            let own = next_epoch(epoch, self.config.node);
            self.events.push_back(PeerEvent::RollBack {
                guid,
                epoch: own,
                why: Refusal::NotGreeted,
            });
        }
    }

    /// It could not be drained, flushed or closed: this node keeps it, and the daemon makes it active again as it was.
    pub fn drain_failed(&mut self, _now: Instant, guid: GuidBytes) {
        if !matches!(self.old_owner.get(&guid), Some(OldOwner::Draining { .. })) {
            return;
        }
        self.old_owner.remove(&guid);
        if let Some(id) = self.failover_asked.remove(&guid) {
            self.refuse(id, Refusal::DrainFailed, 0);
        }
    }

    /// An offer of the peer.
    pub(super) fn offered(&mut self, token: u64, lu: LuRecord, state: Bytes) {
        let (guid, epoch) = (lu.guid, lu.epoch);
        let local = self.lus.get(&guid).map(|l| (l.access, l.epoch));
        let busy = matches!(self.new_owner.get(&guid), Some(NewOwner::Activating { .. }))
            || self.old_owner.contains_key(&guid)
            || local.is_some_and(|(access, _)| access != AccessState::Standby);
        let refusal = if busy {
            Some(Refusal::Busy)
        } else if local.is_some_and(|(_, known)| epoch <= known) {
            Some(Refusal::StaleEpoch)
        } else {
            None
        };
        if let Some(error) = refusal {
            self.send(&Message::HandOverDone {
                guid,
                epoch,
                error: Some(error),
            });
            return;
        }
        if let Some(NewOwner::Asked { request, .. }) = self.new_owner.remove(&guid) {
            self.asked.remove(&request);
        }
        self.new_owner.insert(guid, NewOwner::Activating { token, epoch });
        self.events.push_back(PeerEvent::Offered { lu, state });
    }

    /// What became of [`PeerEvent::Offered`]. `Ok`: the daemon serves it now, under the offered epoch, which it had
    /// persisted before it opened the store. `Err`: it does not and will not.
    pub fn activated(&mut self, _now: Instant, guid: GuidBytes, result: Result<(), Refusal>) {
        let Some(NewOwner::Activating { token, epoch }) = self.new_owner.get(&guid).cloned() else {
            return;
        };
        self.new_owner.remove(&guid);
        self.send(&Message::HandOverDone {
            guid,
            epoch,
            error: result.err(),
        });
        if result.is_ok()
            && let Some(lu) = self.lus.get_mut(&guid)
        {
            (lu.access, lu.epoch) = (AccessState::Active, epoch);
        }
        self.tell_lun_if_changed(guid);
        self.events
            .push_back(PeerEvent::FailoverFinished { guid, token, result });
    }

    pub(super) fn hand_over_done(&mut self, guid: GuidBytes, epoch: u64, error: Option<Refusal>) {
        let node = self.config.node;
        if let Some(verdict) = self.old_owner.get(&guid).map(|o| o.answered(epoch, error, node)) {
            self.carry_out(guid, verdict);
        }
    }

    /// The peer has told its view of a logical unit, or that it has none.
    pub(super) fn peer_said(&mut self, guid: GuidBytes, said: Option<(AccessState, u64)>) {
        let node = self.config.node;
        if let Some(verdict) = self.old_owner.get(&guid).map(|o| o.peer_said(said, node)) {
            self.carry_out(guid, verdict);
        }
    }

    fn carry_out(&mut self, guid: GuidBytes, verdict: Verdict) {
        match verdict {
            Verdict::Wait => {}
            Verdict::HandedOver(epoch) => {
                self.old_owner.remove(&guid);
                if let Some(lu) = self.lus.get_mut(&guid) {
                    (lu.access, lu.epoch) = (AccessState::Standby, epoch);
                }
                self.events.push_back(PeerEvent::HandedOver { guid, epoch });
                self.tell_lun_if_changed(guid);
            }
            Verdict::RollBack(epoch, why) => {
                self.old_owner.remove(&guid);
                if let Some(lu) = self.lus.get_mut(&guid) {
                    lu.access = AccessState::ActiveToStandby;
                }
                self.events.push_back(PeerEvent::RollBack { guid, epoch, why });
            }
        }
    }

    pub(super) fn failover_failed(&mut self, guid: GuidBytes, why: Refusal) {
        if let Some(NewOwner::Asked { token, .. }) = self.new_owner.get(&guid).cloned() {
            self.new_owner.remove(&guid);
            self.events.push_back(PeerEvent::FailoverFinished {
                guid,
                token,
                result: Err(why),
            });
        }
    }

    /// The link is gone: questions are over, offers are in doubt, drains go on.
    pub(super) fn hand_overs_lost_link(&mut self) {
        let asked: Vec<_> = self
            .new_owner
            .iter()
            .filter(|(_, s)| matches!(s, NewOwner::Asked { .. }))
            .map(|(g, _)| *g)
            .collect();
        for guid in asked {
            self.failover_failed(guid, Refusal::NotGreeted);
        }
        for (guid, side) in &mut self.old_owner {
            if side.link_lost() {
                self.events.push_back(PeerEvent::InTransit { guid: *guid });
            }
        }
    }

    pub(super) fn activating_epoch(&self, guid: &GuidBytes) -> Option<u64> {
        match self.new_owner.get(guid) {
            Some(NewOwner::Activating { epoch, .. }) => Some(*epoch),
            _ => None,
        }
    }

    pub(super) fn offered_epoch(&self, guid: &GuidBytes) -> Option<u64> {
        match self.old_owner.get(guid) {
            Some(OldOwner::Offered { epoch, .. } | OldOwner::InTransit { epoch }) => Some(*epoch),
            _ => None,
        }
    }
}
