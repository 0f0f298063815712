//! Where the programs under test are.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

/// Overrides the search: the folder that holds `stmfd`, `stmfproxyd`, `stmfadm`, `libdoor.so`, …
pub const BIN_DIR_VARIABLE: &str = "LINTEL_BIN_DIR";

static DIR: OnceLock<PathBuf> = OnceLock::new();

/// Decides the folder, for a program that has just built it. The first decision stands.
pub fn use_bin_dir(dir: &Path) {
    DIR.get_or_init(|| dir.to_path_buf());
}

/// The folder with the programs and libraries of one build.
///
/// # Errors
/// When this executable's own path is unknown.
pub fn bin_dir() -> Result<PathBuf> {
    if let Some(dir) = DIR.get() {
        return Ok(dir.clone());
    }
    let dir = match std::env::var_os(BIN_DIR_VARIABLE) {
        Some(dir) => PathBuf::from(dir),
        None => beside_this_executable()?,
    };
    Ok(DIR.get_or_init(|| dir).clone())
}

/// Test executables are in `<profile>/deps`, programs in `<profile>`.
fn beside_this_executable() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("this program does not know its own path")?;
    let mut dir = exe.parent().unwrap_or_else(|| Path::new("/")).to_path_buf();
    if dir.ends_with("deps") {
        dir.pop();
    }
    Ok(dir)
}

/// The path of one program or library of the build.
///
/// # Errors
/// When it is not there; the message says what to run.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = bin_dir()?.join(name);
    if !path.exists() {
        bail!(
            "{} is not built: run `cargo build --workspace` in the same profile, or `cargo xtask test`",
            path.display()
        );
    }
    Ok(path)
}

/// The root of the source tree (examples, C headers, C tests).
#[must_use]
pub fn source_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
