//! Forked children.

use std::io::Write;

use door::{Door, DoorHandle, Reply};

use crate::support::{Server, call};

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
