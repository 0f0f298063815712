//! Sends one kind of SCSI command through a portal and tells by its exit status how that went: 0 when all were GOOD,
//! 1 when one was not (its status and sense are printed), 2 when the connection was refused or lost.
//!
//! Usage: `scsi-once PORTAL TARGET LUN inquiry|read COUNT`; COUNT commands are outstanding at the same time.
#![deny(unsafe_code)]

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use conformance::initiator::{Initiator, Transfer, cdb};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("scsi-once: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [portal, target, lun, kind, count] = arguments.as_slice() else {
        bail!("usage: scsi-once PORTAL TARGET LUN inquiry|read COUNT");
    };
    let portal: SocketAddr = portal.parse().context("PORTAL")?;
    let lun: u16 = lun.parse().context("LUN")?;
    let count: u64 = count.parse().context("COUNT")?;
    let mut session = Initiator::login(portal, target)?;
    let submit = |session: &mut Initiator, number: u64| match kind.as_str() {
        "inquiry" => session.submit(lun, &cdb::inquiry(96), Transfer::In(96)),
        "read" => session.submit(lun, &cdb::read16(number * 8, 8), Transfer::In(4096)),
        other => bail!("{other}: neither inquiry nor read"),
    };
    let tags = (0..count)
        .map(|number| submit(&mut session, number))
        .collect::<Result<Vec<u32>>>()?;
    let mut good = true;
    for (number, tag) in (0..).zip(tags) {
        let mut outcome = session.wait(tag)?;
        if outcome.is_unit_attention() {
            // Told once to a new nexus; the command is simply sent again.
            let again = submit(&mut session, number)?;
            outcome = session.wait(again)?;
        }
        if !outcome.is_good() {
            println!("{outcome}");
            good = false;
        }
    }
    Ok(good)
}
