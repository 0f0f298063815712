//! Calls that are awaited, on a runtime of one thread: whatever blocked it would block the test.

use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use door::{Call, CallError, Door, DoorHandle, Reply, Threads};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Runtime;

use crate::support::{
    Counter, PATIENCE, Process, Server, file_with, listen, number, say, text_of, threads_named, wait_until,
};

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    run_on(&runtime(), future)
}

fn run_on<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("it hangs") })
}

/// Both ends of a pipe: what a procedure tells that it has begun with, and who waits for that.
pub(crate) fn signal() -> (Receiver, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Receiver::from_owned_fd(reader.into()).unwrap(), writer.into())
}

pub(crate) async fn began(mut reader: Receiver) {
    assert_eq!(
        reader.read(&mut [0]).await.unwrap(),
        1,
        "the call ended before it began"
    );
}

/// Waits until this many procedures of `patient` have seen that nobody waits for them.
async fn cancelled(server: &Server, count: u64) {
    let seen = server.open("cancelled");
    let seen = seen.call_async(&count.to_le_bytes()).await.unwrap();
    assert_eq!(number(&seen), count);
}

#[test]
fn a_call_that_is_held_does_not_block_the_runtime() {
    let server = Server::start();
    run(async {
        let (begin, announce) = signal();
        let hang = server.open("hang");
        let held = tokio::spawn(async move { hang.call_async(Call::new(b"").give(announce)).await });
        began(begin).await;
        let echo = server.open("echo");
        for round in 0..100u8 {
            assert_eq!(echo.call_async(&[round; 9]).await.unwrap().data(), [round; 9]);
        }
        assert!(!held.is_finished());
        held.abort();
        assert!(held.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn whoever_drops_an_awaited_call_has_given_it_up() {
    let server = Server::start();
    run(async {
        for round in 1..=5 {
            let (begin, announce) = signal();
            let patient = server.open("patient");
            tokio::select! {
                answer = patient.call_async(Call::new(b"").give(announce)) => panic!("{answer:?}"),
                () = began(begin) => {}
            }
            cancelled(&server, round).await;
        }
    });
}

#[test]
fn a_timeout_of_the_runtime_gives_the_call_up() {
    let server = Server::start();
    run(async {
        let patient = server.open("patient");
        // On a busy machine a call may be given up before any thread takes it.
        loop {
            let (mut begin, announce) = signal();
            let call = patient.call_async(Call::new(b"").give(announce));
            assert!(
                tokio::time::timeout(Duration::from_millis(15), call)
                    .await
                    .is_err()
            );
            if begin.read(&mut [0]).await.unwrap() == 1 {
                break;
            }
        }
        cancelled(&server, 1).await;
    });
}

#[test]
fn an_awaited_call_has_its_deadline() {
    let server = Server::start();
    run(async {
        let hang = server.open("hang");
        // On a busy machine it may be over before any thread has taken the call.
        loop {
            let (begin, announce) = signal();
            let call = Call::new(b"").give(announce).timeout(Duration::from_millis(15));
            let failed = hang.call_async(call).await.unwrap_err();
            assert!(matches!(failed.error, CallError::TimedOut), "{failed:?}");
            if failed.returned.is_empty() {
                began(begin).await;
                break;
            }
        }
        // It holds, too, if the server does not even say hello.
        let other = Server::start();
        let echo = other.open("echo");
        other.process.stop();
        let failed = echo
            .call_async(Call::new(b"").timeout(Duration::from_millis(5)))
            .await;
        assert!(matches!(failed.unwrap_err().error, CallError::TimedOut));
    });
}

#[test]
fn the_death_of_the_server_ends_awaited_calls() {
    let mut server = Server::start();
    let (hang, echo) = (server.open("hang"), server.open("echo"));
    run(async {
        let (begins, calls): (Vec<_>, Vec<_>) = (0..5)
            .map(|_| {
                let (begin, announce) = signal();
                (begin, hang.call_async(Call::new(b"").give(announce)))
            })
            .unzip();
        let kill = async {
            for begin in begins {
                began(begin).await;
            }
            server.process.kill();
        };
        let (outcomes, ()) = tokio::join!(all(calls), kill);
        for outcome in outcomes {
            assert!(matches!(outcome.unwrap_err().error, CallError::Interrupted));
        }
        let after = echo.call_async(b"").await.unwrap_err();
        assert!(matches!(after.error, CallError::Revoked), "{after:?}");
    });
}

/// The outcomes of all of them, which run at the same time.
async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    std::future::poll_fn(|context| {
        for (future, outcome) in &mut futures {
            if outcome.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *outcome = Some(value);
            }
        }
        if futures.iter().all(|(_, outcome)| outcome.is_some()) {
            std::task::Poll::Ready(
                futures
                    .iter_mut()
                    .filter_map(|(_, outcome)| outcome.take())
                    .collect(),
            )
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[test]
fn descriptors_of_an_awaited_call_arrive_or_come_back() {
    let server = Server::start();
    run(async {
        let lent = file_with("lent");
        let call = Call::new(b"")
            .give(file_with("given"))
            .lend(lent.as_fd())
            .give(file_with("last"));
        let answer = server.open("text").call_async(call).await.unwrap();
        assert_eq!(answer.data(), b"given,lent,last");

        let call = Call::new(b"")
            .lend(lent.as_fd())
            .give(file_with("one"))
            .give(file_with("two"));
        let failed = server.open("refuse").call_async(call).await.unwrap_err();
        assert!(matches!(failed.error, CallError::DescriptorsRefused));
        let returned: Vec<_> = failed.returned.into_iter().map(text_of).collect();
        assert_eq!(returned, ["one", "two"]);
        assert_eq!(text_of(lent), "lent");

        // A door of this process counts what travels, not what is kept here.
        let door = Door::builder()
            .create(|call| Reply::bytes(call.argument()))
            .unwrap();
        let answer = server
            .open("echo")
            .call_async(Call::new(b"").lend(door.as_fd()))
            .await
            .unwrap();
        let back = answer.into_descriptors().remove(0).into_door().unwrap();
        assert_eq!(back.call_async(b"round").await.unwrap().data(), b"round");
        assert!(!door.is_unreferenced().unwrap());
        drop(back);
    });
}

#[test]
fn long_arguments_and_answers_are_awaited_as_well() {
    let server = Server::start();
    run(async {
        let sent = crate::support::pattern(3 << 20, 5);
        let answer = server.open("echo").call_async(&sent).await.unwrap();
        assert!(answer.data() == sent);
        let call = Call::new(&sent).max_reply_bytes(1000);
        let failed = server.open("echo").call_async(call).await.unwrap_err();
        assert!(matches!(failed.error, CallError::ReplyTooBig { needed } if needed == sent.len()));
    });
}

#[test]
fn short_arguments_may_have_answers_of_all_kinds() {
    let server = Server::start();
    run(async {
        let (big, lend, limits) = (server.open("big"), server.open("lend"), server.open("limits"));
        // So often that some are answered while the task looks, and others are not.
        for round in 0..50 {
            for len in [0, 1, 97, 8193, 200_000, 1 << 20] {
                let answer = big.call_async(&(len as u64).to_le_bytes()).await.unwrap();
                assert!(answer.data() == crate::support::pattern(len, len as u64), "{len}");
            }
            let object = lend.call_async(b"").await.unwrap().into_descriptors().remove(0);
            let object = object.into_door().unwrap();
            assert_eq!(object.call_async(&[round]).await.unwrap().data(), [round]);
            let failed = limits.call_async(b"short").await.unwrap_err();
            assert!(matches!(failed.error, CallError::TooBig), "{failed:?}");
        }
    });
}

#[test]
fn an_awaited_call_of_a_revoked_door_fails() {
    let door = Door::builder().create(|_| Reply::empty()).unwrap();
    let handle = door.handle().unwrap();
    run(async {
        for _ in 0..10 {
            handle.call_async(b"").await.unwrap();
        }
        door.revoke();
        for _ in 0..10 {
            let failed = handle.call_async(b"").await.unwrap_err();
            assert!(matches!(failed.error, CallError::Revoked), "{failed:?}");
        }
    });
}

#[test]
fn a_call_that_was_never_polled_does_nothing() {
    let (door, called) = {
        let called = Counter::default();
        let count = called.clone();
        let door = Door::builder().create(move |_| {
            count.add();
            Reply::empty()
        });
        (door.unwrap(), called)
    };
    let handle = door.handle().unwrap();
    drop(handle.call_async(b""));
    run(handle.call_async(b"")).unwrap();
    assert_eq!(called.value(), 1);
}

#[test]
fn a_runtime_that_is_shut_down_gives_its_calls_up() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for _ in 0..10 {
        let patient = server.open("patient");
        let (begin, announce) = runtime.block_on(async { signal() });
        runtime.spawn(async move { patient.call_async(Call::new(b"").give(announce)).await });
        runtime.block_on(began(begin));
    }
    drop(runtime);
    run(cancelled(&server, 10));
}

#[test]
fn a_thousand_calls_wait_at_once() {
    const CALLS: u64 = 1000;
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start("meet", directory.path());
    process.wait_for("ready");
    let meeting = DoorHandle::open(directory.path().join("meeting")).unwrap();
    let count = CALLS.to_le_bytes();
    let answers = run(all((0..CALLS).map(|_| meeting.call_async(&count)).collect()));
    for answer in answers {
        assert_eq!(number(&answer.unwrap()), CALLS);
    }
}

/// Serves a door whose procedure returns when as many callers are there as it was told.
pub(crate) fn meet(directory: &Path) {
    let there = Counter::default();
    let door = Door::builder()
        .threads(Threads::up_to(1000).stack_bytes(64 << 10))
        .create(move |call| {
            there.add();
            Reply::bytes(
                there
                    .wait(u64::from_le_bytes(call.argument().try_into().unwrap()))
                    .to_le_bytes(),
            )
        })
        .unwrap();
    let _attachment = door.attach(directory.join("meeting")).unwrap();
    say("ready");
    listen();
}

#[test]
fn calls_given_up_leave_neither_threads_nor_descriptors_behind() {
    let server = Server::start();
    let mut child = Process::start("await_and_drop", server.directory.path());
    child.wait_for("stop");
    server.process.stop();
    child.tell("stopped");
    child.wait_for("continue");
    server.process.go_on();
    child.tell("goes on");
    assert!(child.finished_well());
}

/// Gives calls up that are never answered, and some that the server is not even asked for.
pub(crate) fn await_and_drop(directory: &Path) {
    let open = |name: &str| Arc::new(DoorHandle::open(directory.join(name)).unwrap());
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // A thread that is about to end its part may hold a runtime open a moment longer.
    let runtime = runtime();
    let (hang, echo) = (open("hang"), open("echo"));
    run_on(&runtime, async {
        echo.call_async(b"").await.unwrap();
        // Long enough for all that is made at the first call and kept.
        let call = Call::new(b"").timeout(Duration::from_millis(100));
        assert!(hang.call_async(call).await.is_err());
    });
    let before = descriptors();
    run_on(&runtime, async {
        for _ in 0..25 {
            let ((mut begin, announce), hang) = (signal(), Arc::clone(&hang));
            let call = tokio::spawn(async move { hang.call_async(Call::new(b"").give(announce)).await });
            assert_eq!(begin.read(&mut [0]).await.unwrap(), 1);
            call.abort();
            // The server has closed what it was given. The thread that waits has, when it waits no longer.
            assert_eq!(begin.read(&mut [0]).await.unwrap(), 0);
        }
    });
    let unknown = open("text");
    say("stop");
    listen();
    run_on(&runtime, async move {
        // That door was not called before, and the server cannot be asked for it.
        let (mut begin, announce) = signal();
        let call = tokio::spawn(async move { unknown.call_async(Call::new(b"").give(announce)).await });
        let quiet = tokio::time::timeout(Duration::from_millis(20), begin.read(&mut [0])).await;
        assert!(quiet.is_err());
        call.abort();
        assert_eq!(begin.read(&mut [0]).await.unwrap(), 0);
    });
    say("continue");
    listen();
    run_on(&runtime, echo.call_async(b"")).unwrap();
    // The last one closes what it had a moment after it was seen to have let go.
    wait_until(|| descriptors() <= before);
    // Each would have a thread of its own if it had kept it.
    assert!(threads_named("door-await") < 25);
}
