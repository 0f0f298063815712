//! gdb: what it shows of a thread in a server procedure, and that it can step there.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::run::{compile, example, folder};
use crate::support::{has, succeed};

/// Runs gdb's commands on a program; returns everything it says.
fn gdb(program: &Path, commands: &[String]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-q", "-nx", "-batch", "-ex", "set debuginfod enabled off"]);
    gdb.args(["-ex", "set style enabled off", "-ex", "set width 0"]);
    gdb.args(["-ex", "set breakpoint pending on"]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    gdb.arg(program).env_remove("LD_LIBRARY_PATH");
    let output = succeed(&mut gdb);
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// True if the names stand in this order, each in a line of its own.
fn in_order(text: &str, names: &[&str]) -> bool {
    let mut lines = text.lines();
    names.iter().all(|name| lines.any(|line| line.contains(name)))
}

/// Waits until a client that runs by itself has said something.
fn answer(path: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') || Instant::now() > deadline {
            return text;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn gdb_shows_the_whole_stack_of_a_procedure_and_steps_through_it() {
    if !has("gdb") {
        eprintln!("gdb is not installed");
        return;
    }
    let server = compile("gcc", &["-g", "-O0"], &[example("hello_server.c")]);
    let client = compile("gcc", &["-g", "-O0"], &[example("hello_client.c")]);
    let folder = folder();
    let path = folder.path().join("double");
    let path = path.to_str().expect("the path is ASCII");
    let call = |number: u32| {
        format!(
            "shell {} {path} {number} > {path}.{number} 2> /dev/null &",
            client.display()
        )
    };
    let mut commands: Vec<String> = vec![
        "break pause".to_owned(),
        // The server outlives gdb: it must not hold gdb's output open.
        format!("run {path} < /dev/null > {path}.server 2>&1"),
        "break twice".to_owned(),
        call(21),
        "continue".to_owned(),
        "backtrace".to_owned(),
    ];
    commands.extend(["next", "next", "next", "print number"].map(str::to_owned));
    // Over door_return(): the thread drops the frame, and is seen again in the procedure of the next call.
    commands.extend([call(4), "next".to_owned(), "backtrace 1".to_owned()]);
    commands.extend(["delete", "detach"].map(str::to_owned));
    let said = gdb(&server, &commands);
    let server = said
        .split_once("(process ")
        .and_then(|(_, rest)| rest.split_once(") detached"));
    let (server, _) = server.unwrap_or_else(|| panic!("gdb names the process it lets go: {said}"));
    let server = server.parse().expect("a number");
    let answers = [21, 4].map(|number| answer(&format!("{path}.{number}")));
    // SAFETY: the server that this test made gdb start.
    unsafe { libc::kill(server, libc::SIGKILL) };
    assert_eq!(answers, ["42\n", "8\n"]);
    let stack = said.split_once("#0 ").map_or("", |(_, stack)| stack);
    let frames = [
        "twice",
        "invoke",
        "serve",
        "door_return",
        "server_thread",
        "start_thread",
        "clone",
    ];
    assert!(in_order(stack, &frames), "{said}");
    assert!(!said.contains("corrupt stack"), "{said}");
    assert!(said.contains("$1 = 42"), "{said}");
    assert_eq!(said.matches("hit Breakpoint 2").count(), 2, "{said}");
}
