//! Numbers of descriptors that the program closes and gives to others as it likes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};
use std::path::Path;

use door::engine::{CallRequest, VecSink};
use door::{CallError, DoorHandle};

use crate::support::{Process, Server, say};

#[test]
fn a_number_means_the_door_it_means_now() {
    let server = Server::start();
    let mut client = Process::start("renumber", server.directory.path());
    assert!(client.finished_well());
}

/// Role: calls by number, and changes behind the engine's back what the number means.
pub(crate) fn renumber(directory: &Path) {
    let door = |name: &str| DoorHandle::open(directory.join(name)).unwrap();
    let (echo, length) = (door("echo"), door("length"));
    let number = length.as_fd().try_clone_to_owned().unwrap().into_raw_fd();
    let call = || {
        // SAFETY: the number may be closed: that is what is asked here.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let request = CallRequest {
            data: (&b"eight"[..]).into(),
            descriptors: &[],
            patience: door::engine::Patience::until(None),
            results: true,
        };
        let mut sink = VecSink::default();
        let outcome = door::engine::call(fd, &request, &mut sink);
        outcome
            .map(|_| sink.into_parts().0)
            .map_err(|failure| failure.error)
    };
    let file = std::fs::File::open("/dev/null").unwrap();
    let length_said = 5u64.to_le_bytes();
    for _ in 0..100 {
        assert_eq!(call().unwrap(), length_said);
        // SAFETY: replaces a number of this role's own.
        assert_eq!(unsafe { libc::dup2(echo.as_fd().as_raw_fd(), number) }, number);
        assert_eq!(call().unwrap(), b"eight");
        // SAFETY: as above.
        assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), number) }, number);
        assert!(matches!(call(), Err(CallError::NotADoor)));
        let first = number.cast_unsigned();
        // SAFETY: as above.
        assert_eq!(unsafe { libc::close_range(first, first, 0) }, 0);
        assert!(matches!(call(), Err(CallError::NotADoor)));
        // SAFETY: as above.
        assert_eq!(unsafe { libc::dup2(length.as_fd().as_raw_fd(), number) }, number);
    }
    say("done");
}
