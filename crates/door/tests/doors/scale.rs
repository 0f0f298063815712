//! Many doors, many clients, many comings and goings: what a server does, and keeps, for each.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use door::{Attachment, Door, DoorHandle, Reply};

use crate::fork::in_child;
use crate::support::{Process, Server, call, listen, say, wait_until};
use crate::watch::Watched;

/// As many descriptors as this user may have; how many that is.
pub(crate) fn raise_limit() -> u64 {
    let resource = rustix::process::Resource::Nofile;
    let mut limit = rustix::process::getrlimit(resource);
    limit.current = limit.maximum.map(|most| most.min(1 << 20));
    rustix::process::setrlimit(resource, limit).unwrap();
    limit.current.unwrap_or(1 << 20)
}

fn cpu_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime)
        .try_into()
        .unwrap()
}

// ---- Many doors ------------------------------------------------------------------------------------------------------------

/// Doors in one reply.
const BATCH: usize = 50;
/// One of so many doors has a path.
const ATTACHED: usize = 50;

/// Role: a server that is asked for doors, and hands them out.
pub(crate) fn many_doors(directory: &Path) {
    raise_limit();
    let made = std::sync::Mutex::new((Vec::<Door>::new(), Vec::<Attachment>::new()));
    let paths = directory.to_owned();
    let spent = std::sync::Arc::new(std::sync::Mutex::new(Duration::ZERO));
    let counted = std::sync::Arc::clone(&spent);
    let maker = Door::builder()
        .create(move |_| {
            let before = cpu_time();
            let (doors, attachments) = &mut *made.lock().unwrap();
            let mut reply = Reply::empty();
            for _ in 0..BATCH {
                let number = doors.len() as u64;
                let door = Door::builder()
                    .create(move |_| Reply::bytes(number.to_le_bytes()))
                    .unwrap();
                if doors.len() % ATTACHED == 0 {
                    attachments.push(door.attach(paths.join(format!("door{number}"))).unwrap());
                }
                reply = reply.give(door.lend().unwrap());
                doors.push(door);
            }
            *counted.lock().unwrap() += cpu_time() - before;
            reply
        })
        .unwrap();
    let _attachment = maker.attach(directory.join("maker")).unwrap();
    say("ready");
    while !listen().is_empty() {
        say(&format!("spent {}", spent.lock().unwrap().as_micros()));
    }
}

#[test]
fn five_thousand_doors_are_made_passed_called_and_closed_over_one_link() {
    // Or as many as fit.
    let fifth = (raise_limit() as usize / 20 / BATCH * BATCH).clamp(BATCH, 1000);
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start("many_doors", directory.path());
    process.wait_for("ready");
    let watched = Watched::of(&process);
    let maker = DoorHandle::open(directory.path().join("maker")).unwrap();
    let spent = |process: &mut Process| {
        process.tell("how much?");
        process.wait_for("spent").parse::<u64>().unwrap()
    };
    // Makes a fifth of the doors, and calls each; how many microseconds that cost the server.
    let mut doors: Vec<DoorHandle> = Vec::new();
    let grow = |doors: &mut Vec<DoorHandle>, process: &mut Process| {
        let (before, first) = (spent(process), doors.len());
        while doors.len() < first + fifth {
            let answer = call(&maker, b"").unwrap();
            doors.extend(
                answer
                    .into_descriptors()
                    .into_iter()
                    .map(|door| door.into_door().unwrap()),
            );
        }
        check(doors, first);
        spent(process) - before
    };
    let first = grow(&mut doors, &mut process);
    let threads = watched.threads();
    let (application, private) = watched.descriptors();
    let costs: Vec<u64> = (0..4).map(|_| grow(&mut doors, &mut process)).collect();
    // What grows with the square of their number costs nine times as much in the end.
    assert!(costs[3] < 4 * first, "{first} us, then {costs:?}");
    // One descriptor each in the application's table. The control thread has the other ends: of each door, what was lent, and its path.
    let (application_now, private_now) = watched.descriptors();
    assert!(
        application_now <= application + 4 * fifth + 4,
        "{application_now}"
    );
    assert!(
        private_now <= private + 8 * fifth + 2 * (4 * fifth / ATTACHED + 1) + 4,
        "{private_now}"
    );
    assert!(watched.threads() <= threads + 2, "{} threads", watched.threads());
    assert_eq!(watched.links().len(), 1, "one process, one link");
    for number in (0..5 * fifth).step_by(ATTACHED) {
        let opened = DoorHandle::open(directory.path().join(format!("door{number}"))).unwrap();
        assert_eq!(call(&opened, b"").unwrap().data(), (number as u64).to_le_bytes());
    }
    check(&doors, 0);
    drop(doors);
    wait_until(|| watched.descriptors().1 <= private_now - 5 * fifth);
    assert!(call(&maker, b"").is_ok());
    process.tell("");
    assert!(process.finished_well());
}

/// Each door from `first` on says its own number.
fn check(doors: &[DoorHandle], first: usize) {
    for (number, door) in doors.iter().enumerate().skip(first) {
        assert_eq!(call(door, b"").unwrap().data(), (number as u64).to_le_bytes());
    }
}

// ---- Many clients ----------------------------------------------------------------------------------------------------------

/// Role: forks as many clients as its parent says. Each has called once, and then waits for the end.
pub(crate) fn crowd(directory: &Path) {
    let count: usize = listen().parse().unwrap();
    let (mut here, came) = std::io::pipe().unwrap();
    let (end, hold) = std::io::pipe().unwrap();
    let mut clients = Vec::new();
    for _ in 0..count {
        // SAFETY: the child calls a door, says so, and leaves without running anything of its parent's.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            let well = std::panic::catch_unwind(|| {
                // Only the parent's copy keeps the others from their end.
                // SAFETY: nothing in this process uses the number any more.
                unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&hold)) };
                let echo = DoorHandle::open(directory.join("echo")).unwrap();
                assert_eq!(call(&echo, b"once").unwrap().data(), b"once");
                (&came).write_all(b"!").unwrap();
                assert_eq!((&end).read(&mut [0]).unwrap(), 0);
            });
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(well.is_err())) };
        }
        clients.push(pid);
        // One after the other: that is quicker than a thousand at once.
        here.read_exact(&mut [0]).unwrap();
    }
    let numbers: Vec<String> = clients.iter().map(ToString::to_string).collect();
    say(&format!("here {}", numbers.join(" ")));
    listen();
    drop(hold);
    for pid in clients {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
    }
    say("gone");
}

/// KiB of a link's memory that are in use, on both sides together.
fn link_kib(server: Watched, client: Watched) -> u64 {
    let [(file, share)] = &client.links()[..] else {
        panic!("one client, one link")
    };
    let theirs = server.links();
    share + theirs.iter().find(|(number, _)| number == file).unwrap().1
}

#[test]
fn a_thousand_idle_clients_cost_memory_and_nothing_else() {
    let limit = raise_limit();
    // A quarter of the limit is what one user's clients may have.
    let count = 1000.min(limit as usize / 4 - 16);
    let server = Server::start_large();
    let other = Server::start();
    let watched = Watched::of(&server.process);
    let busy: Vec<_> = (0..4).map(|_| server.open("echo")).collect();
    let work = || {
        std::thread::scope(|scope| {
            for door in &busy {
                scope.spawn(move || {
                    for round in 0..2000u32 {
                        let sent = round.to_le_bytes();
                        assert_eq!(call(door, &sent).unwrap().data(), sent);
                    }
                });
            }
        });
    };
    work();
    let (threads, memory) = (watched.threads(), watched.anonymous_kib());
    let kept = (watched.links().len(), watched.descriptors());
    let mut crowd = Process::start("crowd", server.directory.path());
    crowd.tell(&count.to_string());
    let pids = crowd.wait_for("here");
    let clients: Vec<Watched> = pids.split(' ').map(|pid| Watched(pid.parse().unwrap())).collect();
    assert_eq!(clients.len(), count);
    work();
    assert!(
        watched.threads() <= threads + busy.len(),
        "a thread for each client"
    );
    let kib = (watched.anonymous_kib() - memory) / count as u64;
    let shared = link_kib(watched, clients[0]);
    assert!(
        kib <= 16 && shared <= 16,
        "{kib} KiB and {shared} KiB shared for an idle client"
    );

    let sleeps = |all: &[Watched]| all.iter().map(|one| one.sleeps()).sum::<u64>();
    let (before, clients_before) = (watched.sleeps(), sleeps(&clients));
    // For as long as this takes elsewhere, nobody calls here.
    let elsewhere = other.open("echo");
    for _ in 0..100_000 {
        call(&elsewhere, b"x").unwrap();
    }
    // A thread may have dozed on a lane, and gone to its pool.
    let woken = watched.sleeps() - before;
    assert!(woken <= watched.threads() as u64, "{woken} wake-ups");
    assert_eq!(sleeps(&clients), clients_before);
    crowd.tell("end");
    crowd.wait_for("gone");
    assert!(crowd.finished_well());
    wait_until(|| (watched.links().len(), watched.descriptors()) == kept);
}

/// Role: forks as many clients as its parent says, one after the other. Each calls once.
pub(crate) fn visitors(directory: &Path) {
    loop {
        let count = listen();
        if count.is_empty() {
            return;
        }
        for _ in 0..count.parse::<usize>().unwrap() {
            assert!(in_child(|| {
                let echo = DoorHandle::open(directory.join("echo")).unwrap();
                call(&echo, b"once").unwrap().data() == b"once"
            }));
        }
        say("gone");
    }
}

#[test]
fn ten_thousand_clients_that_come_and_go_leave_nothing() {
    let server = Server::start_large();
    let watched = Watched::of(&server.process);
    let mut visitors = Process::start("visitors", server.directory.path());
    let mut visit = |count: usize| {
        visitors.tell(&count.to_string());
        visitors.wait_for("gone");
        // The last ones are still being buried.
        wait_until(|| watched.links().is_empty());
    };
    visit(1000);
    let kept = || {
        let (application, private) = watched.descriptors();
        [watched.threads(), application, private]
    };
    let (before, memory, addresses) = (kept(), watched.anonymous_kib(), watched.addresses_kib());
    visit(9000);
    // A thread may have been added.
    wait_until(|| {
        kept()
            .into_iter()
            .zip(before)
            .all(|(now, before)| now <= before + 2)
    });
    let memory = watched.anonymous_kib().saturating_sub(memory);
    let addresses = watched.addresses_kib().saturating_sub(addresses);
    assert!(memory <= 1024, "{memory} KiB more");
    // A thread that was added, and the allocator's addresses for it; 9,000 links that were kept would be 150 GiB.
    assert!(addresses <= 1 << 20, "{addresses} KiB of addresses more");
    visitors.tell("");
    assert!(visitors.finished_well());
}
