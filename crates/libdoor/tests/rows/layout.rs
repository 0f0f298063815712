//! The headers, as every compiler at hand sees them.

use std::process::Command;

use crate::support::{has, installed, source, succeed, workspace};

#[test]
fn dr_165_layout_is_that_of_the_specification() {
    let lib = installed();
    let compilers = [
        ("gcc", "c", "c11"),
        ("clang", "c", "c11"),
        ("g++", "c++", "c++11"),
        ("clang++", "c++", "c++11"),
    ];
    let mut compiled = 0;
    for (compiler, language, standard) in compilers {
        if !has(compiler) {
            eprintln!("{compiler} is not installed");
            continue;
        }
        let program = workspace().join(format!("layout-{compiler}"));
        let mut command = Command::new(compiler);
        command.args([
            "-x",
            language,
            &format!("-std={standard}"),
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
        ]);
        command
            .arg("-I")
            .arg(source("include"))
            .arg(source("tests/c/layout.c"))
            .arg("-o")
            .arg(&program);
        command
            .args(["-x", "none"])
            .arg("-L")
            .arg(&lib)
            .arg("-ldoor")
            .arg(format!("-Wl,-rpath,{}", lib.display()));
        succeed(&mut command);
        succeed(Command::new(&program).env_remove("LD_LIBRARY_PATH"));
        compiled += 1;
    }
    assert!(compiled > 0, "no compiler at all");
}
