//! `cargo xtask run --check`: the main job, end to end, with real initiators.
//!
//! A real ext4 image goes in through the standby node and comes out through the active one, byte for byte; the nodes
//! change roles while verifying jobs run on both portals; then the same the other way round; then the owner is killed
//! and the survivor takes over on a fencing verdict.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use conformance::node::DaemonOptions;
use conformance::pair::Unit;
use conformance::verify_job::{Region, VerifyJob};
use conformance::wait::PATIENCE;
use conformance::{Node, NodeId, Pair, Program, binaries, image, tools, until};

use crate::build::{self, Profile, step};
use crate::{TransportName, packages, relay};

const MIB: u64 = 1 << 20;
const IMAGE_BYTES: u64 = 96 * MIB;
const UNIT_BYTES: u64 = 128 * MIB;
const REGIONS: [Region; 2] = [
    Region {
        offset: 100 * MIB,
        length: 4 * MIB,
    },
    Region {
        offset: 110 * MIB,
        length: 4 * MIB,
    },
];
/// Rounds of each verify job before the switch, and again after it.
const JOB_ROUNDS: u64 = 40;
const FILES: u32 = 400;

/// Runs it; an error is the first thing that was not as it must be.
pub(crate) fn run(dir: Option<&Path>, transport: TransportName) -> Result<()> {
    packages::ensure()?;
    let bin_dir = build::workspace(Profile::Release)?;
    binaries::use_bin_dir(&bin_dir);
    let mut builder = tempfile::Builder::new();
    builder.prefix("lintel-check-");
    // Always a fresh folder: the check starts from nothing, whatever an earlier one left in DIR.
    let temporary = match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            builder.tempdir_in(std::path::absolute(dir)?)?
        }
        None => builder.tempdir()?,
    };
    let dir = temporary.path().to_path_buf();
    let transport = relay::transport(transport, temporary.path())?;
    // The verdict of this check's fencing command: the owner was killed by the check itself.
    let options = DaemonOptions {
        arguments: vec!["--fencing-command".to_owned(), "true".to_owned()],
        ..DaemonOptions::default()
    };
    println!("check: two nodes on loopback, {transport:?}");
    let builder = Pair::builder().dir(&dir.join("pair")).transport(transport);
    let builder = builder
        .options(NodeId::A, options.clone())
        .options(NodeId::B, options);
    let (pair, _) = step("start both nodes, channel up", || builder.start())?;
    let (unit, _) = step("create a logical unit on node 0, standby on node 1", || {
        pair.create_unit("disk0", UNIT_BYTES, 0)
    })?;
    let mut check = Check { pair, unit, dir };
    let outcome = check.all();
    if outcome.is_err() {
        eprintln!("{}", check.pair.logs());
    }
    check.pair.stop();
    outcome?;
    println!("check: passed");
    Ok(())
}

struct Check {
    pair: Pair,
    unit: Unit,
    dir: PathBuf,
}

impl Check {
    fn all(&mut self) -> Result<()> {
        for id in [NodeId::A, NodeId::B] {
            let text = tools::iscsi_ls(self.pair.node(id).portal())?;
            ensure!(
                text.contains(self.pair.node(id).target()),
                "iscsi-ls does not list the target: {text}"
            );
        }
        self.round_trip(NodeId::B, 1)?;
        self.switch_under_load(NodeId::B)?;
        self.round_trip(NodeId::A, 2)?;
        self.switch_under_load(NodeId::A)?;
        self.forced_switch()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes an image through `standby`, reads it back through its peer, compares, and shows the doors' counters.
    fn round_trip(&self, standby: NodeId, seed: u64) -> Result<()> {
        let active = standby.peer();
        let (number, peer) = (standby.number(), active.number());
        let source = self.file(&format!("image-{seed}"));
        step("make an ext4 image from a folder of files", || {
            image::make_ext4(&source, IMAGE_BYTES, FILES, seed)
        })?;
        let before = self.counters()?;
        step(
            &format!("write it through node {number} (standby), qemu-img"),
            || tools::write_image(&source, &self.pair.node(standby).url(0)),
        )?;
        let after = self.counters()?;
        self.prove_doors(standby, &source, &before, &after)?;
        let back = self.file(&format!("back-{seed}"));
        step(&format!("read it through node {peer} (active), qemu-img"), || {
            tools::read_image(&self.pair.node(active).url(0), &back)
        })?;
        self.compare(&source, &back)?;
        step(
            &format!("read it through node {number} (standby), qemu-img"),
            || tools::read_image(&self.pair.node(standby).url(0), &back),
        )?;
        self.compare(&source, &back)?;
        std::fs::remove_file(&back)?;
        Ok(())
    }

    fn compare(&self, source: &Path, back: &Path) -> Result<()> {
        let (written, read) = (
            image::sha256(source, IMAGE_BYTES)?,
            image::sha256(back, IMAGE_BYTES)?,
        );
        ensure!(written == read, "SHA-256 differs: wrote {written}, read {read}");
        println!("  SHA-256 equal: {written}");
        image::truncate(back, IMAGE_BYTES)?;
        step("e2fsck -fn", || image::check_ext4(back)).map(|_| ())
    }

    fn counters(&self) -> Result<[Counters; 2]> {
        Ok([Counters::of(self.pair.a())?, Counters::of(self.pair.b())?])
    }

    /// The bytes went through the doors: up-calls on the standby carry at least the data of the image, and the same
    /// came in by posts on the active node.
    fn prove_doors(
        &self,
        standby: NodeId,
        image: &Path,
        before: &[Counters; 2],
        after: &[Counters; 2],
    ) -> Result<()> {
        let data = non_zero_bytes(image)?;
        for id in [standby, standby.peer()] {
            let moved = after[id.number()].since(&before[id.number()]);
            println!(
                "  node {}: {} door up-calls with {} bytes, {} posts with {} bytes",
                id.number(),
                moved.upcalls,
                moved.upcall_bytes,
                moved.posts,
                moved.post_bytes
            );
        }
        let sent = after[standby.number()].since(&before[standby.number()]);
        let taken = after[standby.peer().number()].since(&before[standby.peer().number()]);
        ensure!(
            sent.upcall_bytes >= data && taken.post_bytes >= data,
            "the image has {data} bytes that are not zero, but {} went up and {} were posted",
            sent.upcall_bytes,
            taken.post_bytes
        );
        println!("  proof: the image has {data} bytes that are not zero; all of them were in those calls");
        Ok(())
    }

    /// Makes `to` the owner while a verify job runs on each portal.
    fn switch_under_load(&self, to: NodeId) -> Result<()> {
        let mut jobs = Vec::new();
        for (id, region) in [NodeId::A, NodeId::B].into_iter().zip(REGIONS) {
            let node = self.pair.node(id);
            jobs.push(VerifyJob::start(
                &node.url(0),
                region,
                &node.dir().join("verify.log"),
            )?);
        }
        for job in &mut jobs {
            job.advance(JOB_ROUNDS)?;
        }
        let took = self.pair.failover(&self.unit, to)?;
        for job in &mut jobs {
            job.advance(JOB_ROUNDS)?;
        }
        println!(
            "  {:<66} {:>8.3} s",
            format!("planned switch to node {}", to.number()),
            took.as_secs_f64()
        );
        for (number, job) in jobs.iter_mut().enumerate() {
            let report = job
                .stop()
                .with_context(|| format!("verify job on node {number}"))?;
            println!(
                "  verify job on node {number}: {} writes read back, slowest command {:.3} s",
                report.rounds,
                report.longest.as_secs_f64()
            );
        }
        Ok(())
    }

    /// Kills the owner (node 0) and lets node 1 take over on the verdict of the fencing command.
    fn forced_switch(&mut self) -> Result<()> {
        let before = self.file("before-force");
        tools::read_image(&self.pair.a().url(0), &before)?;
        for program in [Program::Transport, Program::Stmfd] {
            self.pair.kill9(NodeId::A, program);
        }
        step("node 0 killed; node 1 notices", || {
            until(PATIENCE, "node 1 to notice", || {
                Ok((self.pair.b().channel()? != "up").then_some(()))
            })
        })?;
        let (_, took) = step("forced switch to node 1 on a fencing verdict", || {
            let node = self.pair.b();
            node.stmfadm(&["failover", "--force", &self.unit.guid])?;
            self.pair.wait_access(NodeId::B, &self.unit, "active")
        })?;
        if took > Duration::from_secs(5) {
            bail!(
                "the forced switch took {:.1} s, 5 s are allowed",
                took.as_secs_f64()
            );
        }
        let after = self.file("after-force");
        step("read everything through node 1", || {
            tools::read_image(&self.pair.b().url(0), &after)
        })?;
        let (first, second) = (
            image::sha256(&before, UNIT_BYTES)?,
            image::sha256(&after, UNIT_BYTES)?,
        );
        ensure!(
            first == second,
            "SHA-256 differs after the forced switch: {first} and {second}"
        );
        println!("  SHA-256 equal: {second}");
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Counters {
    upcalls: u64,
    upcall_bytes: u64,
    posts: u64,
    post_bytes: u64,
}

impl Counters {
    fn of(node: &Node) -> Result<Self> {
        Ok(Self {
            upcalls: node.counter("upcalls")?,
            upcall_bytes: node.counter("upcall_bytes")?,
            posts: node.counter("posts")?,
            post_bytes: node.counter("post_bytes")?,
        })
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            upcalls: self.upcalls - earlier.upcalls,
            upcall_bytes: self.upcall_bytes - earlier.upcall_bytes,
            posts: self.posts - earlier.posts,
            post_bytes: self.post_bytes - earlier.post_bytes,
        }
    }
}

/// Bytes in sectors that are not all zero: what no tool can send as "zeros".
fn non_zero_bytes(image: &Path) -> Result<u64> {
    let bytes = std::fs::read(image)?;
    let sectors = bytes
        .chunks(512)
        .filter(|sector| sector.iter().any(|byte| *byte != 0));
    Ok(sectors.map(|sector| sector.len() as u64).sum())
}
