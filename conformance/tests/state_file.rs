//! The daemon's state: damaged, in use twice, and on a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conformance::node::{DaemonOptions, Node, NodeId, Program};
use conformance::ports::Port;
use conformance::process::{self, Start};
use conformance::wait::PATIENCE;

const UNIT_BYTES: u64 = 16 << 20;

/// What is done to the bytes of the state file, and its name.
type Damage = (&'static str, fn(&mut Vec<u8>));

fn configured(dir: &Path) -> (Node, String) {
    let node = Node::alone(NodeId::A, dir).expect("a node");
    let file = dir.join("disk");
    fs::File::create(&file).expect("a data file");
    let text = node
        .stmfadm(&[
            "create-lu",
            "-s",
            &UNIT_BYTES.to_string(),
            &file.display().to_string(),
        ])
        .expect("a logical unit");
    let guid = text.rsplit(':').next().unwrap_or_default().trim().to_owned();
    node.stmfadm(&["add-view", &guid]).expect("a view");
    (node, guid)
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the state folder").flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn guids(node: &Node) -> String {
    node.stmfadm(&["list-lu"]).expect("a list")
}

#[test]
fn a_damaged_state_file_stops_the_start_names_itself_and_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut node, guid) = configured(dir.path());
    node.kill9(Program::Stmfd);
    let damages: [Damage; 4] = [
        ("one byte changed", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x01;
        }),
        ("cut in the middle", |bytes| bytes.truncate(bytes.len() / 2)),
        ("empty", Vec::clear),
        ("garbage", |bytes| {
            *bytes = conformance::random::Random::new(9).bytes(bytes.len());
        }),
    ];
    let state = state_file(&node);
    let good = fs::read(&state).expect("state");
    for (what, damage) in damages {
        let mut bad = good.clone();
        damage(&mut bad);
        fs::write(&state, &bad).expect("damage");
        node.start(Program::Stmfd).expect("the program starts");
        let status = node
            .process(Program::Stmfd)
            .wait(PATIENCE)
            .expect("it refuses to run");
        assert!(!status.success(), "{what}: it must fail");
        let log = node.process(Program::Stmfd).tail();
        let name = state.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(
            log.contains(&name),
            "{what}: the message must name {name}:\n{log}"
        );
        assert_eq!(
            fs::read(&state).expect("state"),
            bad,
            "{what}: the file must stay as it was"
        );
    }
    fs::write(&state, &good).expect("the administrator restores it");
    node.start(Program::Stmfd).expect("start");
    node.wait_ready().expect("online again");
    assert!(guids(&node).contains(&guid));
}

/// The current generation: the largest file of the state folder that is no lock and no earlier generation.
fn state_file(node: &Node) -> PathBuf {
    let files = files_of(&node.state_dir());
    let newest = files
        .iter()
        .filter(|path| fs::metadata(path).is_ok_and(|data| data.len() > 0));
    let newest = newest.max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok());
    newest.unwrap_or_else(|| panic!("no state in {files:?}")).clone()
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_the_first_does_not_notice() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, guid) = configured(dir.path());
    let port = Port::reserve().expect("a port");
    let log = dir.path().join("second.log");
    let mut second = Start::new(
        "second stmfd",
        conformance::binaries::built("stmfd").expect("built"),
    )
    .args(["--node", "0", "--target-name", "iqn.2026-11.org.example:second"])
    .arg("--state-dir")
    .arg(node.state_dir())
    .arg("--control")
    .arg(dir.path().join("second-control"))
    .args(["--iscsi-listen", &port.address().to_string()])
    .spawn(&log)
    .expect("starts");
    assert!(
        !second.wait(PATIENCE).expect("it ends").success(),
        "two daemons on one state"
    );
    assert!(
        second.tail().contains("state"),
        "the message must say why:\n{}",
        second.tail()
    );
    assert!(guids(&node).contains(&guid), "the first one works on");
}

#[test]
fn a_second_daemon_on_the_same_control_door_is_refused_and_the_first_does_not_notice() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, guid) = configured(dir.path());
    let port = Port::reserve().expect("a port");
    let mut second = Start::new(
        "second stmfd",
        conformance::binaries::built("stmfd").expect("built"),
    )
    .args(["--node", "0", "--target-name", "iqn.2026-11.org.example:second"])
    .arg("--state-dir")
    .arg(dir.path().join("second-state"))
    .arg("--control")
    .arg(node.control())
    .args(["--iscsi-listen", &port.address().to_string()])
    .spawn(&dir.path().join("second.log"))
    .expect("starts");
    assert!(
        !second.wait(PATIENCE).expect("it ends").success(),
        "two daemons on one control door"
    );
    assert!(guids(&node).contains(&guid), "the first one works on");
}

#[test]
fn administrators_at_the_same_time_lose_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut node, _) = configured(dir.path());
    let groups: Vec<String> = (0..12).map(|number| format!("group-{number}")).collect();
    std::thread::scope(|scope| {
        for group in &groups {
            let node = &node;
            scope.spawn(move || node.stmfadm(&["create-hg", group]).expect("created"));
        }
    });
    node.kill9(Program::Stmfd);
    node.start(Program::Stmfd).expect("start");
    node.wait_ready().expect("online");
    let list = node.stmfadm(&["list-hg"]).expect("a list");
    for group in &groups {
        assert!(list.contains(group.as_str()), "{group} is lost:\n{list}");
    }
}

/// A small file system of its own, unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).expect("a mount point");
        let start = Start::new("mount", "mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "lintel-test"])
            .arg(at);
        let done = process::run(start, PATIENCE).ok()?;
        done.success().then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = process::run(
            Start::new("umount", "umount").arg("-l").arg(&self.0),
            Duration::from_secs(20),
        );
    }
}

#[test]
fn a_full_disk_refuses_changes_and_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(&dir.path().join("node").join("state")) else {
        eprintln!("SKIPPED: mounting a small file system needs root with CAP_SYS_ADMIN");
        return;
    };
    let port = Port::reserve().expect("a port");
    let mut node = Node::lay_out(
        NodeId::A,
        &dir.path().join("node"),
        port,
        DaemonOptions::default(),
    )
    .expect("a node");
    node.start(Program::Stmfd).expect("start");
    node.wait_ready().expect("online");
    node.stmfadm(&["create-hg", "before"]).expect("there is room");
    let filler = disk.0.join("filler");
    fill(&filler);
    let refused = node
        .stmfadm_raw(&["create-hg", "too-late"])
        .expect("stmfadm runs");
    assert!(!refused.success(), "no room, and yet: {refused:?}");
    assert!(
        !node
            .stmfadm(&["list-hg"])
            .expect("the daemon lives")
            .contains("too-late"),
        "refused means refused"
    );
    fs::remove_file(&filler).expect("room again");
    node.stmfadm(&["create-hg", "after"])
        .expect("works again without a restart");
    node.kill9(Program::Stmfd);
    node.start(Program::Stmfd).expect("start");
    node.wait_ready().expect("online from the state on the disk");
    let list = node.stmfadm(&["list-hg"]).expect("a list");
    assert!(
        list.contains("before") && list.contains("after") && !list.contains("too-late"),
        "{list}"
    );
    // Before the disk goes: the daemon must not hold it.
    drop(node);
}

/// Writes until the disk has no room for one more byte.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).expect("a filler");
    for size in [4096, 512, 1] {
        let piece = vec![0x55; size];
        while file.write_all(&piece).is_ok() {}
    }
    let _ = file.sync_all();
}
