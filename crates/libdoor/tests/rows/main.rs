//! The rows of the door specification (DR-NNN), each a C program's view of the library.
//!
//! One C program holds all rows; each runs as a process of its own with the number of the row, makes the processes
//! it needs, and ends with 0 if the row holds. It limits itself to 30 seconds with alarm(2).

#[path = "../support/mod.rs"]
mod support;

mod abort;
mod call;
mod create;
mod credential;
mod descriptor;
mod layout;
mod leaving;
mod path;
mod pool;
mod process;
mod revoke;
mod unreferenced;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Exit status of a row that needs to be root and is not.
const NEEDS_ROOT: i32 = 77;

fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let topics = [
            "rows.c",
            "rows_abort.c",
            "rows_call.c",
            "rows_create.c",
            "rows_credential.c",
            "rows_descriptor.c",
            "rows_leaving.c",
            "rows_path.c",
            "rows_pool.c",
            "rows_process.c",
            "rows_revoke.c",
            "rows_unreferenced.c",
        ];
        support::program("rows", "cc", &topics)
    })
}

/// A user and group that own nothing.
const NOBODY: u32 = 65534;

/// Runs one row; where this is root, once more as nobody.
fn row(number: u32) {
    run(number, None);
    // SAFETY: asks only.
    if unsafe { libc::geteuid() } == 0 {
        run(number, Some(NOBODY));
    }
}

fn run(number: u32, user: Option<u32>) {
    let directory = tempfile::tempdir().expect("a temporary folder can be made");
    let open_to_all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open_to_all).expect("its mode can be set");
    let log = directory.path().join("log");
    let mut command = Command::new(program());
    command
        .arg(number.to_string())
        .arg(directory.path())
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a log can be made"));
    if let Some(user) = user {
        std::os::unix::fs::chown(directory.path(), Some(user), Some(user))
            .expect("the folder can be given away");
        command.uid(user).gid(user);
    }
    let status = command.status().expect("the program starts");
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    if status.code() == Some(NEEDS_ROOT) {
        eprintln!("row {number} not run as {user:?}: it needs to be root");
        return;
    }
    assert!(status.success(), "row {number} as {user:?}: {status}\n{said}");
}
