//! Who waits, and where: what is said when a run makes no progress.

use std::fmt::{self, Write as _};
use std::fs;
use std::process::{Command, Stdio};

use crate::peer::NAMES;
use crate::shared::{SEATS, Seat, Shared, now};

/// The run waits for something that does not come.
#[derive(Debug)]
pub(crate) struct Stuck(pub(crate) String);

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stuck {}

/// A call that has been going on for longer than `limit` milliseconds: its answer is lost.
pub(crate) fn lost_call(shared: Shared, limit: u64) -> Option<String> {
    let now = now();
    (0..SEATS)
        .find(|seat| began(shared, *seat).is_some_and(|since| now.saturating_sub(since) > limit))
        .and_then(|seat| calling(shared, seat))
}

fn began(shared: Shared, seat: usize) -> Option<u64> {
    Some(shared.seat(seat, Seat::Since)).filter(|since| *since != 0)
}

/// Which call the thread at a seat is making.
fn calling(shared: Shared, seat: usize) -> Option<String> {
    let since = began(shared, seat)?;
    let peer = usize::try_from(shared.seat(seat, Seat::Peer)).unwrap_or(usize::MAX);
    Some(format!(
        "thread {} has been waiting for {:.1} s for the answer to call {} of server {}",
        shared.seat(seat, Seat::Thread),
        (now().saturating_sub(since)) as f64 / 1000.0,
        shared.seat(seat, Seat::Serial),
        NAMES.get(peer).unwrap_or(&"?")
    ))
}

/// Everything about who waits where.
pub(crate) fn describe(shared: Shared, processes: &[(u32, String)]) -> String {
    let mut text = String::new();
    for call in (0..SEATS).filter_map(|seat| calling(shared, seat)) {
        let _ = writeln!(text, "  {call}");
    }
    for (pid, name) in processes {
        let _ = writeln!(text, "  {name}, process {pid}:");
        threads(*pid, &mut text);
        backtraces(*pid, &mut text);
    }
    text
}

/// What the kernel says about the threads of a process.
fn threads(pid: u32, text: &mut String) {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        let _ = writeln!(text, "    is gone");
        return;
    };
    for task in tasks.flatten() {
        let read = |file: &str| {
            let content = fs::read_to_string(task.path().join(file)).unwrap_or_default();
            content.trim().to_owned()
        };
        let status = read("status");
        let state = status
            .lines()
            .find_map(|line| line.strip_prefix("State:"))
            .unwrap_or("?")
            .trim();
        let _ = writeln!(
            text,
            "    {} {}: {state}, in {}, system call {}",
            task.file_name().to_string_lossy(),
            read("comm"),
            read("wchan"),
            read("syscall")
        );
    }
}

/// What gdb says, if it is installed.
fn backtraces(pid: u32, text: &mut String) {
    let gdb = Command::new("timeout")
        .args([
            "30",
            "gdb",
            "--batch",
            "-nx",
            "-ex",
            "thread apply all backtrace 12",
            "-p",
        ])
        .arg(pid.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let Ok(output) = gdb else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if line.starts_with('#') || line.starts_with("Thread ") {
            let _ = writeln!(text, "      {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_does_not_come_is_noticed_with_who_waits_where() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let shared = Shared::make(folder.path()).expect("the file can be made");
        assert_eq!(lost_call(shared, 1000), None);
        shared.set_seat(5, Seat::Thread, 4711);
        shared.set_seat(5, Seat::Peer, 1);
        shared.set_seat(5, Seat::Serial, 17);
        shared.set_seat(5, Seat::Since, now().saturating_sub(5000).max(1));
        assert_eq!(lost_call(shared, 60_000), None);
        let lost = lost_call(shared, 1000).expect("it has been going on for five seconds");
        assert!(
            lost.contains("thread 4711") && lost.contains("call 17 of server c"),
            "{lost}"
        );
        let all = describe(shared, &[(std::process::id(), "this test".to_owned())]);
        assert!(
            all.contains(&lost[..20]) && all.contains("this test, process"),
            "{all}"
        );
        let own = rustix::thread::gettid().as_raw_nonzero().get().to_string();
        assert!(all.contains(&format!("    {own} ")), "{all}");
    }
}
