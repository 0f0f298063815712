//! AddressSanitizer, with its search for leaks, and the sanitizer of undefined behaviour: they have nothing to say of programs that use
//! doors, though procedures do not return. What is compiled with them is the C code; of libdoor they see what it does to memory through
//! the C library.

use std::process::{Command, Stdio};

use crate::manner::program;
use crate::run::{Server, command, compile, folder, says};
use crate::support::source;

const SANITIZERS: &[&str] = &[
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    "-g",
    "-O1",
];

fn together(name: &str, rounds: &[&str], expected: &str) {
    let program = compile("gcc", SANITIZERS, &[program(name)]);
    let folder = folder();
    let path = folder.path().join("door");
    let path = path.to_str().expect("the path is ASCII");
    let _server = Server::start(&mut command(&program, &[path]));
    let arguments: Vec<&str> = [path, "client"]
        .into_iter()
        .chain(rounds.iter().copied())
        .collect();
    assert_eq!(says(&mut command(&program, &arguments)), expected);
}

#[test]
fn procedures_that_do_not_return_are_no_error() {
    together("stress.c", &[], "160 served here, 0 wrong\n");
}

#[test]
fn threads_that_end_in_calls_and_procedures_are_no_error() {
    together(
        "churn.c",
        &["30"],
        "240 called, 60 revoked, 60 cancelled, 60 interrupted, 60 unreferenced, 60 bound, 0 wrong\n",
    );
}

/// The rows of the specification once more; what they say of doors is checked elsewhere.
#[test]
fn no_row_of_the_specification_misuses_memory() {
    let mut sources: Vec<_> = std::fs::read_dir(source("tests/c"))
        .expect("the folder is there")
        .map(|file| file.expect("it can be read").path())
        .filter(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.starts_with("rows") && name.ends_with(".c")
        })
        .collect();
    sources.sort(); // rows.c, which has main(), is the first
    let options: Vec<&str> = SANITIZERS.iter().copied().chain(["-lm"]).collect();
    let program = compile("gcc", &options, &sources);
    let mut run = 0;
    // Row 70 cancels a thread of its own in a system call: of the frames that the C library unwinds then the sanitizer is not told, doors or not.
    // Rows 152 to 155 fork a process with threads, and the child goes on: the sanitizer's allocator does not survive that (a lock another
    // thread held is held for ever).
    for row in (1..=175).filter(|row| *row != 70 && !(152..=155).contains(row)) {
        let folder = folder();
        let mut command = Command::new(&program);
        command
            .arg(row.to_string())
            .arg(folder.path())
            .env_remove("LD_LIBRARY_PATH");
        if row == 117 {
            // Its process becomes another user's, and may not look at itself any more.
            command.env("ASAN_OPTIONS", "detect_leaks=0");
        }
        // To a file: whoever is left behind by a row that fails would keep a pipe open.
        let said = folder.path().join("said");
        let file = std::fs::File::create(&said).expect("the file can be made");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let status = command.status().expect("the program starts");
        match status.code() {
            Some(0) => run += 1,
            Some(2 | 77) => {} // no such row in C; it needs to be root
            _ => panic!(
                "row {row}: {status}\n{}",
                std::fs::read_to_string(&said).unwrap_or_default()
            ),
        }
    }
    assert!(run > 160, "only {run} rows ran");
}

/// That they are there at all: a procedure that reads behind its argument does not get away with it.
#[test]
fn a_procedure_that_misuses_memory_is_caught() {
    let folder = folder();
    let bad = folder.path().join("bad.c");
    let text = "#include <door.h>\n#include <stdlib.h>\n#include <string.h>\n\
        static void bad(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n)\n\
        { char *copy = malloc(size); (void)cookie, (void)dp, (void)n; memcpy(copy, argp, size); door_return(copy, size + copy[size], 0, 0); }\n\
        int main(void) { char room[8]; door_arg_t arg = {room, 3, 0, 0, room, 8}; memset(room, 0, 8);\n\
        return door_call(door_create(bad, 0, 0), &arg); }\n";
    std::fs::write(&bad, text).expect("the file can be written");
    let program = compile("gcc", SANITIZERS, &[bad]);
    let output = command(&program, &[]).output().expect("the program starts");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("heap-buffer-overflow"), "{said}");
}
