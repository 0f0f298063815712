//! Real initiators: libiscsi's tools and QEMU's, each with a time limit.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, Finished, Start};

/// Generous for tools that need a fraction of a second on a quiet machine.
pub const TOOL_LIMIT: Duration = Duration::from_secs(120);

/// `iscsi://portal/target/lun`, as libiscsi and QEMU take it.
#[must_use]
pub fn url(portal: SocketAddr, target: &str, lun: u16) -> String {
    format!("iscsi://{portal}/{target}/{lun}")
}

/// `iscsi-ls -s`: targets and logical units of a portal.
///
/// # Errors
/// When the tool fails.
pub fn iscsi_ls(portal: SocketAddr) -> Result<String> {
    let start = Start::new("iscsi-ls", "iscsi-ls")
        .arg("-s")
        .arg(format!("iscsi://{portal}"));
    process::run_ok(start, TOOL_LIMIT)
}

/// `iscsi-inq`, for the standard data or a page.
///
/// # Errors
/// When the tool fails.
pub fn iscsi_inq(url: &str, page: Option<u8>) -> Result<String> {
    let mut start = Start::new("iscsi-inq", "iscsi-inq");
    if let Some(page) = page {
        start = start.args(["-e", "1", "-c"]).arg(page.to_string());
    }
    process::run_ok(start.arg(url), TOOL_LIMIT)
}

/// `iscsi-readcapacity16`: total bytes of the logical unit.
///
/// # Errors
/// When the tool fails or says something else.
pub fn iscsi_capacity(url: &str) -> Result<u64> {
    let start = Start::new("iscsi-readcapacity16", "iscsi-readcapacity16").arg(url);
    let text = process::run_ok(start, TOOL_LIMIT)?;
    let number = |label: &str| -> Result<u64> {
        let line = text
            .lines()
            .find(|line| line.contains(label))
            .with_context(|| format!("no {label}: {text}"))?;
        let digits: String = line
            .rsplit(':')
            .next()
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        digits.parse().with_context(|| format!("no number in {line:?}"))
    };
    number("Total size")
}

/// One `iscsi-test-cu` run: a test or a suite, destructive tests allowed.
///
/// # Errors
/// When the tool cannot be run or hangs; a failed test is in the result, not an error.
pub fn iscsi_test_cu(test: &str, urls: &[&str]) -> Result<Finished> {
    let start = Start::new("iscsi-test-cu", "iscsi-test-cu")
        .args(["-d", "-f", "-n", "-t", test])
        .args(urls);
    process::run(start, TOOL_LIMIT)
}

/// `iscsi-perf` for some seconds.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Commands outstanding.
    pub depth: u32,
    /// Blocks of 512 bytes per read.
    pub blocks: u32,
    /// Random positions instead of one after the other.
    pub random: bool,
    /// How long.
    pub seconds: u32,
}

/// Reads with `iscsi-perf`; gives I/O operations per second, averaged by the tool.
///
/// # Errors
/// When the tool fails or prints no figure.
pub fn iscsi_perf(url: &str, load: Load) -> Result<f64> {
    let mut start = Start::new("iscsi-perf", "iscsi-perf").args([
        "-m",
        &load.depth.to_string(),
        "-b",
        &load.blocks.to_string(),
        "-t",
        &load.seconds.to_string(),
    ]);
    if load.random {
        start = start.arg("-r");
    }
    let limit = Duration::from_secs(u64::from(load.seconds) + 60);
    let text = process::run_ok(start.arg(url), limit)?;
    average_iops(&text).with_context(|| format!("iscsi-perf printed no figure: {text}"))
}

/// The last "iops average" figure in what `iscsi-perf` printed.
fn average_iops(text: &str) -> Option<f64> {
    let at = text.rfind("iops average")?;
    let figure: String = text[at..]
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    figure.parse().ok()
}

/// Copies a raw image into a logical unit with `qemu-img convert`.
///
/// # Errors
/// When the tool fails.
pub fn write_image(image: &Path, url: &str) -> Result<()> {
    let start = Start::new("qemu-img convert", "qemu-img").args(["convert", "-n", "-f", "raw", "-O", "raw"]);
    process::run_ok(start.arg(image).arg(url), TOOL_LIMIT)?;
    Ok(())
}

/// Copies a logical unit into a raw image with `qemu-img convert`.
///
/// # Errors
/// When the tool fails.
pub fn read_image(url: &str, image: &Path) -> Result<()> {
    let start = Start::new("qemu-img convert", "qemu-img").args(["convert", "-f", "raw", "-O", "raw"]);
    process::run_ok(start.arg(url).arg(image), TOOL_LIMIT)?;
    Ok(())
}

/// Runs `qemu-io` commands one after the other against a logical unit.
///
/// # Errors
/// When the tool fails or a read does not have its pattern.
pub fn qemu_io(url: &str, commands: &[&str]) -> Result<String> {
    let mut start = Start::new("qemu-io", "qemu-io").args(["-f", "raw"]);
    for command in commands {
        start = start.args(["-c", command]);
    }
    let text = process::run_ok(start.arg(url), TOOL_LIMIT)?;
    if text.contains("failed") {
        bail!("qemu-io: {text}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_average_of_iscsi_perf_counts() {
        let text = "iops average 120 (0 MB/s)\riops average 34567 (135 MB/s)\nfinished.";
        assert_eq!(average_iops(text), Some(34567.0));
        assert_eq!(average_iops("nothing"), None);
    }
}
