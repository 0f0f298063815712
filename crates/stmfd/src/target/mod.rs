//! The target of one node: its logical units, views, sessions and state, and what happens to a command.

mod budget;
mod flow;
mod job;
mod lu;
mod nexus;
mod ownership;
mod pool;
mod registry;
mod state;
mod task_management;

pub(crate) use budget::{Budget, Reserved};
pub(crate) use job::{CdbBytes, Job, Origin, Progress, Reply, Wanted};
pub(crate) use lu::Lu;
pub(crate) use nexus::Nexus;
pub(crate) use ownership::{ActivateError, DemoteError, Demotion};
pub(crate) use pool::Pool;
pub(crate) use registry::{Properties, RegistryError};
pub(crate) use state::StateError;
pub(crate) use task_management::Function;

use crate::config::Settings;
use crate::iscsi::{ConnectionMessage, Sessions};
use crate::proxy::Proxy;
use iscsi_proto::{LoginGrant, LoginRequest, LoginStatus};
use nexus::Luns;
use state::Persistent;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use stmf_core::{Command, Guid, Lun, LunMap, NexusId, PairView, PortIdentity, Views, unmapped};
use tokio::sync::mpsc::UnboundedSender;

/// Data of one command at most, in bytes; VPD page B0h says so.
pub(crate) const MAXIMUM_TRANSFER_BYTES: usize = 16 << 20;
const DISK_THREADS: usize = 32;

/// Everything one node serves.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) settings: Settings,
    pub(crate) sessions: Sessions,
    pub(crate) views: RwLock<Views>,
    budget: Arc<Budget>,
    disk_threads: Pool,
    state: Mutex<Persistent>,
    lus: RwLock<BTreeMap<Guid, Arc<Lu>>>,
    nexuses: Mutex<HashMap<NexusId, Arc<Nexus>>>,
    next_nexus: AtomicU64,
    port: RwLock<Arc<PortIdentity>>,
    pair: RwLock<Arc<PairView>>,
    proxy: OnceLock<Arc<Proxy>>,
}

impl Target {
    /// Builds the target from its settings and what the state file holds.
    pub(crate) fn new(settings: Settings) -> Result<Arc<Self>, StateError> {
        let persistent = Persistent::load(&settings)?;
        let port = Arc::new(persistent.port());
        let pair = Arc::new(persistent.pair(&settings));
        let views = persistent.views()?;
        Ok(Arc::new(Self {
            budget: Budget::new(settings.memory_budget),
            settings,
            sessions: Sessions::default(),
            views: RwLock::new(views),
            disk_threads: Pool::new("disk", DISK_THREADS),
            state: Mutex::new(persistent),
            lus: RwLock::default(),
            nexuses: Mutex::default(),
            next_nexus: AtomicU64::new(1),
            port: RwLock::new(port),
            pair: RwLock::new(pair),
            proxy: OnceLock::new(),
        }))
    }

    /// Joins the proxy service to the target; once, at start.
    pub(crate) fn set_proxy(&self, proxy: Arc<Proxy>) {
        let _ = self.proxy.set(proxy);
    }

    pub(crate) fn proxy(&self) -> &Arc<Proxy> {
        self.proxy
            .get()
            .expect("the proxy service is joined before the first command")
    }

    /// The target port of this node.
    pub(crate) fn port(&self) -> Arc<PortIdentity> {
        Arc::clone(&self.port.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The pair as this node sees it now.
    pub(crate) fn pair(&self) -> Arc<PairView> {
        Arc::clone(&self.pair.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The state file's ALUA setting is put in force: this node's port gets its number, the pair its shape.
    pub(crate) fn alua_changed(&self) {
        let (port, alua) = {
            let state = self.state();
            (state.port(), state.alua())
        };
        self.update_pair(|pair| {
            pair.alua_enabled = alua.enabled;
            pair.local_node = alua.node;
            pair.local_ports = vec![port.relative_target_port];
            if !alua.enabled {
                pair.peer_ports.clear();
            }
        });
        *self.port.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(port);
    }

    /// A login: the target must be this node's.
    pub(crate) fn admit(
        &self,
        request: &LoginRequest,
        connection: &UnboundedSender<ConnectionMessage>,
    ) -> Result<LoginGrant, LoginStatus> {
        let wanted = request.target.as_deref().map(stmf_core::canonical_name);
        if !request.discovery && wanted.as_deref() != Some(self.settings.target_name.as_str()) {
            self.sessions.login_failures.fetch_add(1, Ordering::Relaxed);
            return Err(LoginStatus::NotFound);
        }
        self.sessions.admit(request, connection)
    }

    /// Changes the view of the pair.
    pub(crate) fn update_pair(&self, change: impl FnOnce(&mut PairView)) {
        let mut pair = self.pair.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut pair));
    }

    pub(crate) fn lu(&self, guid: Guid) -> Option<Arc<Lu>> {
        self.lus
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&guid)
            .cloned()
    }

    /// Every logical unit, sorted by GUID.
    pub(crate) fn lus(&self) -> Vec<Arc<Lu>> {
        self.lus
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Every I_T nexus of this node's port.
    pub(crate) fn nexuses(&self) -> Vec<Arc<Nexus>> {
        self.nexuses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// A number no nexus had before.
    pub(crate) fn new_nexus_id(&self) -> NexusId {
        NexusId(self.next_nexus.fetch_add(1, Ordering::Relaxed))
    }

    /// An initiator has logged in.
    pub(crate) fn open_nexus(
        &self,
        initiator: String,
        connection: UnboundedSender<ConnectionMessage>,
    ) -> Arc<Nexus> {
        let nexus = Arc::new(Nexus::local(
            self.new_nexus_id(),
            initiator,
            self.port(),
            connection,
        ));
        self.nexuses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(nexus.id, Arc::clone(&nexus));
        nexus.set_luns(self.luns_of(&nexus));
        for lu in self.lus() {
            lu.lock().core.nexus_added(nexus.id);
        }
        nexus
    }

    /// A session has ended: its tasks end, and the peer forgets it.
    pub(crate) fn close_nexus(&self, nexus: &Arc<Nexus>) {
        self.nexuses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&nexus.id);
        for lu in self.lus() {
            self.abort(&lu, stmf_core::AbortFilter::Nexus(nexus.id), || {});
            lu.lock().core.nexus_removed(nexus.id);
        }
        self.proxy().session_ended(nexus.id);
    }

    /// What an initiator sees through its port.
    fn luns_of(&self, nexus: &Nexus) -> Luns {
        let lus = self.lus.read().unwrap_or_else(PoisonError::into_inner);
        let online: BTreeSet<Guid> = lus
            .values()
            .filter(|lu| !lu.lock().offline)
            .map(|lu| lu.guid)
            .collect();
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        let map = views.lun_map(&nexus.initiator, &nexus.port.name, &online);
        let units = map
            .iter()
            .filter_map(|(lun, guid)| Some((lun, Arc::clone(lus.get(&guid)?))))
            .collect();
        Luns { map, units }
    }

    /// Views or logical units have changed: every session sees what it should, and is told when that is new.
    pub(crate) fn refresh_luns(&self) {
        for nexus in self.nexuses() {
            let luns = self.luns_of(&nexus);
            let same = nexus.luns().map == luns.map;
            let units: Vec<Arc<Lu>> = luns.units.values().cloned().collect();
            nexus.set_luns(luns);
            if !same {
                for lu in units {
                    lu.lock()
                        .core
                        .raise_on(nexus.id, stmf_core::UnitAttention::ReportedLunsChanged);
                }
            }
        }
    }

    /// Answers REPORT LUNS, and any command to a LUN that has no logical unit.
    pub(crate) fn unmapped(
        &self,
        nexus: &Nexus,
        lun: Lun,
        cdb: &[u8],
        expected_in: u32,
        map: &LunMap,
    ) -> Reply {
        let pair = self.pair();
        let command = Command {
            nexus: nexus.id,
            lun,
            cdb,
            expected_data_out: 0,
            expected_data_in: expected_in,
            port: &nexus.port,
            pair: &pair,
            through_proxy: false,
        };
        flow::wire(unmapped::execute(&command, map), None)
    }
}
