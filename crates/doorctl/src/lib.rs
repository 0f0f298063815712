//! doorctl: look at and use any door from a shell. The program is here, so that its manual page is made from the same definitions.
#![deny(unsafe_code)]

mod bench;
mod call;
mod cli;
mod descriptors;
mod detach;
mod hex;
mod info;
mod keyboard;
mod ls;
mod open;
mod output;
mod proc;
mod program;
mod serve;
mod serve_io;
mod sock_diag;
mod survey;
mod sys;
mod top;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

/// What the program takes on its command line.
#[must_use]
pub fn command() -> clap::Command {
    cli::Arguments::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    match cli::run(cli::Arguments::parse()) {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
