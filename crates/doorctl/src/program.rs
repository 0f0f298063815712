//! Whether a command can be run, asked before anybody counts on it.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{Access, AtFlags, CWD};

/// Where execvp(3) looks if the environment has no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Looks for a command as execvp(3) does.
///
/// # Errors
/// Why the command cannot be run, as far as that shows without running it.
pub(crate) fn check(name: &OsStr) -> anyhow::Result<()> {
    let outcome = if name.as_bytes().contains(&b'/') {
        may_execute(Path::new(name)).map_err(explain)
    } else {
        search(name)
    };
    outcome.with_context(|| format!("cannot run {}", name.to_string_lossy()))
}

fn search(name: &OsStr) -> anyhow::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut why = anyhow::anyhow!("not found in PATH");
    for folder in std::env::split_paths(&path) {
        match may_execute(&folder.join(name)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => why = explain(error),
            Err(_) => {}
        }
    }
    Err(why)
}

fn may_execute(file: &Path) -> std::io::Result<()> {
    // To a folder, the same right means something else.
    if std::fs::metadata(file)?.is_dir() {
        return Err(ErrorKind::PermissionDenied.into());
    }
    Ok(rustix::fs::accessat(
        CWD,
        file,
        Access::EXEC_OK,
        AtFlags::EACCESS,
    )?)
}

fn explain(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::PermissionDenied => anyhow::anyhow!("no permission to execute it"),
        _ => error.into(),
    }
}
