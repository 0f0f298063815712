//! Clients that always want more, in front of servers with few threads.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use door::engine::{self, AttachOptions, DoorSpec, ServerThread};
use door::{Attributes, DoorHandle, Limits};

use crate::support::{Process, call, listen, say};
use crate::wire::{LANES, RogueClient, word};

/// Role: two echoing doors with one thread each, and no more.
pub(crate) fn serve_alone(directory: &Path) {
    let options = AttachOptions {
        create: true,
        replace_stale: false,
    };
    let mut doors: Vec<OwnedFd> = Vec::new();
    for (name, attributes) in [("common", Attributes::empty()), ("private", Attributes::PRIVATE)] {
        let door = engine::create(DoorSpec {
            attributes: attributes | Attributes::NO_CANCEL,
            procedure_address: 0,
            cookie: 0,
            limits: Limits::default(),
            procedure: None,
        })
        .unwrap();
        engine::attach(door.as_fd(), &directory.join(name), options).unwrap();
        let pool = engine::pool_of(door.as_fd()).ok();
        doors.push(door);
        std::thread::spawn(move || {
            let mut thread = ServerThread::new(0).unwrap();
            thread.bind(pool);
            while let Ok(mut claimed) = thread.park() {
                let argument = claimed.argument().to_vec();
                let _ = claimed.finish(&argument, &[]);
                thread.retire(claimed);
            }
        });
    }
    say("ready");
    listen();
}

fn served_alone() -> (Process, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start("serve_alone", directory.path());
    process.wait_for("ready");
    (process, directory)
}

/// Runs `busy` over and over in another thread while a correct client makes some calls.
fn undisturbed(directory: &tempfile::TempDir, mut busy: impl FnMut() + Send + 'static) {
    let over = Arc::new(AtomicBool::new(false));
    let scribbler = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                busy();
            }
        })
    };
    let echo = DoorHandle::open(directory.path().join("common")).unwrap();
    for round in 0..20u32 {
        assert_eq!(
            call(&echo, &round.to_le_bytes()).unwrap().data(),
            round.to_le_bytes()
        );
    }
    over.store(true, Ordering::Relaxed);
    scribbler.join().unwrap();
}

#[test]
fn a_lane_that_never_rests_does_not_keep_the_only_thread() {
    let (_process, directory) = served_alone();
    let rogue = RogueClient::new(DoorHandle::open(directory.path().join("common")).unwrap());
    rogue.post(0, 1, 0);
    rogue.ring(1);
    undisturbed(&directory, move || {
        // There is always a request that has not been answered.
        rogue.memory.word(0, word::REQ).fetch_add(1, Ordering::SeqCst);
    });
}

#[test]
fn requests_that_are_passed_between_pools_do_not_keep_the_bells_from_being_heard() {
    let (_process, directory) = served_alone();
    let mut rogue = RogueClient::new(DoorHandle::open(directory.path().join("common")).unwrap());
    let private = DoorHandle::open(directory.path().join("private")).unwrap();
    let handles = [rogue.handle, rogue.attach(&private)];
    (0..LANES).for_each(|lane| rogue.post(lane, 1, 0));
    rogue.ring(u64::MAX);
    let mut round = 0;
    undisturbed(&directory, move || {
        // Whoever looks finds a request for the other.
        round += 1;
        for lane in 0..LANES {
            let memory = rogue.memory;
            memory
                .double_word(lane, word::HANDLE)
                .store(handles[(round + lane) % 2], Ordering::SeqCst);
            memory.word(lane, word::REQ).fetch_add(1, Ordering::SeqCst);
        }
    });
}
