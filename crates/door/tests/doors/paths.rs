//! Doors in the file system.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Duration;

use door::{AttachError, Door, DoorHandle, Reply};

use crate::support::{Server, call};

fn answering(text: &'static str) -> Door {
    Door::builder().create(move |_| Reply::bytes(text)).unwrap()
}

#[test]
fn dr_146_a_covered_file_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "covered").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let door = answering("a door");
    let attachment = door.attach(&path).unwrap();
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let handle = DoorHandle::open(&path).unwrap();
    assert_eq!(call(&handle, b"").unwrap().data(), b"a door");
    attachment.detach().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "covered");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(call(&handle, b"").unwrap().data(), b"a door");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_path_that_was_not_there_is_gone_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new");
    let door = answering("x");
    let attachment = door.attach(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(attachment);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_is_not_covered() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let refused = answering("x").attach(&folder).unwrap_err();
    assert_eq!(refused.errno(), libc::EISDIR, "{refused}");
    assert!(fs::metadata(&folder).unwrap().is_dir());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn dr_141_a_living_attachment_is_not_replaced() {
    let server = Server::start();
    let door = answering("other");
    assert!(matches!(door.attach(server.path("echo")), Err(AttachError::Busy)));
    let directory = tempfile::tempdir().unwrap();
    let attachment = door.attach(directory.path().join("own")).unwrap();
    assert!(matches!(door.attach(attachment.path()), Err(AttachError::Busy)));
}

#[test]
fn dr_148_the_attachment_of_a_dead_server_is_replaced() {
    let mut server = Server::start();
    let path = server.path("echo");
    server.process.kill();
    assert_eq!(
        DoorHandle::open(&path).unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    let door = answering("heir");
    let attachment = door.attach(&path).unwrap();
    assert_eq!(
        call(&DoorHandle::open(&path).unwrap(), b"").unwrap().data(),
        b"heir"
    );
    drop(attachment);
    assert!(!path.exists());
}

#[test]
fn the_file_a_dead_server_covered_comes_back_in_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo");
    fs::write(&path, "precious").unwrap();
    let mut process = crate::support::Process::start("serve", directory.path());
    process.wait_for("ready");
    process.kill();
    let door = answering("heir");
    drop(door.attach(&path).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_path_unlinked_after_its_server_died_can_be_attached_to_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo");
    fs::write(&path, "the first").unwrap();
    let mut process = crate::support::Process::start("serve", directory.path());
    process.wait_for("ready");
    process.kill();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "the second").unwrap();
    let door = answering("again");
    let attachment = door.attach(&path).unwrap();
    let answer = call(&DoorHandle::open(&path).unwrap(), b"").unwrap();
    assert_eq!(answer.data(), b"again");
    drop(attachment);
    assert_eq!(fs::read_to_string(&path).unwrap(), "the second");
}

#[test]
fn dr_144_one_door_at_two_paths_is_one_door() {
    let directory = tempfile::tempdir().unwrap();
    let door = answering("both");
    let one = door.attach(directory.path().join("one")).unwrap();
    let two = door.attach(directory.path().join("two")).unwrap();
    let (one, two) = (
        DoorHandle::open(one.path()).unwrap(),
        DoorHandle::open(two.path()).unwrap(),
    );
    assert_eq!(one.info().unwrap().unique, two.info().unwrap().unique);
    assert_eq!(call(&one, b"").unwrap().data(), call(&two, b"").unwrap().data());
}

#[test]
fn dr_150_a_symbolic_link_leads_to_its_target() {
    let directory = tempfile::tempdir().unwrap();
    let (target, link) = (directory.path().join("target"), directory.path().join("link"));
    fs::write(&target, "t").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let door = answering("through");
    let attachment = door.attach(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    assert_eq!(
        call(&DoorHandle::open(&link).unwrap(), b"").unwrap().data(),
        b"through"
    );
    drop(attachment);
    assert_eq!(fs::read_to_string(&target).unwrap(), "t");
}

#[test]
fn a_file_is_not_a_door() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(
        DoorHandle::open(file.path()).unwrap_err().raw_os_error(),
        Some(libc::ENXIO)
    );
    assert!(DoorHandle::from_fd(file.into_file().into()).is_err());
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    assert!(DoorHandle::from_fd(socket.into()).is_err());
}

#[test]
fn long_paths_are_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(200));
    fs::create_dir(&deep).unwrap();
    let door = answering("deep");
    let attachment = door.attach(deep.join("n".repeat(200))).unwrap();
    assert_eq!(
        call(&DoorHandle::open(attachment.path()).unwrap(), b"")
            .unwrap()
            .data(),
        b"deep"
    );
}

#[test]
fn somebody_else_may_detach_and_the_server_learns_it() {
    let server = Server::start();
    let path = server.path("lend");
    door::engine::detach(&path).unwrap();
    assert!(!path.exists());
    assert!(matches!(
        door::engine::detach(&server.directory.path().join("none")),
        Err(AttachError::Os(_))
    ));
}

#[test]
fn a_server_that_stands_still_keeps_nobody_who_opens_or_detaches_its_path() {
    let server = Server::start();
    server.process.stop();
    let mut waiting = Vec::new();
    // Those it will take in when it goes on, until there is no room for more.
    let error = loop {
        match DoorHandle::open_within(server.path("echo"), Duration::from_millis(20)) {
            Ok(door) => waiting.push(door),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10_000);
    };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    // It is alive, as far as anybody can tell.
    let busy = answering("instead").attach(server.path("echo")).unwrap_err();
    assert!(matches!(busy, AttachError::Busy), "{busy:?}");
    door::engine::detach(&server.path("length")).unwrap();
    assert!(!server.path("length").exists());
    server.process.go_on();
    for door in [waiting.first().unwrap(), waiting.last().unwrap()] {
        assert_eq!(call(door, b"at last").unwrap().data(), b"at last");
    }
    assert_eq!(call(&server.open("echo"), b"next").unwrap().data(), b"next");
}

#[test]
fn a_covered_file_comes_back_though_its_path_was_removed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("covered");
    fs::write(&path, "still here").unwrap();
    // A door of this process covers it, and is not detached: as if the process had been killed.
    std::mem::forget(answering("x").attach(&path).unwrap());
    fs::remove_file(&path).unwrap();
    door::engine::detach(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "still here");
    // Now there is nothing of that kind any more.
    fs::remove_file(&path).unwrap();
    assert!(door::engine::detach(&path).is_err());
}

#[test]
fn a_door_for_whose_path_there_is_no_descriptor_leaves_the_path_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (file, nothing) = (directory.path().join("file"), directory.path().join("nothing"));
    fs::write(&file, "covered").unwrap();
    assert!(crate::fork::in_child(|| {
        let door = Door::builder().create(|_| Reply::empty()).unwrap();
        // Their other ends fill the engine's table, and they themselves only the upper part of the application's.
        let lent = || rustix::io::fcntl_dupfd_cloexec(door.lend().unwrap(), 300).unwrap();
        let _lent: Vec<_> = (0..100).map(|_| lent()).collect();
        let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let few = rustix::process::Rlimit {
            current: Some(60),
            ..limits
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
        let refused = door.attach(&file).is_err() && door.attach(&nothing).is_err();
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limits).unwrap();
        refused && door.attach(&nothing).is_ok()
    }));
    assert_eq!(fs::read_to_string(&file).unwrap(), "covered");
    let names = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(names).collect();
    assert_eq!(left, ["file"]);
}
