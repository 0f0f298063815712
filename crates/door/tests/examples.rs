//! The examples, run for real; by root once more as nobody.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// A user and group that own nothing.
const NOBODY: u32 = 65534;

/// Runs an example; `check` is told what it printed, and as which user.
fn run(example: &str, check: impl Fn(&str, u32)) {
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--quiet", "--example", example])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().unwrap().success(), "{example} is not built");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debug/examples");
    let own = rustix::process::geteuid().as_raw();
    for user in if own == 0 { vec![0, NOBODY] } else { vec![own] } {
        let mut command = Command::new(folder.join(example));
        if user != own {
            command.uid(user).gid(user);
        }
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}: {}\n{errors}", output.status);
        check(&String::from_utf8(output.stdout).unwrap(), user);
    }
}

#[test]
fn hello() {
    run("hello", |said, _| assert_eq!(said, "client: HELLO, DOOR\n"));
}

#[test]
fn descriptor_server() {
    run("descriptor_server", |said, user| {
        assert!(
            said.contains("client: through the door: for your eyes only\n"),
            "{said}"
        );
        assert!(said.ends_with("client: a plain name, please\n"), "{said}");
        if user == 0 {
            assert!(said.starts_with("client: by myself: Permission denied"), "{said}");
        }
    });
}

#[test]
fn object_server() {
    run("object_server", |said, _| {
        for line in [
            "client: one is at 2",
            "client: other is at 1",
            "server: counter 0 is gone",
            "server: counter 1 is gone",
        ] {
            assert!(
                said.lines().any(|said| said == line),
                "{line:?} is missing:\n{said}"
            );
        }
    });
}

#[test]
fn credentials() {
    run("credentials", |said, user| {
        assert!(said.contains(&format!(", user {user} (")), "{said}");
        assert!(said.ends_with("server: the caller has ended\n"), "{said}");
    });
}

#[test]
fn private_pool() {
    let expected = "client: quick: at once\nclient: slow: busy\nclient: slow: at last\n";
    run("private_pool", |said, _| assert_eq!(said, expected));
}

#[test]
fn asynchronous() {
    let expected = "client: soft, done\nclient: hard, done\nclient: since just now\n\
                    client: the deadline passed before the server answered\nserver: one caller gave up\n";
    run("async", |said, _| assert_eq!(said, expected));
}
