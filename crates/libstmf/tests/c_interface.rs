//! The C interface as C sees it: programs built by a C compiler against `libstmf.h` and `libstmf.so`.

mod support;

use std::{collections::BTreeSet, process::Command};

use support::{check, crate_dir, library_dir, link, row_sources};

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
    let source = [crate_dir().join("tests/c/layout.c")];
    check(&source);
    link(&source, &["stmf"], &program);
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
    let source = [crate_dir().join("tests/c/offline.c")];
    check(&source);
    link(&source, &["stmf"], &program);
    let run = Command::new(&program)
        .env("STMF_CONTROL", folder.path().join("control"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_programs_of_rows_st_001_to_st_032_and_the_example_compile() {
    check(&row_sources());
    check(&[crate_dir().join("../../examples/proxy_relay.c")]);
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
