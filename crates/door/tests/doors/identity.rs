//! Who the server is told its caller is.

use std::path::Path;

use door::DoorHandle;

use crate::support::{Process, Server, call, is_root, say};

fn who(door: &DoorHandle) -> String {
    String::from_utf8(call(door, b"").unwrap().into_data()).unwrap()
}

#[test]
fn dr_117_the_caller_is_known_by_its_ids() {
    let server = Server::start();
    let said = who(&server.open("who"));
    let uid = rustix::process::getuid().as_raw();
    let expected = format!(
        "{uid} {0} {uid} {0} {1} ",
        rustix::process::getgid().as_raw(),
        std::process::id()
    );
    assert!(said.starts_with(&expected), "{said:?} is not {expected:?}");
}

#[test]
fn dr_117_a_caller_that_dropped_its_privileges_has_none() {
    if !is_root("only root has privileges to drop") {
        return;
    }
    let server = Server::start();
    let mut client = Process::start("drop_privileges", server.directory.path());
    assert!(client.finished_well());
}

/// Role: calls as root, then as nobody, over the same link.
pub(crate) fn drop_privileges(directory: &Path) {
    let door = DoorHandle::open(directory.join("who")).unwrap();
    let pid = std::process::id();
    assert!(who(&door).starts_with(&format!("0 0 0 0 {pid} ")));
    // SAFETY: no arguments that could be wrong; the whole process changes its ids.
    assert_eq!(unsafe { libc::setgroups(1, [777].as_ptr()) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresgid(65533, 65533, 65533) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresuid(65534, 65532, 65534) }, 0);
    assert_eq!(who(&door), format!("65534 65533 65532 65533 {pid} [777]"));
    // Once more: now the record is that of the new ids.
    assert_eq!(who(&door), format!("65534 65533 65532 65533 {pid} [777]"));
    say("done");
}
