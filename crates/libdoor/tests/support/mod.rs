//! Compiling C programs against the library under test, and running them.
#![allow(dead_code, reason = "each test program uses a part of this module")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A folder of this test run where files may be made.
pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// A file of this crate.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// `libdoor.so` or `libdoor.a`, in the profile of this test. Cargo does not build them for a test of its own accord, because
/// no Rust program can link to them.
pub(crate) fn library(suffix: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let exe = std::env::current_exe().expect("a test knows its own path");
        let profile = exe
            .ancestors()
            .nth(2)
            .expect("a test lies in PROFILE/deps")
            .to_path_buf();
        let target = workspace()
            .parent()
            .expect("the folder lies in the target folder")
            .to_path_buf();
        let name = profile
            .file_name()
            .expect("the folder has a name")
            .to_string_lossy()
            .into_owned();
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--package", "libdoor", "--profile"]);
        build.arg(if name == "debug" { "dev" } else { &name });
        build
            .arg("--manifest-path")
            .arg(source("Cargo.toml"))
            .arg("--target-dir")
            .arg(target);
        succeed(&mut build);
        profile
    });
    folder.join(format!("libdoor{suffix}"))
}

/// A folder with `libdoor.so` and `libdoor.so.1`, as an installation would have it.
pub(crate) fn installed() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = workspace().join("lib");
        fs::create_dir_all(&folder).expect("the folder can be made");
        for name in ["libdoor.so", "libdoor.so.1"] {
            let temporary = folder.join(format!("{name}.{}", std::process::id()));
            let _ = fs::remove_file(&temporary);
            std::os::unix::fs::symlink(library(".so"), &temporary).expect("the link can be made");
            fs::rename(&temporary, folder.join(name)).expect("the link can be moved into place");
        }
        folder
    })
    .clone()
}

/// True if a program of this name can be run.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs a command that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
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
pub(crate) fn program(name: &str, compiler: &str, sources: &[&str]) -> PathBuf {
    let lib = installed();
    let temporary = workspace().join(format!("{name}.{}", std::process::id()));
    let mut command = Command::new(compiler);
    command.args([
        "-std=gnu11",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pthread",
    ]);
    command.arg("-I").arg(source("include")).arg("-o").arg(&temporary);
    command.args(sources.iter().map(|file| source("tests/c").join(file)));
    command
        .arg("-L")
        .arg(&lib)
        .args(["-ldoor", "-lm"])
        .arg(format!("-Wl,-rpath,{}", lib.display()));
    succeed(&mut command);
    let program = workspace().join(name);
    fs::rename(&temporary, &program).expect("the program can be moved into place");
    program
}
