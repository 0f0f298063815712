//! `doorctl top`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::LocalModes;
use rustix::time::Timespec;

use crate::support::{Doors, MACHINE, PATIENCE, Running, good};

/// Calls the door all the time while `body` runs.
fn while_called<T>(path: &str, body: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let door = door::DoorHandle::open(path).unwrap();
            while !over.load(Ordering::Relaxed) {
                door.call(b"x").unwrap();
            }
        });
        let result = body();
        over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn top_shows_rates_of_the_doors_that_are_called_most_first() {
    let _nobody_lists_all = MACHINE.read();
    let doors = Doors::start();
    let folder = doors.folder.path().to_str().unwrap();
    let (text, json) = while_called(&doors.path("upper"), || {
        (
            good(&["top", "--once", "--interval", "0.2", folder]),
            good(&["top", "--count", "2", "--interval", "0.2", "-j", folder]),
        )
    });
    let lines: Vec<&str> = text.text().lines().collect();
    assert_eq!(lines.len(), 5, "{}", text.text());
    assert!(lines[0].trim_start().starts_with("CALLS/S"), "{}", lines[0]);
    assert!(lines[1].contains(&doors.path("upper")), "{}", lines[1]);
    assert!(!text.text().contains('\x1b'));

    let rounds: Vec<serde_json::Value> = json
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        let first = &round[0];
        assert_eq!(first["path"], doors.path("upper"));
        assert!(first["calls_per_second"].as_f64().unwrap() > 0.0, "{first}");
        assert!(first["run_time_p50_ns"].as_u64().is_some(), "{first}");
        assert_eq!(
            (&first["clients"], &first["errors_per_second"]),
            (&1.into(), &0.0.into())
        );
        assert_eq!(round[1]["calls_per_second"], 0.0);
    }
}

/// The program at a terminal: a shell that outlives it holds the terminal, and says how it ended.
struct AtTerminal {
    shell: Running,
    user: File,
    terminal: OwnedFd,
}

impl AtTerminal {
    fn start(script: &str, arguments: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let user = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&user).unwrap();
        let terminal = rustix::pty::ioctl_tiocgptpeer(&user, flags).unwrap();
        let script = format!("{script}; echo ended with $? >&2; read -r line");
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "sh", "-c", &script, "sh"])
            .arg(env!("CARGO_BIN_EXE_doorctl"))
            .args(arguments)
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap());
        Self {
            shell: Running::start(&mut command),
            user: user.into(),
            terminal,
        }
    }

    /// Reads what it draws until `words` are there.
    fn wait_for(&mut self, words: &str) {
        let mut drawn = Vec::new();
        while !String::from_utf8_lossy(&drawn).contains(words) {
            let mut user = [PollFd::new(&self.user, PollFlags::IN)];
            let patience = Timespec::try_from(PATIENCE).unwrap();
            assert_eq!(rustix::event::poll(&mut user, Some(&patience)), Ok(1), "{words}");
            let mut piece = [0; 1000];
            let size = self.user.read(&mut piece).unwrap();
            drawn.extend_from_slice(&piece[..size]);
        }
    }

    fn modes(&self) -> LocalModes {
        rustix::termios::tcgetattr(&self.terminal).unwrap().local_modes
    }
}

#[test]
fn top_ends_at_q_and_at_ctrl_c_and_leaves_the_terminal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for keys in ["q", "xyq", "\x03"] {
        let arguments = ["top", "--interval", "0.1", folder.path().to_str().unwrap()];
        let mut top = AtTerminal::start("trap : INT; \"$@\"", &arguments);
        let usual = top.modes() | LocalModes::ICANON | LocalModes::ECHO;
        top.wait_for("CALLS/S");
        assert_eq!(top.modes(), usual - LocalModes::ICANON - LocalModes::ECHO);
        top.user.write_all(keys.as_bytes()).unwrap();
        assert_eq!(top.shell.wait_for("ended"), "ended with 0\n", "{keys:?}");
        assert_eq!(top.modes(), usual);
    }
}

#[test]
fn top_in_the_background_leaves_the_terminal_alone() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "top",
        "--interval",
        "0.1",
        "--count",
        "2",
        folder.path().to_str().unwrap(),
    ];
    let mut top = AtTerminal::start("set -m; \"$@\" & wait $!", &arguments);
    let usual = top.modes();
    top.wait_for("CALLS/S");
    assert_eq!(top.modes(), usual);
    assert_eq!(top.shell.wait_for("ended"), "ended with 0\n");
}
