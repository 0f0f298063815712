//! Lists of logical units and target ports.

use super::{Admin, core_guid, wire_guid};
use crate::target::Lu;
use admin_proto::{
    AccessState, Answer, DiskProperties, Guid, LuDetails, LuState, LuSummary, Reply, Session, StmfStatus,
    Target, TargetState,
};
use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};

impl Admin {
    pub(super) fn list_lus(&self) -> Answer {
        let mut lus: Vec<LuSummary> = self.target.lus().iter().map(|lu| self.summary(lu)).collect();
        let views = self.target.views.read().unwrap_or_else(PoisonError::into_inner);
        let mut unregistered: Vec<stmf_core::Guid> = views
            .views()
            .map(|(guid, ..)| guid)
            .filter(|guid| self.target.lu(*guid).is_none())
            .collect();
        unregistered.dedup();
        drop(views);
        lus.extend(unregistered.into_iter().map(|guid| self.unregistered(guid)));
        lus.sort_by_key(|lu| lu.guid.0);
        lus.dedup_by_key(|lu| lu.guid.0);
        Answer::good(Reply::Lus { lus })
    }

    pub(super) fn lu_properties(&self, guid: Guid) -> Answer {
        let Some(lu) = self.target.lu(core_guid(guid)) else {
            let summary = self.unregistered(core_guid(guid));
            return if summary.view_entries > 0 {
                Answer::good(Reply::LuDetails(LuDetails {
                    summary,
                    disk: None,
                    epoch: 0,
                }))
            } else {
                Answer::from(StmfStatus::NotFound)
            };
        };
        let summary = self.summary(&lu);
        let inner = lu.lock();
        let epoch = inner.epoch;
        let backing = inner.backing.clone();
        drop(inner);
        let disk = backing.map(|backing| {
            let metadata = backing.metadata();
            let meta_file = metadata
                .separate
                .then(|| backing.metadata_path().to_string_lossy().into_owned());
            DiskProperties {
                data_file: metadata.data_file,
                meta_file,
                size: metadata.size_bytes,
                block_size: metadata.block_size,
                mgmt_url: metadata.management_url,
                vendor: metadata.vendor,
                product: metadata.product,
                revision: "1.0".to_owned(),
                serial: metadata.serial,
                write_protected: metadata.write_protect,
                write_cache: !metadata.write_cache_disable,
            }
        });
        Answer::good(Reply::LuDetails(LuDetails { summary, disk, epoch }))
    }

    pub(super) fn list_targets(&self) -> Answer {
        let port = self.target.port();
        let sessions = self.target.nexuses().into_iter().map(|nexus| Session {
            initiator: nexus.initiator.clone(),
            alias: None,
            since: seconds(nexus.since),
        });
        let own = Target {
            name: port.name.clone(),
            provider: "iscsit".to_owned(),
            state: TargetState::Online,
            alias: None,
            relative_target_port: port.relative_target_port,
            sessions: sessions.collect(),
        };
        let mut targets = vec![own];
        for (port, sessions) in self.target.proxy().peer_ports() {
            let sessions = sessions.into_iter().map(|(initiator, since)| Session {
                initiator,
                alias: None,
                since: seconds(since),
            });
            targets.push(Target {
                name: port.name,
                provider: "pppt".to_owned(),
                state: TargetState::Online,
                alias: None,
                relative_target_port: port.relative_target_port,
                sessions: sessions.collect(),
            });
        }
        targets.sort_by(|a, b| (&a.name, &a.provider).cmp(&(&b.name, &b.provider)));
        Answer::good(Reply::Targets { targets })
    }

    pub(super) fn set_target_online(&self, name: &str, online: bool) -> Answer {
        if self.target.port().name != name {
            return Answer::from(StmfStatus::NotFound);
        }
        if online {
            return Answer::done();
        }
        Answer::failed(StmfStatus::Error, "a target port is online while stmfd runs")
    }

    fn summary(&self, lu: &Lu) -> LuSummary {
        let view_entries = self.view_count(lu.guid);
        let inner = lu.lock();
        LuSummary {
            guid: wire_guid(lu.guid),
            state: if inner.offline {
                LuState::Offline
            } else {
                LuState::Online
            },
            provider: Some("sbd".to_owned()),
            alias: Some(inner.core.properties().alias.clone()).filter(|alias| !alias.is_empty()),
            access: Some(match inner.core.access() {
                stmf_core::AccessState::Active => AccessState::Active,
                stmf_core::AccessState::ActiveToStandby => AccessState::ActiveToStandby,
                stmf_core::AccessState::Standby => AccessState::Standby,
                stmf_core::AccessState::StandbyToActive => AccessState::StandbyToActive,
            }),
            view_entries,
        }
    }

    fn unregistered(&self, guid: stmf_core::Guid) -> LuSummary {
        LuSummary {
            guid: wire_guid(guid),
            state: LuState::Unregistered,
            provider: None,
            alias: None,
            access: None,
            view_entries: self.view_count(guid),
        }
    }

    fn view_count(&self, guid: stmf_core::Guid) -> u32 {
        let views = self.target.views.read().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(views.views_of(guid).count()).unwrap_or(u32::MAX)
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
