//! `doorctl call`.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use door::{Call, DoorHandle};

/// The argument of the call; none of them is an empty one.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Argument {
    /// This text.
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// The content of this file; - is the standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// These bytes in hexadecimal; blanks between them are skipped.
    #[arg(long, value_name = "DIGITS")]
    hex: Option<String>,
}

impl Argument {
    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(text) = &self.data {
            return Ok(text.clone().into_bytes());
        }
        if let Some(digits) = &self.hex {
            return from_hex(digits);
        }
        let Some(path) = &self.file else {
            return Ok(Vec::new());
        };
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .read_to_end(&mut bytes)
                .context("standard input")?;
            return Ok(bytes);
        }
        std::fs::read(path).with_context(|| path.display().to_string())
    }
}

pub(crate) fn run(door: &DoorHandle, argument: &Argument, deadline: u64, json: bool) -> anyhow::Result<()> {
    let bytes = argument.bytes()?;
    let answer = door.call_with(Call::new(&bytes).timeout(Duration::from_secs(deadline)))?;
    let (data, descriptors) = answer.into_parts();
    if json {
        let doors: Vec<bool> = descriptors
            .iter()
            .map(door::ReceivedDescriptor::is_door)
            .collect();
        println!(
            "{:#}",
            serde_json::json!({
                "bytes": data.len(),
                "hex": to_hex(&data),
                "text": std::str::from_utf8(&data).ok(),
                "descriptors": doors.iter().map(|door| serde_json::json!({ "door": door })).collect::<Vec<_>>(),
            })
        );
        return Ok(());
    }
    if !descriptors.is_empty() {
        eprintln!(
            "doorctl: {} descriptors came with the answer; they are closed",
            descriptors.len()
        );
    }
    Ok(std::io::stdout().lock().write_all(&data)?)
}

fn from_hex(digits: &str) -> anyhow::Result<Vec<u8>> {
    let mut nibbles = Vec::new();
    for digit in digits.chars().filter(|c| !c.is_whitespace()) {
        let Some(nibble) = digit.to_digit(16).and_then(|nibble| u8::try_from(nibble).ok()) else {
            bail!("{digit:?} is no hexadecimal digit");
        };
        nibbles.push(nibble);
    }
    let (pairs, rest) = nibbles.as_chunks::<2>();
    if !rest.is_empty() {
        bail!(
            "{} hexadecimal digits are no whole number of bytes",
            nibbles.len()
        );
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_and_written() {
        assert_eq!(from_hex("00 ff7F").unwrap(), [0, 255, 127]);
        assert_eq!(to_hex(&[0, 255, 127]), "00ff7f");
        assert!(from_hex("").unwrap().is_empty());
        assert!(
            from_hex("0")
                .unwrap_err()
                .to_string()
                .contains("1 hexadecimal digits")
        );
        assert!(from_hex("0g").unwrap_err().to_string().contains("'g'"));
    }
}
