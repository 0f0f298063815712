//! `doorctl serve`.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use door::{Call, CallError, DoorHandle};
use rustix::process::Signal;

use crate::support::{Doors, PATIENCE, Running, doorctl, good, path_in, run, until};

struct Served {
    program: Running,
    path: String,
    folder: tempfile::TempDir,
}

impl Served {
    /// Serves `script`, which is given to sh.
    fn start(options: &[&str], script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path(), "door");
        let mut command = doorctl(&["serve", &path]);
        command.args(options).args(["--", "sh", "-c", script]);
        command.current_dir(folder.path());
        let mut program = Running::start(&mut command);
        program.wait_for("serving");
        Self {
            program,
            path,
            folder,
        }
    }

    fn open(&self) -> DoorHandle {
        DoorHandle::open(&self.path).unwrap()
    }

    fn file(&self, name: &str) -> String {
        path_in(self.folder.path(), name)
    }
}

fn call(door: &DoorHandle, argument: &[u8]) -> Result<Vec<u8>, CallError> {
    Ok(door.call_with(Call::new(argument).timeout(PATIENCE))?.into_data())
}

/// The number of a process in a file, once it is there.
fn pid_in(file: &str) -> String {
    until("the command starts", || {
        let text = std::fs::read_to_string(file).ok()?;
        text.ends_with('\n').then(|| text.trim().to_owned())
    })
}

fn wait_until_gone(pid: &str) {
    until("the command is killed", || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie whose parent is gone waits for somebody else to reap it.
        let dead = state
            .rsplit(')')
            .next()
            .is_none_or(|rest| rest.trim_start().starts_with('Z'));
        (dead || !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}

#[test]
fn each_call_runs_the_command_with_the_argument_as_input() {
    let served = Served::start(&[], "tr a-z A-Z");
    let door = served.open();
    assert_eq!(call(&door, b"hello").unwrap(), b"HELLO");
    assert_eq!(call(&door, b"").unwrap(), b"");
    let large = vec![b'x'; 3_000_000];
    assert_eq!(call(&door, &large).unwrap(), vec![b'X'; 3_000_000]);
    assert_eq!(good(&["call", &served.path, "--data", "shell"]).out, b"SHELL");
}

#[test]
fn a_command_need_not_read_its_input() {
    let served = Served::start(&[], "echo done");
    assert_eq!(call(&served.open(), &vec![0; 1_000_000]).unwrap(), b"done\n");
}

#[test]
fn the_environment_tells_who_calls() {
    let script = "echo $DOOR_CALLER_PID $DOOR_CALLER_UID $DOOR_CALLER_EGID $DOOR_FDS $DOOR_PATH";
    let served = Served::start(&[], script);
    let told = String::from_utf8(call(&served.open(), b"").unwrap()).unwrap();
    let (me, uid, gid) = (
        std::process::id(),
        rustix::process::getuid(),
        rustix::process::getegid(),
    );
    assert_eq!(
        told,
        format!("{me} {} {} 0 {}\n", uid.as_raw(), gid.as_raw(), served.path)
    );
}

#[test]
fn a_command_that_fails_fails_the_call_and_the_reason_is_told() {
    let mut served = Served::start(&[], "echo lost; echo why >&2; exit 7");
    let outcome = run(&["call", &served.path]);
    assert_eq!((outcome.code, outcome.out.as_slice()), (Some(3), &b""[..]));
    served.program.wait_for("why");
    served.program.wait_for("sh exited with status 7");
    assert!(matches!(call(&served.open(), b""), Err(CallError::Interrupted)));
    let mut killed = Served::start(&[], "kill -TERM $$");
    assert!(matches!(call(&killed.open(), b""), Err(CallError::Interrupted)));
    killed.program.wait_for("sh was killed by signal 15");
}

/// Commands share the standard error of doorctl, and may write to it at any moment.
#[test]
fn what_is_told_of_a_call_is_one_line_that_nothing_comes_between() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(folder.path(), "door");
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut record = [0; 1000];
        let size = ours.recv(&mut record).unwrap();
        String::from_utf8(record[..size].to_vec()).unwrap()
    };
    let mut serve = Command::new("sh");
    serve
        .args(["-c", "exec \"$@\" 2>&0", "sh", env!("CARGO_BIN_EXE_doorctl")])
        .args(["serve", &path, "--", "sh", "-c", "exit 7"])
        .stdin(OwnedFd::from(theirs));
    let _program = Running::start(&mut serve);
    assert_eq!(hear(), format!("doorctl: serving {path}\n"));
    let caller = Running::start(&mut doorctl(&["call", &path]));
    let pid = caller.child.id();
    assert_eq!(
        hear(),
        format!("doorctl: call of process {pid}: sh exited with status 7\n")
    );
}

/// A file with a script, which may be executed or not.
fn script_in(folder: &Path, name: &str, mode: u32) -> String {
    let path = path_in(folder, name);
    std::fs::write(&path, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_command_that_cannot_be_run_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(folder.path(), "door");
    let plain = script_in(folder.path(), "plain", 0o644);
    let cases = [
        ("nosuchcommand", "not found in PATH"),
        ("plain", "no permission to execute it"),
        ("/no/such/command", "No such file"),
        (&plain, "no permission to execute it"),
        (folder.path().to_str().unwrap(), "no permission to execute it"),
    ];
    for (command, why) in cases {
        let mut serve = doorctl(&["serve", &path, "--", command]);
        let mut program = Running::start(serve.env("PATH", folder.path()));
        let said = program.wait_for("");
        assert!(
            said.starts_with(&format!("doorctl: cannot run {command}: {why}")),
            "{said}"
        );
        assert_eq!(program.end().0, Some(1));
        assert!(!std::fs::exists(&path).unwrap());
    }
}

#[test]
fn a_command_is_found_in_any_folder_of_the_path() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    script_in(folders[1].path(), "command", 0o644);
    script_in(folders[2].path(), "command", 0o755);
    let search = std::env::join_paths(folders.iter().map(tempfile::TempDir::path)).unwrap();
    let path = path_in(folders[0].path(), "door");
    let mut serve = doorctl(&["serve", &path, "--", "command"]);
    let mut program = Running::start(serve.env("PATH", search));
    program.wait_for("serving");
    assert_eq!(call(&DoorHandle::open(&path).unwrap(), b"").unwrap(), b"");
}

#[test]
fn a_command_that_disappears_fails_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_in(folder.path(), "door");
    let command = script_in(folder.path(), "command", 0o755);
    let mut program = Running::start(&mut doorctl(&["serve", &path, "--", &command]));
    program.wait_for("serving");
    std::fs::remove_file(&command).unwrap();
    assert_eq!(run(&["call", &path]).code, Some(3));
    program.wait_for(&format!("cannot run {command}"));
}

#[test]
fn descriptors_are_passed_on_from_3() {
    let served = Served::start(&["--accept-fds"], "echo $DOOR_FDS; cat <&3; cat <&4");
    let door = served.open();
    let files = ["one", "two"].map(|text| {
        let path = served.file(text);
        std::fs::write(&path, text).unwrap();
        std::fs::File::open(&path).unwrap()
    });
    let request = files
        .into_iter()
        .fold(Call::new(b"").timeout(PATIENCE), Call::give);
    assert_eq!(door.call_with(request).unwrap().data(), b"2\nonetwo");
    // None of doorctl's own descriptors are there: no others than a command of this test has.
    let bare = Served::start(&["--accept-fds"], "ls /proc/self/fd");
    let here = Command::new("sh")
        .args(["-c", "ls /proc/self/fd"])
        .output()
        .unwrap();
    assert_eq!(call(&bare.open(), b"").unwrap(), here.stdout);
}

#[test]
fn descriptors_are_refused_unless_asked_for() {
    let served = Served::start(&[], "true");
    let null = std::fs::File::open("/dev/null").unwrap();
    let refused = served.open().call_with(Call::new(b"").give(null)).unwrap_err();
    assert!(matches!(refused.error, CallError::DescriptorsRefused));
}

#[test]
fn limits_of_argument_reply_and_time_hold() {
    let mut served = Served::start(
        &[
            "--max-argument",
            "10",
            "--max-reply",
            "1000",
            "--time-limit",
            "0.2",
        ],
        "if read line; then sleep 1000; else yes; fi",
    );
    let door = served.open();
    assert!(matches!(call(&door, &[0; 11]), Err(CallError::TooBig)));
    assert!(matches!(call(&door, b""), Err(CallError::Interrupted)));
    served.program.wait_for("--max-reply");
    assert!(matches!(call(&door, b"sleep\n"), Err(CallError::Interrupted)));
    served.program.wait_for("--time-limit");
}

#[test]
fn calls_run_at_the_same_time_up_to_the_limit() {
    // Two commands wait for each other through a pipe with a name.
    let served = Served::start(
        &["--max-concurrent", "2"],
        "mkfifo p 2>&-; if read x; then echo over >p; else cat p; fi",
    );
    let door = served.open();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| call(&door, b"").unwrap());
        assert_eq!(call(&door, b"go\n").unwrap(), b"");
        assert_eq!(waits.join().unwrap(), b"over\n");
    });
    let one = Served::start(&["--max-concurrent", "1"], "echo $$ >>pids; cat p; echo $$");
    Command::new("mkfifo").arg(one.file("p")).status().unwrap();
    let door = one.open();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| call(&door, b"").unwrap()))
            .collect();
        until("one has come", || {
            (one.open().statistics(PATIENCE).unwrap().running == 1).then_some(())
        });
        for round in 1..=3 {
            let started = until("one starts", || {
                let pids = std::fs::read_to_string(one.file("pids")).ok()?;
                (pids.lines().count() >= round).then_some(pids)
            });
            assert_eq!(started.lines().count(), round);
            std::fs::write(one.file("p"), "").unwrap();
        }
        for call in calls {
            assert!(!call.join().unwrap().is_empty());
        }
    });
}

#[test]
fn a_caller_that_gives_up_ends_the_command_and_what_it_started() {
    let mut served = Served::start(&[], "sleep 1000 & echo $! >child; wait");
    let door = served.open();
    // On a slow machine the command has not begun by then.
    let mut patience = Duration::from_millis(100);
    while !std::fs::exists(served.file("child")).unwrap() {
        let late = door.call_with(Call::new(b"").timeout(patience)).unwrap_err();
        assert!(matches!(late.error, CallError::TimedOut));
        patience *= 2;
    }
    wait_until_gone(&pid_in(&served.file("child")));
    served.program.wait_for("the caller has given up");
    // The same for one that is killed.
    std::fs::remove_file(served.file("child")).unwrap();
    let caller = Running::start(&mut doorctl(&["call", &served.path]));
    let pid = pid_in(&served.file("child"));
    drop(caller);
    wait_until_gone(&pid);
}

#[test]
fn signals_detach_the_door_and_kill_what_runs() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut served = Served::start(&[], "echo $$ >pid; exec sleep 1000");
        let caller = {
            let path = served.path.clone();
            std::thread::spawn(move || run(&["call", &path]))
        };
        let pid = pid_in(&served.file("pid"));
        served.program.signal(signal);
        let (code, _) = served.program.end();
        assert_eq!(code, Some(0), "{signal:?}");
        assert!(!std::fs::exists(&served.path).unwrap());
        wait_until_gone(&pid);
        assert_eq!(caller.join().unwrap().code, Some(3));
    }
}

/// The command has ended by then; its output has not.
#[test]
fn what_a_command_has_started_and_left_is_killed_with_the_call() {
    for ends_caller in [true, false] {
        let mut served = Served::start(&[], "sleep 1000 & echo $! >child");
        let caller = Running::start(&mut doorctl(&["call", &served.path]));
        let pid = pid_in(&served.file("child"));
        if ends_caller {
            drop(caller);
        } else {
            served.program.signal(Signal::TERM);
            assert_eq!(served.program.end().0, Some(0));
        }
        wait_until_gone(&pid);
    }
}

#[test]
fn a_command_leads_a_session_of_its_own() {
    // Fields 5 and 6 are the process group and the session.
    let served = Served::start(&[], "read -r line </proc/$$/stat; set -- $line; echo $$ $5 $6");
    let told = String::from_utf8(call(&served.open(), b"").unwrap()).unwrap();
    let numbers: Vec<&str> = told.split_whitespace().collect();
    assert_eq!(numbers, [numbers[0]; 3]);
}

#[test]
fn a_command_does_not_outlive_a_doorctl_that_is_killed() {
    let mut served = Served::start(&[], "echo $$ >pid; exec sleep 1000");
    let _caller = Running::start(&mut doorctl(&["call", &served.path]));
    let pid = pid_in(&served.file("pid"));
    served.program.child.kill().unwrap();
    wait_until_gone(&pid);
}

#[test]
fn serving_ends_when_the_door_is_detached_and_nobody_holds_it() {
    let mut served = Served::start(&[], "cat");
    let door = served.open();
    good(&["detach", &served.path]);
    assert_eq!(call(&door, b"still there").unwrap(), b"still there");
    drop(door);
    assert_eq!(served.program.end().0, Some(0));
}

#[test]
fn a_path_that_is_taken_is_an_error() {
    let doors = Doors::start();
    let outcome = run(&["serve", &doors.path("upper"), "--", "cat"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("another door"), "{}", outcome.err);
    assert_eq!(good(&["call", &doors.path("upper"), "--data", "x"]).out, b"X");
}
