//! 4 KiB random reads: through the active portal against `tgt` on the same file, and through the standby portal against
//! the active one.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use conformance::initiator::{Initiator, Transfer, cdb};
use conformance::random::Random;
use conformance::tools::{self, Load};
use conformance::{NodeId, Pair, Program};

use super::load::Reader;
use super::report::Report;
use conformance::tgt::{self, Tgt};

const UNIT_BYTES: u64 = 256 << 20;
/// Read only below this: whatever a target keeps at the end of the file stays out of it.
const READ_BELOW: u64 = UNIT_BYTES - (4 << 20);
const TIME: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(300);

/// The names of one side's measurements, at depth 1 and 32.
struct Side {
    rate: [&'static str; 2],
    processor: [&'static str; 2],
}

const DEPTHS: [u32; 2] = [1, 32];
const TGT: Side = Side {
    rate: [
        "tgt, 4 KiB random read, depth 1",
        "tgt, 4 KiB random read, depth 32",
    ],
    processor: [
        "tgt, processor time per read, depth 1",
        "tgt, processor time per read, depth 32",
    ],
};
const ACTIVE: Side = Side {
    rate: [
        "active portal, 4 KiB random read, depth 1",
        "active portal, 4 KiB random read, depth 32",
    ],
    processor: [
        "active portal, processor time per read, depth 1",
        "active portal, processor time per read, depth 32",
    ],
};
const STANDBY: Side = Side {
    rate: [
        "standby portal, 4 KiB random read, depth 1",
        "standby portal, 4 KiB random read, depth 32",
    ],
    processor: [
        "standby portal, processor time per read, depth 1",
        "standby portal, processor time per read, depth 32",
    ],
};
const PERF: [&str; 3] = [
    "tgt, iscsi-perf 4 KiB sequential",
    "active portal, iscsi-perf 4 KiB sequential",
    "standby portal, iscsi-perf 4 KiB sequential",
];

/// Measures all of them, interleaved.
pub(crate) fn measure(rounds: u32, report: &mut Report) -> Result<()> {
    println!("4 KiB random reads over iSCSI: tgt, active portal, standby portal");
    let mut pair = Pair::start()?;
    let unit = pair.create_unit("disk0", UNIT_BYTES, 0)?;
    fill(&pair).context("cannot fill the logical unit")?;
    let peer = Tgt::start(pair.dir(), &unit.file).context("cannot start tgt, which this is compared with")?;
    let daemons = |pair: &mut Pair, id: NodeId| -> Vec<u32> {
        [Program::Stmfd, Program::Transport]
            .map(|program| pair.node_mut(id).process(program).pid())
            .to_vec()
    };
    let owner = daemons(&mut pair, NodeId::A);
    let everyone = [owner.clone(), daemons(&mut pair, NodeId::B)].concat();
    let mut sides = [
        (
            TGT,
            Reader::open(peer.portal(), tgt::TARGET, tgt::LUN, READ_BELOW)?,
            vec![peer.pid()],
        ),
        (
            ACTIVE,
            Reader::open(pair.a().portal(), pair.a().target(), 0, READ_BELOW)?,
            owner,
        ),
        (
            STANDBY,
            Reader::open(pair.b().portal(), pair.b().target(), 0, READ_BELOW)?,
            everyone,
        ),
    ];
    for _ in 0..rounds {
        for (index, depth) in DEPTHS.into_iter().enumerate() {
            for (side, reader, processes) in &mut sides {
                reader.run(depth, WARM_UP)?;
                let before = processor_seconds(processes)?;
                let rate = reader.run(depth, TIME)?;
                let used = processor_seconds(processes)? - before;
                report.add(side.rate[index], "reads/s", rate.per_second);
                let reads = rate.per_second * TIME.as_secs_f64();
                report.add(side.processor[index], "us", used * 1e6 / reads.max(1.0));
            }
        }
    }
    drop(sides);
    let load = Load {
        depth: 32,
        blocks: 8,
        random: false,
        seconds: 2,
    };
    let urls = [
        tools::url(peer.portal(), tgt::TARGET, tgt::LUN),
        pair.a().url(0),
        pair.b().url(0),
    ];
    for (name, url) in PERF.into_iter().zip(&urls) {
        report.add(name, "reads/s", tools::iscsi_perf(url, load)?);
    }
    ratios(report);
    pair.stop();
    Ok(())
}

fn ratios(report: &mut Report) {
    report.ratio(
        "active / tgt, reads per second, depth 1",
        ACTIVE.rate[0],
        TGT.rate[0],
        "budget: above 1",
    );
    report.ratio(
        "active / tgt, reads per second, depth 32",
        ACTIVE.rate[1],
        TGT.rate[1],
        "budget: above 1",
    );
    let processor = "budget: below 1";
    report.ratio(
        "active / tgt, processor per read, depth 1",
        ACTIVE.processor[0],
        TGT.processor[0],
        processor,
    );
    report.ratio(
        "active / tgt, processor per read, depth 32",
        ACTIVE.processor[1],
        TGT.processor[1],
        processor,
    );
    // One outstanding read: its latency is the inverse of the rate.
    report.ratio(
        "standby / active, latency, depth 1",
        ACTIVE.rate[0],
        STANDBY.rate[0],
        "budget: at most 2.5",
    );
    report.ratio(
        "standby / active, reads per second, depth 32",
        STANDBY.rate[1],
        ACTIVE.rate[1],
        "budget: at least 0.5",
    );
    report.ratio(
        "active / tgt, iscsi-perf sequential, depth 32",
        PERF[1],
        PERF[0],
        "above 1",
    );
    report.ratio(
        "standby / active, iscsi-perf sequential, depth 32",
        PERF[2],
        PERF[1],
        "at least 0.5",
    );
}

/// Random data everywhere, so that no target reads holes.
fn fill(pair: &Pair) -> Result<()> {
    const CHUNK: usize = 1 << 20;
    let mut initiator = Initiator::login(pair.a().portal(), pair.a().target())?;
    let mut random = Random::new(7);
    let blocks = u32::try_from(CHUNK)? / cdb::BLOCK_BYTES;
    for number in 0..UNIT_BYTES / CHUNK as u64 {
        let data = random.bytes(CHUNK);
        let command = cdb::write16(number * u64::from(blocks), blocks, false);
        let outcome = initiator.command_past_attention(0, &command, Transfer::Out(&data))?;
        anyhow::ensure!(outcome.is_good(), "writing MiB {number}: {outcome}");
    }
    initiator.command(0, &cdb::SYNCHRONIZE_CACHE, Transfer::None)?;
    std::io::stdout().flush()?;
    initiator.logout()
}

/// User and system time that the processes have used, seconds. proc(5), fields 14 and 15 of `stat`.
fn processor_seconds(processes: &[u32]) -> Result<f64> {
    let ticks_per_second = 100.0; // USER_HZ of every Linux
    let mut ticks = 0.0;
    for pid in processes {
        let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))
            .with_context(|| format!("process {pid} is gone"))?;
        let after_name = text.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        for index in [11, 12] {
            ticks += fields
                .get(index)
                .and_then(|field| field.parse::<f64>().ok())
                .unwrap_or_default();
        }
    }
    Ok(ticks / ticks_per_second)
}
