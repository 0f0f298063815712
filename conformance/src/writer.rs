//! Durable writes through one portal, across faults, and the proof afterwards that each acknowledged one is there.
//!
//! The writer does what an initiator of a host does: it retries what is retryable, logs in again when its connection
//! is dropped, and gives up nothing. It records two things: which writes were acknowledged as durable (FUA, or
//! followed by SYNCHRONIZE CACHE), and whether it was ever left without an answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};

use crate::Outcome;
use crate::initiator::{Initiator, NoAnswer, SenseCode, Transfer, cdb};
use crate::node::Node;
use crate::random::Random;
use crate::wait::{PATIENCE, until};

/// Bytes of one write.
pub const SLOT_BYTES: u32 = 4096;
const SLOT_BLOCKS: u32 = SLOT_BYTES / cdb::BLOCK_BYTES;
/// Pause before a retry, as hosts do it.
const RETRY: Duration = Duration::from_millis(20);

/// The part of a logical unit a writer fills: slots `first..first + count`, each once.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// First slot, counted in [`SLOT_BYTES`].
    pub first: u64,
    /// How many.
    pub count: u64,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    reconnects: AtomicU64,
    failure: Mutex<Option<String>>,
    seen: Mutex<Vec<Outcome>>,
}

/// A running writer.
#[derive(Debug)]
pub struct Writer {
    slots: Slots,
    lun: u16,
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts writing through `node`.
    #[must_use]
    pub fn start(node: &Node, lun: u16, slots: Slots) -> Self {
        let shared = Arc::new(Shared::default());
        let (inside, portal, target) = (Arc::clone(&shared), node.portal(), node.target().to_owned());
        let worker = std::thread::spawn(move || {
            let mut work = Work {
                portal,
                target,
                lun,
                slots,
                session: None,
                shared: &inside,
            };
            if let Err(error) = work.run() {
                *inside.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error:#}"));
            }
        });
        Self {
            slots,
            lun,
            shared,
            worker: Some(worker),
        }
    }

    /// Slots acknowledged as durable so far: the first ones of the range, in order.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Acquire)
    }

    /// How often it had to log in again.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.shared.reconnects.load(Ordering::Acquire)
    }

    /// Outcomes other than GOOD and unit attention that it met and retried.
    #[must_use]
    pub fn disturbances(&self) -> Vec<Outcome> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until `more` further slots are acknowledged.
    ///
    /// # Errors
    /// When the writer failed, or does not get there in time.
    pub fn advance(&self, more: u64) -> Result<()> {
        let goal = (self.acknowledged() + more).min(self.slots.count);
        until(PATIENCE, &format!("{more} more durable writes"), || {
            let failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
            Ok((self.acknowledged() >= goal || failure.is_some()).then_some(()))
        })?;
        self.failure()
    }

    fn failure(&self) -> Result<()> {
        let failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |text| Err(anyhow!("{text}")))
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it failed: left without an answer, or an answer that no host retries.
    pub fn stop(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(worker) = self.worker.take() {
            worker.join().map_err(|_| anyhow!("the writer panicked"))?;
        }
        self.failure()
    }

    /// Reads every acknowledged slot through `node` and compares.
    ///
    /// # Errors
    /// When one cannot be read or differs.
    pub fn verify(&self, node: &Node) -> Result<()> {
        let mut session = Initiator::login(node.portal(), node.target())?;
        for slot in self.slots.first..self.slots.first + self.acknowledged() {
            let command = cdb::read16(slot * u64::from(SLOT_BLOCKS), SLOT_BLOCKS);
            let outcome = session.command_past_attention(self.lun, &command, Transfer::In(SLOT_BYTES))?;
            ensure!(
                outcome.is_good(),
                "slot {slot} cannot be read through node {:?}: {outcome}",
                node.id()
            );
            ensure!(
                outcome.data == content(slot),
                "slot {slot} was acknowledged and differs on {:?}",
                node.id()
            );
        }
        session.logout()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

/// What slot number `slot` must contain.
fn content(slot: u64) -> Vec<u8> {
    Random::new(slot.wrapping_mul(0x9e37_79b9_7f4a_7c15)).bytes(SLOT_BYTES as usize)
}

struct Work<'a> {
    portal: SocketAddr,
    target: String,
    lun: u16,
    slots: Slots,
    session: Option<Initiator>,
    shared: &'a Shared,
}

impl Work<'_> {
    fn run(&mut self) -> Result<()> {
        for number in 0..self.slots.count {
            let slot = self.slots.first + number;
            while !self.try_slot(slot, number % 2 == 0)? {
                if self.stopping() {
                    return Ok(());
                }
                std::thread::sleep(RETRY);
            }
            self.shared.acknowledged.store(number + 1, Ordering::Release);
            if self.stopping() {
                break;
            }
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    /// Writes one slot durably; false means "try again".
    fn try_slot(&mut self, slot: u64, force_unit_access: bool) -> Result<bool> {
        let data = content(slot);
        let command = cdb::write16(slot * u64::from(SLOT_BLOCKS), SLOT_BLOCKS, force_unit_access);
        if !self.try_command(&command, Transfer::Out(&data))? {
            return Ok(false);
        }
        Ok(force_unit_access || self.try_command(&cdb::SYNCHRONIZE_CACHE, Transfer::None)?)
    }

    fn try_command(&mut self, command: &[u8], transfer: Transfer<'_>) -> Result<bool> {
        let session = match &mut self.session {
            Some(session) => session,
            None => match Initiator::login(self.portal, &self.target) {
                Ok(session) => self.session.insert(session),
                // Nobody listens while the daemon is down; a refused login is retried like a refused connection.
                Err(error) => return not_left_alone(error).map(|()| false),
            },
        };
        match session.command_past_attention(self.lun, command, transfer) {
            Ok(outcome) if outcome.is_good() => Ok(true),
            Ok(outcome) => {
                let retry = outcome.is_retryable() || outcome.has_sense(SenseCode::UNAVAILABLE);
                let mut seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.last() != Some(&outcome) {
                    seen.push(outcome.clone());
                }
                if !retry {
                    bail!("a write ended with {outcome}, which no host retries");
                }
                Ok(false)
            }
            Err(error) => {
                self.session = None;
                self.shared.reconnects.fetch_add(1, Ordering::AcqRel);
                not_left_alone(error).map(|()| false)
            }
        }
    }
}

/// A dropped connection is allowed, silence is not.
fn not_left_alone(error: anyhow::Error) -> Result<()> {
    if error.downcast_ref::<NoAnswer>().is_some() {
        Err(error)
    } else {
        Ok(())
    }
}
