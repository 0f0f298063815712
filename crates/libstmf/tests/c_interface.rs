//! The C interface as C sees it: programs built by a C compiler against `libstmf.h` and `libstmf.so`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with `libstmf.so`, built now: cargo builds a C library for nobody's tests unasked.
fn library_dir() -> &'static Path {
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
            "--target-dir",
        ]);
        cargo.arg(profile.parent().unwrap()).current_dir(crate_dir());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        profile.to_path_buf()
    })
}

/// Compiles with every compiler there is; the last program stays.
fn compile(sources: &[&str], output: &Path, link: bool) {
    let library = library_dir();
    let mut compilers = 0;
    for compiler in ["clang", "gcc"] {
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
        command.args(
            sources
                .iter()
                .map(|source| crate_dir().join("tests/c").join(source)),
        );
        if link {
            command.arg("-o").arg(output).arg("-L").arg(library).arg("-lstmf");
            command.arg(format!("-Wl,-rpath,{}", library.display()));
        } else {
            command.arg("-fsyntax-only");
        }
        match command.output() {
            Ok(run) => {
                assert!(
                    run.status.success(),
                    "{compiler}: {}",
                    String::from_utf8_lossy(&run.stderr)
                );
                compilers += 1;
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{compiler}: {error}"),
        }
    }
    assert!(compilers > 0, "install gcc or clang");
}

/// Names declared in the header: `int stmfX(` and `void stmfX(` at the beginning of a line.
fn declared() -> BTreeSet<String> {
    let header = std::fs::read_to_string(crate_dir().join("include/libstmf.h")).unwrap();
    let name = |line: &str| {
        let rest = line.strip_prefix("int ").or_else(|| line.strip_prefix("void "))?;
        rest.split_once('(').map(|(name, _)| name.to_owned())
    };
    header.lines().filter_map(name).collect()
}

#[test]
fn st_168_a_c_program_links_every_function_and_finds_the_layouts_of_illumos() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("layout");
    compile(&["layout.c"], &program, true);
    let run = Command::new(&program).output().unwrap();
    assert!(run.status.success());
    assert_eq!(
        String::from_utf8_lossy(&run.stdout),
        format!("{} functions\n", declared().len())
    );
}

#[test]
fn st_168_the_library_exports_what_the_header_declares_and_nothing_else() {
    let run = Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library_dir().join("libstmf.so"))
        .output();
    let run = run.expect("install binutils");
    let text = String::from_utf8(run.stdout).unwrap();
    let exported: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(str::to_owned)
        .collect();
    assert_eq!(exported, declared());
}

#[test]
fn without_a_daemon_arguments_are_checked_and_every_function_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("offline");
    compile(&["offline.c"], &program, true);
    let run = Command::new(&program)
        .env("STMF_CONTROL", folder.path().join("control"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_programs_of_rows_st_001_to_st_032_compile() {
    let sources = [
        "rows.c",
        "server.c",
        "process.c",
        "rows_init.c",
        "rows_upcall.c",
        "rows_post.c",
        "rows_end.c",
        "rows_alua.c",
    ];
    compile(&sources, Path::new("/dev/null"), false);
}

#[test]
fn the_header_stands_alone_in_c_and_in_cpp() {
    let header = crate_dir().join("include/libstmf.h");
    for (compiler, language) in [("gcc", "c"), ("g++", "c++")] {
        let run = Command::new(compiler)
            .args([
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-fsyntax-only",
                "-x",
                language,
            ])
            .arg(&header)
            .output();
        let run = run.unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
}
