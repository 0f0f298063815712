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
fn typed_service() {
    let said = run("typed_service");
    let user = rustix::process::geteuid().as_raw();
    let text = format!("It was a dark and stormy night.\nuser {user} adds: The end.\n");
    let expected = format!(
        "client: there is [\"novel\"]\nclient: {} bytes now\n{text}client: there is no document \"sequel\"\n",
        text.len()
    );
    assert_eq!(said, expected);
}
