//! `cargo xtask test`: packages, build, every test, and the models.

use anyhow::Result;

use crate::build::{self, Profile};
use crate::packages;
use crate::prove;
use crate::unprivileged;

/// Runs it; an error is a failure of any part.
pub(crate) fn run() -> Result<()> {
    packages::ensure()?;
    let bin_dir = build::workspace(Profile::Dev)?;
    let result = build::test_workspace(&bin_dir)
        .and_then(|()| prove::model())
        .and_then(|()| unprivileged::run());
    match &result {
        Ok(()) => println!("cargo xtask test: every test passed"),
        Err(_) => println!("cargo xtask test: FAILED; the failed tests are named above"),
    }
    result
}
