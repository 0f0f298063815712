//! When only the server's own reference is left.

use std::path::Path;

use door::{Door, DoorHandle, Reply};

use crate::support::{Counter, Process, Server, call, counting_door, listen, number, say};

fn unreferenced(server: &Server, least: u64) -> u64 {
    number(&call(&server.open("unreferenced"), &least.to_le_bytes()).unwrap())
}

#[test]
fn dr_130_the_last_close_in_a_client_is_noticed() {
    let server = Server::start();
    let lend = server.open("lend");
    let first = call(&lend, b"")
        .unwrap()
        .into_descriptors()
        .remove(0)
        .into_door()
        .unwrap();
    let second = call(&lend, b"").unwrap().into_descriptors().remove(0);
    call(&first, b"x").unwrap();
    drop(first);
    // Still referenced: the other one.
    assert_eq!(unreferenced(&server, 0), 0);
    drop(second);
    assert_eq!(unreferenced(&server, 1), 1);
}

#[test]
fn dr_130_a_killed_holder_is_noticed_each_time() {
    let server = Server::start();
    for round in 1..=2 {
        let mut holder = Process::start("hold", server.directory.path());
        holder.wait_for("holding");
        holder.kill();
        assert_eq!(unreferenced(&server, round), round);
    }
}

/// Role: holds a lent door until it is killed.
pub(crate) fn hold(directory: &Path) {
    let lend = DoorHandle::open(directory.join("lend")).unwrap();
    let door = call(&lend, b"")
        .unwrap()
        .into_descriptors()
        .remove(0)
        .into_door()
        .unwrap();
    call(&door, b"x").unwrap();
    say("holding");
    listen();
}

#[test]
fn dr_128_detaching_an_unopened_door_leaves_it_unreferenced() {
    let (door, seen) = counting_door();
    let directory = tempfile::tempdir().unwrap();
    let attachment = door.attach(directory.path().join("door")).unwrap();
    assert_eq!(seen.value(), 0);
    drop(attachment);
    assert_eq!(seen.wait(1), 1);
}

#[test]
fn dr_129_an_opener_counts_after_the_path_is_gone() {
    let (door, seen) = counting_door();
    let directory = tempfile::tempdir().unwrap();
    let attachment = door.attach(directory.path().join("door")).unwrap();
    let opened = DoorHandle::open(attachment.path()).unwrap();
    call(&opened, b"").unwrap();
    drop(attachment);
    assert_eq!(seen.value(), 0);
    drop(opened);
    assert_eq!(seen.wait(1), 1);
}

#[test]
fn dr_131_it_comes_after_the_call_in_progress() {
    let seen = Counter::default();
    let (count, during) = (seen.clone(), seen.clone());
    let (begun, begin) = std::sync::mpsc::channel();
    let (go_on, gone_on) = std::sync::mpsc::channel::<()>();
    let gone_on = std::sync::Mutex::new(gone_on);
    let door = Door::builder()
        .on_unreferenced(move || count.add())
        .create(move |_| {
            begun.send(()).unwrap();
            gone_on.lock().unwrap().recv().unwrap();
            Reply::bytes(during.value().to_le_bytes())
        })
        .unwrap();
    let lent = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    let other = door.lend().unwrap();
    let caller = std::thread::spawn(move || {
        let answer = call(&lent, b"").unwrap();
        (number(&answer), lent)
    });
    begin.recv().unwrap();
    drop(other);
    go_on.send(()).unwrap();
    let (seen_during, lent) = caller.join().unwrap();
    assert_eq!(seen_during, 0);
    drop(lent);
    assert_eq!(seen.wait(1), 1);
}

#[test]
fn dr_135_a_revoked_door_is_not_told() {
    let (door, seen) = counting_door();
    let lent = door.lend().unwrap();
    door.revoke();
    drop(lent);
    // Another door's notification passes through the same control thread and the same pool, later.
    let later = Counter::default();
    let count = later.clone();
    let other = Door::builder()
        .on_unreferenced(move || count.add())
        .create(|_| Reply::empty())
        .unwrap();
    drop(other.lend().unwrap());
    assert_eq!(later.wait(1), 1);
    assert_eq!(seen.value(), 0);
}

#[test]
fn an_015_an_unreferenced_invocation_waits_for_the_procedure_of_a_call_that_was_given_up() {
    let seen = Counter::default();
    let (count, during) = (seen.clone(), seen.clone());
    let (begun, begin) = std::sync::mpsc::channel();
    let (said, say) = std::sync::mpsc::channel();
    let door = Door::builder()
        .on_unreferenced(move || count.add())
        .create(move |call| {
            begun.send(()).unwrap();
            assert!(call.wait_cancelled(None));
            said.send(during.value()).unwrap();
            Reply::empty()
        })
        .unwrap();
    let lent = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    // Given up as soon as it has begun: the only reference but the server's goes with it.
    let client = std::thread::spawn(move || {
        let call = door::Call::new(b"").timeout(std::time::Duration::from_millis(50));
        drop(lent.call_with(call));
    });
    client.join().unwrap();
    // On a busy machine it may have been given up before any thread took it.
    if begin.try_recv().is_ok() {
        assert_eq!(say.recv().unwrap(), 0);
    }
    assert_eq!(seen.wait(1), 1);
}
