//! The library as a file: what it exports, how it is linked.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use support::{library, program, source, succeed, workspace};

/// Every symbol a program may use; anything else would be a promise nobody made.
const EXPORTS: &str = "
    door_bind door_call door_create door_cred door_getparam door_info door_return door_revoke door_server_create
    door_setparam door_ucred door_unbind door_xcreate fattach fdetach
    ucred_free ucred_getegid ucred_geteuid ucred_getgroups ucred_getpid ucred_getrgid ucred_getruid ucred_getsgid
    ucred_getsuid ucred_size
    open open64 openat openat64 creat creat64 __open_2 __open64_2 __openat_2 __openat64_2
    close close_range closefrom dup dup2 dup3 fcntl fcntl64
    pthread_cancel";

#[test]
fn only_the_interface_is_exported() {
    let output = succeed(
        Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(library(".so")),
    );
    let text = String::from_utf8(output.stdout).expect("symbols are ASCII");
    let exported: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect();
    assert_eq!(exported, EXPORTS.split_whitespace().collect());
}

#[test]
fn smallest_program_runs_with_the_shared_library() {
    let hello = program("hello", "cc", &["hello.c"]);
    let output = succeed(Command::new(hello).env_remove("LD_LIBRARY_PATH"));
    assert_eq!(output.stdout, b"42\n");
}

#[test]
fn smallest_program_runs_with_the_archive() {
    let hello = workspace().join("hello-archive");
    let mut command = Command::new("cc");
    command
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(source("include"));
    command
        .arg("-o")
        .arg(&hello)
        .arg(source("tests/c/hello.c"))
        .arg(library(".a"));
    command.args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"]);
    succeed(&mut command);
    assert_eq!(succeed(&mut Command::new(hello)).stdout, b"42\n");
}
