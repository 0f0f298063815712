//! Who serves a logical unit: letting go of its store, and taking it.

use super::Target;
use super::lu::Lu;
use super::registry::core_properties;
use std::sync::Arc;
use std::time::Duration;
use stmf_block::{Backing, OpenError, Owner};
use stmf_core::{AbortFilter, AccessState};
use stmf_store::model::LogicalUnit;
use tracing::{info, warn};

/// Commands in the store get this long to end when a logical unit is demoted.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Commands wait this long for a planned hand-over.
const HOLD_LIMIT: Duration = Duration::from_secs(10);

/// Why a logical unit was not demoted; it is served as before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoteError {
    #[error("another operation on this logical unit is in progress")]
    Busy,
    #[error("the logical unit is not active here")]
    NotActive,
    #[error("commands in the store did not end within {} s", DRAIN_LIMIT.as_secs())]
    Drain,
    #[error("the store could not be flushed: {0}")]
    Flush(#[from] stmf_block::MediumFault),
}

/// Why a logical unit was not activated; its state is as before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivateError {
    #[error("another operation on this logical unit is in progress")]
    Busy,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the store belongs to another logical unit ({found})")]
    WrongGuid { found: String },
    #[error("node {} has taken the store under epoch {}", owner.node, owner.epoch)]
    Superseded { owner: Owner },
    #[error("the state file could not be written: {0}")]
    State(std::io::Error),
}

/// How a demotion treats the commands of initiators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demotion {
    /// A planned hand-over: commands in progress end, new ones wait for the new owner.
    HandOver,
    /// `stmfLuStandby`: commands are aborted, new ones are refused until somebody activates.
    Plain,
}

impl Target {
    /// Active to transition: after success no command of this node reaches the store, and it is closed.
    pub(crate) fn demote(self: &Arc<Self>, lu: &Arc<Lu>, how: Demotion) -> Result<(), DemoteError> {
        {
            let mut inner = lu.lock();
            if inner.changing {
                return Err(DemoteError::Busy);
            }
            if inner.core.access() != AccessState::Active {
                return Err(DemoteError::NotActive);
            }
            inner.changing = true;
            inner.set_access(AccessState::ActiveToStandby, how == Demotion::HandOver);
        }
        let result = self.let_go(lu, how);
        let mut inner = lu.lock();
        inner.changing = false;
        if result.is_err() {
            inner.set_access(AccessState::Active, false);
        }
        drop(inner);
        match &result {
            Ok(()) => info!(guid = %lu.guid, "let go of the store"),
            Err(error) => {
                warn!(guid = %lu.guid, %error, "not demoted");
                self.release_held(lu);
            }
        }
        result
    }

    fn let_go(&self, lu: &Arc<Lu>, how: Demotion) -> Result<(), DemoteError> {
        if how == Demotion::Plain && self.pair().alua_enabled {
            self.abort(lu, AbortFilter::All, || {});
        }
        if !lu.wait_until_idle(DRAIN_LIMIT) {
            return Err(DemoteError::Drain);
        }
        let backing = lu.lock().backing.clone();
        if let Some(backing) = backing {
            backing.flush()?;
        }
        lu.lock().backing = None;
        Ok(())
    }

    /// Opens the store under `epoch` and serves the logical unit from it.
    pub(crate) fn activate(self: &Arc<Self>, lu: &Arc<Lu>, epoch: u64) -> Result<(), ActivateError> {
        let path = {
            let mut inner = lu.lock();
            if inner.changing {
                return Err(ActivateError::Busy);
            }
            inner.changing = true;
            inner.path.clone()
        };
        let result = self.take(lu, &path, epoch);
        lu.lock().changing = false;
        match &result {
            Ok(()) => {
                info!(guid = %lu.guid, epoch, "active");
                self.refresh_luns();
                self.release_held(lu);
            }
            Err(error) => warn!(guid = %lu.guid, epoch, %error, "not activated"),
        }
        result
    }

    fn take(&self, lu: &Arc<Lu>, path: &std::path::Path, epoch: u64) -> Result<(), ActivateError> {
        let node = self.port().node;
        let backing = Backing::open(path)?;
        let found = backing.metadata();
        if found.guid.parse() != Ok(lu.guid) {
            return Err(ActivateError::WrongGuid { found: found.guid });
        }
        let mine = Owner { epoch, node };
        if found.owner.epoch > epoch || (found.owner.epoch == epoch && found.owner.node != node) {
            return Err(ActivateError::Superseded { owner: found.owner });
        }
        let metadata = backing.update_metadata(|metadata| metadata.owner = mine)?;
        self.keep(lu, epoch, true).map_err(ActivateError::State)?;
        let mut inner = lu.lock();
        inner.learn(core_properties(&metadata, lu.guid));
        inner.backing = Some(Arc::new(backing));
        inner.epoch = epoch;
        inner.owned = true;
        inner.set_access(AccessState::Active, false);
        Ok(())
    }

    /// The peer owns the logical unit under `epoch`: this node stands by. The store is closed already, or is
    /// closed here before this returns.
    pub(crate) fn stand_by(self: &Arc<Self>, lu: &Arc<Lu>, epoch: u64) {
        let was_active = lu.access() == AccessState::Active;
        if was_active {
            warn!(guid = %lu.guid, epoch, "the peer owns this logical unit under a higher epoch: standing down");
            if let Err(error) = self.demote(lu, Demotion::Plain) {
                // The store must not be used whatever happens: refuse commands and drop it.
                warn!(guid = %lu.guid, %error, "standing down without a clean end");
                let mut inner = lu.lock();
                inner.set_access(AccessState::ActiveToStandby, false);
                inner.backing = None;
            }
        }
        if let Err(error) = self.keep(lu, epoch, false) {
            warn!(guid = %lu.guid, %error, "the new owner could not be kept in the state file");
        }
        {
            let mut inner = lu.lock();
            inner.epoch = epoch;
            inner.owned = false;
            inner.set_access(AccessState::Standby, false);
        }
        self.release_held(lu);
    }

    /// Commands are not held for ever: what a hand-over has not settled in time is answered 02/04/0A.
    pub(crate) fn expire_holds(self: &Arc<Self>) {
        for lu in self.lus() {
            let release = {
                let mut inner = lu.lock();
                if inner
                    .holding_since
                    .is_some_and(|since| since.elapsed() > HOLD_LIMIT)
                {
                    warn!(guid = %lu.guid, "the hand-over is not settled: commands are refused until it is");
                    let access = inner.core.access();
                    inner.set_access(access, false);
                }
                // Without a hold, what is parked was turned away by the peer and is tried again.
                !inner.held.is_empty() && inner.holding_since.is_none()
            };
            if release {
                self.release_held(&lu);
            }
        }
    }

    /// Commands that waited for a hand-over to end are started again.
    pub(crate) fn release_held(self: &Arc<Self>, lu: &Arc<Lu>) {
        let held = std::mem::take(&mut lu.lock().held);
        for job in held {
            self.drive(job);
        }
    }

    /// Writes to the state file who owns the logical unit.
    pub(crate) fn keep(&self, lu: &Lu, epoch: u64, owned: bool) -> std::io::Result<()> {
        let inner = lu.lock();
        let unit = LogicalUnit {
            guid: lu.guid.to_string(),
            path: inner.path.to_string_lossy().into_owned(),
            epoch,
            owned,
            offline: inner.offline,
        };
        drop(inner);
        self.state().put_logical_unit(unit)
    }
}
