//! Ends that are not the end of a procedure: deaths, revocation, deadlines.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use door::{Attributes, Call, CallError, DoorHandle};

use crate::support::{Process, Server, call, call_with, listen, number, say};

/// Starts a call whose procedure announces itself; returns when it has begun.
fn begin(
    door: DoorHandle,
    argument: &'static [u8],
) -> std::thread::JoinHandle<(Result<Vec<u8>, CallError>, DoorHandle)> {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let caller = std::thread::spawn(move || {
        let outcome = call_with(&door, argument, vec![writer.into()]);
        (outcome.map(door::Answer::into_data), door)
    });
    reader.read_exact(&mut [0]).unwrap();
    caller
}

#[test]
fn dr_058_the_death_of_the_server_ends_the_call_at_once() {
    let mut server = Server::start();
    let caller = begin(server.open("hang"), b"");
    let killed = Instant::now();
    server.process.kill();
    let (outcome, hang) = caller.join().unwrap();
    assert!(matches!(outcome, Err(CallError::Interrupted)), "{outcome:?}");
    assert!(
        killed.elapsed() < Duration::from_secs(2),
        "{:?}",
        killed.elapsed()
    );
    // DR-059
    assert!(matches!(call(&hang, b""), Err(CallError::Revoked)));
    let info = hang.info().unwrap();
    assert!(info.target.is_none() && info.attributes.contains(Attributes::REVOKED));
}

#[test]
fn dr_058_so_does_its_suicide_in_the_procedure() {
    let server = Server::start();
    let die = server.open("die");
    assert!(matches!(call(&die, b""), Err(CallError::Interrupted)));
    assert!(matches!(call(&die, b""), Err(CallError::Revoked)));
}

#[test]
fn the_death_of_the_server_ends_all_calls_of_a_process() {
    let mut server = Server::start();
    let callers: Vec<_> = (0..5).map(|_| begin(server.open("hang"), b"")).collect();
    server.process.kill();
    for caller in callers {
        assert!(matches!(caller.join().unwrap().0, Err(CallError::Interrupted)));
    }
}

#[test]
fn dr_053_a_revoked_door_refuses_and_dr_055_lets_calls_end() {
    let server = Server::start();
    let revocable = call(&server.open("revocable"), b"")
        .unwrap()
        .into_descriptors()
        .remove(0)
        .into_door()
        .unwrap();
    assert_eq!(call(&revocable, b"x").unwrap().data(), b"x");
    call(&server.open("revoke"), b"").unwrap();
    assert!(matches!(call(&revocable, b"x"), Err(CallError::Revoked)));
    let info = revocable.info().unwrap();
    assert!(info.attributes.contains(Attributes::REVOKED));
    assert_eq!(info.target, Some(server.process.child.id()));
}

#[test]
fn dr_055_a_call_in_progress_outlives_revocation() {
    let (begun, begin) = std::sync::mpsc::channel();
    let (go_on, gone_on) = std::sync::mpsc::channel::<()>();
    let gone_on = std::sync::Mutex::new(gone_on);
    let door = door::Door::builder()
        .create(move |call| {
            begun.send(()).unwrap();
            gone_on.lock().unwrap().recv().unwrap();
            door::Reply::bytes(call.argument())
        })
        .unwrap();
    let handle = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    let caller = std::thread::spawn(move || call(&handle, b"to the end").map(door::Answer::into_data));
    begin.recv().unwrap();
    door.revoke();
    go_on.send(()).unwrap();
    assert_eq!(caller.join().unwrap().unwrap(), b"to the end");
}

#[test]
fn a_deadline_ends_the_call_and_the_server_is_told() {
    let server = Server::start();
    let patient = server.open("patient");
    for round in 1..=3u64 {
        // On a busy machine a call may be given up before any thread takes it.
        loop {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let call = Call::new(b"").give(writer).timeout(Duration::from_millis(15));
            let error = patient.call_with(call).unwrap_err().error;
            assert!(matches!(error, CallError::TimedOut), "{error:?}");
            if reader.read(&mut [0]).unwrap() == 1 {
                break;
            }
        }
        let seen = call(&server.open("cancelled"), &round.to_le_bytes()).unwrap();
        assert_eq!(number(&seen), round);
    }
    assert_eq!(call(&server.open("echo"), b"next").unwrap().data(), b"next");
}

#[test]
fn an_022_a_late_reply_does_not_reach_the_next_call() {
    let server = Server::start();
    let (patient, echo) = (server.open("patient"), server.open("echo"));
    for round in 0..30u8 {
        let _ = patient.call_with(Call::new(b"").timeout(Duration::from_micros(300)));
        assert_eq!(call(&echo, &[round; 50]).unwrap().data(), [round; 50]);
    }
}

#[test]
fn dr_074_the_death_of_the_client_cancels_its_call() {
    let server = Server::start();
    let mut client = Process::start("abandon", server.directory.path());
    client.wait_for("begun");
    client.kill();
    assert_eq!(
        number(&call(&server.open("cancelled"), &1u64.to_le_bytes()).unwrap()),
        1
    );
}

/// Role: a client that is killed in the middle of a call.
pub(crate) fn abandon(directory: &Path) {
    let patient = DoorHandle::open(directory.join("patient")).unwrap();
    let caller = begin(patient, b"");
    say("begun");
    let _ = caller.join();
}

#[test]
fn dr_157_closing_the_descriptor_does_not_end_a_call_on_it() {
    let server = Server::start();
    let revocable = call(&server.open("revocable"), b"")
        .unwrap()
        .into_descriptors()
        .remove(0);
    let door = revocable.into_door().unwrap();
    let clone = door.try_clone().unwrap();
    let caller = begin(door, b"argument");
    drop(clone);
    let (outcome, _) = caller.join().unwrap();
    assert_eq!(outcome.unwrap(), b"argument");
}

#[test]
fn dr_067_a_caller_that_stood_still_gets_its_answer() {
    let server = Server::start();
    let mut still = Process::start("stand_still", server.directory.path());
    still.wait_for("calling");
    still.stop();
    // What it waits for: a call that is given up.
    let mut client = Process::start("abandon", server.directory.path());
    client.wait_for("begun");
    client.kill();
    assert_eq!(
        number(&call(&server.open("cancelled"), &1u64.to_le_bytes()).unwrap()),
        1
    );
    still.go_on();
    assert!(still.finished_well());
}

/// Role: makes a call that takes until another one is given up.
pub(crate) fn stand_still(directory: &Path) {
    let cancelled = DoorHandle::open(directory.join("cancelled")).unwrap();
    call(&cancelled, &0u64.to_le_bytes()).unwrap();
    say("calling");
    assert_eq!(number(&call(&cancelled, &1u64.to_le_bytes()).unwrap()), 1);
}

#[test]
fn a_server_that_stood_still_answers_afterwards() {
    let server = Server::start();
    let echo = server.open("echo");
    call(&echo, b"warm").unwrap();
    server.process.stop();
    let caller = std::thread::spawn(move || call(&echo, b"patient").map(door::Answer::into_data));
    // A deadline does not depend on it.
    let other = server.open("length");
    let outcome = other
        .call_with(Call::new(b"x").timeout(Duration::from_millis(20)))
        .map_err(CallError::from);
    assert!(matches!(outcome, Err(CallError::TimedOut)), "{outcome:?}");
    server.process.go_on();
    assert_eq!(caller.join().unwrap().unwrap(), b"patient");
}

#[test]
fn a_client_that_executes_another_program_gives_its_call_up() {
    let server = Server::start();
    let mut client = Process::start("execute", server.directory.path());
    client.wait_for("begun");
    client.tell("execute");
    let seen = call(&server.open("cancelled"), &1u64.to_le_bytes()).unwrap();
    assert_eq!(number(&seen), 1);
    // The process lives on as the other program.
    assert!(client.child.try_wait().unwrap().is_none());
}

/// Role: becomes another program while one of its threads is in a call.
pub(crate) fn execute(directory: &Path) {
    let patient = DoorHandle::open(directory.join("patient")).unwrap();
    let _caller = begin(patient, b"");
    say("begun");
    listen();
    panic!("{}", Command::new("cat").exec());
}

#[test]
fn dr_063_a_server_that_executes_another_program_ends_its_calls() {
    let mut server = Server::start();
    let (execute, echo) = (server.open("execute"), server.open("echo"));
    call(&echo, b"before").unwrap();
    let (outcome, _) = begin(execute, b"").join().unwrap();
    assert!(matches!(outcome, Err(CallError::Interrupted)), "{outcome:?}");
    assert!(matches!(call(&echo, b"after"), Err(CallError::Revoked)));
    assert!(server.process.child.try_wait().unwrap().is_none());
}
