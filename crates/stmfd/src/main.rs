//! `stmfd`, the SCSI target framework daemon of one node.
//!
//! The thin shell around the pure crates: sockets, threads, files and doors. [`target`] is what happens to a command,
//! [`iscsi`] where initiators come in, [`proxy`] how the other node is reached, [`admin`] what administrators ask.
#![forbid(unsafe_code)]

mod admin;
mod app;
mod clock;
mod config;
mod iscsi;
mod proxy;
mod target;

use clap::Parser as _;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = config::Arguments::parse();
    let filter = EnvFilter::try_from_env("STMFD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let run = || -> anyhow::Result<()> {
        let settings = config::Settings::load(arguments)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(app::run(settings))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stmfd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
