//! C programs of the tree, built with the C compiler against the libraries under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::binaries;
use crate::process::{self, Start};

const COMPILER_LIMIT: Duration = Duration::from_secs(120);

/// Compiles `sources` (below the source root) into `program`, linked with `libdoor` and `libstmf` of the build.
///
/// # Errors
/// When a file is missing or the compiler says anything: warnings are errors.
pub fn compile(compiler: &str, sources: &[&Path], program: &Path) -> Result<()> {
    let root = binaries::source_root();
    let libraries = binaries::bin_dir()?;
    binaries::built("libdoor.so")?;
    binaries::built("libstmf.so")?;
    let include = |name: &str| -> PathBuf { root.join("crates").join(name).join("include") };
    let start = Start::new(compiler, compiler)
        .args([
            "-std=gnu11",
            "-D_GNU_SOURCE",
            "-O2",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
        ])
        .arg("-I")
        .arg(include("libdoor"))
        .arg("-I")
        .arg(include("libstmf"))
        .arg("-o")
        .arg(program)
        .args(sources.iter().map(|source| root.join(source)))
        .arg("-L")
        .arg(&libraries)
        // libdoor first: it must stand before the C library in the search order to see open() and close().
        .args(["-Wl,--no-as-needed", "-ldoor", "-lstmf"])
        .arg(format!("-Wl,-rpath,{}", libraries.display()));
    process::run_ok(start, COMPILER_LIMIT)?;
    Ok(())
}
