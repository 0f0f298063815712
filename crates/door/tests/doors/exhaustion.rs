//! Processes that are out of descriptors, memory or threads: an error for whoever asked for too much, and nothing for anybody else.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use door::{CallError, Door, DoorHandle, Reply, Threads};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::fork::in_child;
use crate::scale::raise_limit;
use crate::support::{
    Process, Server, call, call_with, file_with, is_root, listen, number, pattern, say, wait_until,
};
use crate::watch::Watched;
use crate::wire::{LANES, RogueClient, word};

/// Changes a soft limit; returns what it was.
fn limit(resource: Resource, current: u64) -> Rlimit {
    let before = getrlimit(resource);
    let now = Rlimit {
        current: Some(current),
        ..before
    };
    setrlimit(resource, now).unwrap();
    before
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// True for what a full table may do to a call: nothing, or this.
fn is_out_of_descriptors(error: &CallError) -> bool {
    match error {
        CallError::OutOfDescriptors => true,
        CallError::Os(error) => matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)),
        _ => false,
    }
}

/// One of everything that makes a descriptor arrive somewhere: a path opened, a first call, files both ways, a door, a long reply.
fn one_of_each(directory: &Path, given: OwnedFd) -> Result<(), CallError> {
    let open = |name: &str| DoorHandle::open(directory.join(name)).map_err(CallError::from);
    let echo = open("echo")?;
    assert_eq!(call(&echo, b"null")?.data(), b"null");
    assert_eq!(call_with(&echo, b"", vec![given])?.into_descriptors().len(), 1);
    let lent = call(&open("lend")?, b"")?.into_descriptors().pop();
    let lent = lent.ok_or(CallError::OutOfDescriptors)?.into_door().unwrap();
    assert_eq!(call(&lent, b"lent")?.data(), b"lent");
    let long = call(&open("big")?, &1_000_000u64.to_le_bytes())?;
    assert_eq!(long.data().len(), 1_000_000);
    Ok(())
}

/// Has a forked child do something; true if that was refused for want of descriptors. It may fail in no other way.
fn is_refused_in_child(body: impl FnOnce() -> Result<(), CallError>) -> bool {
    let (mut told, tell) = std::io::pipe().unwrap();
    assert!(in_child(|| {
        if let Err(error) = body() {
            assert!(is_out_of_descriptors(&error), "{error:?}");
            (&tell).write_all(b"!").unwrap();
        }
        true
    }));
    drop(tell);
    told.read(&mut [0]).unwrap() == 1
}

/// In a server: does what its parent says, until it says nothing.
pub(crate) fn obey() {
    loop {
        let order = listen();
        let resource = match order.split(' ').next().unwrap() {
            "descriptors" => Resource::Nofile,
            "memory" => Resource::As,
            "threads" => Resource::Nproc,
            _ => return,
        };
        limit(resource, order.split(' ').nth(1).unwrap().parse().unwrap());
        say("obeyed");
    }
}

pub(crate) fn order(server: &mut Server, order: &str) {
    server.process.tell(order);
    server.process.wait_for("obeyed");
}

// ---- Descriptors -----------------------------------------------------------------------------------------------------------

#[test]
fn dr_112_a_client_whose_table_is_full_gets_an_error_wherever_a_descriptor_arrives() {
    let server = Server::start();
    let mut client = Process::start("cramped", server.directory.path());
    assert!(client.wait_for("refused").parse::<usize>().unwrap() > 4);
    assert!(client.finished_well());
}

/// Role: forks clients with more and more room for descriptors.
pub(crate) fn cramped(directory: &Path) {
    let used = open_descriptors() as u64;
    let mut refused = 0;
    for room in 0..24 {
        refused += usize::from(is_refused_in_child(|| {
            let given = file_with("given");
            let before = limit(Resource::Nofile, used + room);
            let outcome = one_of_each(directory, given);
            // With room again everything works, and nothing was left open meanwhile.
            setrlimit(Resource::Nofile, before).unwrap();
            one_of_each(directory, file_with("given")).unwrap();
            let kept = open_descriptors();
            for _ in 0..4 {
                one_of_each(directory, file_with("given")).unwrap();
            }
            // A link that has to wait for long gets another one, once.
            assert!(
                open_descriptors() <= kept + 1,
                "{} after {kept}",
                open_descriptors()
            );
            outcome
        }));
    }
    say(&format!("refused {refused}"));
}

#[test]
fn dr_111_a_server_whose_table_is_full_fails_what_needs_a_descriptor_and_nothing_else() {
    let mut server = Server::start();
    let echo = server.open("echo");
    call_with(&echo, b"", vec![file_with("warm")]).unwrap();
    let mut refused = 0;
    // Numbers below the limit are taken, or not; all tables are full somewhere on the way.
    for most in (20..120).rev().step_by(3) {
        order(&mut server, &format!("descriptors {most}"));
        refused += usize::from(is_refused_in_child(|| {
            one_of_each(server.directory.path(), file_with("given"))
        }));
        assert_eq!(call(&echo, b"known before").unwrap().data(), b"known before");
    }
    assert!(refused > 4, "{refused}");
    // Not even enough to turn anybody away: who opens the path now waits.
    order(&mut server, "descriptors 3");
    let late = server.open("echo");
    let waiting = std::thread::spawn(move || call(&late, b"late").map(door::Answer::into_data));
    assert_eq!(call(&echo, b"known before").unwrap().data(), b"known before");
    order(&mut server, "descriptors 4096");
    match waiting.join().unwrap() {
        Ok(answer) => assert_eq!(answer, b"late"),
        // There may have been just enough at the wrong moment.
        Err(error) => assert!(is_out_of_descriptors(&error), "{error:?}"),
    }
    one_of_each(server.directory.path(), file_with("given")).unwrap();
}

#[test]
fn as_many_descriptors_as_a_call_may_have_travel_in_several_records() {
    let server = Server::start_large();
    raise_limit();
    let echo = server.open("echo");
    // One record of the kernel's carries 253.
    for count in [253, 254, 1024] {
        let given: Vec<OwnedFd> = (0..count).map(|_| file_at_null()).collect();
        let returned = call_with(&echo, b"all", given).unwrap();
        assert_eq!(returned.data(), b"all");
        assert_eq!(returned.into_descriptors().len(), count);
    }
}

fn file_at_null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

/// A user whose descriptors on their way are nobody else's business.
const LONELY: u32 = 54_321;

#[test]
fn descriptors_that_may_not_travel_fail_the_call_and_no_other() {
    if !is_root("only root can become a user without other processes") {
        return;
    }
    let server = Server::start();
    for name in ["echo", "lend", "big"] {
        std::fs::set_permissions(server.path(name), PermissionsExt::from_mode(0o666)).unwrap();
    }
    std::fs::set_permissions(server.directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut client = Process::start("flood", server.directory.path());
    assert!(client.finished_well());
}

/// Role: has as many descriptors on their way as one user may, and calls.
pub(crate) fn flood(directory: &Path) {
    let given = file_with("given");
    // SAFETY: changes the ids of this process, which has no other threads that would mind.
    assert_eq!(unsafe { libc::setresgid(LONELY, LONELY, LONELY) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresuid(LONELY, LONELY, LONELY) }, 0);
    let open = |name: &str| DoorHandle::open(directory.join(name)).unwrap();
    let (echo, lend) = (open("echo"), open("lend"));
    call(&echo, b"warm").unwrap();
    call(&lend, b"").unwrap();
    let door = Door::builder()
        .refuse_descriptors(false)
        .create(|call| Reply::bytes(call.argument()))
        .unwrap();
    // Once this is answered, nothing of the engine's own is on its way.
    let lent = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    call(&lent, b"warm").unwrap();
    let before = limit(Resource::Nofile, 40);
    let (sender, receiver) = crate::wire::pair(rustix::net::SocketType::SEQPACKET);
    while rustix::io::Result::is_ok(&send_one(&sender, &given)) {}
    let error = call_with(&echo, b"", vec![given.try_clone().unwrap()]).unwrap_err();
    assert!(matches!(error, CallError::OutOfDescriptors), "{error:?}");
    // Nothing of ours travels here: the server's descriptors are another user's.
    assert_eq!(call(&echo, b"null").unwrap().data(), b"null");
    assert_eq!(call(&lend, b"").unwrap().into_descriptors().len(), 1);
    // A first call, and an export of a door, need one on its way.
    let first = open("big");
    let error = call(&first, &8u64.to_le_bytes()).unwrap_err();
    assert!(matches!(error, CallError::OutOfDescriptors), "{error:?}");
    let error = door.lend().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error:?}");
    drop(receiver);
    call(&first, &8u64.to_le_bytes()).unwrap();
    let lent = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    assert_eq!(call(&lent, b"mine").unwrap().data(), b"mine");
    assert_eq!(
        call_with(&echo, b"", vec![given])
            .unwrap()
            .into_descriptors()
            .len(),
        1
    );
    setrlimit(Resource::Nofile, before).unwrap();
    say("done");
}

fn send_one(socket: &OwnedFd, fd: &OwnedFd) -> rustix::io::Result<()> {
    let fds = [fd.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let flags = SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(b"x")], &mut control, flags).map(drop)
}

// ---- Memory ----------------------------------------------------------------------------------------------------------------

/// KiB of addresses a starved process may have beyond what it has.
const LITTLE: u64 = 512 << 10;

#[test]
fn a_server_without_memory_for_an_argument_refuses_it_and_serves_others() {
    let mut server = Server::start();
    let echo = server.open("echo");
    let length = server.open("length");
    call(&echo, b"warm").unwrap();
    call(&length, b"warm").unwrap();
    let rogue = RogueClient::new(server.open("echo"));
    let most = Watched::of(&server.process).addresses_kib() + LITTLE;
    order(&mut server, &format!("memory {}", most << 10));
    // On every lane an area of a gigabyte, of which not a byte is sent.
    for index in 0..LANES {
        rogue.post(index, 1, 1 << 30);
    }
    rogue.ring(u64::MAX);
    for index in 0..LANES {
        wait_until(|| rogue.memory.word(index, word::REP).load(Ordering::SeqCst) == 1);
    }
    let large = vec![1; 600 << 20];
    let error = call(&length, &large).unwrap_err();
    assert_eq!(error.errno(), libc::ENOMEM, "{error:?}");
    let sent = pattern(2 << 20, 1);
    assert_eq!(number(&call(&length, &sent).unwrap()), 2 << 20);
    assert_eq!(call(&echo, b"small").unwrap().data(), b"small");
}

#[test]
fn a_client_without_memory_for_a_reply_gets_an_error_and_goes_on() {
    let server = Server::start();
    let mut client = Process::start("little_memory", server.directory.path());
    assert!(client.finished_well());
}

/// Role: asks for more than its addresses can hold.
pub(crate) fn little_memory(directory: &Path) {
    let open = |name: &str| DoorHandle::open(directory.join(name)).unwrap();
    let (echo, big) = (open("echo"), open("big"));
    call(&echo, b"warm").unwrap();
    call(&big, &8u64.to_le_bytes()).unwrap();
    let most = Watched(std::process::id()).addresses_kib() + (64 << 10);
    let before = limit(Resource::As, most << 10);
    let error = call(&big, &(100u64 << 20).to_le_bytes()).unwrap_err();
    assert_eq!(error.errno(), libc::ENOMEM, "{error:?}");
    assert_eq!(call(&echo, b"goes on").unwrap().data(), b"goes on");
    setrlimit(Resource::As, before).unwrap();
    assert_eq!(
        call(&big, &(100u64 << 20).to_le_bytes()).unwrap().data().len(),
        100 << 20
    );
    say("done");
}

// ---- Threads ---------------------------------------------------------------------------------------------------------------

#[test]
fn a_server_that_can_have_no_more_threads_serves_everybody_with_those_it_has() {
    if !is_root("only root can become a user without other processes") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let mut server = Process::start("few_threads", directory.path());
    server.wait_for("ready");
    let watched = Watched::of(&server);
    let threads = watched.threads();
    std::thread::scope(|scope| {
        for caller in 0..16u64 {
            let door = DoorHandle::open(directory.path().join("door")).unwrap();
            scope.spawn(move || {
                for round in 0..20 {
                    assert_eq!(
                        number(&call(&door, &(caller + round).to_le_bytes()).unwrap()),
                        caller + round
                    );
                }
            });
        }
    });
    assert_eq!(watched.threads(), threads);
    server.tell("");
    assert!(server.finished_well());
}

/// Role: a server that has used up the threads of its user.
pub(crate) fn few_threads(directory: &Path) {
    // SAFETY: changes the ids of this process, which has no other threads that would mind.
    assert_eq!(unsafe { libc::setresgid(LONELY + 1, LONELY + 1, LONELY + 1) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresuid(LONELY + 1, LONELY + 1, LONELY + 1) }, 0);
    let door = Door::builder()
        .create(|call| Reply::bytes(call.argument()))
        .unwrap();
    let attachment = door.attach(directory.join("door")).unwrap();
    std::fs::set_permissions(attachment.path(), PermissionsExt::from_mode(0o666)).unwrap();
    limit(Resource::Nproc, Watched(std::process::id()).threads() as u64);
    // A door with threads of its own cannot be made, and leaves nothing behind.
    let before = open_descriptors();
    let refused = Door::builder()
        .threads(Threads::fixed(1))
        .create(|_| Reply::empty());
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
    wait_until(|| open_descriptors() <= before);
    say("ready");
    listen();
}

// ---- Room on a disk --------------------------------------------------------------------------------------------------------

#[test]
fn a_full_disk_refuses_an_attachment_and_the_file_stays() {
    if !is_root("only root can make a file system with so little room") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let door = Door::builder().create(|_| Reply::empty()).unwrap();
    assert!(in_child(|| {
        // The door is the parent's; the child makes one of its own.
        drop(door);
        let door = Door::builder().create(|_| Reply::bytes(*b"served")).unwrap();
        // SAFETY: gives this process mounts of its own.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
        let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
        let private = libc::MS_REC | libc::MS_PRIVATE;
        // SAFETY: strings that outlive the call.
        let done = unsafe {
            libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                private,
                std::ptr::null(),
            )
        };
        assert_eq!(done, 0);
        // Its root, and two files.
        let options = c"nr_inodes=3,size=64k".as_ptr().cast();
        // SAFETY: as above.
        let done = unsafe { libc::mount(c"none".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, options) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        let (covered, other) = (folder.path().join("covered"), folder.path().join("other"));
        std::fs::write(&covered, "stays").unwrap();
        std::fs::write(&other, "in the way").unwrap();
        let error = door.attach(&covered).unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(std::fs::read_to_string(&covered).unwrap(), "stays");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        std::fs::remove_file(&other).unwrap();
        let attachment = door.attach(&covered).unwrap();
        let opened = DoorHandle::open(&covered).unwrap();
        assert_eq!(call(&opened, b"").unwrap().data(), b"served");
        drop(attachment);
        std::fs::read_to_string(&covered).unwrap() == "stays"
    }));
}
