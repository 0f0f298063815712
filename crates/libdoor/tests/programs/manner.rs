//! `tests/c/programs`: what users bring. Each is compiled by every compiler at hand, without and with optimisation, and runs as root and as nobody.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;

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

#[test]
fn a_tool_tells_what_is_a_door() {
    let expected = "\
        a path: server the other, cookie 7, UNREF REFUSE_DESC\n\
        /dev/null: no door\n\
        a number: not there\n\
        my own: server this, cookie 0, LOCAL NO_CANCEL IS_UNREF\n\
        shared: server this, cookie 0, LOCAL NO_CANCEL\n\
        revoked: server this, cookie 0, LOCAL REVOKED NO_CANCEL\n";
    answers("info.c", expected, None);
}

#[test]
fn a_call_with_cancellation_disabled_is_not_interrupted_by_one() {
    answers("disabled.c", "answer\ncancelled then\n", None);
}

#[test]
fn a_thread_is_cancelled_at_any_moment_of_a_call() {
    answers(
        "cancelled.c",
        "300 and 300 cancelled, 0 wrong\nsome were in their procedure\n",
        None,
    );
}

#[test]
fn a_signal_handler_cancels_its_thread_at_any_moment_of_a_call() {
    answers("own.c", "500 cancelled, 0 wrong\n", None);
}

#[test]
fn a_client_without_room_for_descriptors_waits_however_often_they_are_offered() {
    answers("full.c", "20000 offers in vain\n", None);
}

#[test]
fn cleanup_handlers_run_when_a_client_gives_up_or_is_killed() {
    answers(
        "cleanup.c",
        "given back when the client was killed\ngiven back when the client gave up\n",
        None,
    );
}

#[test]
fn events_go_to_doors_of_subscribers_until_they_are_gone() {
    answers(
        "subscribe.c",
        "2 get the first\n1 gets the second\nseen: one two\n",
        None,
    );
}

#[test]
fn many_questions_in_one_call_are_answered_by_who_asks() {
    answers(
        "mapping.c",
        "version 1 is wanted\n0, 33, -34, 0, 0, -22\nothers may look\n",
        None,
    );
}

#[test]
fn a_handle_outlives_its_daemon() {
    for (compiler, level) in ways() {
        let program = compile(compiler, &[level], &[program("handle.c")]);
        let folder = folder();
        let path = folder.path().join("door");
        let path = path.to_str().expect("the path is ASCII");
        let daemon = Server::start(&mut command(&program, &[path]));
        let mut client = command(&program, &[path, "client"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client starts");
        let mut input = client.stdin.take().expect("its input is ours");
        let mut output = BufReader::new(client.stdout.take().expect("its output is ours"));
        let mut ask = |names: u32| {
            writeln!(input, "{names}").expect("the client reads");
            let mut line = String::new();
            output.read_line(&mut line).expect("the client answers");
            line
        };
        assert_eq!(ask(5), "48 bytes from another\n");
        assert_eq!(ask(5), "48 bytes from the same\n");
        assert_eq!(ask(100), "808 bytes are needed\n");
        drop(daemon); // killed
        assert_eq!(ask(5), "Bad file descriptor\n");
        let daemon = Server::start(&mut command(&program, &[path]));
        assert_eq!(ask(5), "48 bytes from another\n");
        drop(daemon);
        let _daemon = Server::start(&mut command(&program, &[path]));
        assert_eq!(
            ask(2),
            "24 bytes from another\n",
            "its descriptor was of the one before"
        );
        drop(input);
        assert!(client.wait().expect("it is a child").success());
    }
}
