//! ERRORS: what a function is said to fail with, some test makes it fail with.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support;

/// A user and group that own nothing.
const NOBODY: u32 = 65534;

/// `tests/c/errors.c`, which checks what it provokes.
#[test]
fn errors_beyond_the_rows_are_as_the_pages_say() {
    let program = support::program("errors", "cc", &["errors.c"]);
    // SAFETY: asks only.
    let is_root = unsafe { libc::geteuid() == 0 };
    let users = if is_root {
        vec![None, Some(NOBODY)]
    } else {
        vec![None]
    };
    for user in users {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .expect("its mode can be set");
        let mut command = Command::new(&program);
        command.arg(folder.path()).env_remove("LD_LIBRARY_PATH");
        if let Some(user) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(user))
                .expect("the folder can be given away");
            command.uid(user).gid(user);
        }
        support::succeed(&mut command);
    }
}
