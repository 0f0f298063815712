//! Rows ST-001 to ST-032, driven from C with both shared libraries in one process, against a daemon made of doors.
//!
//! Rows that need an initiator or a peer node run in `conformance`, with the same program and real daemons.

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use support::{fake::Fake, link, row_sources};

/// The program of the rows, made once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = support::library_dir().join("deps/st_rows");
        link(&row_sources(), &["stmf", "door"], &program);
        program
    })
}

/// Exit status of a row that needs something this machine or user has not.
const SKIPPED: i32 = 77;

fn row(number: u32) {
    let folder = tempfile::tempdir().unwrap();
    // Somebody else must be able to reach the control door to be refused by it.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let fake = Fake::start(&folder.path().join("control"));
    let run = Command::new(program())
        .arg(number.to_string())
        .arg(&fake.path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    let outcome = run.status.code();
    // SAFETY: geteuid(2) cannot fail and touches nothing.
    let root = unsafe { libc::geteuid() } == 0;
    let allowed = outcome == Some(0) || (outcome == Some(SKIPPED) && !root && told.contains("needs root"));
    assert!(allowed, "ST-{number:03}: {:?}\n{told}", run.status);
    assert_eq!(
        fake.take_posted().len(),
        0,
        "no row of these posts a good message"
    );
}

macro_rules! rows {
    ($($name:ident: $number:literal;)+) => {
        $(#[test] fn $name() { row($number); })+
    };
}

rows! {
    st_001_the_door_is_installed_and_no_port_appears: 1;
    st_002_a_second_installation_is_refused_and_the_first_keeps_working: 2;
    st_003_another_process_is_refused_too: 3;
    st_004_no_place_for_the_handle_is_an_invalid_argument: 4;
    st_005_what_is_no_door_is_refused_and_leaves_nothing: 5;
    st_006_without_privilege_nothing_is_enabled: 6;
    st_007_the_handle_is_minus_one_after_any_failure: 7;
    st_008_the_callers_descriptor_may_be_closed: 8;
    st_009_a_call_has_one_message_and_no_descriptors: 9;
    st_011_a_refusing_door_stays_installed: 11;
    st_012_wrong_answers_leave_the_daemon_alive: 12;
    st_014_a_stuck_door_holds_nobody_else_up: 14;
    st_015_no_message_is_an_invalid_argument: 15;
    st_016_a_handle_that_is_none_is_refused: 16;
    st_017_an_empty_message_is_refused: 17;
    st_018_ten_thousand_malformed_messages_are_refused: 18;
    st_019_an_oversized_message_is_refused_and_the_channel_lives: 19;
    st_020_privilege_is_looked_at_on_each_post: 20;
    st_026_the_death_of_the_holder_ends_the_session: 26;
    st_027_a_program_it_started_does_not_inherit_the_session: 27;
    st_028_destroying_nothing_or_twice_has_no_effect: 28;
    st_030_wrong_alua_arguments_change_nothing: 30;
    st_031_no_place_for_the_alua_state_is_an_invalid_argument: 31;
    st_032_a_fresh_daemon_has_alua_disabled_and_node_0: 32;
}
