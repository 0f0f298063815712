//! Compiling C programs against the library under test, and running them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// A folder of this test run where files may be made.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// A file of this crate.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// `libdoor.so` or `libdoor.a` as cargo built it for this test: the newest beside the test or one level up.
pub fn library(suffix: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its own path");
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for folder in exe.ancestors().skip(1).take(2) {
        for entry in fs::read_dir(folder).expect("the folder of the test can be listed").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let hashed = name.starts_with("libdoor-") && name.ends_with(suffix);
            if (name == format!("libdoor{suffix}") || hashed) && entry.path().is_file() {
                let time = entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((time, entry.path()));
            }
        }
    }
    let newest = found.into_iter().max().map(|(_, path)| path);
    newest.unwrap_or_else(|| panic!("no libdoor{suffix} beside {}: run `cargo build -p libdoor`", exe.display()))
}

/// A folder with `libdoor.so` and `libdoor.so.1`, as an installation would have it.
pub fn installed() -> PathBuf {
    let folder = workspace().join("lib");
    fs::create_dir_all(&folder).expect("the folder can be made");
    for name in ["libdoor.so", "libdoor.so.1"] {
        let temporary = folder.join(format!("{name}.{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        std::os::unix::fs::symlink(library(".so"), &temporary).expect("the link can be made");
        fs::rename(&temporary, folder.join(name)).expect("the link can be moved into place");
    }
    folder
}

/// True if a program of this name can be run.
pub fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Compiles `sources` of `tests/c` against the shared library; returns the program.
#[allow(dead_code, reason = "each test program uses a part of this module")]
pub fn program(name: &str, compiler: &str, sources: &[&str]) -> PathBuf {
    let lib = installed();
    let temporary = workspace().join(format!("{name}.{}", std::process::id()));
    let mut command = Command::new(compiler);
    command.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    command.arg("-I").arg(source("include")).arg("-o").arg(&temporary);
    command.args(sources.iter().map(|file| source("tests/c").join(file)));
    command.arg("-L").arg(&lib).arg("-ldoor").arg(format!("-Wl,-rpath,{}", lib.display()));
    succeed(&mut command);
    let program = workspace().join(name);
    fs::rename(&temporary, &program).expect("the program can be moved into place");
    program
}
