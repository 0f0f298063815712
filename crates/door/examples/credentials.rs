//! A door that tells its callers what it knows of them, and whether they may.
//!
//! Usage: `cargo run -p door --example credentials`. Ends with 0 if the client was recognised and its end was seen.

use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode};
use std::sync::mpsc::channel;

use door::{Door, DoorHandle, Reply};
use rustix::event::{PollFd, PollFlags, poll};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1) {
        Some(path) => client(&path),
        None => server(),
    }
}

fn server() -> Result<ExitCode> {
    let own = rustix::process::geteuid().as_raw();
    let (processes, callers) = channel::<OwnedFd>();
    let door = Door::builder().create(move |call| {
        // Asked at each call: a caller may have changed its ids since it opened the door.
        let caller = match call.credentials() {
            Ok(caller) => caller,
            Err(error) => return Reply::bytes(format!("refused: {error}")),
        };
        if caller.euid != own {
            return Reply::bytes("refused: another user");
        }
        // This means the caller's process and no other, even when its number is used again.
        if let Ok(process) = call.pidfd() {
            let _ = processes.send(process);
        }
        Reply::bytes(format!(
            "welcome, process {}, user {} ({}), group {} ({}), {} more groups",
            caller.pid,
            caller.euid,
            caller.uid,
            caller.egid,
            caller.gid,
            caller.groups.len()
        ))
    })?;
    let folder = tempfile::tempdir()?;
    let attachment = door.attach(folder.path().join("who.door"))?;
    let mut client = Command::new(std::env::current_exe()?)
        .arg(attachment.path())
        .spawn()?;
    let welcomed = client.wait()?.success();
    if welcomed && let Ok(process) = callers.try_recv() {
        // Readable once the process has ended: at once, that is.
        poll(&mut [PollFd::new(&process, PollFlags::IN)], None)?;
        println!("server: the caller has ended");
    }
    Ok(ExitCode::from(u8::from(!welcomed)))
}

fn client(path: &str) -> Result<ExitCode> {
    let answer = DoorHandle::open(path)?.call(b"")?;
    let text = String::from_utf8_lossy(answer.data()).into_owned();
    println!("client: {text}");
    Ok(ExitCode::from(u8::from(!text.starts_with("welcome"))))
}
