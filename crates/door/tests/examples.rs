//! The examples, run for real.

use std::process::Command;

/// Runs an example; what it printed.
fn run(example: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", example])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn hello() {
    assert_eq!(run("hello"), "client: HELLO, DOOR\n");
}

#[test]
fn descriptor_server() {
    let said = run("descriptor_server");
    assert!(
        said.contains("client: through the door: for your eyes only\n"),
        "{said}"
    );
    assert!(said.ends_with("client: a plain name, please\n"), "{said}");
    if rustix::process::geteuid().is_root() {
        assert!(said.starts_with("client: by myself: Permission denied"), "{said}");
    }
}

#[test]
fn object_server() {
    let said = run("object_server");
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
}

#[test]
fn credentials() {
    let said = run("credentials");
    let user = rustix::process::geteuid().as_raw();
    assert!(said.contains(&format!(", user {user} (")), "{said}");
    assert!(said.ends_with("server: the caller has ended\n"), "{said}");
}

#[test]
fn private_pool() {
    let expected = "client: quick: at once\nclient: slow: busy\nclient: slow: at last\n";
    assert_eq!(run("private_pool"), expected);
}
