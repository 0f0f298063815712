//! `tests/c/programs`: what users bring. Each is compiled by every compiler at hand, without and with optimisation, and runs as root and as nobody.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use crate::run::{NOBODY, Server, command, compile, folder, is_root, says, ways};
use crate::support::source;

pub(crate) fn program(name: &str) -> PathBuf {
    source("tests/c/programs").join(name)
}

/// What the client says in each of the ways; the server too, after it was ready, if it ends by itself.
fn answers(name: &str, expected: &str, last_words: Option<&str>) {
    let mut users = vec![None];
    if is_root() {
        users.push(Some(NOBODY));
    }
    for (compiler, level) in ways() {
        let program = compile(compiler, &[level], &[program(name)]);
        for user in &users {
            let folder = folder();
            let path = folder.path().join("door");
            let path = path.to_str().expect("the path is ASCII");
            let as_user = |arguments: &[&str]| {
                let mut command = command(&program, arguments);
                if let Some(user) = user {
                    command.uid(*user).gid(*user);
                }
                command
            };
            let mut server = Server::start(&mut as_user(&[path]));
            assert_eq!(
                says(&mut as_user(&[path, "client"])),
                expected,
                "{compiler} {level} {user:?}"
            );
            if let Some(words) = last_words {
                let (status, said) = server.wait();
                assert!(status.success(), "{status}");
                assert_eq!(said, words);
            }
        }
    }
}

#[test]
fn one_buffer_serves_every_call_and_mappings_are_given_back() {
    answers("buffer.c", "120 fitted, 180 mapped\n", None);
}

#[test]
fn a_server_limits_its_own_threads() {
    answers("managed.c", "three at most\n", None);
}

#[test]
fn interrupted_calls_end_and_can_be_repeated() {
    answers(
        "interrupted.c",
        "exit: EINTR\nreturn: EINTR\nalarm: EINTR\nagain: answered\n",
        None,
    );
}

#[test]
fn a_cached_descriptor_is_looked_at_before_each_call() {
    answers(
        "cached.c",
        "HELLO\nBACK and back\nsame descriptor\nAGAIN\nanother descriptor\n",
        None,
    );
}

#[test]
fn each_client_gets_a_door_of_its_own() {
    answers(
        "two_level.c",
        "too short: ENOBUFS\nclient 0 of 2\nclient 1 of 2\none is left\n",
        None,
    );
}

#[test]
fn a_daemon_ends_when_its_door_is_unreferenced() {
    answers(
        "shutdown.c",
        "stay\n0 bytes\na file again\nbye\n",
        Some("nobody is left\n"),
    );
}

#[test]
fn the_lifetime_of_a_descriptor_is_a_lock() {
    answers(
        "locks.c",
        "taken: 0\nagain: EBUSY\ntaken after close\nheld by another: EBUSY\ntaken after its death\n",
        None,
    );
}

#[test]
fn one_thread_delivers_events_in_order() {
    answers("serial.c", "400 events, 0 wrong\n", None);
}

#[test]
fn an_empty_call_is_a_sign_of_life() {
    answers("alive.c", "alive\nno data, please\ndead\n", None);
}

#[test]
fn sessions_with_a_thread_each_come_and_go() {
    answers("sessions.c", "300 sessions, 150 at once, 0 wrong\n", None);
}

#[test]
fn everything_at_once_loses_nothing() {
    answers(
        "churn.c",
        "240 called, 60 revoked, 60 cancelled, 60 interrupted, 60 unreferenced, 60 bound, 0 wrong\n",
        None,
    );
}
