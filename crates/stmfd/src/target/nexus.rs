//! An I_T nexus: one initiator logged in to one target port of this node, or of the peer.

use super::lu::Lu;
use crate::iscsi::ConnectionMessage;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;
use stmf_core::{Lun, LunMap, NexusId, PortIdentity};
use tokio::sync::mpsc::UnboundedSender;

/// What an initiator sees through one port.
#[derive(Debug)]
pub(crate) struct Nexus {
    pub(crate) id: NexusId,
    pub(crate) initiator: String,
    /// The port the initiator is really connected to.
    pub(crate) port: Arc<PortIdentity>,
    /// The initiator is connected to the peer, whose views decided already.
    pub(crate) through_proxy: bool,
    pub(crate) since: SystemTime,
    /// The connection's queue; none for initiators of the peer.
    pub(crate) connection: Option<UnboundedSender<ConnectionMessage>>,
    luns: RwLock<Arc<Luns>>,
}

/// Logical units by LUN.
#[derive(Debug, Default)]
pub(crate) struct Luns {
    pub(crate) map: LunMap,
    pub(crate) units: BTreeMap<Lun, Arc<Lu>>,
}

impl Nexus {
    /// A nexus of an initiator connected to this node.
    pub(crate) fn local(
        id: NexusId,
        initiator: String,
        port: Arc<PortIdentity>,
        connection: UnboundedSender<ConnectionMessage>,
    ) -> Self {
        let (since, luns) = (SystemTime::now(), RwLock::default());
        Self {
            id,
            initiator,
            port,
            through_proxy: false,
            since,
            connection: Some(connection),
            luns,
        }
    }

    /// A nexus of an initiator connected to the peer.
    pub(crate) fn remote(id: NexusId, initiator: String, port: Arc<PortIdentity>) -> Self {
        let (since, luns) = (SystemTime::now(), RwLock::default());
        Self {
            id,
            initiator,
            port,
            through_proxy: true,
            since,
            connection: None,
            luns,
        }
    }

    pub(crate) fn luns(&self) -> Arc<Luns> {
        Arc::clone(&self.luns.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_luns(&self, luns: Luns) {
        *self.luns.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(luns);
    }
}
