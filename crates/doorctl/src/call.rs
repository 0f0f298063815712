//! `doorctl call`.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use door::{Call, CallError, DoorHandle};
use rustix::fs::FileType;

use crate::cli::seconds;
use crate::descriptors::{self, Save};
use crate::{hex, open, output};

/// Call a door and print what it answers.
///
/// The argument is what --data, --file or --hex gives, else what comes on the standard input if that is a pipe or a file, else empty. The answer
/// is printed as it is. Descriptors that come with it are named on the standard error, and closed, unless --save-fd is given.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the door is attached.
    path: PathBuf,
    #[command(flatten)]
    argument: Argument,
    /// Send a copy of this open descriptor along; may be given again.
    #[arg(long = "pass-fd", value_name = "N")]
    pass: Vec<i32>,
    /// Write what can be read from descriptor N of the answer, counted from 0, to FILE; - is the standard output.
    #[arg(long = "save-fd", value_name = "N=FILE", value_parser = Save::parse)]
    save: Vec<Save>,
    /// Print the answer in hexadecimal.
    #[arg(long)]
    hex_output: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    deadline: Duration,
}

/// Where the argument of the call comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Argument {
    /// The argument is this text.
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// The argument is the content of this file; - is the standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The argument is these bytes in hexadecimal; blanks between them are skipped.
    #[arg(long, value_name = "DIGITS", value_parser = hex::bytes)]
    hex: Option<hex::Bytes>,
}

impl Argument {
    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(text) = &self.data {
            return Ok(text.clone().into_bytes());
        }
        if let Some(hex::Bytes(bytes)) = &self.hex {
            return Ok(bytes.clone());
        }
        match &self.file {
            Some(path) if path.as_os_str() != "-" => {
                std::fs::read(path).with_context(|| path.display().to_string())
            }
            None if !input_is_given() => Ok(Vec::new()),
            _ => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .lock()
                    .read_to_end(&mut bytes)
                    .context("standard input")?;
                Ok(bytes)
            }
        }
    }
}

/// True if the standard input is something that ends: a pipe, a file, a socket. A terminal does not, and /dev/null is nothing.
fn input_is_given() -> bool {
    rustix::fs::fstat(std::io::stdin()).is_ok_and(|stat| {
        matches!(
            FileType::from_raw_mode(stat.st_mode),
            FileType::Fifo | FileType::RegularFile | FileType::Socket
        )
    })
}

pub(crate) fn run(options: &Options, json: bool) -> anyhow::Result<ExitCode> {
    let passed = descriptors::all_inherited(&options.pass)?;
    // Before the input is waited for, so that a wrong path is told at once.
    let door = open::door(&options.path)?;
    let bytes = options.argument.bytes()?;
    let call = passed
        .into_iter()
        .fold(Call::new(&bytes).timeout(options.deadline), Call::give);
    let answer = match door.call_with(call) {
        Ok(answer) => answer,
        Err(failure) => return failed(&failure.error, &door, options),
    };
    let (data, received) = answer.into_parts();
    if json {
        output::print_json(&serde_json::json!({
            "bytes": data.len(),
            "hex": hex::text(&data),
            "text": std::str::from_utf8(&data).ok(),
            "descriptors": descriptors::to_json(&received),
        }))?;
    } else {
        if options.hex_output {
            output::print(hex::text(&data) + "\n")?;
        } else {
            output::print(&data)?;
        }
        if options.save.is_empty() {
            descriptors::report(&received);
        }
    }
    descriptors::save(received, &options.save)?;
    Ok(ExitCode::SUCCESS)
}

/// Explains an error of the call, and finds its exit status.
fn failed(error: &CallError, door: &DoorHandle, options: &Options) -> anyhow::Result<ExitCode> {
    let limits = || door.info_within(options.deadline).map(|info| info.limits);
    let (code, why) = match error {
        CallError::TimedOut => (
            3,
            format!(
                "no answer within {}; --deadline allows more",
                output::duration(options.deadline)
            ),
        ),
        CallError::Interrupted => (3, "the procedure failed, or its server died".to_owned()),
        CallError::TooBig => {
            let told = limits().map_or_else(
                |_| String::new(),
                |limits| format!(": it takes {} to {} bytes", limits.data_min, limits.data_max),
            );
            (4, format!("{error}{told}"))
        }
        CallError::TooManyDescriptors => {
            let told = limits().map_or_else(
                |_| String::new(),
                |limits| format!(": it takes {}", limits.descriptors_max),
            );
            (4, format!("{error}{told}"))
        }
        CallError::ArgumentTooLarge | CallError::DescriptorsRefused => (4, error.to_string()),
        _ => (1, error.to_string()),
    };
    output::say(format_args!("{}: {why}", options.path.display()));
    Ok(ExitCode::from(code))
}
