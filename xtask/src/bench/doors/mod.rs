//! `cargo xtask bench doors`: a call through doors next to what limits it and to what else there is.
//!
//! The calls are made by `benchmarks/` (`call-bench`), one fresh pair of processes for each figure. This module decides who is
//! measured when, and reads what they print. A round measures every mechanism once on each row, those of a row right after
//! each other; figures are medians over rounds, ratios are medians of the rounds' ratios.

mod judgement;
mod rows;
mod side;
mod table;

use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use conformance::process::Start;
use serde_json::Value;

use crate::build::{self, Profile};
use crate::sys::Signals;
use rows::{Class, Load, MECHANISMS, Mechanism, Place, ROWS, Row, chosen};
use side::{INTERRUPTED, Side};
use table::{Figures, Metric};

/// What `cargo xtask bench doors` can be told.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Options {
    /// Only rows with one of these comma-separated parts in their title, in either case.
    #[arg(long)]
    rows: Option<String>,
    /// Only mechanisms with one of these comma-separated parts in their name.
    #[arg(long)]
    mechanisms: Option<String>,
    /// Rounds; the median counts [default: 5, or 1 with --quick].
    #[arg(long)]
    rounds: Option<u32>,
    /// One short round, about a minute: enough to see where doors stand, not for small differences.
    #[arg(long)]
    quick: bool,
    /// Without the libraries from crates.io, which take a while to build.
    #[arg(long)]
    no_peers: bool,
}

const DEFAULT_ROUNDS: u32 = 5;
/// For anything a side has to do that is not the measurement itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two calls of a caller that lets everybody fall asleep: fifty times what anybody spins.
const GAP_US: u64 = 1000;

/// The folder of a run begins so.
const PREFIX: &str = "lintel-bench-";
/// The folder of a measurement in it, and files in shared memory that are named after it: short, because the path of a Unix
/// socket has 107 bytes and libraries add long names.
const SHORT_PREFIX: &str = "ltl";

/// Times of one measurement, milliseconds.
struct Times {
    calls: u64,
    asleep: u64,
    count: u64,
    idle: u64,
}

const FULL: Times = Times {
    calls: 180,
    asleep: 400,
    count: 200,
    idle: 1000,
};
const QUICK: Times = Times {
    calls: 80,
    asleep: 120,
    count: 80,
    idle: 300,
};

/// Everything a measurement needs to know.
struct Bench {
    program: PathBuf,
    libdoor: PathBuf,
    dir: tempfile::TempDir,
    times: Times,
    cpus: Vec<usize>,
}

/// Builds, measures, prints, and writes `target/bench-doors.tsv`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let patterns = options.rows.as_deref();
    let rows: Vec<&Row> = ROWS.iter().filter(|row| chosen(row.title, patterns)).collect();
    let mechanisms: Vec<&Mechanism> = MECHANISMS
        .iter()
        .filter(|one| !(options.no_peers && one.class == Class::Peer))
        .filter(|one| {
            let patterns = options.mechanisms.as_deref();
            chosen(one.name, patterns) || chosen(one.label, patterns)
        })
        .collect();
    if rows.is_empty() || mechanisms.is_empty() {
        let titles: Vec<&str> = ROWS.iter().map(|row| row.title).collect();
        bail!(
            "nothing has such a name; the rows are:\n  {}",
            titles.join("\n  ")
        );
    }
    let peers = mechanisms.iter().any(|one| one.class == Class::Peer);
    let bench = Bench {
        program: build::call_bench(peers)?,
        libdoor: build::package("libdoor", Profile::Release)?.join("libdoor.so"),
        dir: tempfile::Builder::new().prefix(PREFIX).tempdir()?,
        times: if options.quick { QUICK } else { FULL },
        cpus: processors()?,
    };
    let default_rounds = if options.quick { 1 } else { DEFAULT_ROUNDS };
    let rounds = options.rounds.unwrap_or(default_rounds).max(1);
    end_on_signal()?;
    let mut figures = Figures::default();
    let start = Instant::now();
    'measuring: for round in 1..=rounds {
        for row in &rows {
            if row.place == Place::TwoCores && bench.cpus.len() < 2 {
                continue;
            }
            for mechanism in mechanisms.iter().filter(|one| one.belongs_to(row)) {
                progress(&format!(
                    "[{:>4.0} s] round {round} of {rounds}: {}: {}",
                    start.elapsed().as_secs_f64(),
                    row.title,
                    mechanism.label
                ));
                let sample = bench.sample(row, mechanism);
                if sample.is_err() {
                    // Ctrl-C ends both sides as well, and that may be noticed first.
                    std::thread::sleep(Duration::from_millis(100));
                }
                if INTERRUPTED.load(Ordering::Relaxed) {
                    break 'measuring;
                }
                let sample = sample.with_context(|| format!("{}: {}", row.title, mechanism.label))?;
                figures.add(row, mechanism, round, &sample);
            }
        }
    }
    progress("");
    print!("{}", figures.text(&rows, &mechanisms));
    let path = build::target_dir()?.join("bench-doors.tsv");
    std::fs::write(&path, figures.tsv(&rows, &mechanisms))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!(
        "\n{rounds} rounds in {:.0} s; written to {}",
        start.elapsed().as_secs_f64(),
        path.display()
    );
    ensure!(
        !INTERRUPTED.load(Ordering::Relaxed),
        "interrupted: the figures are of what was measured until then"
    );
    Ok(())
}

/// The processors this may run on, two at most.
fn processors() -> Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None).context("cannot ask for processors")?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .take(2)
        .collect())
}

/// Ctrl-C: the measurement that runs is given up, what it started is killed, and temporary files go.
fn end_on_signal() -> Result<()> {
    let mut signals = Signals::hold().context("cannot hold signals")?;
    std::thread::spawn(move || {
        signals.wait();
        INTERRUPTED.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// One line about what goes on; on a terminal it replaces the one before.
fn progress(line: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    } else if !line.is_empty() {
        eprintln!("{line}");
    }
}

/// Removes what a library leaves in shared memory, when this goes.
struct SharedFiles<'a>(&'a Path);

impl Drop for SharedFiles<'_> {
    fn drop(&mut self) {
        let (Some(name), Ok(files)) = (self.0.file_name(), std::fs::read_dir("/dev/shm")) else {
            return;
        };
        for file in files.flatten() {
            let ours = file.file_name().as_bytes().starts_with(name.as_bytes());
            if ours {
                // Gone already is as good.
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}

impl Bench {
    /// One fresh server and its clients.
    fn sample(&self, row: &Row, mechanism: &Mechanism) -> Result<Vec<(Metric, f64)>> {
        let dir = tempfile::Builder::new()
            .prefix(SHORT_PREFIX)
            .tempdir_in(self.dir.path())?;
        let _shared = SharedFiles(dir.path());
        let clients = match row.load {
            Load::Calls | Load::Asleep | Load::Idle => 1,
            Load::Threads(threads) => threads,
            Load::Processes { busy, idle } => busy + idle,
        };
        let start = |part: &str| {
            let mut start = Start::new(part, &self.program)
                .args([part, mechanism.name, "--kind", row.kind])
                .args([
                    "--bytes",
                    &row.bytes.to_string(),
                    "--clients",
                    &clients.to_string(),
                ])
                .arg("--dir")
                .arg(dir.path());
            if mechanism.name == "c-door" {
                start = start.env("LD_PRELOAD", &self.libdoor);
            }
            let cpu = match (row.place, part) {
                (Place::Anywhere, _) => None,
                (Place::TwoCores, "serve") => self.cpus.get(1),
                (Place::TwoCores | Place::OneCore, _) => self.cpus.first(),
            };
            if let Some(cpu) = cpu {
                start = start.args(["--cpu", &cpu.to_string()]);
            }
            start
        };
        let log = dir.path().join("server.log");
        let mut server = Side::start(start("serve"), &log)?;
        server.until_ready(PATIENCE)?;
        let figures = self.clients(row, server.pid(), dir.path(), start);
        server.end();
        figures
    }

    fn clients(
        &self,
        row: &Row,
        server: u32,
        dir: &Path,
        start: impl Fn(&str) -> Start,
    ) -> Result<Vec<(Metric, f64)>> {
        let times = &self.times;
        let server = server.to_string();
        let log = dir.join("client.log");
        let timed = |part: &str, milliseconds: u64| {
            start(part).args(["--server", &server, "--milliseconds", &milliseconds.to_string()])
        };
        let one = |start: Start| -> Result<Value> {
            let mut client = Side::start(start, &log)?;
            client.until_ready(PATIENCE)?;
            client.begin(soon())?;
            figures_of(&mut client)
        };
        match row.load {
            Load::Calls => Metric::all_of(&one(timed("latency", times.calls))?),
            Load::Asleep => {
                let start = timed("latency", times.asleep);
                Metric::all_of(&one(start.args(["--gap-us", &GAP_US.to_string()]))?)
            }
            Load::Idle => Metric::all_of(&one(timed("idle", times.idle))?),
            Load::Threads(threads) => {
                let start = timed("throughput", times.count);
                let value = one(start.args(["--threads", &threads.to_string()]))?;
                Metric::of_counts(&[value])
            }
            Load::Processes { busy, idle } => {
                let idlers = if idle > 0 {
                    let start = start("idlers").args(["--count", &idle.to_string()]);
                    let mut idlers = Side::start(start, &dir.join("idlers.log"))?;
                    idlers.until_ready(PATIENCE)?;
                    Some(idlers)
                } else {
                    None
                };
                let mut clients = (idle..idle + busy)
                    .map(|first| {
                        let start = timed("throughput", times.count).args(["--first", &first.to_string()]);
                        let mut client = Side::start(start, &dir.join(format!("client-{first}.log")))?;
                        client.until_ready(PATIENCE)?;
                        Ok(client)
                    })
                    .collect::<Result<Vec<Side>>>()?;
                let when = soon();
                for client in &mut clients {
                    client.begin(when)?;
                }
                let values = clients.iter_mut().map(figures_of).collect::<Result<Vec<_>>>()?;
                drop(clients);
                if let Some(idlers) = idlers {
                    idlers.end();
                }
                Metric::of_counts(&values)
            }
        }
    }
}

/// Time enough on the monotonic clock for every client to hear of it.
fn soon() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = Duration::new(
        now.tv_sec.cast_unsigned(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    );
    now + Duration::from_millis(20)
}

/// The line of JSON that a client prints at its end.
fn figures_of(client: &mut Side) -> Result<Value> {
    let line = client.line(PATIENCE)?;
    let value: Value = serde_json::from_str(&line).with_context(|| format!("a client printed {line:?}"))?;
    ensure!(value.is_object(), "a client printed {line:?}");
    Ok(value)
}
