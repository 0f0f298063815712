//! A door that answers in capitals, its server and a client, in one program.
//!
//! `cargo run -p door --example hello_door`

use std::process::Command;

use door::{Door, DoorHandle, Invocation, Reply};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = std::env::args().nth(1) {
        return client(&path);
    }
    let path = std::env::temp_dir().join(format!("hello-{}.door", std::process::id()));
    let door = Door::builder()
        .max_argument_bytes(4096)
        .create(|call: Invocation<'_>| {
            let caller = call
                .credentials()
                .map_or_else(|error| error.to_string(), |who| format!("process {}", who.pid));
            println!("server: called by {caller}");
            Reply::bytes(call.argument().to_ascii_uppercase())
        })?;
    // Detached when it goes out of scope.
    let attachment = door.attach(&path)?;
    let status = Command::new(std::env::current_exe()?)
        .arg(attachment.path())
        .status()?;
    println!("server: client ended with {status}");
    Ok(())
}

fn client(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let door = DoorHandle::open(path)?;
    let answer = door.call(b"hello, door")?;
    println!("client: {}", String::from_utf8_lossy(answer.data()));
    Ok(())
}
