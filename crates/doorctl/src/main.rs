//! doorctl: look at and use any door from a shell.
#![forbid(unsafe_code)]

mod call;
mod info;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use door::DoorHandle;

/// Looks at and uses any door that is attached to a path.
#[derive(Debug, Parser)]
#[command(
    name = "doorctl",
    version,
    after_help = "Exit: 0 done, 1 failed, 2 wrong usage."
)]
struct Arguments {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what a door says about itself.
    Info {
        /// Where the door is attached.
        path: PathBuf,
    },
    /// Call a door and print what it answers.
    Call {
        /// Where the door is attached.
        path: PathBuf,
        /// The argument.
        #[command(flatten)]
        argument: call::Argument,
        /// Give up after this many seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        deadline: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("doorctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Info { path } => info::run(&open(&path)?, arguments.json),
        Command::Call {
            path,
            argument,
            deadline,
        } => call::run(&open(&path)?, &argument, deadline, arguments.json),
    }
}

fn open(path: &std::path::Path) -> anyhow::Result<DoorHandle> {
    DoorHandle::open(path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                anyhow::anyhow!("the server of this door is gone: start it again, or remove the file")
            }
            _ => anyhow::Error::from(error),
        })
        .with_context(|| path.display().to_string())
}
