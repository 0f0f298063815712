//! Project tasks: `cargo xtask run | test | install | bench | fuzz | man | model | sanitize | soak | spec`.
#![deny(unsafe_code)]

mod bench;
mod build;
mod check;
mod install;
mod man;
mod packages;
mod prove;
mod relay;
mod run;
mod sanitize;
mod soak;
mod spec;
mod sys;
mod test;
mod unprivileged;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Tasks of this workspace. Each prepares what it needs: nothing has to be installed or built before.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Builds everything and leaves a pair of nodes running on 127.0.0.1:3260 and :3261 until Ctrl-C.
    Run {
        /// Where state, logs and the logical unit's file are kept [default: target/lintel-run].
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Instead of staying: does real I/O through both portals, switches under load, and exits 0 or 1.
        #[arg(long)]
        check: bool,
        /// What carries messages between the nodes.
        #[arg(long, value_enum, default_value_t = TransportName::Stmfproxyd)]
        transport: TransportName,
    },
    /// Installs missing system packages, builds, and runs every test.
    Test {
        /// Only what root runs once more as nobody: the tests of doors.
        #[arg(long)]
        unprivileged: bool,
    },
    /// Builds everything and installs it: programs, libdoor with its headers and door.pc, manual pages, completions.
    Install {
        #[command(flatten)]
        place: install::Place,
    },
    /// Removes what `install` with the same options has installed.
    Uninstall {
        #[command(flatten)]
        place: install::Place,
    },
    /// Measures doors and iSCSI next to their peers, as ratios from one run; without a name, both.
    Bench {
        #[command(subcommand)]
        which: Option<bench::Which>,
    },
    /// Feeds doors with what fuzzers come up with: records, names, and programs of hostile peers.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Only this target: records, bound_name, status_file, words, client or server.
        target: Option<String>,
    },
    /// Writes the manual pages and shell completions of doorctl to docs.
    Man {
        /// Only tells whether they are current.
        #[arg(long)]
        check: bool,
    },
    /// Checks the models of what the threads of doors share, in every order in which they can meet.
    Model,
    /// Makes millions of calls between processes that are killed, forked and interrupted, and looks for what is lost or left behind.
    Soak {
        #[command(subcommand)]
        which: soak::Which,
    },
    /// Runs the C library's stress programs under ThreadSanitizer.
    Sanitize,
    /// Lists the rows of the specification with the test that covers each; fails on a required row without one.
    Spec {
        /// Also lists rows that no test covers yet and that are not required yet.
        #[arg(long)]
        all: bool,
    },
}

/// The programs that can carry messages between the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TransportName {
    /// Ours: mutually authenticated TLS.
    Stmfproxyd,
    /// `examples/proxy_relay.c`: plain TCP on loopback, in C, from the manual pages alone.
    Relay,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Run {
            dir,
            check: true,
            transport,
        } => check::run(dir.as_deref(), transport),
        Task::Run {
            dir,
            check: false,
            transport,
        } => run::run(dir, transport),
        Task::Test { unprivileged: true } => unprivileged::run(),
        Task::Test { unprivileged: false } => test::run(),
        Task::Install { place } => install::run(&place),
        Task::Uninstall { place } => install::undo(&place),
        Task::Bench { which } => bench::run(which),
        Task::Fuzz { seconds, target } => prove::fuzz(seconds, target.as_deref()),
        Task::Man { check } => man::run(check),
        Task::Model => prove::model(),
        Task::Soak { which } => soak::run(&which),
        Task::Sanitize => sanitize::run(),
        Task::Spec { all } => spec::run(all),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
