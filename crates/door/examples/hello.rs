//! A door that answers in capitals: its server, and a client in a process of its own.
//!
//! Usage: `cargo run -p door --example hello`. Ends with 0 if the client was answered.

use std::process::{Command, ExitCode};

use door::{Door, DoorHandle, Reply};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1) {
        Some(path) => client(&path),
        None => server(),
    }
}

fn server() -> Result<ExitCode> {
    let door = Door::builder()
        .max_argument_bytes(4096)
        .create(|call| Reply::bytes(call.argument().to_ascii_uppercase()))?;
    let folder = tempfile::tempdir()?;
    // Detached when it goes out of scope.
    let attachment = door.attach(folder.path().join("hello.door"))?;
    let client = Command::new(std::env::current_exe()?)
        .arg(attachment.path())
        .status()?;
    Ok(ExitCode::from(u8::from(!client.success())))
}

fn client(path: &str) -> Result<ExitCode> {
    let door = DoorHandle::open(path)?;
    let answer = door.call(b"hello, door")?;
    println!("client: {}", String::from_utf8_lossy(answer.data()));
    Ok(ExitCode::SUCCESS)
}
