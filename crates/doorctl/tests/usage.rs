//! The program as a user runs it, on paths that have no door.

use std::process::{Command, Output};

fn doorctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_doorctl"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_path_without_a_door_is_named_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    let file = folder.path().join("file");
    std::fs::write(&file, "no door").unwrap();
    for path in [missing, file] {
        for command in ["info", "call"] {
            let output = doorctl(&[command, path.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(1));
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                message.starts_with(&format!("doorctl: {}: ", path.display())),
                "{message}"
            );
        }
    }
}

#[test]
fn only_one_argument_can_be_given() {
    assert_eq!(
        doorctl(&["call", "/d", "--data", "x", "--hex", "00"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(doorctl(&[]).status.code(), Some(2));
    assert_eq!(doorctl(&["--help"]).status.code(), Some(0));
}
