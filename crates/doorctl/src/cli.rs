//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::{bench, call, detach, info, ls, open, serve, top};

/// Looks at doors, calls them, and makes them, from a shell.
///
/// A door is a descriptor that names a procedure in another process. A server attaches it to a path; whoever may write to the
/// path can call it.
#[derive(Debug, Parser)]
#[command(name = "doorctl", version, after_help = EXIT)]
pub(crate) struct Arguments {
    /// Print JSON.
    #[arg(short = 'j', long, global = true)]
    json: bool,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

const EXIT: &str = "\
Exit status:
  0  done
  1  failed: no door there, no permission, the system refused
  2  wrong usage
  3  call: no answer, but the procedure may have run (it failed, its server died, the deadline passed)
  4  call: the door refused the call, nothing ran";

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::Options),
    /// Show what a door says about itself and what it has been doing.
    Info {
        /// Where the door is attached.
        path: PathBuf,
        /// Give up after this many seconds.
        #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
        deadline: Duration,
    },
    Call(call::Options),
    Serve(serve::Options),
    Bench(bench::Options),
    Top(top::Options),
    /// Detach whatever door is attached to a path; what it covered comes back.
    Detach {
        /// Where the door is attached.
        path: PathBuf,
    },
    /// Answers records on its standard input; for bench.
    #[command(name = bench::ECHO, hide = true)]
    Echo {
        request: usize,
        reply: usize,
    },
}

/// A time in seconds, fractions allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is no number of seconds"))?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if time.is_zero() {
        return Err("must be more than 0".to_owned());
    }
    Ok(time)
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.json;
    match arguments.command {
        Command::Ls(options) => ls::run(&options, json)?,
        Command::Info { path, deadline } => info::run(&open::door(&path)?, deadline, json)?,
        Command::Call(options) => return call::run(&options, json),
        Command::Serve(options) => serve::run(options)?,
        Command::Bench(options) => bench::run(&options, json)?,
        Command::Top(options) => top::run(&options, json)?,
        Command::Detach { path } => detach::run(&path)?,
        Command::Echo { request, reply } => bench::echo(request, reply)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn seconds_may_have_fractions_but_not_be_nothing() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["", "x", "-1", "0", "NaN", "1e300"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
