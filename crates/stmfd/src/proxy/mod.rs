//! The proxy service: the installed door, the peer behind it, and the commands that go both ways.
//!
//! `Peer`, `Requester` and `Responder` of `proxy-proto` decide everything; here they are given locks, threads and a
//! clock. No lock is held while the transport's door is called: messages go through a pool of threads, so a transport
//! that blocks holds up its own messages and nothing else.

mod events;
mod failover;
mod owner;
mod session;
mod standby;
mod upcalls;

pub(crate) use failover::FailoverFailed;
pub(crate) use owner::PeerTask;
pub(crate) use session::InstallError;

use crate::clock;
use crate::target::{Pool, Target};
use admin_proto::{LastFailover, ProxyCounters, StmfStatus};
use bytes::Bytes;
use door::DoorHandle;
use proxy_proto::{
    Channel, Envelope, Instant, LuRecord, Peer, PeerConfig, PortRecord, Role, Route, Sealer, lu_flags,
};
use session::{Sent, Session};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use stmf_core::{AccessState, Guid, PortIdentity};
use tracing::{debug, warn};
use upcalls::Upcalls;

/// Calls of the transport's door in progress at once.
const UPCALL_THREADS: usize = 64;
/// Threads for what the peer asks for and may take long: opening, flushing and closing stores.
const HAND_OVER_THREADS: usize = 16;

/// The proxy service of this node.
#[derive(Debug)]
pub(crate) struct Proxy {
    target: Arc<Target>,
    boot_id: u64,
    sealer: Sealer,
    peer: Mutex<Peer>,
    standby: Mutex<standby::Standby>,
    owner: Mutex<owner::Owner>,
    session: Mutex<Option<Arc<Session>>>,
    upcalls: Upcalls,
    hand_overs: Pool,
    failovers: Mutex<HashMap<Guid, failover::Waiting>>,
    last_failover: Mutex<Option<LastFailover>>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    upcalls: AtomicU64,
    upcall_failures: AtomicU64,
    upcall_again: AtomicU64,
    upcall_bytes: AtomicU64,
    posts: AtomicU64,
    post_failures: AtomicU64,
    post_bytes: AtomicU64,
    tasks_sent: AtomicU64,
    tasks_received: AtomicU64,
    task_failures: AtomicU64,
    channel_ups: AtomicU64,
    channel_losses: AtomicU64,
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Proxy {
    pub(crate) fn new(target: Arc<Target>) -> Arc<Self> {
        let boot_id = clock::random_u64();
        let alua = target.state().alua();
        let mut peer = Peer::new(PeerConfig::new(alua.node, boot_id));
        peer.set_alua(now(), alua.enabled, alua.node);
        let proxy = Arc::new(Self {
            target,
            boot_id,
            sealer: peer.sealer(),
            peer: Mutex::new(peer),
            standby: Mutex::new(standby::Standby::new()),
            owner: Mutex::new(owner::Owner::new()),
            session: Mutex::default(),
            upcalls: Upcalls::new(UPCALL_THREADS),
            hand_overs: Pool::new("hand-over", HAND_OVER_THREADS),
            failovers: Mutex::default(),
            last_failover: Mutex::default(),
            counters: Counters::default(),
        });
        proxy.inventory_changed();
        proxy
    }

    /// `stmfInitProxyDoor`: the transport's door in, the session door out.
    pub(crate) fn install(self: &Arc<Self>, door: DoorHandle) -> Result<(u64, OwnedFd), InstallError> {
        let mut installed = lock(&self.session);
        if installed.is_some() {
            return Err(InstallError::Installed);
        }
        let (session, lent) = Session::open(self, door)?;
        let id = session.id;
        *installed = Some(session);
        drop(installed);
        tracing::info!(session = id, "proxy door installed");
        lock(&self.peer).door_installed(now());
        self.pump();
        Ok((id, lent))
    }

    /// `stmfDestroyProxyDoor`, or its equivalent by death: returns when the peer's ports, sessions and tasks are gone.
    pub(crate) fn uninstall(self: &Arc<Self>, id: u64) -> bool {
        let session = {
            let mut installed = lock(&self.session);
            match installed.take() {
                Some(session) if session.id == id => session,
                other => {
                    *installed = other;
                    return false;
                }
            }
        };
        session.close();
        tracing::info!(session = id, "proxy door removed");
        lock(&self.peer).door_removed(now());
        self.pump();
        true
    }

    /// `stmfPostProxyMsg`: one message from the peer. It is taken in, not executed, before this returns.
    pub(crate) fn post(self: &Arc<Self>, session: u64, message: &[u8]) -> StmfStatus {
        one_more(&self.counters.posts);
        self.counters
            .post_bytes
            .fetch_add(message.len() as u64, Ordering::Relaxed);
        if lock(&self.session)
            .as_ref()
            .is_none_or(|installed| installed.id != session)
        {
            one_more(&self.counters.post_failures);
            return StmfStatus::PostMsgFailed;
        }
        let envelope = match Envelope::decode(Bytes::copy_from_slice(message)) {
            Ok(envelope) => envelope,
            Err(error) => {
                let failures = self.counters.post_failures.fetch_add(1, Ordering::Relaxed);
                // Rate-limited: the first few, then every thousandth.
                if failures < 10 || failures.is_multiple_of(1000) {
                    warn!(%error, failures, "posted message refused");
                }
                return StmfStatus::PostMsgFailed;
            }
        };
        let boot_id = envelope.boot_id;
        let name = envelope.message.name();
        let route = lock(&self.peer).handle(now(), envelope);
        // A lost link is acted upon before anything of the new one is looked at.
        self.pump();
        match route {
            Ok(Route::Consumed) => {}
            Ok(Route::Data(message)) => match message.role() {
                Role::Requester => self.standby_message(message),
                Role::Responder => self.owner_message(boot_id, message),
                Role::Control => {}
            },
            // What is well-formed but out of place is dropped; the poster can do nothing about it.
            Err(rejected) => match rejected {
                proxy_proto::Rejected::AluaDisabled => warn!(message = name, "dropped: ALUA is disabled"),
                _ => debug!(message = name, %rejected, "dropped"),
            },
        }
        StmfStatus::Success
    }

    /// The ALUA setting has changed, or has been set again.
    pub(crate) fn set_alua(self: &Arc<Self>, enabled: bool, node: u16) {
        let mut peer = lock(&self.peer);
        peer.set_ports(now(), self.local_ports());
        peer.set_alua(now(), enabled, node);
        drop(peer);
        self.inventory_changed();
        self.pump();
    }

    /// Ports or logical units of this node have changed: the peer is told.
    pub(crate) fn inventory_changed(self: &Arc<Self>) {
        let records = self.target.lus().iter().map(|lu| record(lu)).collect();
        let mut peer = lock(&self.peer);
        peer.set_ports(now(), self.local_ports());
        peer.set_lus(now(), records);
        drop(peer);
        self.pump();
    }

    /// Does what is due; called ten times a second.
    pub(crate) fn tick(self: &Arc<Self>) {
        lock(&self.peer).handle_timeout(now());
        self.pump();
        self.standby_tick();
        self.target.expire_holds();
    }

    /// Sends what the peer machine wants sent, and does what it wants done.
    fn pump(self: &Arc<Self>) {
        loop {
            let mut peer = lock(&self.peer);
            let message = peer.poll_transmit();
            let event = if message.is_none() {
                peer.poll_event()
            } else {
                None
            };
            drop(peer);
            match (message, event) {
                (Some(message), _) => self.send(message, None),
                (None, Some(event)) => self.peer_event(event),
                (None, None) => return,
            }
        }
    }

    /// Hands a message to the transport. If it is a proxied command and fails, the command fails at once.
    fn send(self: &Arc<Self>, message: Vec<u8>, command: Option<u64>) {
        let Some(session) = lock(&self.session).clone() else {
            if let Some(task) = command {
                self.standby_send_failed(task, Sent::NoDoor);
            }
            return;
        };
        let proxy = Arc::clone(self);
        self.upcalls.run(move || {
            one_more(&proxy.counters.upcalls);
            proxy
                .counters
                .upcall_bytes
                .fetch_add(message.len() as u64, Ordering::Relaxed);
            let sent = session.upcall(&message);
            match sent {
                Sent::Yes => return,
                Sent::Again => one_more(&proxy.counters.upcall_again),
                Sent::Failed | Sent::NoDoor => one_more(&proxy.counters.upcall_failures),
            }
            if let Some(task) = command {
                proxy.standby_send_failed(task, sent);
            }
            if sent != Sent::Failed {
                lock(&proxy.peer).send_failed(now());
                proxy.pump();
            }
        });
    }

    pub(crate) fn channel(&self) -> Channel {
        lock(&self.peer).channel()
    }

    pub(crate) fn boot_id(&self) -> u64 {
        self.boot_id
    }

    /// Node number and boot id of the peer, while it is known.
    pub(crate) fn peer_identity(&self) -> Option<(u16, u64)> {
        lock(&self.peer).peer_identity()
    }

    /// The transport: `None` if there is none, else its process id as far as it can be told.
    pub(crate) fn holder(&self) -> Option<Option<u32>> {
        let session = lock(&self.session).clone()?;
        Some(session.pid())
    }

    pub(crate) fn last_failover(&self) -> Option<LastFailover> {
        lock(&self.last_failover).clone()
    }

    /// The peer's ports, each with its initiators as far as they have used this node's logical units.
    pub(crate) fn peer_ports(&self) -> Vec<(PortRecord, Vec<(String, SystemTime)>)> {
        let ports: Vec<PortRecord> = lock(&self.peer).peer_ports().cloned().collect();
        let owner = lock(&self.owner);
        ports
            .into_iter()
            .map(|port| (port.clone(), owner.initiators(&port.name)))
            .collect()
    }

    pub(crate) fn counters(&self) -> ProxyCounters {
        let c = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProxyCounters {
            upcalls: get(&c.upcalls),
            upcall_failures: get(&c.upcall_failures),
            upcall_again: get(&c.upcall_again),
            upcall_bytes: get(&c.upcall_bytes),
            posts: get(&c.posts),
            post_failures: get(&c.post_failures),
            post_bytes: get(&c.post_bytes),
            tasks_sent: get(&c.tasks_sent),
            tasks_received: get(&c.tasks_received),
            task_failures: get(&c.task_failures),
            tasks_outstanding: lock(&self.standby).outstanding() as u64,
            channel_ups: get(&c.channel_ups),
            channel_losses: get(&c.channel_losses),
        }
    }

    fn local_ports(&self) -> Vec<PortRecord> {
        vec![port_record(&self.target.port())]
    }
}

/// A target port as the peer is told about it.
fn port_record(port: &PortIdentity) -> PortRecord {
    PortRecord {
        name: port.name.clone(),
        relative_target_port: port.relative_target_port,
        node: port.node,
    }
}

/// A logical unit as the peer is told about it.
fn record(lu: &crate::target::Lu) -> LuRecord {
    let inner = lu.lock();
    let properties = inner.core.properties();
    let mut flags = 0;
    for (set, flag) in [
        (properties.write_protected, lu_flags::WRITE_PROTECTED),
        (properties.write_cache, lu_flags::WRITE_CACHE),
        (properties.rotational, lu_flags::ROTATIONAL),
        (properties.unmap, lu_flags::UNMAP),
    ] {
        flags |= if set { flag } else { 0 };
    }
    LuRecord {
        guid: *lu.guid.as_bytes(),
        epoch: inner.epoch,
        access: match inner.core.access() {
            AccessState::Active => proxy_proto::AccessState::Active,
            AccessState::ActiveToStandby => proxy_proto::AccessState::ActiveToStandby,
            AccessState::Standby => proxy_proto::AccessState::Standby,
            AccessState::StandbyToActive => proxy_proto::AccessState::StandbyToActive,
        },
        path: inner.path.to_string_lossy().into_owned(),
        vendor: properties.vendor,
        product: properties.product,
        revision: properties.revision,
        serial: properties.serial.clone(),
        alias: properties.alias.clone(),
        block_size: properties.block_size,
        blocks: properties.blocks,
        flags,
    }
}

fn now() -> Instant {
    Instant(clock::now())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
