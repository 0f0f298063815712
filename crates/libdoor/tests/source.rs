//! Source compatibility: `tests/c/source.c`, built the ways ported programs are built.

mod support;

use std::path::Path;
use std::process::Command;

use support::{has, installed, library, source, succeed, workspace};

fn compile(compiler: &str, name: &str, options: &[&str], link: &[&str]) -> std::path::PathBuf {
    let program = workspace().join(format!("source-{compiler}-{name}"));
    let mut command = Command::new(compiler);
    command.args(["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    command.args(options).arg("-I").arg(source("include"));
    command
        .arg("-o")
        .arg(&program)
        .arg(source("tests/c/source.c"))
        .args(link);
    succeed(&mut command);
    program
}

fn runs(program: &Path) {
    let directory = tempfile::tempdir().expect("a temporary folder can be made");
    let output = succeed(
        Command::new(program)
            .arg(directory.path())
            .env_remove("LD_LIBRARY_PATH"),
    );
    assert_eq!(output.stdout, b"every name leads to the door\n");
}

#[test]
fn every_name_leads_to_the_door_however_a_program_is_built() {
    let lib = installed();
    let (folder, path) = (
        format!("-L{}", lib.display()),
        format!("-Wl,-rpath,{}", lib.display()),
    );
    let link = [folder.as_str(), "-ldoor", &path];
    let ways: [(&str, &[&str]); 5] = [
        ("plain", &["-O0"]),
        ("optimised", &["-O2"]),
        ("fortified", &["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]),
        ("large-files", &["-O1", "-D_FILE_OFFSET_BITS=64"]),
        (
            "all",
            &[
                "-O2",
                "-U_FORTIFY_SOURCE",
                "-D_FORTIFY_SOURCE=2",
                "-D_FILE_OFFSET_BITS=64",
                "-fPIE",
                "-pie",
            ],
        ),
    ];
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| has(compiler)) {
        for (name, options) in ways {
            runs(&compile(compiler, name, options, &link));
        }
    }
}

#[test]
fn programs_with_the_archive_find_doors_too() {
    let archive = library(".a");
    let archive = archive.to_string_lossy();
    let link = [&*archive, "-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];
    runs(&compile("gcc", "archive", &["-O1"], &link));
}

/// No loader and no other C library: the functions of the archive come first when the program is linked.
#[test]
fn static_programs_find_doors_too() {
    let archive = library(".a");
    runs(&compile(
        "gcc",
        "static",
        &["-O1", "-static"],
        &[&archive.to_string_lossy()],
    ));
}
