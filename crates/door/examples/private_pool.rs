//! Two doors of one process with threads of their own: a slow one that is exhausted keeps nobody waiting at the other.
//!
//! Usage: `cargo run -p door --example private_pool`. Ends with 0 if the quick door answered while the slow one was busy.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use door::{Call, CallError, Door, DoorHandle, Reply, Threads};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1) {
        Some(folder) => client(Path::new(&folder)),
        None => server(),
    }
}

fn server() -> Result<ExitCode> {
    let (finish, finished) = channel::<()>();
    let finished = Mutex::new(finished);
    let folder = tempfile::tempdir()?;
    // One thread, with a small stack: it is all this door will ever have.
    let slow = Door::builder()
        .refuse_descriptors(false)
        .threads(Threads::fixed(1).name("slow").stack_bytes(128 << 10))
        .create(move |mut call| {
            // Tells the caller, through the pipe it sent, that this has begun.
            for signal in call.take_descriptors() {
                let _ = File::from(signal.into_fd()).write_all(b"!");
            }
            match finished.lock() {
                Ok(finished) if finished.recv().is_ok() => Reply::bytes("at last"),
                _ => Reply::bytes("never"),
            }
        })?;
    // Up to four, as they are needed.
    let quick = Door::builder()
        .threads(Threads::up_to(4).name("quick"))
        .create(move |call| {
            if call.argument() == b"finish" {
                let _ = finish.send(());
            }
            Reply::bytes("at once")
        })?;
    let _attachments = (
        slow.attach(folder.path().join("slow.door"))?,
        quick.attach(folder.path().join("quick.door"))?,
    );
    let status = Command::new(std::env::current_exe()?)
        .arg(folder.path())
        .status()?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

fn client(folder: &Path) -> Result<ExitCode> {
    let slow = DoorHandle::open(folder.join("slow.door"))?;
    let quick = DoorHandle::open(folder.join("quick.door"))?;
    let text = |answer: door::Answer| String::from_utf8_lossy(answer.data()).into_owned();

    let (mut begun, signal) = std::io::pipe()?;
    let other = slow.try_clone()?;
    let waiting = std::thread::spawn(move || other.call_with(Call::new(b"").give(signal)));
    begun.read_exact(&mut [0])?;

    println!("client: quick: {}", text(quick.call(b"")?));
    let impatient = slow.call_with(Call::new(b"").timeout(Duration::from_millis(10)));
    match impatient.map_err(CallError::from) {
        Err(CallError::TimedOut) => println!("client: slow: busy"),
        other => return Err(format!("the only thread was busy: {other:?}").into()),
    }
    quick.call(b"finish")?;
    let answer = waiting.join().expect("the thread calls a door")?;
    println!("client: slow: {}", text(answer));
    Ok(ExitCode::SUCCESS)
}
