//! valgrind has nothing to report: neither memcheck nor, with the suppressions that libdoor brings, helgrind and drd.

use std::path::Path;
use std::process::Command;

use crate::manner::program;
use crate::run::{Server, compile, example, folder, says};
use crate::support::{has, source};

const MEMCHECK: &[&str] = &["--tool=memcheck"];

/// A program under valgrind; whatever that reports makes it exit with 99.
fn under(options: &[&str], program: &Path, arguments: &[&str]) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["-q", "--vgdb=no", "--error-exitcode=99"])
        .args(options);
    valgrind
        .arg(program)
        .args(arguments)
        .env_remove("LD_LIBRARY_PATH");
    valgrind
}

fn is_there() -> bool {
    let there = has("valgrind");
    if !there {
        eprintln!("valgrind is not installed");
    }
    there
}

#[test]
fn memcheck_has_nothing_to_say_of_the_example() {
    if !is_there() {
        return;
    }
    let server = compile("gcc", &["-g", "-O1"], &[example("hello_server.c")]);
    let client = compile("gcc", &["-g", "-O1"], &[example("hello_client.c")]);
    let folder = folder();
    let path = folder.path().join("double");
    let path = path.to_str().expect("the path is ASCII");
    let log = format!("{path}.log");
    let to_log = format!("--log-file={log}");
    let running = Server::start(&mut under(&["--tool=memcheck", &to_log], &server, &[path]));
    for number in 1..4 {
        let said = says(&mut under(MEMCHECK, &client, &[path, &number.to_string()]));
        assert_eq!(said, format!("{}\n", number * 2));
    }
    drop(running);
    assert_eq!(std::fs::read_to_string(log).expect("valgrind writes it"), "");
}

/// The stress program, caller and server in one process, with another server beside it.
fn stress(options: &[&str]) {
    let program = compile("gcc", &["-g", "-O1"], &[program("stress.c")]);
    let folder = folder();
    let path = folder.path().join("door");
    let path = path.to_str().expect("the path is ASCII");
    let _server = Server::start(&mut under(options, &program, &[path]));
    assert_eq!(
        says(&mut under(options, &program, &[path, "client"])),
        "160 served here, 0 wrong\n"
    );
}

#[test]
fn memcheck_has_nothing_to_say_under_stress() {
    if is_there() {
        stress(MEMCHECK);
    }
}

#[test]
fn helgrind_and_drd_have_nothing_to_say_of_the_program_under_stress() {
    let suppressions = format!("--suppressions={}", source("link/valgrind.supp").display());
    if is_there() {
        stress(&["--tool=helgrind", &suppressions]);
        stress(&["--tool=drd", &suppressions]);
    }
}
