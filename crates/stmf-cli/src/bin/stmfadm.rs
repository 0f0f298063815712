//! stmfadm: administration of the target framework.

use std::{io, process::ExitCode};

use clap::Parser as _;
use stmf_cli::args::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ExitCode::from(stmf_cli::run(
        arguments,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    ))
}
