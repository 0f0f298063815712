//! `doorctl detach`: fdetach(1M)'s job.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use door::AttachError;

pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    let path = std::path::absolute(path)?;
    door::engine::detach(&path)
        .map_err(|error| match error {
            AttachError::NotAttached => anyhow::anyhow!("no door is attached there"),
            AttachError::NotOwner => {
                anyhow::anyhow!("only the owner of the file, or root, may detach a door")
            }
            AttachError::Os(error) if error.kind() == ErrorKind::NotFound => {
                anyhow::anyhow!("nothing is there; 'doorctl ls' lists the doors of this machine")
            }
            error => error.into(),
        })
        .with_context(|| path.display().to_string())
}
