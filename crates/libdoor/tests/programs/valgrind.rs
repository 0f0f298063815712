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

/// A program that is server and caller in one process, with another server beside it.
fn together(name: &str, options: &[&str], arguments: &[&str], expected: &str) {
    let program = compile("gcc", &["-g", "-O1"], &[program(name)]);
    let folder = folder();
    let path = folder.path().join("door");
    let path = path.to_str().expect("the path is ASCII");
    let _server = Server::start(&mut under(options, &program, &[path]));
    let arguments: Vec<&str> = [path, "client"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    assert_eq!(says(&mut under(options, &program, &arguments)), expected);
}

fn stress(options: &[&str]) {
    together("stress.c", options, &[], "160 served here, 0 wrong\n");
}

/// Threads that make doors, call, revoke, bind themselves, are cancelled and interrupted.
fn churn(options: &[&str]) {
    let expected =
        "40 called, 10 revoked, 10 cancelled, 10 interrupted, 10 unreferenced, 10 bound, 0 wrong\n";
    together("churn.c", options, &["5"], expected);
}

#[test]
fn memcheck_has_nothing_to_say_under_stress() {
    if is_there() {
        stress(MEMCHECK);
        churn(MEMCHECK);
    }
}

#[test]
fn helgrind_and_drd_have_nothing_to_say_of_the_program_under_stress() {
    let suppressions = format!("--suppressions={}", source("link/valgrind.supp").display());
    if is_there() {
        for tool in ["--tool=helgrind", "--tool=drd"] {
            stress(&[tool, &suppressions]);
            churn(&[tool, &suppressions]);
        }
    }
}
