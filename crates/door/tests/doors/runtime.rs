//! Doors served by a tokio runtime.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use door::{Answer, CallError, Door, DoorHandle, Invocation, Reply, Threads};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Barrier, Notify};

use crate::support::{Counter, call, threads_named};

/// A runtime of one thread that is busy with `block_on` elsewhere, as a program would be.
fn runtime() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    builder
}

fn start() -> Runtime {
    runtime().build().unwrap()
}

/// A call by a thread of its own.
fn caller(door: &Door, argument: &'static [u8]) -> JoinHandle<Result<Answer, CallError>> {
    let handle = door.handle().unwrap();
    std::thread::spawn(move || call(&handle, argument))
}

#[test]
fn an_asynchronous_procedure_waits_without_keeping_others_waiting() {
    let runtime = start();
    let meeting = Arc::new(Barrier::new(20));
    let door = Door::builder()
        .create_async(runtime.handle(), async move |call: Invocation<'_>| {
            // A timer needs the runtime; the others need a thread each.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            meeting.wait().await;
            Reply::bytes(call.argument())
        })
        .unwrap();
    let callers: Vec<_> = (0..20).map(|_| caller(&door, b"all here")).collect();
    for caller in callers {
        assert_eq!(caller.join().unwrap().unwrap().data(), b"all here");
    }
}

#[test]
fn an_asynchronous_procedure_borrows_its_invocation_and_answers_when_it_likes() {
    let runtime = start();
    let (passed, goes_on) = (Arc::new(Notify::new()), Counter::default());
    let (pass, seen) = (Arc::clone(&passed), goes_on.clone());
    let door = Door::builder()
        .create_async(runtime.handle(), async move |mut call: Invocation<'_>| {
            // Not to be sent to another thread.
            let local = std::rc::Rc::new(call.argument().to_vec());
            tokio::task::yield_now().await;
            let sent = call.reply(&local, &[]).unwrap();
            pass.notified().await;
            seen.add();
            sent
        })
        .unwrap();
    assert_eq!(call(&door.handle().unwrap(), b"early").unwrap().data(), b"early");
    assert_eq!(goes_on.value(), 0);
    passed.notify_one();
    assert_eq!(goes_on.wait(1), 1);
}

#[test]
fn a_panic_in_an_asynchronous_procedure_fails_its_call_only() {
    let runtime = start();
    let door = Door::builder()
        .threads(Threads::fixed(1))
        .create_async(runtime.handle(), async |call: Invocation<'_>| {
            tokio::task::yield_now().await;
            assert_ne!(call.argument(), b"panic", "as asked");
            Reply::empty()
        })
        .unwrap();
    let handle = door.handle().unwrap();
    for _ in 0..3 {
        assert!(matches!(call(&handle, b"panic"), Err(CallError::Interrupted)));
        call(&handle, b"").unwrap();
    }
}

#[test]
fn a_plain_procedure_runs_on_the_blocking_pool_of_a_runtime() {
    let named = runtime().thread_name("rt-blocking").build().unwrap();
    let door = Door::builder()
        .runtime(named.handle())
        .create(|_| {
            // Panics outside of a runtime.
            let _ = Handle::current();
            Reply::bytes(std::thread::current().name().unwrap_or_default())
        })
        .unwrap();
    let answer = call(&door.handle().unwrap(), b"").unwrap();
    assert_eq!(answer.data(), b"rt-blocking");
}

/// A door with one thread whose procedure says that it has begun, and then waits for ever.
fn endless(runtime: &Runtime) -> (Door, Counter) {
    let begun = Counter::default();
    let begin = begun.clone();
    let door = Door::builder()
        .threads(Threads::fixed(1))
        .create_async(runtime.handle(), async move |_: Invocation<'_>| {
            begin.add();
            std::future::pending().await
        })
        .unwrap();
    (door, begun)
}

#[test]
fn the_end_of_the_runtime_ends_invocations_and_revokes_the_door() {
    let runtime = start();
    let (door, begun) = endless(&runtime);
    let running = caller(&door, b"");
    begun.wait(1);
    let waiting = caller(&door, b"");
    // Waits for the threads of its blocking pool.
    drop(runtime);
    assert!(matches!(running.join().unwrap(), Err(CallError::Interrupted)));
    assert!(matches!(waiting.join().unwrap(), Err(CallError::Revoked)));
    assert!(matches!(
        call(&door.handle().unwrap(), b""),
        Err(CallError::Revoked)
    ));
    assert!(
        door.info()
            .unwrap()
            .attributes
            .contains(door::Attributes::REVOKED)
    );
    // Nothing is left to wait for.
    door.close();
    assert_eq!(begun.value(), 1);
}

#[test]
fn the_end_of_a_runtime_of_one_thread_does_so_too() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (door, begun) = endless(&runtime);
    let running = caller(&door, b"");
    begun.wait(1);
    drop(runtime);
    assert!(matches!(running.join().unwrap(), Err(CallError::Interrupted)));
    door.close();
}

#[test]
fn a_plain_procedure_holds_up_the_end_of_its_runtime_until_it_returns() {
    let runtime = start();
    let (begun, begin) = channel();
    let (leave, left) = channel::<()>();
    let left = Mutex::new(left);
    let door = Door::builder()
        .runtime(runtime.handle())
        .create(move |_| {
            begun.send(()).unwrap();
            left.lock().unwrap().recv().unwrap();
            Reply::bytes("done")
        })
        .unwrap();
    let running = caller(&door, b"");
    begin.recv().unwrap();
    let ending = std::thread::spawn(move || drop(runtime));
    // The door is revoked while the runtime waits.
    let handle = door.handle().unwrap();
    while !matches!(handle.info().unwrap().attributes, now if now.contains(door::Attributes::REVOKED)) {
        std::thread::yield_now();
    }
    leave.send(()).unwrap();
    ending.join().unwrap();
    assert_eq!(running.join().unwrap().unwrap().data(), b"done");
}

#[test]
fn a_runtime_that_has_ended_serves_nobody() {
    let runtime = start();
    let handle = runtime.handle().clone();
    drop(runtime);
    let door = Door::builder().create_async(&handle, async |_: Invocation<'_>| Reply::empty());
    let door = door.unwrap();
    assert!(matches!(
        call(&door.handle().unwrap(), b""),
        Err(CallError::Revoked)
    ));
    door.close();
}

#[test]
fn a_revoked_door_lets_its_futures_end_and_gives_the_threads_back() {
    let runtime = runtime().max_blocking_threads(1).build().unwrap();
    let (begun, release) = (Counter::default(), Arc::new(Notify::new()));
    let (begin, released) = (begun.clone(), Arc::clone(&release));
    let door = Door::builder()
        .create_async(runtime.handle(), async move |_: Invocation<'_>| {
            begin.add();
            released.notified().await;
            Reply::bytes("to the end")
        })
        .unwrap();
    let running = caller(&door, b"");
    begun.wait(1);
    door.revoke();
    release.notify_one();
    assert_eq!(running.join().unwrap().unwrap().data(), b"to the end");
    // The only thread of the blocking pool.
    let free = runtime.block_on(runtime.spawn_blocking(|| "free"));
    assert_eq!(free.unwrap(), "free");
}

#[test]
fn a_door_on_a_pool_without_a_free_thread_is_made_at_once_and_served_later() {
    let runtime = runtime().max_blocking_threads(1).build().unwrap();
    let (leave, left) = channel::<()>();
    let busy = runtime.spawn_blocking(move || left.recv());
    let door = Door::builder()
        .create_async(runtime.handle(), async |_: Invocation<'_>| {
            Reply::bytes("at last")
        })
        .unwrap();
    let waiting = caller(&door, b"");
    assert!(!busy.is_finished());
    leave.send(()).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap().data(), b"at last");
}

#[test]
fn procedures_that_await_doors_of_their_own_runtime_do_not_starve_each_other() {
    // A thread for each of the two doors, and none for callers that wait.
    let runtime = runtime().max_blocking_threads(2).build().unwrap();
    let inner = Door::builder()
        .threads(Threads::fixed(1))
        .create_async(runtime.handle(), async |call: Invocation<'_>| {
            Reply::bytes(call.argument())
        })
        .unwrap();
    let handle: DoorHandle = inner.handle().unwrap();
    let outer = Door::builder()
        .threads(Threads::fixed(1))
        .create_async(runtime.handle(), async move |call: Invocation<'_>| {
            match handle.call_async(call.argument()).await {
                Ok(answer) => Reply::bytes(answer.into_data()),
                Err(failed) => Reply::bytes(failed.to_string()),
            }
        })
        .unwrap();
    let outer = Arc::new(outer.handle().map(|handle| (outer, handle)).unwrap());
    runtime.block_on(async {
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let outer = Arc::clone(&outer);
                tokio::spawn(async move { outer.1.call_async(b"through").await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().data(), b"through");
        }
    });
}

#[test]
fn the_threads_of_a_door_on_a_runtime_have_a_bound() {
    let runtime = runtime().thread_name("rt-bounded").build().unwrap();
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let (inside, begun) = (Arc::clone(&release), Counter::default());
    let begin = begun.clone();
    let door = Door::builder()
        .threads(Threads::up_to(3))
        .create_async(runtime.handle(), async move |_: Invocation<'_>| {
            begin.add();
            inside.acquire().await.unwrap().forget();
            Reply::empty()
        })
        .unwrap();
    let callers: Vec<_> = (0..10).map(|_| caller(&door, b"")).collect();
    begun.wait(3);
    // Its worker, and three for the door.
    assert_eq!(threads_named("rt-bounded"), 4);
    release.add_permits(10);
    for caller in callers {
        caller.join().unwrap().unwrap();
    }
    assert_eq!(begun.value(), 10);
}
