//! Threads of doors: pools of their own, bounds, and that a pool is never left without a thread.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};

use door::{CallError, Door, DoorHandle, Reply, Threads};

use crate::support::{call, listen, threads_named, wait_until};

fn name_of_this_thread() -> Vec<u8> {
    std::thread::current()
        .name()
        .unwrap_or_default()
        .as_bytes()
        .to_vec()
}

#[test]
fn a_private_door_is_served_by_its_own_threads_at_once() {
    let door = Door::builder()
        .threads(Threads::fixed(3).name("pool-own"))
        .create(|_| Reply::bytes(name_of_this_thread()))
        .unwrap();
    // They were all there when `create` returned.
    assert_eq!(threads_named("pool-own"), 3);
    assert_eq!(call(&door.handle().unwrap(), b"").unwrap().data(), b"pool-own");
    assert!(
        door.info()
            .unwrap()
            .attributes
            .contains(door::Attributes::PRIVATE)
    );
}

/// A door that tells of each call and then holds it, until it is told to let one go.
fn holding(threads: Threads) -> (Door, Receiver<()>, Sender<()>) {
    let (entered, entries) = channel();
    let (leave, left) = channel::<()>();
    let left = Mutex::new(left);
    let door = Door::builder()
        .threads(threads)
        .create(move |_| {
            entered.send(()).unwrap();
            left.lock().unwrap().recv().unwrap();
            Reply::empty()
        })
        .unwrap();
    (door, entries, leave)
}

#[test]
fn a_fixed_pool_does_not_grow_and_later_callers_wait() {
    let (door, entries, leave) = holding(Threads::fixed(2).name("pool-fixed"));
    let handle = Arc::new(door.handle().unwrap());
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let handle = Arc::clone(&handle);
            std::thread::spawn(move || call(&handle, b"").unwrap())
        })
        .collect();
    for _ in 0..2 {
        entries.recv_timeout(crate::support::PATIENCE).unwrap();
    }
    assert!(entries.try_recv().is_err());
    assert_eq!(threads_named("pool-fixed"), 2);
    for _ in 0..3 {
        leave.send(()).unwrap();
    }
    for caller in callers {
        caller.join().unwrap();
    }
    assert_eq!(threads_named("pool-fixed"), 2);
}

#[test]
fn a_growing_pool_has_a_thread_for_each_call_up_to_its_bound() {
    let together = Arc::new(Barrier::new(3));
    let meeting = Arc::clone(&together);
    let door = Door::builder()
        .threads(Threads::up_to(3).name("pool-grow"))
        .create(move |_| {
            meeting.wait();
            Reply::empty()
        })
        .unwrap();
    assert_eq!(threads_named("pool-grow"), 1);
    let handle = Arc::new(door.handle().unwrap());
    // Each round ends only when three procedures run at once.
    for _ in 0..2 {
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let handle = Arc::clone(&handle);
                std::thread::spawn(move || call(&handle, b"").unwrap())
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
    }
    assert_eq!(threads_named("pool-grow"), 3);
}

/// Panics again when what it panicked with is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload panics, too");
    }
}

#[test]
fn a_pool_of_one_survives_every_kind_of_panic() {
    let door = Door::builder()
        .threads(Threads::fixed(1))
        .create(|call| match call.argument() {
            b"panic" => panic!("as asked"),
            b"payload" => std::panic::panic_any(Bomb),
            other => Reply::bytes(other),
        })
        .unwrap();
    let handle = door.handle().unwrap();
    for _ in 0..3 {
        for argument in [&b"panic"[..], b"payload"] {
            assert!(matches!(call(&handle, argument), Err(CallError::Interrupted)));
            assert_eq!(call(&handle, b"alive").unwrap().data(), b"alive");
        }
    }
}

#[test]
fn a_pool_of_one_survives_the_captured_state_of_a_dropped_door() {
    // The last reference to the procedure may be the server thread's.
    for _ in 0..20 {
        let bomb = Bomb;
        let inner = Mutex::new(None::<Door>);
        let slot = Arc::new(inner);
        let own = Arc::clone(&slot);
        let door = Door::builder()
            .create(move |_| {
                let _captured = &bomb;
                drop(own.lock().unwrap().take());
                Reply::bytes(*b"gone")
            })
            .unwrap();
        let handle = door.handle().unwrap();
        *slot.lock().unwrap() = Some(door);
        assert_eq!(call(&handle, b"").unwrap().data(), b"gone");
        assert!(matches!(call(&handle, b""), Err(CallError::Revoked)));
    }
}

#[test]
fn a_revoked_private_door_refuses_and_its_threads_end() {
    let door = Door::builder()
        .threads(Threads::fixed(2).name("pool-end"))
        .create(|call| Reply::bytes(call.argument()))
        .unwrap();
    let handle = door.handle().unwrap();
    let other = door.handle().unwrap();
    call(&handle, b"x").unwrap();
    assert_eq!(threads_named("pool-end"), 2);
    door.close();
    let end = std::time::Instant::now() + crate::support::PATIENCE;
    while threads_named("pool-end") != 0 {
        assert!(
            std::time::Instant::now() < end,
            "threads of a revoked door are left"
        );
        std::thread::yield_now();
    }
    for _ in 0..3 {
        // By a lane that knows the door, by one that does not, and with an argument in pieces.
        assert!(matches!(call(&handle, b"x"), Err(CallError::Revoked)));
        assert!(matches!(call(&other, b"x"), Err(CallError::Revoked)));
        assert!(matches!(
            call(&handle, &vec![1; 1 << 20]),
            Err(CallError::Revoked)
        ));
    }
    // Lanes were not lost.
    let alive = Door::builder()
        .create(|call| Reply::bytes(call.argument()))
        .unwrap();
    assert_eq!(call(&alive.handle().unwrap(), b"y").unwrap().data(), b"y");
}

#[test]
fn impossible_pools_are_refused_and_leave_no_door() {
    for threads in [
        Threads::fixed(0),
        Threads::up_to(0),
        Threads::up_to(1).started_with(2),
        Threads::fixed(1).name("nul\0"),
    ] {
        let error = Door::builder()
            .threads(threads.clone())
            .create(|_| Reply::empty())
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc_einval()), "{threads:?}");
        assert!(door::set_process_threads(threads).is_err());
    }
    // More stack than there are addresses: no thread can be made.
    let error = Door::builder()
        .threads(Threads::fixed(1).stack_bytes(1 << 62))
        .create(|_| Reply::empty())
        .unwrap_err();
    assert!(error.raw_os_error().is_some(), "{error}");
}

fn libc_einval() -> i32 {
    rustix::io::Errno::INVAL.raw_os_error()
}

#[test]
fn the_stack_has_the_size_asked_for() {
    let door = Door::builder()
        .threads(Threads::fixed(1).stack_bytes(64 << 20))
        .create(|_| {
            // Twelve times what a thread has by default.
            let deep = [1_u8; 24 << 20];
            Reply::bytes([std::hint::black_box(&deep)[12 << 20]])
        })
        .unwrap();
    assert_eq!(call(&door.handle().unwrap(), b"").unwrap().data(), [1]);
}

#[test]
fn the_process_pool_can_be_bounded_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = crate::support::Process::start("bounded", directory.path());
    server.wait_for("ready");
    let door = DoorHandle::open(directory.path().join("door")).unwrap();
    assert_eq!(call(&door, b"").unwrap().data(), b"bounded");
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.child.id()))
        .unwrap()
        .filter(|task| {
            let comm = task.as_ref().unwrap().path().join("comm");
            std::fs::read_to_string(comm).is_ok_and(|comm| comm == "bounded\n")
        })
        .count();
    assert_eq!(threads, 2);
}

/// Role: a server whose process pool has exactly two threads.
pub(crate) fn bounded(directory: &std::path::Path) {
    door::set_process_threads(Threads::fixed(2).name("bounded")).unwrap();
    let door = Door::builder()
        .create(|_| Reply::bytes(name_of_this_thread()))
        .unwrap();
    let _attachment = door.attach(directory.join("door")).unwrap();
    crate::support::say("ready");
    listen();
}

#[test]
fn a_caller_who_waits_for_a_private_pool_is_answered_though_its_process_lets_go_of_the_door() {
    let (door, entries, leave) = holding(Threads::fixed(1).name("pool-left"));
    let handle = Arc::new(door.handle().unwrap());
    let start = || {
        let (handle, (tell, number)) = (Arc::clone(&handle), channel());
        let caller = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid()).unwrap();
            call(&handle, b"").map(drop)
        });
        (caller, number.recv().unwrap())
    };
    let (first, _) = start();
    entries.recv_timeout(crate::support::PATIENCE).unwrap();
    let (second, number) = start();
    // It sleeps on a word once it has posted its request.
    let sleeps = format!("{} ", libc::SYS_futex);
    let now = format!("/proc/self/task/{}/syscall", number.as_raw_nonzero());
    wait_until(|| std::fs::read_to_string(&now).unwrap().starts_with(&sleeps));
    let null = std::fs::File::open("/dev/null").unwrap();
    let references = || door.statistics().unwrap().exports;
    let before = references();
    // SAFETY: the handle keeps a number that is open.
    assert!(unsafe { libc::dup3(null.as_raw_fd(), handle.as_fd().as_raw_fd(), libc::O_CLOEXEC) } >= 0);
    wait_until(|| references() < before);
    leave.send(()).unwrap();
    leave.send(()).unwrap();
    first.join().unwrap().unwrap();
    assert!(!matches!(second.join().unwrap(), Err(CallError::TimedOut)));
}

#[test]
fn what_a_procedure_owns_goes_when_its_door_is_closed() {
    let owned = Arc::new(());
    let held = Arc::clone(&owned);
    let door = Door::builder()
        .create(move |_| {
            assert!(Arc::strong_count(&held) > 0);
            Reply::empty()
        })
        .unwrap();
    let handle = door.handle().unwrap();
    call(&handle, b"").unwrap();
    drop(handle);
    door.close();
    wait_until(|| Arc::strong_count(&owned) == 1);
}
