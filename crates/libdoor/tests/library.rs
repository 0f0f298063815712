//! The library as a file: what it exports, how it is linked.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use support::{library, program, source, succeed, workspace};

/// What the manual pages describe.
const INTERFACE: &str = "
    door_bind door_call door_create door_cred door_getparam door_info door_return door_revoke door_server_create
    door_setparam door_ucred door_unbind door_xcreate fattach fdetach
    ucred_free ucred_getegid ucred_geteuid ucred_getgroups ucred_getpid ucred_getrgid ucred_getruid ucred_getsgid
    ucred_getsuid ucred_size";

/// Functions of the C library that are answered here, so that descriptors and paths of doors behave.
const INTERPOSED: &str = "
    open open64 openat openat64 creat creat64 __open_2 __open64_2 __openat_2 __openat64_2 fopen fopen64
    stat stat64 lstat lstat64 fstat fstat64 fstatat fstatat64 statx
    __xstat __xstat64 __lxstat __lxstat64 __fxstat __fxstat64 __fxstatat __fxstatat64
    close close_range closefrom dup dup2 dup3 fcntl fcntl64 pthread_cancel";

fn lines(command: &mut Command) -> Vec<String> {
    let output = succeed(command);
    let text = String::from_utf8(output.stdout).expect("symbols are ASCII");
    text.lines().map(str::to_owned).collect()
}

/// Interposed functions have no version on purpose: see `link/libdoor.map`.
#[test]
fn only_the_interface_is_exported_and_has_a_version() {
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only", "--with-symbol-versions"]);
    let exported: BTreeSet<String> = lines(nm.arg(library(".so")))
        .iter()
        .filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned))
        .filter(|name| name != "LIBDOOR_1.0") // the version itself
        .collect();
    let versioned = INTERFACE
        .split_whitespace()
        .map(|name| format!("{name}@@LIBDOOR_1.0"));
    let plain = INTERPOSED.split_whitespace().map(str::to_owned);
    assert_eq!(exported, versioned.chain(plain).collect());
}

#[test]
fn the_soname_is_stable() {
    let dynamic = lines(Command::new("readelf").arg("-d").arg(library(".so"))).join("\n");
    assert!(dynamic.contains("Library soname: [libdoor.so.1]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
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
