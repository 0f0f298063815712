//! `cargo xtask run`: a pair of nodes to play with.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use conformance::pair::Unit;
use conformance::{Node, Pair, binaries, node};
use serde_json::Value;

use crate::build::{self, Profile};
use crate::sys::Signals;
use crate::{TransportName, packages, relay};

const PORTS: [u16; 2] = [3260, 3261];
const UNIT_BYTES: u64 = 1 << 30;

/// Builds, starts the pair, prints how to use it, and stays until Ctrl-C.
pub(crate) fn run(dir: Option<PathBuf>, transport: TransportName) -> Result<()> {
    if let Err(error) = packages::ensure() {
        // The pair itself needs none of them; only the commands to try do.
        eprintln!("note: {error:#}");
    }
    let bin_dir = build::workspace(Profile::Release)?;
    binaries::use_bin_dir(&bin_dir);
    let dir = match dir {
        Some(dir) => std::path::absolute(&dir)?,
        None => build::target_dir()?.join("lintel-run"),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let transport = relay::transport(transport, &dir)?;
    let mut signals = Signals::hold().context("cannot hold signals")?;
    let mut pair = Pair::builder()
        .dir(&dir)
        .iscsi_ports(PORTS)
        .transport(transport)
        .start()?;
    let unit = match existing(&pair, &dir)? {
        Some(unit) => unit,
        None => pair.create_unit("disk0", UNIT_BYTES, 0)?,
    };
    print(&pair, &unit, &bin_dir);
    signals.wait();
    println!("\nending both nodes; state stays in {}", dir.display());
    pair.stop();
    Ok(())
}

/// The logical unit of an earlier run in the same folder.
fn existing(pair: &Pair, dir: &Path) -> Result<Option<Unit>> {
    let list = pair.a().stmfadm_json(&["list-lu", "-v"])?;
    let guid = node::find(&list, "guid").and_then(Value::as_str);
    Ok(guid.map(|guid| Unit {
        guid: guid.to_owned(),
        lun: 0,
        file: dir.join("disk0"),
        bytes: UNIT_BYTES,
    }))
}

fn print(pair: &Pair, unit: &Unit, bin_dir: &Path) {
    let describe = |node: &Node, number: u8, state: &str| {
        println!("  node {number} ({state})");
        println!("    portal   {}", node.portal());
        println!("    target   {}", node.target());
        println!("    control  {}", node.control().display());
        println!("    logs     {}/*.log", node.dir().display());
    };
    let access = |node: &Node| {
        node.access_state(&unit.guid)
            .ok()
            .flatten()
            .unwrap_or_else(|| "state unknown".to_owned())
    };
    let stmfadm = bin_dir.join("stmfadm");
    let stmfadm = stmfadm.display();
    println!("\nA pair of nodes is running.");
    describe(pair.a(), 0, &access(pair.a()));
    describe(pair.b(), 1, &access(pair.b()));
    println!(
        "  logical unit {} at LUN {} on both, file {}\n",
        unit.guid,
        unit.lun,
        unit.file.display()
    );
    println!("Try, in another terminal:");
    println!("  iscsi-ls -s iscsi://{}", pair.b().portal());
    println!("  qemu-img info {}", pair.b().url(unit.lun));
    println!(
        "  qemu-io -f raw -c 'write -P 0x5a 0 1M' {}",
        pair.b().url(unit.lun)
    );
    println!(
        "  qemu-io -f raw -c 'read -P 0x5a 0 1M' {}",
        pair.a().url(unit.lun)
    );
    println!(
        "  {stmfadm} --control {} list-lu -v",
        pair.a().control().display()
    );
    println!(
        "  {stmfadm} --control {} list-state",
        pair.b().control().display()
    );
    let standby = if access(pair.a()) == "standby" {
        pair.a()
    } else {
        pair.b()
    };
    println!(
        "  {stmfadm} --control {} failover {}",
        standby.control().display(),
        unit.guid
    );
    println!("\nCtrl-C ends both nodes.");
}
