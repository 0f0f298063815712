//! EXAMPLES: each program compiles without a warning, runs, and prints what the page says.

use std::process::Command;

use crate::pages::{Page, pages};
use crate::support::{installed, source, succeed, workspace};

/// The displays of a section, without what roff needs.
fn displays(page: &Page) -> Vec<String> {
    let mut displays = Vec::new();
    let mut current: Option<String> = None;
    for line in page.section("EXAMPLES") {
        match (&mut current, line) {
            (_, ".Bd -literal") => current = Some(String::new()),
            (Some(text), ".Ed") => displays.push(std::mem::take(text)),
            (Some(text), line) => {
                text.push_str(&line.replace("\\e", "\\").replace("\\&", ""));
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    displays
}

/// Compiles a program and returns what it prints.
fn run(name: &str, text: &str) -> String {
    let (file, program) = (
        workspace().join(format!("example-{name}.c")),
        workspace().join(format!("example-{name}")),
    );
    std::fs::write(&file, text).expect("the file can be written");
    let lib = installed();
    succeed(
        Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-o"])
            .arg(&program)
            .arg(&file)
            .arg("-I")
            .arg(source("include"))
            .arg("-L")
            .arg(&lib)
            .args(["-ldoor", "-lpthread"])
            .arg(format!("-Wl,-rpath,{}", lib.display())),
    );
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let output = succeed(
        Command::new("timeout")
            .arg("60")
            .arg(&program)
            .current_dir(folder.path())
            .env_remove("LD_LIBRARY_PATH"),
    );
    String::from_utf8(output.stdout).expect("examples print ASCII")
}

#[test]
fn every_page_has_a_program_that_prints_what_it_says() {
    for page in pages("man3") {
        let displays = displays(&page);
        let name = page.path.file_stem().expect("a name").to_string_lossy();
        assert!(!displays.is_empty(), "{name}: no example");
        for (number, pair) in displays.chunks(2).enumerate() {
            let [program, prints] = pair else {
                panic!("{name}: a program without what it prints")
            };
            assert_eq!(&run(&format!("{name}-{number}"), program), prints, "{name}");
        }
    }
}
