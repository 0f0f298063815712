//! What a door counts, as its server and as holders of a descriptor read it.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use door::{CallError, Door, DoorHandle, Reply, Statistics};

use crate::support::{PATIENCE, Process, Server, call, call_with, counting_door, file_with, number};

fn read(door: &DoorHandle) -> Statistics {
    door.statistics(PATIENCE).unwrap()
}

/// Reads again until `right`; what the server does after an answer, nobody waits for.
fn read_until(door: &DoorHandle, right: impl Fn(&Statistics) -> bool) -> Statistics {
    let start = Instant::now();
    loop {
        let told = read(door);
        if right(&told) {
            return told;
        }
        assert!(start.elapsed() < PATIENCE, "{told:?}");
        std::thread::yield_now();
    }
}

#[test]
fn every_call_is_counted_with_what_it_carried() {
    let server = Server::start();
    let echo = server.open("echo");
    let told = read(&echo);
    assert_eq!((told.calls, told.clients, told.exports, told.paths), (0, 0, 1, 1));
    assert_eq!(told.run_time.count(), 0);
    for size in [0, 1, 1000, 100_000, 1_000_000] {
        call(&echo, &vec![1; size]).unwrap();
    }
    for _ in 0..1000 {
        call(&echo, b"").unwrap();
    }
    call_with(&echo, b"xyz", vec![file_with("a"), file_with("b")]).unwrap();
    let told = read(&echo);
    assert_eq!((told.calls, told.errors(), told.running), (1006, 0, 0));
    assert_eq!((told.bytes_in, told.bytes_out), (1_101_004, 1_101_004));
    assert_eq!((told.descriptors_in, told.descriptors_out), (2, 2));
    assert_eq!(
        (told.most_running, told.clients, told.exports, told.paths),
        (1, 1, 1, 1)
    );
    assert!(told.threads >= 1 && told.threads_idle <= told.threads, "{told:?}");
    // Other doors of the process have counts of their own.
    assert_eq!(read(&server.open("length")).calls, 0);
}

#[test]
fn refused_calls_are_counted_and_run_nothing() {
    let server = Server::start();
    let limits = server.open("limits");
    assert!(matches!(call(&limits, b"small"), Err(CallError::TooBig)));
    assert!(matches!(call(&limits, &[0; 17]), Err(CallError::TooBig)));
    let many = (0..3).map(|_| file_with("")).collect();
    assert!(matches!(
        call_with(&limits, &[0; 8], many),
        Err(CallError::TooManyDescriptors)
    ));
    let told = read(&limits);
    assert_eq!((told.refused, told.errors(), told.calls), (3, 3, 0));
    let refuse = server.open("refuse");
    call_with(&refuse, b"", vec![file_with("")]).unwrap_err();
    assert_eq!(read(&refuse).refused, 1);
}

#[test]
fn a_procedure_that_fails_and_a_caller_that_gives_up_are_told_apart() {
    let server = Server::start();
    let panic = server.open("panic");
    assert!(matches!(call(&panic, b""), Err(CallError::Interrupted)));
    let told = read(&panic);
    assert_eq!(
        (told.calls, told.failed, told.aborted, told.running),
        (1, 1, 0, 0)
    );

    let patient = server.open("patient");
    let short = door::Call::new(b"").timeout(Duration::from_millis(1));
    assert!(matches!(
        patient.call_with(short).map_err(CallError::from),
        Err(CallError::TimedOut)
    ));
    let told = read_until(&patient, |told| told.aborted == 1 && told.running == 0);
    assert_eq!(told.failed, 0);
}

#[test]
fn calls_of_a_revoked_door_are_counted_and_can_still_be_read() {
    let server = Server::start();
    let lent = call(&server.open("revocable"), b"").unwrap().into_descriptors();
    let door = lent.into_iter().next().unwrap().into_door().unwrap();
    call(&door, b"x").unwrap();
    call(&server.open("revoke"), b"").unwrap();
    assert!(matches!(call(&door, b"x"), Err(CallError::Revoked)));
    let told = read(&door);
    assert_eq!((told.calls, told.revoked), (1, 1));
}

#[test]
fn calls_that_run_at_the_same_time_are_seen_and_remembered() {
    const AT_ONCE: usize = 5;
    let inside = Arc::new(Barrier::new(AT_ONCE + 1));
    let barrier = Arc::clone(&inside);
    let door = Door::builder()
        .create(move |_| {
            barrier.wait();
            barrier.wait();
            Reply::empty()
        })
        .unwrap();
    let handle = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..AT_ONCE)
            .map(|_| scope.spawn(|| call(&handle, b"").map(drop)))
            .collect();
        inside.wait();
        let told = door.statistics().unwrap();
        assert_eq!((told.running, told.most_running), (5, 5));
        assert!(told.threads >= 5, "{told:?}");
        inside.wait();
        for caller in callers {
            caller.join().unwrap().unwrap();
        }
    });
    let told = door.statistics().unwrap();
    assert_eq!((told.calls, told.running, told.most_running), (5, 0, 5));
}

#[test]
fn clients_are_counted_as_long_as_they_live() {
    let server = Server::start();
    let lend = server.open("lend");
    call(&lend, b"").unwrap();
    assert_eq!((read(&lend).clients, read(&lend).exports), (1, 1));
    let mut other = Process::start("hold", server.directory.path());
    other.wait_for("holding");
    assert_eq!((read(&lend).clients, read(&lend).exports), (2, 2));
    other.kill();
    read_until(&lend, |told| told.clients == 1 && told.exports == 1);
}

#[test]
fn unreferenced_invocations_are_counted() {
    let (door, seen) = counting_door();
    for round in 1..=2 {
        drop(door.lend().unwrap());
        assert_eq!(seen.wait(round), round);
        let told = door.statistics().unwrap();
        assert_eq!((told.unreferenced, told.calls), (round, 0));
    }
}

#[test]
fn the_time_of_a_call_that_woke_a_thread_is_kept() {
    const TIME: Duration = Duration::from_millis(2);
    let door = Door::builder()
        .create(|_| {
            let start = Instant::now();
            while start.elapsed() < TIME {
                std::hint::spin_loop();
            }
            Reply::empty()
        })
        .unwrap();
    let handle = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    call(&handle, b"").unwrap();
    let told = door.statistics().unwrap();
    assert_eq!(told.run_time.count(), 1);
    // The class of a duration is an eighth wide to both sides.
    assert!(
        told.run_time.quantile(0.5).unwrap() >= TIME * 7 / 8,
        "{:?}",
        told.run_time
    );
}

#[test]
fn a_dead_server_and_one_that_does_not_answer_are_errors() {
    let mut server = Server::start();
    let door = server.open("length");
    assert_eq!(number(&call(&door, b"abc").unwrap()), 3);
    server.process.stop();
    let soon = Duration::from_millis(1);
    assert_eq!(
        door.statistics(soon).unwrap_err().kind(),
        std::io::ErrorKind::TimedOut
    );
    assert_eq!(
        door.info_within(soon).unwrap_err().kind(),
        std::io::ErrorKind::TimedOut
    );
    server.process.kill();
    let gone = door.statistics(PATIENCE).unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(libc::EBADF));
}
