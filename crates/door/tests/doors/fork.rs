//! Forked children.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use door::{Call, CallError, Door, DoorHandle, Reply};

use crate::awaited::{began, run, signal};
use crate::support::{Process, Server, call, call_with, file_with, pattern, say, text_of, wait_until};

/// Runs `body` in a forked child of this process; true if it returned true in time.
pub(crate) fn in_child(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only runs `body`, and leaves without running the parent's destructors.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or_else(|panic| {
            // What is printed in this child is kept for a test that the parent runs.
            let said = panic.downcast_ref::<String>().map_or("", String::as_str);
            let _ = std::io::stderr().write_all(format!("in a child: {said}\n").as_bytes());
            false
        });
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!well)) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[test]
fn a_forked_client_makes_its_own_link_and_its_parent_keeps_its_own() {
    let server = Server::start();
    let echo = server.open("echo");
    let who = server.open("who");
    assert_eq!(call(&echo, b"before").unwrap().data(), b"before");
    assert!(in_child(|| {
        let said = call(&who, b"").unwrap().into_data();
        let pid = String::from_utf8(said)
            .unwrap()
            .split(' ')
            .nth(4)
            .unwrap()
            .parse::<u32>()
            .unwrap();
        pid == std::process::id() && call(&echo, b"child").unwrap().data() == b"child"
    }));
    assert_eq!(call(&echo, b"after").unwrap().data(), b"after");
}

#[test]
fn a_forked_child_awaits_calls_of_its_own() {
    let server = Server::start();
    let (hang, echo) = (server.open("hang"), server.open("echo"));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let (begin, announce) = runtime.block_on(async { signal() });
    let held = runtime.spawn(async move { hang.call_async(Call::new(b"").give(announce)).await });
    runtime.block_on(began(begin));
    let echoes = async || {
        for round in 0..20u8 {
            assert_eq!(echo.call_async(&[round]).await.unwrap().data(), [round]);
        }
    };
    run(echoes());
    assert!(in_child(|| {
        run(async {
            echoes().await;
            let hang = server.open("hang");
            let call = Call::new(b"").timeout(std::time::Duration::from_millis(1));
            matches!(
                hang.call_async(call).await.unwrap_err().error,
                CallError::TimedOut
            )
        })
    }));
    run(echoes());
    assert!(!held.is_finished());
}

#[test]
fn dr_152_a_forked_server_leaves_its_doors_to_the_parent() {
    let parent = std::process::id();
    let door = Door::builder()
        .create(|_| Reply::bytes(std::process::id().to_le_bytes()))
        .unwrap();
    let handle = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    let served_by =
        |handle: &DoorHandle| u32::from_le_bytes(call(handle, b"").unwrap().data().try_into().unwrap());
    assert_eq!(served_by(&handle), parent);
    assert!(in_child(|| {
        // DR-153, DR-155
        let not_local = !handle
            .info()
            .unwrap()
            .attributes
            .contains(door::Attributes::LOCAL);
        let own = Door::builder().create(|_| Reply::bytes(*b"child's")).unwrap();
        let own_handle = DoorHandle::from_fd(own.lend().unwrap()).unwrap();
        // Not the child's to revoke.
        door.revoke();
        not_local && served_by(&handle) == parent && call(&own_handle, b"").unwrap().data() == b"child's"
    }));
    // DR-154
    assert_eq!(served_by(&handle), parent);
}

#[test]
fn a_procedure_that_forks_and_returns_in_the_child_ends_the_child_in_order() {
    let door = Door::builder()
        .create(|_| {
            // SAFETY: the child returns from here, and its thread ends.
            let pid = unsafe { libc::fork() };
            let mut status = 0;
            if pid > 0 {
                // SAFETY: `status` outlives the call.
                assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            }
            Reply::bytes(status.to_le_bytes())
        })
        .unwrap();
    let answer = call(&door.handle().unwrap(), b"").unwrap();
    assert_eq!(answer.data(), 0i32.to_le_bytes());
}

/// Forks that have been made so far.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// Forks wherever the thread is. The child leaves at once, or becomes another program.
extern "C" fn fork_here(_: libc::c_int) {
    let number = FORKS.load(Ordering::SeqCst);
    let flags = libc::c_long::from(libc::SIGCHLD);
    // SAFETY: a fork of this thread alone, without handlers; the child calls nothing that is not safe in a signal handler.
    if unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } == 0 {
        if number.is_multiple_of(8) {
            let program = c"/bin/true".as_ptr();
            // SAFETY: both lists end with a null pointer.
            unsafe {
                libc::execve(
                    program,
                    [program, std::ptr::null()].as_ptr(),
                    [std::ptr::null()].as_ptr(),
                )
            };
        }
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    FORKS.store(number + 1, Ordering::SeqCst);
}

#[test]
fn a_client_may_fork_at_any_instruction() {
    let server = Server::start();
    let mut client = Process::start("forks_anywhere", server.directory.path());
    assert!(client.finished_well());
}

/// Role: calls without a pause, and is made to fork over and over.
pub(crate) fn forks_anywhere(directory: &Path) {
    // SAFETY: children that have ended are nobody's business.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let handler: extern "C" fn(libc::c_int) = fork_here;
    // SAFETY: the handler is safe wherever it runs.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    let echo = DoorHandle::open(directory.join("echo")).unwrap();
    // SAFETY: asks only.
    let caller = unsafe { libc::pthread_self() };
    let tormentor = std::thread::spawn(move || {
        let mut random = pattern(1 << 16, 7).into_iter().cycle();
        for round in 0..1500 {
            // SAFETY: the thread waits for the end of this one.
            assert_eq!(unsafe { libc::pthread_kill(caller, libc::SIGUSR1) }, 0);
            wait_until(|| FORKS.load(Ordering::SeqCst) > round);
            (0..u32::from(random.next().unwrap()) * 40).for_each(|_| std::hint::spin_loop());
        }
    });
    let mut round = 0u64;
    while !tormentor.is_finished() {
        let sent = pattern([0, 80, 3000, 70_000, 300_000][round as usize % 5], round);
        if round.is_multiple_of(16) {
            let answer = call_with(&echo, &sent, vec![file_with("given")]).unwrap();
            assert!(answer.data() == sent);
            assert_eq!(text_of(answer.into_descriptors().remove(0).into_fd()), "given");
        } else {
            assert!(call(&echo, &sent).unwrap().data() == sent, "round {round}");
        }
        round += 1;
    }
    tormentor.join().unwrap();
    say("done");
}

/// In a server: forks over and over beside its server threads. Each child makes a door of its own, calls it and its parent's.
pub(crate) fn fork_beside() -> std::thread::JoinHandle<()> {
    std::thread::spawn(|| {
        for round in 0..300 {
            let well = in_child(|| {
                let door = Door::builder().create(|_| Reply::bytes(*b"child's")).unwrap();
                let door = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
                call(&door, b"").unwrap().data() == b"child's"
            });
            if !well {
                say(&format!("forked badly in round {round}"));
                return;
            }
        }
        say("forked well");
    })
}

#[test]
fn a_server_may_fork_whatever_its_threads_are_doing() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start("forks_beside", directory.path());
    server.wait_for("ready");
    let over = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for seed in 1..=2 {
            let (echo, over) = (DoorHandle::open(directory.path().join("echo")).unwrap(), &over);
            scope.spawn(move || {
                let mut round = seed;
                while over.load(Ordering::SeqCst) == 0 {
                    let sent = pattern([10, 80, 3000, 300_000][round as usize % 4], round);
                    assert!(call(&echo, &sent).unwrap().data() == sent, "round {round}");
                    round += 2;
                }
            });
        }
        let how = server.wait_for("forked");
        over.store(1, Ordering::SeqCst);
        assert_eq!(how, "well");
    });
    server.tell("");
    assert!(server.finished_well());
}

#[test]
fn an_012_a_caller_whose_process_forks_gets_its_answer() {
    let server = Server::start();
    let cancelled = server.open("cancelled");
    call(&cancelled, &0u64.to_le_bytes()).unwrap();
    std::thread::scope(|scope| {
        // It waits until another call is given up.
        let caller = scope.spawn(|| call(&cancelled, &1u64.to_le_bytes()).map(door::Answer::into_data));
        let mut given_up = Process::start("abandon", server.directory.path());
        given_up.wait_for("begun");
        for _ in 0..5 {
            assert!(in_child(|| true));
        }
        given_up.kill();
        assert_eq!(caller.join().unwrap().unwrap(), 1u64.to_le_bytes());
    });
}
