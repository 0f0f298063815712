//! Millions of calls between Rust and C processes that are killed, stopped, forked, interrupted and given up on.
//!
//! One process, [`run`], starts the others, kills some of them in the middle of what they do, and watches all of them. Servers that
//! never die count what they have carried out for each calling thread ([`ledger`]), which compares that with what it has seen. Each
//! answer, each byte and each descriptor follows from a number only its request has ([`message`]). From time to time everybody rests;
//! then no process may hold more than it did at the first rest ([`holdings`]).
#![deny(unsafe_code)]

mod c_half;
mod client;
mod holdings;
mod ledger;
mod message;
mod peer;
mod process;
mod progress;
mod random;
mod run;
mod server;
mod shared;
mod sys;
mod token;
mod waiting;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Soaks doors: `cargo xtask soak doors` builds what it needs and runs it.
#[derive(Debug, Parser)]
#[command(name = "door-soak", version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Makes this many calls and checks everything. Ctrl-C ends it early; what was made until then is checked as well.
    Run(run::Options),
    /// A server: serves until its input ends.
    #[command(hide = true)]
    Server {
        /// Where it attaches its door.
        path: PathBuf,
    },
    /// Callers: call until the run ends.
    #[command(hide = true)]
    Client(client::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().role {
        Role::Run(options) => run::run(&options),
        Role::Server { path } => server::run(&path),
        Role::Client(options) => client::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("SOAK, process {}: {error:#}", std::process::id());
            ExitCode::FAILURE
        }
    }
}
