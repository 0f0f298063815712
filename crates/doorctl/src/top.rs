//! `doorctl top`.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use door::Statistics;

use crate::cli::seconds;
use crate::keyboard::Keyboard;
use crate::output::{self, Table};
use crate::survey::{self, Found};
use crate::{info, proc};

/// Watch the doors of this machine: calls a second, run time, threads, clients, errors.
///
/// Doors with most calls come first. On a terminal the view is drawn over and over; elsewhere each round is printed below the last, with --json as one line per round.
/// Run times are a sample: calls that woke a thread, and one in 61 of the others. The key q, or Ctrl-C, ends it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only doors attached here or below.
    places: Vec<PathBuf>,
    /// Seconds between two looks.
    #[arg(long, short = 'i', value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    interval: Duration,
    /// Print one round and end; its numbers are those of one interval.
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// End after this many rounds.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// How long one server may keep the others waiting.
const PATIENCE: Duration = Duration::from_millis(200);

/// One look at all doors.
struct Look {
    at: Instant,
    counted: HashMap<u64, Statistics>,
}

/// What a door did between two looks, per second.
struct Line<'a> {
    door: &'a Found,
    calls: f64,
    errors: f64,
    /// Without its own descriptor, nothing is known of the door.
    told: Option<&'a Statistics>,
    run_time: door::Histogram,
}

pub(crate) fn run(options: &Options, json: bool) -> anyhow::Result<()> {
    let rounds = if options.once { Some(1) } else { options.count };
    let redraw = std::io::stdout().is_terminal() && !json && !options.once;
    let keyboard = if redraw { Keyboard::take()? } else { None };
    let (_, mut before) = look(options)?;
    let mut round = 0;
    loop {
        match &keyboard {
            Some(keyboard) if keyboard.wait_for_end(options.interval)? => return Ok(()),
            Some(_) => {}
            None => std::thread::sleep(options.interval),
        }
        let (doors, now) = look(options)?;
        let lines = compare(&doors, &before, &now);
        if json {
            output::print(format!("{}\n", to_json(&lines)))?;
        } else {
            let text = to_text(&lines);
            // Home, each line up to its end, and what is left below; what does not fit into a line is cut off, so that none takes two.
            output::print(if redraw {
                format!("\x1b[?7l\x1b[H{}\x1b[J\x1b[?7h", text.replace('\n', "\x1b[K\n"))
            } else {
                text
            })?;
        }
        before = now;
        round += 1;
        if rounds.is_some_and(|rounds| round >= rounds) {
            return Ok(());
        }
    }
}

fn look(options: &Options) -> anyhow::Result<(Vec<Found>, Look)> {
    let doors = survey::attached(&options.places, PATIENCE)?;
    let counted = doors
        .iter()
        .filter_map(|door| Some((door.info?.unique, door.statistics.clone()?)))
        .collect();
    let at = Instant::now();
    Ok((doors, Look { at, counted }))
}

fn compare<'a>(doors: &'a [Found], before: &Look, now: &Look) -> Vec<Line<'a>> {
    let seconds = (now.at - before.at).as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "rates are shown with three digits")]
    let rate = |later: u64, earlier: u64| later.saturating_sub(earlier) as f64 / seconds;
    let line = |door: &'a Found| {
        let none = Statistics::default();
        let told = door.statistics.as_ref();
        // A door that is new has done all it did since.
        let earlier = door
            .info
            .and_then(|info| before.counted.get(&info.unique))
            .unwrap_or(&none);
        let later = told.unwrap_or(&none);
        Line {
            door,
            calls: rate(later.calls, earlier.calls),
            errors: rate(later.errors(), earlier.errors()),
            told,
            run_time: later.run_time.since(&earlier.run_time),
        }
    };
    let mut lines: Vec<_> = doors.iter().map(line).collect();
    lines.sort_by(|one, other| other.calls.total_cmp(&one.calls));
    lines
}

fn to_text(lines: &[Line<'_>]) -> String {
    let mut table = Table::new(&[
        ">CALLS/S", ">ERR/S", ">P50", ">P99", ">RUN", ">THREADS", ">CLIENTS", ">SERVER", "PATH", "COMMAND",
    ]);
    let dash = || "-".to_owned();
    for line in lines {
        let quantile = |share| line.run_time.quantile(share).map_or_else(dash, output::duration);
        let told =
            |number: fn(&Statistics) -> u64| line.told.map_or_else(dash, |told| number(told).to_string());
        table.row(vec![
            line.told.map_or_else(dash, |_| output::number(line.calls)),
            line.told.map_or_else(dash, |_| output::number(line.errors)),
            quantile(0.5),
            quantile(0.99),
            told(|told| told.running),
            told(|told| told.threads),
            line.door.clients().to_string(),
            line.door.server().map_or_else(dash, |pid| pid.to_string()),
            line.door
                .path
                .as_ref()
                .map_or_else(dash, |path| path.display().to_string()),
            line.door
                .server()
                .and_then(proc::command)
                .unwrap_or_else(|| format!("({})", line.door.state.name())),
        ]);
    }
    table.text(output::colours())
}

fn to_json(lines: &[Line<'_>]) -> serde_json::Value {
    let line = |line: &Line<'_>| {
        let ns = |share| {
            line.run_time
                .quantile(share)
                .map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
        };
        serde_json::json!({
            "path": line.door.path.as_ref().map(|path| path.to_string_lossy()),
            "state": line.door.state.name(),
            "server": line.door.server(),
            "calls_per_second": line.calls,
            "errors_per_second": line.errors,
            "run_time_p50_ns": ns(0.5),
            "run_time_p99_ns": ns(0.99),
            "clients": line.door.clients(),
            "statistics": line.told.map(info::statistics_json),
        })
    };
    lines.iter().map(line).collect::<Vec<_>>().into()
}
