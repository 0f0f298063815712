//! One side of one measurement of local calls. `cargo xtask bench doors` starts pairs of these and makes tables of what they
//! print; by hand:
//!
//! ```console
//! $ call-bench serve door --dir /tmp/empty --kind null &
//! $ call-bench latency door --dir /tmp/empty --kind null --server $! --milliseconds 300 < /dev/null
//! ```
//!
//! A server prints `ready`, and ends when its input does. A client prints `ready`, begins when a line (or the end) comes from
//! its input (for `throughput`: when, in nanoseconds of the monotonic clock), and prints its figures as one line of JSON.
#![deny(unsafe_code)]

mod clock;
mod doors;
mod idlers;
mod limits;
mod measure;
mod mechanism;
#[cfg(feature = "peers")]
mod peers;
mod shape;
mod sys;

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use mechanism::{Mechanism, Meeting, Name, Visit, ready};
use shape::{Kind, Shape};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Clone, Subcommand)]
enum Part {
    /// Answers calls.
    Serve {
        #[command(flatten)]
        common: Common,
    },
    /// Times one caller's calls.
    Latency {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        timing: Timing,
        /// Sleep so long before each call.
        #[arg(long)]
        gap_us: Option<u64>,
    },
    /// Counts the calls of many callers.
    Throughput {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        timing: Timing,
        /// Callers in this process, each with a thread of its own.
        #[arg(long, default_value_t = 1)]
        threads: u32,
        /// The number of the first of them; other processes have others.
        #[arg(long, default_value_t = 0)]
        first: u32,
    },
    /// Counts processor time while nobody calls.
    Idle {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        timing: Timing,
    },
    /// Makes many processes that call once and then stay, connected, until the input of this one ends.
    Idlers {
        #[command(flatten)]
        common: Common,
        /// How many.
        #[arg(long)]
        count: u32,
    },
}

#[derive(Debug, Clone, Args)]
struct Common {
    /// What carries the call.
    mechanism: Name,
    /// An empty folder for this server and its clients.
    #[arg(long)]
    dir: PathBuf,
    /// What a call carries.
    #[arg(long)]
    kind: Kind,
    /// How much of it: a multiple of 64.
    #[arg(long, default_value_t = 0)]
    bytes: usize,
    /// How many clients there will be in all.
    #[arg(long, default_value_t = 1)]
    clients: u32,
    /// Stay on this processor.
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Debug, Clone, Args)]
struct Timing {
    /// The server's process.
    #[arg(long)]
    server: i32,
    /// How long to measure.
    #[arg(long)]
    milliseconds: u64,
}

impl Timing {
    fn time(&self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }

    fn server(&self) -> Result<Pid> {
        Pid::from_raw(self.server).context("no process has that number")
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("call-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(part: Part) -> Result<()> {
    let common = match &part {
        Part::Serve { common }
        | Part::Latency { common, .. }
        | Part::Throughput { common, .. }
        | Part::Idle { common, .. }
        | Part::Idlers { common, .. } => common.clone(),
    };
    if let Some(cpu) = common.cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set).with_context(|| format!("cannot stay on processor {cpu}"))?;
    }
    raise_descriptor_limit()?;
    let meeting = Meeting {
        dir: common.dir,
        shape: Shape {
            kind: common.kind,
            bytes: common.bytes,
        },
        clients: common.clients,
    };
    common.mechanism.accept(Go { part, meeting })
}

/// A thousand clients need more than the usual 1,024.
fn raise_descriptor_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of descriptors")
}

struct Go {
    part: Part,
    meeting: Meeting,
}

impl Visit for Go {
    fn visit<M: Mechanism>(self) -> Result<()> {
        let meeting = &self.meeting;
        let value = match &self.part {
            Part::Serve { .. } => return M::serve(meeting),
            Part::Idlers { count, .. } => return idlers::stay::<M>(meeting, *count),
            Part::Latency { timing, gap_us, .. } => {
                let mut caller = M::connect(meeting, 0)?;
                begin()?;
                measure::latency(
                    &mut caller,
                    timing.time(),
                    gap_us.map(Duration::from_micros),
                    timing.server()?,
                )?
            }
            Part::Throughput {
                timing,
                threads,
                first,
                ..
            } => measure::throughput::<M>(meeting, *first, *threads, || window(timing.time()))?,
            Part::Idle { timing, .. } => {
                let mut caller = M::connect(meeting, 0)?;
                begin()?;
                measure::idle(&mut caller, timing.time(), timing.server()?)?
            }
        };
        println!("{value}");
        Ok(())
    }
}

/// Says that this client is ready, and waits for the word to begin; gives the word.
fn begin() -> Result<String> {
    ready()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

/// Like [`begin`]; the word is when, in nanoseconds of the monotonic clock, so that all clients begin and end together.
fn window(time: Duration) -> Result<(Duration, Duration)> {
    let word = begin()?;
    let begin = match word.trim() {
        "" => measure::monotonic(),
        when => Duration::from_nanos(when.parse().with_context(|| format!("{when:?} is no time"))?),
    };
    Ok((begin, begin + time))
}
