//! What the tests of the C interface share: the libraries, C programs, and a daemon made of doors alone.
#![allow(dead_code)] // Each test program uses its part.

pub(crate) mod fake;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The folder of this crate.
pub(crate) fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with `libstmf.so` and `libdoor.so`, built now: cargo builds a C library for nobody's tests unasked.
pub(crate) fn library_dir() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // <target>/<profile>/deps/<this program>
        let program = std::env::current_exe().unwrap();
        let profile = program.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--offline",
            "--package",
            "libstmf",
            "--package",
            "libdoor",
        ]);
        cargo
            .arg("--target-dir")
            .arg(profile.parent().unwrap())
            .current_dir(crate_dir());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        profile.to_path_buf()
    })
}

/// Compiles C sources with one compiler; `None` when there is no such compiler.
fn compile_with(compiler: &str, sources: &[PathBuf], tail: &[String]) -> Option<()> {
    let mut command = Command::new(compiler);
    command.args([
        "-std=c11",
        "-D_GNU_SOURCE",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pthread",
        "-I",
    ]);
    command
        .arg(crate_dir().join("include"))
        .arg("-I")
        .arg(crate_dir().join("../libdoor/include"));
    command.args(sources).args(tail);
    match command.output() {
        Ok(run) => {
            assert!(
                run.status.success(),
                "{compiler}: {}",
                String::from_utf8_lossy(&run.stderr)
            );
            Some(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{compiler}: {error}"),
    }
}

/// Lets every compiler there is look at the sources.
pub(crate) fn check(sources: &[PathBuf]) {
    let compilers =
        ["gcc", "clang"].map(|compiler| compile_with(compiler, sources, &["-fsyntax-only".into()]));
    assert!(compilers.iter().any(Option::is_some), "install gcc or clang");
}

/// Makes a program that uses these libraries (`stmf`, `door`).
pub(crate) fn link(sources: &[PathBuf], libraries: &[&str], output: &Path) {
    let library = library_dir().display();
    let mut tail = vec![
        "-o".to_owned(),
        output.display().to_string(),
        format!("-L{library}"),
    ];
    tail.extend(libraries.iter().map(|name| format!("-l{name}")));
    tail.push(format!("-Wl,-rpath,{library}"));
    let made = compile_with("gcc", sources, &tail).or_else(|| compile_with("clang", sources, &tail));
    made.expect("install gcc or clang");
}

/// The sources of the program of rows ST-001 to ST-032.
pub(crate) fn row_sources() -> Vec<PathBuf> {
    let names = [
        "rows",
        "server",
        "process",
        "rows_init",
        "rows_upcall",
        "rows_post",
        "rows_end",
        "rows_alua",
    ];
    names
        .map(|name| crate_dir().join(format!("tests/c/{name}.c")))
        .to_vec()
}
