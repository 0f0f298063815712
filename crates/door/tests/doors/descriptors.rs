//! Descriptors with requests and replies.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use door::{CallError, Door, DoorHandle, Reply};

use crate::support::{Process, Server, call, call_with, file_with, listen, number, say, text_of};

fn files(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|index| file_with(&index.to_string())).collect()
}

#[test]
fn dr_107_descriptors_arrive_in_order() {
    let server = Server::start();
    let answer = call_with(&server.open("text"), b"", files(5)).unwrap();
    assert_eq!(answer.data(), b"0,1,2,3,4");
}

#[test]
fn dr_101_descriptors_come_back_in_order_and_close_on_exec() {
    let server = Server::start();
    let echo = server.open("echo");
    for count in [1, 2, 253, 300] {
        let answer = call_with(&echo, b"data too", files(count)).unwrap();
        assert_eq!(answer.data(), b"data too");
        let returned = answer.into_descriptors();
        assert_eq!(returned.len(), count);
        for (index, descriptor) in returned.into_iter().enumerate() {
            let flags = rustix::io::fcntl_getfd(descriptor.as_fd()).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            assert_eq!(text_of(descriptor.into_fd()), index.to_string());
        }
    }
}

#[test]
fn descriptors_and_large_data_travel_together() {
    let server = Server::start();
    let sent = crate::support::pattern(1 << 20, 5);
    let answer = call_with(&server.open("echo"), &sent, files(3)).unwrap();
    assert!(answer.data() == sent);
    assert_eq!(answer.into_descriptors().len(), 3);
}

#[test]
fn dr_041_more_than_1024_descriptors_are_too_many() {
    let server = Server::start();
    let one = file_with("x");
    // Duplicates would not fit the usual limit of descriptors: the same one, named often.
    let borrowed = vec![one.as_fd(); 1025];
    let echo = server.open("echo");
    let request = door::engine::CallRequest {
        data: (&b""[..]).into(),
        descriptors: &borrowed,
        patience: door::engine::Patience::until(None),
        results: true,
    };
    let mut sink = door::engine::VecSink::default();
    let failure = door::engine::call(echo.as_fd(), &request, &mut sink).unwrap_err();
    assert!(matches!(failure.error, CallError::ArgumentTooLarge) && !failure.consumed);
}

#[test]
fn nothing_is_left_open_in_the_server() {
    let server = Server::start();
    let (echo, refuse, sizes) = (server.open("echo"), server.open("refuse"), server.open("sizes"));
    call_with(&echo, b"", files(9)).unwrap();
    let before = number(&call(&sizes, b"").unwrap());
    for _ in 0..20 {
        call_with(&echo, b"", files(9)).unwrap();
        call_with(&refuse, b"", files(9)).unwrap_err();
    }
    // The undertaker may be about to close the last few.
    let closed = (0..1000).any(|_| number(&call(&sizes, b"").unwrap()) <= before + 1);
    assert!(closed, "descriptors were left open");
}

#[test]
fn dr_105_a_door_in_a_reply_can_be_called() {
    let server = Server::start();
    let answer = call(&server.open("lend"), b"").unwrap();
    let lent = answer.into_descriptors().remove(0);
    assert!(lent.is_door());
    let door = lent.into_door().unwrap();
    assert_eq!(call(&door, b"hello").unwrap().data(), b"hello");
    let info = door.info().unwrap();
    assert_eq!(info.target, Some(server.process.child.id()));
}

#[test]
fn a_door_of_the_client_can_be_called_back_through_the_server() {
    let door = Door::builder()
        .create(|call| Reply::bytes(call.argument()))
        .unwrap();
    let server = Server::start();
    let lent = door.lend().unwrap();
    let answer = call_with(&server.open("echo"), b"", vec![lent]).unwrap();
    let back = answer.into_descriptors().remove(0).into_door().unwrap();
    assert!(back.info().unwrap().attributes.contains(door::Attributes::LOCAL));
    assert_eq!(call(&back, b"home").unwrap().data(), b"home");
}

#[test]
fn dr_158_a_door_passed_over_a_socket_can_be_called() {
    let server = Server::start();
    let echo = server.open("echo");
    let unique = echo.info().unwrap().unique;
    let passed = DoorHandle::from_fd(echo.as_fd().try_clone_to_owned().unwrap()).unwrap();
    drop(echo);
    assert_eq!(passed.info().unwrap().unique, unique);
    assert_eq!(call(&passed, b"x").unwrap().data(), b"x");
}

#[test]
fn a_client_without_room_for_descriptors_gets_told_and_goes_on() {
    let server = Server::start();
    let mut client = Process::start("starve", server.directory.path());
    assert!(client.finished_well());
}

/// Role: a client whose table is full when a reply with descriptors arrives.
pub(crate) fn starve(directory: &Path) {
    let echo = DoorHandle::open(directory.join("echo")).unwrap();
    let refuse = DoorHandle::open(directory.join("refuse")).unwrap();
    call(&echo, b"warm").unwrap();
    call(&refuse, b"").unwrap();
    let limit = rustix::process::Resource::Nofile;
    let before = rustix::process::getrlimit(limit);
    rustix::process::setrlimit(
        limit,
        rustix::process::Rlimit {
            current: Some(3),
            maximum: before.maximum,
        },
    )
    .unwrap();
    assert!(matches!(call(&refuse, b""), Err(CallError::OutOfDescriptors)));
    assert_eq!(call(&echo, b"goes on").unwrap().data(), b"goes on");
    rustix::process::setrlimit(limit, before).unwrap();
    assert_eq!(call(&refuse, b"").unwrap().into_descriptors().len(), 1);
    say("done");
}

#[test]
fn descriptors_for_a_revoked_private_door_reach_and_close_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start("retire", directory.path());
    server.wait_for("ready");
    let open = |name: &str| DoorHandle::open(directory.path().join(name)).unwrap();
    let (text, private) = (open("text"), open("private"));
    assert_eq!(call_with(&text, b"", files(1)).unwrap().data(), b"0");
    call_with(&private, b"", files(1)).unwrap();
    server.tell("revoke");
    server.wait_for("revoked");
    for _ in 0..20 {
        let error = call_with(&private, b"", files(20)).unwrap_err();
        assert!(matches!(error, CallError::Revoked), "{error:?}");
        assert_eq!(call_with(&text, b"", files(3)).unwrap().data(), b"0,1,2");
    }
    server.tell("check");
    server.wait_for("whole");
    assert!(server.finished_well());
}

/// Role: revokes a door whose threads end, and looks after its own descriptors.
pub(crate) fn retire(directory: &Path) {
    let builder = || Door::builder().refuse_descriptors(false);
    let text = builder()
        .create(|mut call| {
            let fds = call.take_descriptors().into_iter();
            let texts: Vec<String> = fds.map(|fd| text_of(fd.into_fd())).collect();
            Reply::bytes(texts.join(","))
        })
        .unwrap();
    let private = builder()
        .threads(door::Threads::fixed(1))
        .create(|_| Reply::empty())
        .unwrap();
    let _text = text.attach(directory.join("text")).unwrap();
    let _private = private.attach(directory.join("private")).unwrap();
    let own = files(100);
    say("ready");
    listen();
    private.revoke();
    say("revoked");
    listen();
    for (index, file) in own.into_iter().enumerate() {
        assert_eq!(text_of(file), index.to_string());
    }
    say("whole");
}

#[test]
fn dr_007_one_free_number_is_enough_for_the_first_door() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start("last_number", directory.path());
    process.wait_for("made");
    let door = DoorHandle::open(directory.path().join("last")).unwrap();
    assert_eq!(call(&door, b"served").unwrap().data(), b"served");
    process.tell("end");
    assert!(process.finished_well());
}

/// Role: a server that describes its first door while there is room in its table, and makes it when there is none.
pub(crate) fn last_number(directory: &Path) {
    let limit = rustix::process::Resource::Nofile;
    let maximum = rustix::process::getrlimit(limit).maximum;
    let few = Some(64);
    rustix::process::setrlimit(
        limit,
        rustix::process::Rlimit {
            current: few,
            maximum,
        },
    )
    .unwrap();
    let echo = || Door::builder().create(|call| Reply::bytes(call.argument()));
    drop(Door::builder());
    let mut filling = Vec::new();
    while let Ok(another) = std::io::stdin().as_fd().try_clone_to_owned() {
        filling.push(another);
    }
    assert_eq!(echo().unwrap_err().raw_os_error(), Some(libc::EMFILE));
    let free = filling.remove(0);
    let number = free.as_raw_fd();
    drop(free);
    let door = echo().unwrap();
    assert_eq!(door.as_fd().as_raw_fd(), number);
    drop(filling);
    let _attachment = door.attach(directory.join("last")).unwrap();
    say("made");
    listen();
}
