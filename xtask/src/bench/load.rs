//! Random reads at an exact depth over one iSCSI session.
//!
//! Ours, because `iscsi-perf` reads one block after the other (its `-r` varies the *size*). The same code drives every
//! target, so what it costs is the same for all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use conformance::Initiator;
use conformance::initiator::{Transfer, cdb};
use conformance::random::Random;

/// Bytes of one read.
const READ_BYTES: u32 = 4096;

/// What one run gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Reads per second.
    pub(crate) per_second: f64,
}

/// A session that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    initiator: Initiator,
    lun: u16,
    positions: u64,
    random: Random,
}

impl Reader {
    /// Logs in; reads will be anywhere in the first `bytes` of the logical unit.
    pub(crate) fn open(portal: SocketAddr, target: &str, lun: u16, bytes: u64) -> Result<Self> {
        let mut initiator = Initiator::login(portal, target)?;
        let ready = initiator.command_past_attention(lun, &cdb::TEST_UNIT_READY, Transfer::None)?;
        if !ready.is_good() {
            bail!("the logical unit at {portal} is not ready: {ready}");
        }
        Ok(Self {
            initiator,
            lun,
            positions: bytes / u64::from(READ_BYTES),
            random: Random::new(1),
        })
    }

    /// Keeps `depth` reads outstanding for `time`.
    pub(crate) fn run(&mut self, depth: u32, time: Duration) -> Result<Rate> {
        let start = Instant::now();
        let mut done = 0_u32;
        for _ in 0..depth {
            self.submit()?;
        }
        while start.elapsed() < time {
            self.finish_one()?;
            done += 1;
            self.submit()?;
        }
        let per_second = f64::from(done) / start.elapsed().as_secs_f64();
        for _ in 0..depth {
            self.finish_one()?;
        }
        Ok(Rate { per_second })
    }

    fn submit(&mut self) -> Result<()> {
        let blocks = READ_BYTES / cdb::BLOCK_BYTES;
        let lba = self.random.below(self.positions) * u64::from(blocks);
        self.initiator
            .submit(self.lun, &cdb::read16(lba, blocks), Transfer::In(READ_BYTES))
            .map(|_| ())
    }

    fn finish_one(&mut self) -> Result<()> {
        let (_, outcome) = self.initiator.wait_any()?;
        if !outcome.is_good() || outcome.data.len() != READ_BYTES as usize {
            bail!(
                "a read of {READ_BYTES} bytes ended with {outcome} and {} bytes",
                outcome.data.len()
            );
        }
        Ok(())
    }
}
