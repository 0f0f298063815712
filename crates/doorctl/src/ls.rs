//! `doorctl ls`.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::seconds;
use crate::output::{self, Table};
use crate::survey::{self, Found, State};
use crate::{info, proc};

/// List the doors of this machine.
///
/// Doors are found by the names of their listening sockets, and asked about themselves. An unprivileged user sees all doors that
/// are attached in directories it can read, but only the holders among its own processes. Doors in other network
/// namespaces are not listed.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only doors attached here or below; here, attachments whose server has died are listed too.
    places: Vec<PathBuf>,
    /// Doors without a path too, as far as the tables of descriptors of other processes may be looked into.
    #[arg(short = 'a', long)]
    all: bool,
    /// Who holds each door.
    #[arg(short = 'v', long)]
    verbose: bool,
    /// Wait this many seconds for each server to answer.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2")]
    deadline: Duration,
}

pub(crate) fn run(options: &Options, json: bool) -> anyhow::Result<()> {
    let mut doors = survey::attached(&options.places, options.deadline)?;
    if options.all {
        survey::unattached(&mut doors, options.deadline);
    }
    let holders = if options.verbose || json {
        proc::holders()
    } else {
        HashMap::new()
    };
    if json {
        let doors: Vec<_> = doors.iter().map(|door| to_json(door, &holders)).collect();
        return output::print_json(&doors.into());
    }
    if doors.is_empty() {
        output::say("no doors here");
        return Ok(());
    }
    output::print(to_text(&doors, &holders, options.verbose))
}

fn to_text(doors: &[Found], holders: &HashMap<u64, BTreeSet<u32>>, verbose: bool) -> String {
    let mut table = Table::new(&["PATH", ">SERVER", ">CLIENTS", "ATTRIBUTES", "COMMAND"]);
    let dash = || "-".to_owned();
    for door in doors {
        let attributes = match (door.state, door.info) {
            (State::Alive, Some(told)) => Some(info::attributes(told.attributes).join(",")),
            (state, _) => Some(format!("({})", state.name())),
        };
        table.row(vec![
            door.path
                .as_ref()
                .map_or_else(dash, |path| path.display().to_string()),
            door.server().map_or_else(dash, |pid| pid.to_string()),
            if door.state == State::Dead {
                dash()
            } else {
                door.clients().to_string()
            },
            attributes.filter(|names| !names.is_empty()).unwrap_or_else(dash),
            door.server().and_then(proc::command).unwrap_or_else(dash),
        ]);
        if verbose {
            for pid in door.who(holders) {
                let command = proc::command(pid).unwrap_or_else(dash);
                table.row(vec![
                    "  held by".to_owned(),
                    pid.to_string(),
                    String::new(),
                    String::new(),
                    command,
                ]);
            }
        }
    }
    table.text(output::colours())
}

fn to_json(door: &Found, holders: &HashMap<u64, BTreeSet<u32>>) -> serde_json::Value {
    serde_json::json!({
        "path": door.path.as_ref().map(|path| path.to_string_lossy()),
        "state": door.state.name(),
        "server": door.server(),
        "command": door.server().and_then(proc::command),
        "attributes": door.info.map(|told| info::attributes(told.attributes)),
        "unique": door.info.map(|told| told.unique),
        "clients": (door.state != State::Dead).then(|| door.clients()),
        "held_by": door.who(holders),
        "statistics": door.statistics.as_ref().map(info::statistics_json),
    })
}
