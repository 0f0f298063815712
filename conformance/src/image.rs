//! A real ext4 file system in a file, and digests of files.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, Start};
use crate::random::Random;

const TOOL_LIMIT: Duration = Duration::from_secs(120);

/// Makes an ext4 image of `bytes` at `image` from a folder of `files` files that this function writes: some text,
/// some incompressible, some in subfolders, one sparse.
///
/// # Errors
/// When a file cannot be written or `mke2fs` (Debian package `e2fsprogs`) fails.
pub fn make_ext4(image: &Path, bytes: u64, files: u32, seed: u64) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut random = Random::new(seed);
    for number in 0..files {
        let sub = folder.path().join(format!("folder-{}", number % 7));
        fs::create_dir_all(&sub)?;
        let length = usize::try_from(random.below(60_000))?;
        let content = if number % 3 == 0 {
            format!("file {number} of the image\n")
                .repeat(length / 20)
                .into_bytes()
        } else {
            random.bytes(length)
        };
        fs::write(sub.join(format!("file-{number}")), content)?;
    }
    let sparse = fs::File::create(folder.path().join("sparse"))?;
    sparse.set_len(bytes / 8)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(image)?;
    file.set_len(bytes)?;
    drop(file);
    let start = Start::new("mke2fs", "mke2fs").args(["-q", "-F", "-t", "ext4", "-d"]);
    process::run_ok(start.arg(folder.path()).arg(image), TOOL_LIMIT)?;
    Ok(())
}

/// Checks the file system in `image` without changing it.
///
/// # Errors
/// When `e2fsck -fn` finds anything.
pub fn check_ext4(image: &Path) -> Result<String> {
    process::run_ok(Start::new("e2fsck", "e2fsck").arg("-fn").arg(image), TOOL_LIMIT)
}

/// The SHA-256 of the first `bytes` of a file, as hexadecimal digits.
///
/// # Errors
/// When the file is shorter or `sha256sum` fails.
pub fn sha256(path: &Path, bytes: u64) -> Result<String> {
    let length = fs::metadata(path)
        .with_context(|| format!("no file {}", path.display()))?
        .len();
    if length < bytes {
        bail!("{} has {length} bytes, {bytes} were expected", path.display());
    }
    // head | sha256sum, because the file may be longer than what is compared.
    let script = r#"head -c "$2" -- "$1" | sha256sum"#;
    let start = Start::new("sha256sum", "sh")
        .args(["-c", script, "sh"])
        .arg(path)
        .arg(bytes.to_string());
    let text = process::run_ok(start, TOOL_LIMIT)?;
    let digest = text.split_whitespace().next().unwrap_or_default();
    if digest.len() != 64 {
        bail!("sha256sum said {text:?}");
    }
    Ok(digest.to_owned())
}

/// Cuts a file to `bytes`: what was read from a logical unit that is larger than the image in it.
///
/// # Errors
/// When the file cannot be opened or cut.
pub fn truncate(path: &Path, bytes: u64) -> Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(bytes)
        .with_context(|| format!("cannot cut {}", path.display()))
}
