//! Switching the owner of a logical unit: planned, by hand-over; forced, on a verdict that the peer is out.

use super::{Proxy, lock, now};
use crate::target::{ActivateError, DemoteError, Lu};
use admin_proto::{FailoverKind, LastFailover};
use proxy_proto::{Channel, Refusal, next_epoch};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stmf_core::{AccessState, Guid};
use tracing::{info, warn};

/// A hand-over that has not ended after this long is reported; it may still end.
const PATIENCE: Duration = Duration::from_secs(30);
/// A fencing command that has not ended after this long has not fenced anything.
const FENCING_PATIENCE: Duration = Duration::from_secs(60);

/// Why a logical unit was not switched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FailoverFailed {
    #[error("a hand-over of this logical unit is in progress")]
    Busy,
    #[error("ALUA is disabled; enable it with `stmfadm set-alua enable`")]
    AluaDisabled,
    #[error("the logical unit is active on this node already")]
    AlreadyActive,
    #[error("the peer is up and serves this logical unit; use `stmfadm failover` without --force")]
    PeerOwns,
    #[error("{0}")]
    Fencing(String),
    #[error(
        "the channel to the peer is down; once the peer is known to be out, use `stmfadm failover --force`, \
         or give stmfd a --fencing-command"
    )]
    Channel,
    #[error("the peer refused: {0}")]
    Refused(Refusal),
    #[error("{0}")]
    Demote(DemoteError),
    #[error("{0}")]
    Activate(#[from] ActivateError),
    #[error("the hand-over has not ended within {} s; see list-lu -v on both nodes", PATIENCE.as_secs())]
    TimedOut,
}

/// Somebody waits for the end of a hand-over.
#[derive(Debug)]
pub(super) struct Waiting(SyncSender<Result<(), FailoverFailed>>);

impl Proxy {
    /// A planned switch: from this node to the peer if it is active here, from the peer to this node otherwise.
    pub(crate) fn failover(self: &Arc<Self>, lu: &Arc<Lu>) -> Result<(), FailoverFailed> {
        if !self.target.state().alua().enabled {
            return Err(FailoverFailed::AluaDisabled);
        }
        let started = Instant::now();
        let end = self.wait_for(lu.guid)?;
        let begun = if lu.access() == AccessState::Active {
            let begun = lock(&self.peer).begin_hand_over(now(), *lu.guid.as_bytes());
            if begun.is_ok() {
                self.hand_over(lu.guid);
            }
            begun
        } else {
            let token = crate::clock::random_u64();
            let begun = lock(&self.peer).request_failover(now(), *lu.guid.as_bytes(), token);
            self.pump();
            begun
        };
        if let Err(error) = begun {
            lock(&self.failovers).remove(&lu.guid);
            return Err(match error {
                proxy_proto::FailoverError::ChannelDown => FailoverFailed::Channel,
                proxy_proto::FailoverError::InProgress => FailoverFailed::Busy,
                proxy_proto::FailoverError::UnknownLogicalUnit => {
                    FailoverFailed::Refused(Refusal::UnknownLogicalUnit)
                }
                proxy_proto::FailoverError::WrongOwner => FailoverFailed::Refused(Refusal::NotOwner),
            });
        }
        let result = end
            .recv_timeout(PATIENCE)
            .unwrap_or(Err(FailoverFailed::TimedOut));
        lock(&self.failovers).remove(&lu.guid);
        if result.is_ok() {
            self.remember(lu, FailoverKind::Planned, started);
        }
        result
    }

    /// `stmfImportLu` of a logical unit that is registered here and not active.
    pub(crate) fn promote(self: &Arc<Self>, lu: &Arc<Lu>) -> Result<(), FailoverFailed> {
        let (access, epoch, owned) = {
            let inner = lu.lock();
            (inner.core.access(), inner.epoch, inner.owned)
        };
        let node = self.target.port().node;
        let peer = lock(&self.peer).peer_lu(lu.guid.as_bytes()).cloned();
        let mine_still = owned && access == AccessState::ActiveToStandby;
        if self.target.state().alua().enabled && !mine_still {
            match self.channel() {
                Channel::Up if peer.is_some_and(|peer| peer.access == proxy_proto::AccessState::Active) => {
                    return Err(FailoverFailed::PeerOwns);
                }
                Channel::Up => {}
                Channel::Grace | Channel::Down => match &self.target.settings.fencing_command {
                    Some(command) => fence(command, lu.guid)?,
                    None => return Err(FailoverFailed::Channel),
                },
            }
        }
        self.take(lu, next_epoch(epoch, node), FailoverKind::Planned)
    }

    /// A forced switch to this node: the peer does not answer, and an administrator or the fencing command says it
    /// is out.
    pub(crate) fn take_by_force(self: &Arc<Self>, lu: &Arc<Lu>) -> Result<(), FailoverFailed> {
        if lu.access() == AccessState::Active {
            return Err(FailoverFailed::AlreadyActive);
        }
        if self.channel() == Channel::Up {
            return Err(FailoverFailed::PeerOwns);
        }
        if let Some(command) = &self.target.settings.fencing_command {
            fence(command, lu.guid)?;
        } else {
            warn!(guid = %lu.guid, "forced switch on an administrator's word that the peer is out");
        }
        let epoch = next_epoch(lu.lock().epoch, self.target.port().node);
        self.take(lu, epoch, FailoverKind::Forced)
    }

    fn take(self: &Arc<Self>, lu: &Arc<Lu>, epoch: u64, kind: FailoverKind) -> Result<(), FailoverFailed> {
        let started = Instant::now();
        self.target.activate(lu, epoch)?;
        self.inventory_changed();
        self.remember(lu, kind, started);
        Ok(())
    }

    /// The peer has taken what was handed over.
    pub(super) fn handed_over(self: &Arc<Self>, guid: Guid, epoch: u64) {
        if let Some(lu) = self.target.lu(guid) {
            self.target.stand_by(&lu, epoch);
            self.inventory_changed();
        }
        info!(%guid, epoch, "handed over to the peer");
        self.answer_waiting(guid, Ok(()));
    }

    /// The peer has not taken it: this node serves it again.
    pub(super) fn roll_back(self: &Arc<Self>, guid: Guid, epoch: u64, why: Refusal) {
        warn!(%guid, %why, "the peer has not taken it: active here again");
        let Some(lu) = self.target.lu(guid) else { return };
        let proxy = Arc::clone(self);
        self.hand_overs.run(move || {
            let _ = proxy.target.activate(&lu, epoch);
            proxy.inventory_changed();
            proxy.answer_waiting(guid, Err(FailoverFailed::Refused(why)));
        });
    }

    pub(super) fn failover_finished(&self, guid: Guid, result: Result<(), Refusal>) {
        self.answer_waiting(guid, result.map_err(FailoverFailed::Refused));
    }

    pub(super) fn failover_demotion_failed(&self, guid: Guid, error: DemoteError) {
        self.answer_waiting(guid, Err(FailoverFailed::Demote(error)));
    }

    fn wait_for(&self, guid: Guid) -> Result<Receiver<Result<(), FailoverFailed>>, FailoverFailed> {
        let mut failovers = lock(&self.failovers);
        if failovers.contains_key(&guid) {
            return Err(FailoverFailed::Busy);
        }
        let (sender, receiver) = sync_channel(1);
        failovers.insert(guid, Waiting(sender));
        Ok(receiver)
    }

    fn answer_waiting(&self, guid: Guid, result: Result<(), FailoverFailed>) {
        if let Some(Waiting(sender)) = lock(&self.failovers).remove(&guid) {
            // Nobody waits any more: the result is in the log.
            let _ = sender.try_send(result);
        }
    }

    fn remember(&self, lu: &Lu, kind: FailoverKind, started: Instant) {
        let active_here = lu.access() == AccessState::Active;
        let node = self.target.port().node;
        *lock(&self.last_failover) = Some(LastFailover {
            guid: admin_proto::Guid(*lu.guid.as_bytes()),
            kind,
            owner: u32::from(if active_here { node } else { node ^ 1 }),
            at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
}

/// Runs the fencing command; only its exit status 0 says that the peer is out.
fn fence(command: &str, guid: Guid) -> Result<(), FailoverFailed> {
    let failed = |why: String| FailoverFailed::Fencing(format!("fencing command `{command}`: {why}"));
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .env("STMF_GUID", guid.to_string())
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let deadline = Instant::now() + FENCING_PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(format!("{status}: the peer may be alive"))),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!(
                    "not ended within {} s",
                    FENCING_PATIENCE.as_secs()
                )));
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}
