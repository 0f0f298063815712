//! Wrong usage, wrong paths, and output nobody reads.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::{Doors, as_nobody, doorctl, path_in, run};

#[test]
fn a_path_without_a_door_is_named_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = path_in(folder.path(), "file");
    std::fs::write(&file, "no door").unwrap();
    let socket = path_in(folder.path(), "socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let cases = [
        (path_in(folder.path(), "none"), "doorctl ls"),
        (file, "this is no door"),
        (socket, "this is no door"),
        (folder.path().to_str().unwrap().to_owned(), "this is no door"),
    ];
    for (path, why) in cases {
        for command in ["info", "call", "bench"] {
            let outcome = run(&[command, &path]);
            assert_eq!(outcome.code, Some(1), "{command} {path}");
            assert!(
                outcome.err.starts_with(&format!("doorctl: {path}: ")),
                "{}",
                outcome.err
            );
            assert!(outcome.err.contains(why), "{}", outcome.err);
        }
    }
}

#[test]
fn the_door_of_a_dead_server_says_what_to_do_and_can_be_detached() {
    let mut doors = Doors::start();
    let path = doors.path("upper");
    doors.process.child.kill().unwrap();
    doors.process.child.wait().unwrap();
    let outcome = run(&["call", &path]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("doorctl detach"), "{}", outcome.err);
    assert_eq!(run(&["detach", &path]).code, Some(0));
    assert!(!std::fs::exists(&path).unwrap());
    let again = run(&["detach", &path]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("doorctl ls"), "{}", again.err);
}

#[test]
fn digits_that_are_none_are_wrong_usage() {
    for digits in ["zz", "123"] {
        let outcome = run(&["call", "/nowhere", "--hex", digits]);
        assert_eq!(outcome.code, Some(2));
        assert!(outcome.err.contains("hexadecimal digit"), "{}", outcome.err);
    }
}

#[test]
fn a_door_that_is_detached_brings_back_what_it_covered() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(folder.path(), "covered");
    std::fs::write(&path, "from before").unwrap();
    let door = door::Door::builder().create(|_| door::Reply::empty()).unwrap();
    let _attached = door.attach(&path).unwrap();
    assert_eq!(run(&["detach", &path]).code, Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "from before");
    let again = run(&["detach", &path]);
    assert!(again.err.contains("no door is attached there"), "{}", again.err);
}

#[test]
fn a_door_of_another_user_says_what_right_is_missing() {
    let doors = Doors::start();
    std::fs::set_permissions(doors.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let Some(mut command) = as_nobody(doorctl(&["call", &doors.path("upper")])) else {
        return;
    };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("right to write"), "{message}");
    let mut detach = as_nobody(doorctl(&["detach", &doors.path("upper")])).unwrap();
    let output = detach.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("only the owner"), "{message}");
}

#[test]
fn wrong_usage_exits_with_2_and_every_command_has_help() {
    for wrong in [
        &["call", "/d", "--data", "x", "--hex", "00"][..],
        &["call", "/d", "--deadline", "0"],
        &["call", "/d", "--save-fd", "x"],
        &["serve", "/d"],
        &["top", "--interval", "-1"],
        &[],
    ] {
        assert_eq!(run(wrong).code, Some(2), "{wrong:?}");
    }
    for command in ["ls", "info", "call", "serve", "bench", "top", "detach"] {
        let outcome = run(&[command, "--help"]);
        assert_eq!(outcome.code, Some(0), "{command}");
        assert!(outcome.text().contains("Usage: doorctl"), "{command}");
    }
    assert!(run(&["--help"]).text().contains("Exit status:"));
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    let doors = Doors::start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = doorctl(&["call", &doors.path("upper"), "--data", "x"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
