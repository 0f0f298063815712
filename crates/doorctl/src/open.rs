//! Opening a door, and saying what to do when that fails.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use door::DoorHandle;

/// The door attached at `path`.
pub(crate) fn door(path: &Path) -> anyhow::Result<DoorHandle> {
    DoorHandle::open(path)
        .map_err(|error| explain(error, path))
        .with_context(|| path.display().to_string())
}

fn explain(error: std::io::Error, path: &Path) -> anyhow::Error {
    match error.kind() {
        ErrorKind::ConnectionRefused => anyhow::anyhow!(
            "the server of this door is gone: start it again, or clean up with 'doorctl detach {}'",
            path.display()
        ),
        ErrorKind::NotFound => {
            anyhow::anyhow!("nothing is there; 'doorctl ls' lists the doors of this machine")
        }
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("no permission: calling a door takes the right to write to its path")
        }
        _ if error.raw_os_error() == Some(libc::ENXIO) => anyhow::anyhow!("this is no door"),
        _ => error.into(),
    }
}
