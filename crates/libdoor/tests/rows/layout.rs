//! The headers, as every compiler at hand sees them.

use std::process::Command;

use crate::support::{has, installed, source, succeed, workspace};

const C: [&str; 3] = ["c99", "c11", "gnu17"];
const CPP: [&str; 3] = ["c++11", "c++17", "gnu++20"];

fn compiles_and_runs(compiler: &str, language: &str, standard: &str, header: &str) {
    let lib = installed();
    let program = workspace().join(format!("layout-{compiler}-{standard}"));
    let mut command = Command::new(compiler);
    command.args(["-x", language, &format!("-std={standard}")]);
    command.args(["-Wall", "-Wextra", "-pedantic", "-Werror"]);
    command.args([
        "-D_DEFAULT_SOURCE".to_owned(),
        format!("-DDOOR_HEADER=<{header}>"),
    ]);
    command.arg("-I").arg(source("include"));
    command.arg(source("tests/c/layout.c")).arg("-o").arg(&program);
    command.args(["-x", "none", "-L"]).arg(&lib).arg("-ldoor");
    command.arg(format!("-Wl,-rpath,{}", lib.display()));
    succeed(&mut command);
    succeed(Command::new(&program).env_remove("LD_LIBRARY_PATH"));
}

#[test]
fn dr_165_layout_is_that_of_the_specification() {
    let compilers = [
        ("gcc", "c", C),
        ("clang", "c", C),
        ("g++", "c++", CPP),
        ("clang++", "c++", CPP),
    ];
    let mut compiled = 0;
    for (compiler, language, standards) in compilers {
        if !has(compiler) {
            eprintln!("{compiler} is not installed");
            continue;
        }
        for standard in standards {
            compiles_and_runs(compiler, language, standard, "door.h");
            compiled += 1;
        }
        compiles_and_runs(compiler, language, standards[1], "sys/door.h");
    }
    assert!(compiled > 0, "no compiler at all");
}

/// Solaris keeps the file type in `<sys/stat.h>`, and programs that only look at files include nothing else.
#[test]
fn the_file_type_needs_no_other_header() {
    let mut command = Command::new("cc");
    command.args([
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Werror",
        "-fsyntax-only",
        "-D_DEFAULT_SOURCE",
        "-x",
        "c",
        "-I",
    ]);
    command.arg(source("include")).arg(source("tests/c/file_type.c"));
    succeed(&mut command);
}
