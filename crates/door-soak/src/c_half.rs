//! The C half of the run: compiled here, as a user would, against `<door.h>` and the archive of the library.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Compiles `c/*.c` against the `libdoor.a` in `library`; the program lies in `folder`.
pub(crate) fn build(library: &Path, folder: &Path) -> Result<PathBuf> {
    let archive = library.join("libdoor.a");
    ensure!(
        archive.exists(),
        "{} is missing: build the package libdoor first",
        archive.display()
    );
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join("soak-c");
    let mut compiler = Command::new("cc");
    // Ctrl-C is for this process alone.
    compiler.process_group(0);
    compiler
        .args([
            "-std=gnu11",
            "-O1",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
        ])
        .arg("-I")
        .arg(here.join("../libdoor/include"))
        .arg("-o")
        .arg(&program)
        .args(
            ["main.c", "common.c", "server.c", "client.c", "thread.c"].map(|file| here.join("c").join(file)),
        )
        .arg(&archive)
        .args(["-ldl", "-lm"]);
    let status = compiler.status().context("cannot run cc")?;
    ensure!(status.success(), "cannot compile the C half: {status}");
    Ok(program)
}
