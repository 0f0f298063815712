//! Rows ST-001 to ST-029: the proxy door as a C program sees it, against real daemons.
//!
//! The C side is `crates/libstmf/tests/c`; it is compiled here with the C compiler against `<door.h>`, `<libstmf.h>` and
//! the libraries of the build. Each test sets up what its row needs, runs the row, and looks at the daemons afterwards.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use conformance::node::{Node, NodeId, Program};
use conformance::pair::{Transport, Unit};
use conformance::process::{self, Start};
use conformance::{Pair, c_program};

/// A row's own limit is 120 s.
const ROW_LIMIT: Duration = Duration::from_secs(150);
const UNIT_BYTES: u64 = 16 << 20;
const SOURCES: [&str; 7] = [
    "rows.c",
    "rows_init.c",
    "rows_upcall.c",
    "rows_post.c",
    "rows_end.c",
    "rows_alua.c",
    "server.c",
];

fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROGRAM.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("st_rows");
        let folder = Path::new("crates/libstmf/tests/c");
        let sources: Vec<PathBuf> = SOURCES
            .iter()
            .chain(&["process.c"])
            .map(|name| folder.join(name))
            .collect();
        let sources: Vec<&Path> = sources.iter().map(PathBuf::as_path).collect();
        c_program::compile("cc", &sources, &path).expect("the rows compile");
        (dir, path)
    });
    path
}

/// What a row is run with.
struct Bench<'a> {
    row: u32,
    node: &'a Node,
    peer: Option<&'a Node>,
    trigger: Option<String>,
}

impl Bench<'_> {
    /// Runs the row; a row that was not run is a failure, except where it needs root and this is not root.
    fn run(&self) {
        let mut start = Start::new(format!("ST-{:03}", self.row), program())
            .arg(self.row.to_string())
            .arg(self.node.control())
            .args(["--node", &self.node.id().number().to_string()]);
        if let Some(peer) = self.peer {
            start = start.arg("--peer").arg(peer.control());
        }
        if let Some(trigger) = &self.trigger {
            start = start.args(["--trigger", trigger]);
        }
        let done = process::run(start, ROW_LIMIT).expect("the row ends");
        let log = self.node.log_text(Program::Stmfd);
        let tail: Vec<&str> = log.lines().rev().take(25).collect();
        let report = format!(
            "{}{}\nlog of the daemon, last line first:\n{}",
            done.stdout,
            done.stderr,
            tail.join("\n")
        );
        match done.status.code() {
            Some(0) => {}
            Some(77) if !rustix::process::geteuid().is_root() => eprintln!("SKIPPED: {}", done.stderr),
            _ => panic!("ST-{:03}: {:?}\n{report}", self.row, done.status),
        }
    }
}

/// Runs a row against one daemon that has just been started.
fn alone(row: u32) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let mut node = Node::alone(NodeId::A, dir.path()).expect("a node");
    Bench {
        row,
        node: &node,
        peer: None,
        trigger: None,
    }
    .run();
    alive(&mut node);
    node.log_text(Program::Stmfd)
}

fn alive(node: &mut Node) {
    assert!(
        node.process(Program::Stmfd).is_running(),
        "the daemon died:\n{}",
        node.log_text(Program::Stmfd)
    );
    node.stmfadm(&["list-state"]).expect("the daemon answers");
}

/// A pair that was established once, so that node B has a standby logical unit, and then lost its transports.
fn established_without_transport() -> (Pair, Unit) {
    let mut pair = Pair::start().expect("a pair");
    let unit = pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    for id in [NodeId::A, NodeId::B] {
        pair.node_mut(id).stop(Program::Transport);
        let node = pair.node(id);
        conformance::until(conformance::wait::PATIENCE, "the door to be gone", || {
            let proxy = node.proxy()?;
            let installed =
                conformance::node::find(&proxy, "door_installed").and_then(serde_json::Value::as_bool);
            Ok((installed == Some(false)).then_some(()))
        })
        .expect("the daemon notices that its transport ended");
    }
    (pair, unit)
}

/// A command for the C program: `count` commands of a kind through a node.
fn trigger(node: &Node, kind: &str, count: u32) -> String {
    let program = env!("CARGO_BIN_EXE_scsi-once");
    format!("'{program}' {} {} 0 {kind} {count}", node.portal(), node.target())
}

/// Runs a row on the standby node of such a pair, with node A as its peer.
fn on_standby(row: u32, kind: &str, count: u32) -> String {
    let (mut pair, _unit) = established_without_transport();
    let bench = Bench {
        row,
        node: pair.b(),
        peer: Some(pair.a()),
        trigger: Some(trigger(pair.b(), kind, count)),
    };
    bench.run();
    for id in [NodeId::A, NodeId::B] {
        alive(pair.node_mut(id));
    }
    pair.b().log_text(Program::Stmfd)
}

#[test]
fn st_001_install_gives_a_handle_and_no_proxy_port_yet() {
    alone(1);
}

#[test]
fn st_002_second_install_in_one_process_is_refused() {
    alone(2);
}

#[test]
fn st_003_second_install_from_another_process_is_refused() {
    alone(3);
}

#[test]
fn st_004_install_without_a_place_for_the_handle() {
    alone(4);
}

#[test]
fn st_005_install_of_what_is_no_door_leaks_nothing() {
    alone(5);
}

#[test]
fn st_006_install_without_privilege() {
    alone(6);
}

#[test]
fn st_007_a_failed_install_sets_the_handle_to_minus_one() {
    alone(7);
}

#[test]
fn st_008_the_caller_may_close_its_own_descriptor() {
    alone(8);
}

#[test]
fn st_009_one_up_call_per_message_complete_and_without_descriptors() {
    on_standby(9, "inquiry", 1);
}

#[test]
fn st_010_a_posted_reply_completes_the_command() {
    on_standby(10, "read", 1);
}

#[test]
fn st_011_a_failing_door_server_is_logged_with_its_value_and_ends_the_command() {
    let log = on_standby(11, "read", 1);
    assert!(
        log.contains('5'),
        "the value the door server gave must be in the log:\n{log}"
    );
}

#[test]
fn st_012_a_malformed_result_is_a_failure_and_the_daemon_lives() {
    on_standby(12, "read", 1);
}

#[test]
fn st_013_many_up_calls_are_in_progress_at_once() {
    on_standby(13, "read", 64);
}

#[test]
fn st_014_an_up_call_that_never_returns_disturbs_nothing_else() {
    let (mut pair, _unit) = established_without_transport();
    let trigger = Some(trigger(pair.a(), "read", 8));
    Bench {
        row: 14,
        node: pair.a(),
        peer: Some(pair.b()),
        trigger,
    }
    .run();
    alive(pair.node_mut(NodeId::A));
}

#[test]
fn st_015_post_of_a_null_buffer() {
    alone(15);
}

#[test]
fn st_016_post_on_something_that_is_no_handle() {
    alone(16);
}

#[test]
fn st_017_post_of_nothing() {
    alone(17);
}

#[test]
fn st_018_ten_thousand_random_posts_are_refused_and_the_log_stays_short() {
    let log = alone(18);
    assert!(
        log.len() < 1 << 20,
        "10,000 bad posts made {} bytes of log",
        log.len()
    );
}

#[test]
fn st_019_post_above_the_largest_message() {
    alone(19);
}

#[test]
fn st_020_privilege_is_checked_on_every_post() {
    alone(20);
}

#[test]
fn st_021_two_threads_post_at_once() {
    on_standby(21, "read", 1);
}

#[test]
fn st_022_destroy_ends_ports_sessions_and_tasks() {
    on_standby(22, "read", 1);
}

#[test]
fn st_023_alua_state_survives_destroy() {
    on_standby(23, "read", 1);
}

#[test]
fn st_024_standby_read_after_destroy_ends_at_once() {
    on_standby(24, "read", 1);
}

#[test]
fn st_025_install_again_and_recover() {
    on_standby(25, "read", 1);
}

#[test]
fn st_026_kill_of_the_installing_process_frees_the_service() {
    alone(26);
}

#[test]
fn st_027_the_handle_is_not_inherited_over_exec() {
    alone(27);
}

#[test]
fn st_028_destroy_of_a_bad_handle() {
    alone(28);
}

#[test]
fn st_029_peer_messages_while_alua_is_disabled_make_no_logical_unit() {
    let pair = Pair::builder()
        .transport(Transport::None)
        .start()
        .expect("two daemons");
    let _unit = pair
        .create_unit("disk", UNIT_BYTES, 0)
        .expect("a logical unit on node A");
    Bench {
        row: 29,
        node: pair.b(),
        peer: Some(pair.a()),
        trigger: None,
    }
    .run();
    assert!(
        !pair
            .b()
            .stmfadm(&["list-lu", "-v"])
            .expect("a list")
            .contains("Standby")
    );
}

#[test]
fn st_030_bad_arguments_of_the_alua_state() {
    alone(30);
}

#[test]
fn st_031_null_pointers_of_the_alua_query() {
    alone(31);
}

#[test]
fn st_032_alua_state_of_a_fresh_service() {
    alone(32);
}
