//! What each node has: telling ours, learning theirs, and who may own what.

use super::{Asked, Conflict, Peer, PeerEvent};
use crate::error::Refusal;
use crate::limits::{MAX_LUNS, MAX_PORTS};
use crate::message::{AccessState, GuidBytes, LuRecord, Message, PortRecord};
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// A record of the peer and the inventory that listed it last.
#[derive(Debug)]
pub(super) struct Known<T> {
    record: T,
    generation: u64,
}

/// What a claim of the peer means here.
enum Claim {
    Fine,
    Stale,
    /// This node must let go first.
    StepDown,
    /// This node has let go already, and this is the answer.
    Taken,
}

impl Peer {
    /// All target ports of this node. Differences to the last list are told to the peer.
    pub fn set_ports(&mut self, _now: Instant, ports: Vec<PortRecord>) {
        let ports: BTreeMap<String, PortRecord> = ports.into_iter().map(|p| (p.name.clone(), p)).collect();
        let old = core::mem::replace(&mut self.ports, ports);
        let gone: Vec<_> = old
            .keys()
            .filter(|name| !self.ports.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            let id = self.send(&Message::DeregisterPort { name: name.clone() });
            self.remember(id, Asked::Port(name));
        }
        let changed: Vec<_> = self
            .ports
            .values()
            .filter(|p| old.get(&p.name) != Some(*p))
            .cloned()
            .collect();
        for port in changed {
            self.tell_port(port);
        }
    }

    /// All logical units of this node that take part in ALUA: those it owns and those it has as standby. Differences to
    /// what the peer has been told are told.
    pub fn set_lus(&mut self, _now: Instant, lus: Vec<LuRecord>) {
        let lus: BTreeMap<GuidBytes, LuRecord> = lus.into_iter().map(|l| (l.guid, l)).collect();
        let old = core::mem::replace(&mut self.lus, lus);
        let gone: Vec<_> = old
            .values()
            .filter(|l| !self.lus.contains_key(&l.guid))
            .map(|l| (l.guid, l.epoch))
            .collect();
        for (guid, epoch) in gone {
            self.told.remove(&guid);
            self.old_owner.remove(&guid);
            let id = self.send(&Message::DeregisterLun { guid, epoch });
            self.remember(id, Asked::Lun(guid));
        }
        let guids: Vec<_> = self.lus.keys().copied().collect();
        for guid in guids {
            self.tell_lun_if_changed(guid);
        }
    }

    /// One logical unit of this node is new or has changed.
    pub fn lu_changed(&mut self, _now: Instant, lu: LuRecord) {
        let guid = lu.guid;
        self.lus.insert(guid, lu);
        self.tell_lun_if_changed(guid);
    }

    /// What the peer last said of a logical unit.
    #[must_use]
    pub fn peer_lu(&self, guid: &GuidBytes) -> Option<&LuRecord> {
        self.peer_lus.get(guid).map(|k| &k.record)
    }

    /// The peer's target ports.
    pub fn peer_ports(&self) -> impl Iterator<Item = &PortRecord> {
        self.peer_ports.values().map(|k| &k.record)
    }

    /// The daemon has closed the store of a logical unit after [`PeerEvent::StepDown`]; the peer's claim is accepted now.
    pub fn stepped_down(&mut self, _now: Instant, guid: &GuidBytes) {
        let Some((id, lu)) = self.stepping.remove(guid) else {
            return;
        };
        if let Some(local) = self.lus.get_mut(guid) {
            local.access = AccessState::Standby;
            local.epoch = local.epoch.max(lu.epoch);
        }
        self.learn(lu);
        self.accept(id);
        self.tell_lun_if_changed(*guid);
    }

    /// Lists everything, as one generation.
    pub(super) fn start_exchange(&mut self) {
        self.generation = self.sealer.upcoming();
        let ports: Vec<_> = self.ports.values().cloned().collect();
        for port in ports {
            self.tell_port(port);
        }
        self.told.clear();
        let guids: Vec<_> = self.lus.keys().copied().collect();
        for guid in guids {
            self.tell_lun(guid);
        }
        let id = self.send(&Message::InventoryEnd {
            generation: self.generation,
        });
        self.remember(id, Asked::InventoryEnd);
    }

    pub(super) fn remember(&mut self, id: Option<u64>, what: Asked) {
        if let Some(id) = id {
            self.asked.insert(id, what);
        }
    }

    fn tell_port(&mut self, port: PortRecord) {
        let name = port.name.clone();
        let id = self.send(&Message::RegisterPort {
            generation: self.generation,
            port,
        });
        self.remember(id, Asked::Port(name));
    }

    /// The record as the peer is to see it: a hand-over in progress shows.
    fn presented(&self, guid: &GuidBytes) -> Option<LuRecord> {
        let mut lu = self.lus.get(guid)?.clone();
        if self.old_owner.contains_key(guid) && lu.access == AccessState::Active {
            lu.access = AccessState::ActiveToStandby;
        }
        if let Some(epoch) = self.activating_epoch(guid) {
            if lu.access != AccessState::Active {
                lu.access = AccessState::StandbyToActive;
            }
            lu.epoch = lu.epoch.max(epoch);
        }
        Some(lu)
    }

    pub(super) fn tell_lun(&mut self, guid: GuidBytes) {
        let Some(lu) = self.presented(&guid) else { return };
        let id = self.send(&Message::RegisterLun {
            generation: self.generation,
            lu: lu.clone(),
        });
        if id.is_some() {
            self.told.insert(guid, lu);
        }
        self.remember(id, Asked::Lun(guid));
    }

    pub(super) fn tell_lun_if_changed(&mut self, guid: GuidBytes) {
        let Some(lu) = self.presented(&guid) else { return };
        let Some(told) = self.told.get(&guid) else {
            return self.tell_lun(guid);
        };
        if *told == lu {
            return;
        }
        let activated = lu.access == AccessState::Active && told.access != AccessState::Active;
        let mut as_told = lu.clone();
        (as_told.access, as_told.epoch) = (told.access, told.epoch);
        let only_ownership = as_told == *told;
        if activated {
            let id = self.send(&Message::LunActive {
                guid,
                epoch: lu.epoch,
            });
            self.remember(id, Asked::Lun(guid));
            if only_ownership {
                self.told.insert(guid, lu);
                return;
            }
        }
        self.tell_lun(guid);
    }

    pub(super) fn register_port(&mut self, id: u64, generation: u64, port: PortRecord) {
        let rtpi = port.relative_target_port;
        let number_taken = self.ports.values().any(|p| p.relative_target_port == rtpi)
            || self.peer_ports.values().any(|k| {
                k.record.relative_target_port == rtpi
                    && k.record.name != port.name
                    && k.generation == generation
            });
        let refusal = if self.ports.contains_key(&port.name) {
            Some(Refusal::PortNameTaken)
        } else if number_taken {
            Some(Refusal::RelativePortTaken)
        } else if self.peer_ports.len() >= MAX_PORTS && !self.peer_ports.contains_key(&port.name) {
            Some(Refusal::LimitExceeded)
        } else {
            None
        };
        if let Some(code) = refusal {
            return self.refuse(id, code, 0);
        }
        let known = self.peer_ports.insert(
            port.name.clone(),
            Known {
                record: port.clone(),
                generation,
            },
        );
        if known.is_none_or(|k| k.record != port) {
            self.events.push_back(PeerEvent::PeerPort(port));
        }
        self.accept(id);
    }

    pub(super) fn register_lun(&mut self, id: u64, generation: u64, lu: LuRecord) {
        let guid = lu.guid;
        if self.peer_lus.len() >= MAX_LUNS && !self.peer_lus.contains_key(&guid) {
            return self.refuse(id, Refusal::LimitExceeded, 0);
        }
        if let Some(known) = self.peer_lus.get_mut(&guid) {
            known.generation = generation;
        }
        self.peer_said(guid, Some((lu.access, lu.epoch)));
        match self.judge(&guid, lu.access, lu.epoch) {
            Claim::Stale => self.refuse_claim(id, guid, lu.epoch),
            Claim::StepDown => self.step_down(id, lu),
            Claim::Fine | Claim::Taken => {
                self.insert_peer_lu(lu, generation);
                self.accept(id);
            }
        }
    }

    pub(super) fn lun_active(&mut self, id: u64, guid: GuidBytes, epoch: u64) {
        let Some(known) = self.peer_lus.get(&guid) else {
            return self.refuse(id, Refusal::UnknownLogicalUnit, 0);
        };
        let generation = known.generation;
        let lu = LuRecord {
            access: AccessState::Active,
            epoch,
            ..known.record.clone()
        };
        self.register_lun(id, generation, lu);
    }

    pub(super) fn deregister_lun(&mut self, id: u64, guid: GuidBytes, epoch: u64) {
        let local = self.lus.get(&guid);
        let owned = local.is_some_and(|l| l.access != AccessState::Standby || l.epoch > epoch);
        let local_epoch = local.map_or(0, |l| l.epoch);
        self.stepping.remove(&guid);
        let known = self.peer_lus.remove(&guid);
        self.peer_said(guid, None);
        if owned {
            return self.refuse(id, Refusal::NotOwner, local_epoch);
        }
        if known.is_some() {
            self.events.push_back(PeerEvent::PeerLunRemoved { guid });
        }
        self.accept(id);
    }

    pub(super) fn inventory_end(&mut self, id: u64, generation: u64) {
        let ports: Vec<_> = self
            .peer_ports
            .iter()
            .filter(|(_, k)| k.generation != generation)
            .map(|(n, _)| n.clone())
            .collect();
        for name in ports {
            self.peer_ports.remove(&name);
            self.events.push_back(PeerEvent::PeerPortRemoved(name));
        }
        let luns: Vec<_> = self
            .peer_lus
            .iter()
            .filter(|(_, k)| k.generation != generation)
            .map(|(g, _)| *g)
            .collect();
        for guid in luns {
            self.peer_lus.remove(&guid);
            if self
                .lus
                .get(&guid)
                .is_none_or(|l| l.access == AccessState::Standby)
            {
                self.events.push_back(PeerEvent::PeerLunRemoved { guid });
            }
        }
        let waiting: Vec<_> = self
            .old_owner
            .keys()
            .filter(|g| !self.peer_lus.contains_key(*g))
            .copied()
            .collect();
        for guid in waiting {
            self.peer_said(guid, None);
        }
        self.events.push_back(PeerEvent::InventoryReceived);
        self.accept(id);
    }

    /// An answer to a request of ours. `Err` has the code and the peer's epoch.
    pub(super) fn answered(&mut self, in_reply_to: u64, answer: Result<(), (Refusal, u64)>) {
        let Some(what) = self.asked.remove(&in_reply_to) else {
            return;
        };
        match (what, answer) {
            (Asked::InventoryEnd, Ok(())) => self.events.push_back(PeerEvent::InventorySent),
            (Asked::Port(name), Err((why, _))) => self.events.push_back(PeerEvent::PortRefused { name, why }),
            (Asked::Lun(guid), Err((why, epoch))) => {
                self.events.push_back(PeerEvent::LunRefused { guid, why, epoch });
            }
            (Asked::Failover(guid), Err((why, _))) => self.failover_failed(guid, why),
            (Asked::Port(_) | Asked::Lun(_) | Asked::Failover(_), Ok(())) | (Asked::InventoryEnd, Err(_)) => {
            }
        }
    }

    /// The epoch rule: the higher epoch wins; a claim of ownership that is not higher than ours is refused.
    fn judge(&self, guid: &GuidBytes, access: AccessState, epoch: u64) -> Claim {
        let Some(local) = self.lus.get(guid) else {
            return Claim::Fine;
        };
        let claims = access == AccessState::Active;
        let serving = local.access != AccessState::Standby;
        match (serving, claims) {
            (false, true) if epoch < local.epoch => Claim::Stale,
            (false, _) => Claim::Fine,
            (true, _) if epoch > local.epoch && self.offered_epoch(guid).is_some_and(|e| epoch >= e) => {
                Claim::Taken
            }
            // A peer that holds a higher epoch without serving has owned it after us: the same holds.
            (true, _) if epoch > local.epoch && access != AccessState::StandbyToActive => Claim::StepDown,
            (true, true) => Claim::Stale,
            (true, false) => Claim::Fine,
        }
    }

    fn refuse_claim(&mut self, id: u64, guid: GuidBytes, peer_epoch: u64) {
        let local_epoch = self.lus.get(&guid).map_or(0, |l| l.epoch);
        self.events.push_back(PeerEvent::Conflict(Conflict {
            guid,
            local_epoch,
            peer_epoch,
        }));
        self.refuse(id, Refusal::StaleEpoch, local_epoch);
    }

    fn step_down(&mut self, id: u64, lu: LuRecord) {
        let (guid, epoch) = (lu.guid, lu.epoch);
        let local = self
            .lus
            .get(&guid)
            .map_or((0, AccessState::Standby), |l| (l.epoch, l.access));
        if local.1 == AccessState::Active {
            self.events.push_back(PeerEvent::Conflict(Conflict {
                guid,
                local_epoch: local.0,
                peer_epoch: epoch,
            }));
        }
        if let Some((superseded, _)) = self.stepping.insert(guid, (id, lu)) {
            self.accept(superseded);
        }
        self.events.push_back(PeerEvent::StepDown { guid, epoch });
    }

    fn learn(&mut self, lu: LuRecord) {
        let generation = self.peer_lus.get(&lu.guid).map_or(0, |k| k.generation);
        self.insert_peer_lu(lu, generation);
    }

    fn insert_peer_lu(&mut self, lu: LuRecord, generation: u64) {
        let known = self.peer_lus.insert(
            lu.guid,
            Known {
                record: lu.clone(),
                generation,
            },
        );
        if known.is_none_or(|k| k.record != lu) {
            self.events.push_back(PeerEvent::PeerLun(lu));
        }
    }

    /// Nothing known has been listed by the peer's new instance, whose generations start over.
    pub(super) fn age_inventory(&mut self) {
        self.peer_ports.values_mut().for_each(|k| k.generation = 0);
        self.peer_lus.values_mut().for_each(|k| k.generation = 0);
    }

    pub(super) fn forget_ports(&mut self) {
        for (name, _) in core::mem::take(&mut self.peer_ports) {
            self.events.push_back(PeerEvent::PeerPortRemoved(name));
        }
    }

    pub(super) fn forget_lus(&mut self) {
        for (guid, _) in core::mem::take(&mut self.peer_lus) {
            if self
                .lus
                .get(&guid)
                .is_none_or(|l| l.access == AccessState::Standby)
            {
                self.events.push_back(PeerEvent::PeerLunRemoved { guid });
            }
        }
    }
}
