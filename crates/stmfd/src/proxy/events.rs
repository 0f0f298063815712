//! What the peer machine wants known or done.

use super::{Proxy, lock, now, one_more};
use crate::target::{Demotion, Lu};
use bytes::Bytes;
use proxy_proto::{Channel, LuRecord, PeerEvent, PortRecord, Refusal, lu_flags};
use std::path::PathBuf;
use std::sync::Arc;
use stmf_core::{AccessState, Guid, LuProperties};
use tracing::{error, info, warn};

impl Proxy {
    pub(super) fn peer_event(self: &Arc<Self>, event: PeerEvent) {
        match event {
            PeerEvent::ChannelChanged(channel) => self.channel_changed(channel),
            PeerEvent::LinkLost(why) => {
                warn!(?why, "link to the peer lost");
                lock(&self.standby).requester().channel_lost();
                self.standby_pump();
                self.owner_channel_lost();
            }
            PeerEvent::PeerRestarted { old, new } => {
                info!(
                    old = format!("{old:016X}"),
                    new = format!("{new:016X}"),
                    "the peer has restarted"
                );
            }
            PeerEvent::PeerRefused(why) => error!(%why, "the peer's greeting is refused"),
            PeerEvent::RefusedByPeer(why) => error!(%why, "the peer refuses this node's greeting"),
            PeerEvent::PeerPort(port) => self.peer_port(&port),
            PeerEvent::PeerPortRemoved(name) => self.peer_port_removed(&name),
            PeerEvent::PeerLun(record) => self.peer_lun(&record),
            PeerEvent::PeerLunRemoved { guid } => self.peer_lun_removed(Guid(guid)),
            PeerEvent::InventoryReceived => self.reconcile(),
            PeerEvent::InventorySent => {}
            PeerEvent::PortRefused { name, why } => error!(name, %why, "the peer refuses a target port"),
            PeerEvent::LunRefused { guid, why, epoch } => {
                warn!(guid = %Guid(guid), %why, epoch, "the peer refuses what this node says of a logical unit");
            }
            PeerEvent::Conflict(conflict) => error!(
                guid = %Guid(conflict.guid),
                local_epoch = conflict.local_epoch,
                peer_epoch = conflict.peer_epoch,
                "both nodes claim this logical unit"
            ),
            PeerEvent::StepDown { guid, epoch } => self.step_down(Guid(guid), epoch),
            PeerEvent::FailoverRequested { guid, token } => {
                info!(guid = %Guid(guid), token, "the peer asks for this logical unit");
                self.hand_over(Guid(guid));
            }
            PeerEvent::Offered { lu, state: _ } => self.offered(lu),
            PeerEvent::HandedOver { guid, epoch } => self.handed_over(Guid(guid), epoch),
            PeerEvent::RollBack { guid, epoch, why } => self.roll_back(Guid(guid), epoch, why),
            PeerEvent::InTransit { guid } => {
                error!(guid = %Guid(guid), "not known whether the peer has taken it; waiting for the peer");
            }
            PeerEvent::FailoverFinished {
                guid,
                token: _,
                result,
            } => {
                self.failover_finished(Guid(guid), result);
            }
        }
    }

    fn channel_changed(self: &Arc<Self>, channel: Channel) {
        info!(?channel, "channel to the peer");
        let up = channel == Channel::Up;
        if up {
            one_more(&self.counters.channel_ups);
            let limits = lock(&self.peer).peer_limits();
            if let Some(limits) = limits {
                lock(&self.standby).requester().set_peer_limits(limits);
                lock(&self.owner).responder().set_peer_limits(limits);
            }
        } else if self.target.pair().channel_up {
            one_more(&self.counters.channel_losses);
        }
        // In grace the initiators hear BUSY from here, not 02/04/0C from the logical unit.
        self.target
            .update_pair(|pair| pair.channel_up = channel != Channel::Down);
    }

    fn peer_port(&self, port: &PortRecord) {
        self.target.update_pair(|pair| {
            if !pair.peer_ports.contains(&port.relative_target_port) {
                pair.peer_ports.push(port.relative_target_port);
                pair.peer_ports.sort_unstable();
            }
        });
    }

    fn peer_port_removed(self: &Arc<Self>, name: &str) {
        let ports: Vec<u16> = lock(&self.peer)
            .peer_ports()
            .map(|port| port.relative_target_port)
            .collect();
        self.target
            .update_pair(|pair| pair.peer_ports.retain(|port| ports.contains(port)));
        self.owner_port_removed(name);
    }

    /// The peer has told about a logical unit: stand by for it if it is the peer's.
    fn peer_lun(self: &Arc<Self>, record: &LuRecord) {
        let guid = Guid(record.guid);
        let Some(lu) = self.target.lu(guid) else {
            if record.access == proxy_proto::AccessState::Active {
                let path = PathBuf::from(&record.path);
                if let Err(error) = self
                    .target
                    .register_standby(properties(record), path, record.epoch)
                {
                    error!(%guid, %error, "the peer's logical unit could not be kept in the state file");
                }
                self.inventory_changed();
            }
            return;
        };
        let (access, owned, epoch) = {
            let inner = lu.lock();
            (inner.core.access(), inner.owned, inner.epoch)
        };
        if access == AccessState::Standby && record.access == proxy_proto::AccessState::Active {
            if owned && record.epoch > epoch {
                info!(%guid, epoch = record.epoch, "the peer has taken over");
            }
            if record.epoch > epoch || (!owned && record.epoch == epoch) {
                lu.lock().learn(properties(record));
                if record.epoch > epoch || owned {
                    self.target.stand_by(&lu, record.epoch);
                    self.inventory_changed();
                }
            }
        } else if access == AccessState::ActiveToStandby
            && record.access == proxy_proto::AccessState::Active
            && record.epoch > epoch
        {
            // Demoted here by an administrator, activated there by one.
            self.target.stand_by(&lu, record.epoch);
            self.inventory_changed();
        }
    }

    fn peer_lun_removed(self: &Arc<Self>, guid: Guid) {
        let Some(lu) = self.target.lu(guid) else { return };
        let goes = {
            let inner = lu.lock();
            !inner.owned && inner.core.access() == AccessState::Standby
        };
        if goes && let Err(error) = self.target.delete(&lu, true) {
            warn!(%guid, %error, "the peer's logical unit is gone there but could not be removed here");
        }
    }

    /// The peer's whole inventory is known: what this node owned before it was restarted, and the peer has not taken,
    /// is served again.
    fn reconcile(self: &Arc<Self>) {
        for lu in self.target.lus() {
            let (pending, epoch) = {
                let inner = lu.lock();
                (
                    inner.owned && inner.core.access() == AccessState::Standby,
                    inner.epoch,
                )
            };
            if !pending {
                continue;
            }
            let taken = lock(&self.peer)
                .peer_lu(lu.guid.as_bytes())
                .is_some_and(|peer| peer.epoch > epoch);
            if !taken {
                let proxy = Arc::clone(self);
                self.hand_overs.run(move || {
                    if proxy.target.activate(&lu, epoch).is_ok() {
                        proxy.inventory_changed();
                    }
                });
            }
        }
    }

    fn step_down(self: &Arc<Self>, guid: Guid, epoch: u64) {
        let Some(lu) = self.target.lu(guid) else { return };
        error!(%guid, epoch, "the peer owns this logical unit with a higher epoch");
        let proxy = Arc::clone(self);
        self.hand_overs.run(move || {
            proxy.target.stand_by(&lu, epoch);
            lock(&proxy.peer).stepped_down(now(), guid.as_bytes());
            proxy.inventory_changed();
        });
    }

    /// Lets go of a logical unit and offers it to the peer.
    pub(super) fn hand_over(self: &Arc<Self>, guid: Guid) {
        let proxy = Arc::clone(self);
        self.hand_overs.run(move || {
            let result = proxy
                .target
                .lu(guid)
                .map(|lu| proxy.target.demote(&lu, Demotion::HandOver));
            let mut peer = lock(&proxy.peer);
            match &result {
                Some(Ok(())) => peer.drained(now(), *guid.as_bytes(), Bytes::new()),
                Some(Err(_)) | None => peer.drain_failed(now(), *guid.as_bytes()),
            }
            drop(peer);
            if let Some(Err(error)) = result {
                proxy.failover_demotion_failed(guid, error);
            }
            proxy.pump();
        });
    }

    /// The peer has let go of a logical unit: take it.
    fn offered(self: &Arc<Self>, record: LuRecord) {
        let guid = Guid(record.guid);
        let proxy = Arc::clone(self);
        self.hand_overs.run(move || {
            let known = proxy.target.lu(guid).map_or_else(
                || {
                    proxy.target.register_standby(
                        properties(&record),
                        PathBuf::from(&record.path),
                        record.epoch - 1,
                    )
                },
                Ok,
            );
            let result = match known {
                Ok(lu) => proxy.activate_offered(&lu, record.epoch),
                Err(error) => {
                    error!(%guid, %error, "the offered logical unit could not be kept in the state file");
                    Err(Refusal::ActivationFailed)
                }
            };
            lock(&proxy.peer).activated(now(), *guid.as_bytes(), result);
            proxy.inventory_changed();
        });
    }

    fn activate_offered(self: &Arc<Self>, lu: &Arc<Lu>, epoch: u64) -> Result<(), Refusal> {
        lu.lock().set_access(AccessState::StandbyToActive, true);
        self.target.activate(lu, epoch).map_err(|_| {
            lu.lock().set_access(AccessState::Standby, false);
            self.target.release_held(lu);
            Refusal::ActivationFailed
        })
    }
}

/// A logical unit's properties as its owner tells them.
fn properties(record: &LuRecord) -> LuProperties {
    let has = |flag: u32| record.flags & flag != 0;
    LuProperties {
        guid: Guid(record.guid),
        alias: record.alias.clone(),
        vendor: record.vendor,
        product: record.product,
        revision: record.revision,
        serial: record.serial.clone(),
        block_size: record.block_size,
        blocks: record.blocks,
        write_protected: has(lu_flags::WRITE_PROTECTED),
        write_cache: has(lu_flags::WRITE_CACHE),
        rotational: has(lu_flags::ROTATIONAL),
        unmap: has(lu_flags::UNMAP),
    }
}
