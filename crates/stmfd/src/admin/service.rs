//! State of the service and of the pair.

use super::Admin;
use admin_proto::{
    Answer, Channel, ConfigurationState, LuCounters, ProxyStatus, Reply, ServiceState, ServiceStatus,
    Statistics, StmfStatus, TargetCounters,
};
use std::sync::atomic::Ordering;
use stmf_core::AccessState;
use stmf_store::model::Alua;
use tracing::info;

impl Admin {
    pub(super) fn service_state(&self) -> Answer {
        let alua = self.target.state().alua();
        let proxy = self.target.proxy();
        Answer::good(Reply::Service(ServiceStatus {
            service: ServiceState::Online,
            configuration: ConfigurationState::InitDone,
            alua_enabled: alua.enabled,
            alua_node: u32::from(alua.node),
            proxy_channel: channel(proxy.channel()),
            peer_node: proxy.peer_identity().map(|(node, _)| u32::from(node)),
            peer_version: proxy.peer_identity().map(|_| proxy_proto::VERSION.to_string()),
            last_failover: proxy.last_failover(),
        }))
    }

    pub(super) fn set_service_online(&self, online: bool) -> Answer {
        if online {
            return Answer::failed(
                StmfStatus::ServiceOnline,
                "the service is online while stmfd runs",
            );
        }
        Answer::failed(
            StmfStatus::Error,
            "the service is online while stmfd runs; stop stmfd to take it offline",
        )
    }

    pub(super) fn alua_state(&self) -> Answer {
        let alua = self.target.state().alua();
        Answer::good(Reply::Alua {
            enabled: alua.enabled,
            node: u32::from(alua.node),
        })
    }

    pub(super) fn set_alua_state(&self, enabled: bool, node: u32) -> Answer {
        let Some(node) = u16::try_from(node).ok().filter(|node| *node <= 1) else {
            return Answer::failed(StmfStatus::InvalidArg, "the node number is 0 or 1");
        };
        let before = self.target.state().alua();
        if let Err(error) = self.target.state().set_alua(Alua { enabled, node }) {
            return Answer::failed(
                StmfStatus::Error,
                format!("the state file could not be written: {error}"),
            );
        }
        info!(enabled, node, "ALUA");
        self.target.alua_changed();
        self.target.proxy().set_alua(enabled, node);
        if before.enabled && !enabled {
            // What is not active here is the peer's: without a pair this node has no business with it.
            for lu in self.target.lus() {
                if lu.access() != AccessState::Active
                    && let Err(error) = self.target.delete(&lu, true)
                {
                    return Answer::failed(StmfStatus::Error, error.to_string());
                }
            }
        }
        Answer::done()
    }

    pub(super) fn list_proxy(&self) -> Answer {
        let proxy = self.target.proxy();
        let peer = proxy.peer_identity();
        Answer::good(Reply::Proxy(ProxyStatus {
            door_installed: proxy.holder().is_some(),
            holder_pid: proxy.holder().flatten(),
            channel: channel(proxy.channel()),
            node: u32::from(self.target.state().alua().node),
            boot_id: proxy.boot_id(),
            protocol: proxy_proto::VERSION,
            peer_node: peer.map(|(node, _)| u32::from(node)),
            peer_boot_id: peer.map(|(_, boot_id)| boot_id),
            peer_protocol: peer.map(|_| proxy_proto::VERSION),
            counters: proxy.counters(),
        }))
    }

    pub(super) fn statistics(&self) -> Answer {
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let units = self.target.lus().into_iter().map(|lu| LuCounters {
            guid: super::wire_guid(lu.guid),
            commands: get(&lu.counters.commands),
            check_conditions: get(&lu.counters.check_conditions),
            reads: get(&lu.counters.reads),
            read_bytes: get(&lu.counters.read_bytes),
            writes: get(&lu.counters.writes),
            write_bytes: get(&lu.counters.write_bytes),
            proxied: get(&lu.counters.proxied),
        });
        let logical_units: Vec<LuCounters> = units.collect();
        let port = TargetCounters {
            name: self.target.port().name.clone(),
            sessions: self.target.sessions.count() as u64,
            logins: get(&self.target.sessions.logins),
            login_failures: get(&self.target.sessions.login_failures),
            commands: logical_units.iter().map(|unit| unit.commands).sum(),
        };
        Answer::good(Reply::Statistics(Statistics {
            uptime_seconds: self.started.elapsed().as_secs(),
            logical_units,
            targets: vec![port],
            proxy: self.target.proxy().counters(),
        }))
    }
}

fn channel(channel: proxy_proto::Channel) -> Channel {
    match channel {
        proxy_proto::Channel::Down => Channel::Down,
        proxy_proto::Channel::Grace => Channel::Connecting,
        proxy_proto::Channel::Up => Channel::Up,
    }
}
