//! Opens files for a client that may not: descriptors travel with the reply.
//!
//! Usage: `cargo run -p door --example descriptor_server`. Started by root, the client runs as nobody, and shows that it cannot open
//! the file itself. Ends with 0 if it has read the file all the same.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use door::{Door, DoorHandle, Reply};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const NOBODY: u32 = 65534;

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1) {
        Some(folder) => client(Path::new(&folder)),
        None => server(),
    }
}

fn server() -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let letter = folder.path().join("letter");
    std::fs::write(&letter, "for your eyes only\n")?;
    std::fs::set_permissions(&letter, Permissions::from_mode(0o600))?;

    let served = folder.path().to_owned();
    let door = Door::builder().max_argument_bytes(255).create(move |call| {
        let Ok(name) = std::str::from_utf8(call.argument()) else {
            return Reply::bytes("a name is text");
        };
        if name.contains('/') || name.starts_with('.') {
            return Reply::bytes("a plain name, please");
        }
        match File::open(served.join(name)) {
            // The client gets the file as if it had opened it; here it is closed.
            Ok(file) => Reply::empty().give(file),
            Err(error) => Reply::bytes(error.to_string()),
        }
    })?;
    let attachment = door.attach(folder.path().join("files.door"))?;
    // Anybody may call.
    std::fs::set_permissions(attachment.path(), Permissions::from_mode(0o666))?;

    // By this name nobody, too, may run the program wherever it is.
    let mut client = Command::new("/proc/self/exe");
    client.arg(folder.path());
    if rustix::process::geteuid().is_root() {
        client.uid(NOBODY).gid(NOBODY);
    }
    let status = client.status()?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

fn client(folder: &Path) -> Result<ExitCode> {
    let files = DoorHandle::open(folder.join("files.door"))?;
    // Where all this is run by one user, the file is the client's own.
    if let Err(error) = File::open(folder.join("letter")) {
        println!("client: by myself: {error}");
    }
    let answer = files.call(b"letter")?;
    let refusal = String::from_utf8_lossy(answer.data()).into_owned();
    let file = answer.into_descriptors().into_iter().next().ok_or(refusal)?;
    print!(
        "client: through the door: {}",
        std::io::read_to_string(File::from(file.into_fd()))?
    );

    let refused = files.call(b"../../etc/shadow")?;
    println!("client: {}", String::from_utf8_lossy(refused.data()));
    Ok(ExitCode::SUCCESS)
}
