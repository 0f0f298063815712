//! The program as a user runs it, with no daemon.

use std::process::{Command, Output};

fn stmfadm(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stmfadm"));
    command
        .args(arguments)
        .env("STMF_CONTROL", "/nonexistent/control")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_daemon_it_says_what_to_do_and_fails() {
    let output = stmfadm(&["list-lu", "-v"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output)
            .starts_with("stmfadm: stmfd is not running: no door answers at /nonexistent/control.")
    );
    assert!(stderr(&output).contains("Start stmfd, or name its control door with --control or STMF_CONTROL"));
    assert_eq!(output.stdout, b"");
}

#[test]
fn the_option_wins_over_the_environment() {
    let output = stmfadm(&["--control", "/nowhere/else", "list-state"]);
    assert!(stderr(&output).contains("/nowhere/else"), "{}", stderr(&output));
}

#[test]
fn help_is_asked_for_with_a_question_mark_everywhere() {
    for arguments in [
        &["-?"][..],
        &["--help"],
        &["add-view", "-?"],
        &["list-lu", "--help"],
    ] {
        let output = stmfadm(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("Usage: stmfadm"),
            "{arguments:?}"
        );
    }
    assert_eq!(stmfadm(&["-V"]).stdout, b"stmfadm 1.0\n");
}

#[test]
fn h_names_a_host_group_and_is_no_help() {
    let output = stmfadm(&[
        "add-view",
        "-h",
        "esx",
        "-n",
        "3",
        "600144F0C73AB8000000549B00010001",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not running"));
}

#[test]
fn wrong_usage_is_status_2() {
    let wrong = [
        &[][..],
        &["brew-coffee"],
        &["delete-lu"],
        &["add-hg-member", "iqn.x"],
        &["failover"],
    ];
    for arguments in wrong {
        assert_eq!(stmfadm(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let both = stmfadm(&["failover", "--all", "600144F0C73AB8000000549B00010001"]);
    assert_eq!(both.status.code(), Some(2));
}
