//! A door for each object: whoever holds the descriptor may use the object, and when nobody does any more, it goes.
//!
//! Usage: `cargo run -p door --example object_server`. Ends with 0 if every counter was cleaned up, also those of a client that was
//! killed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use door::{Door, DoorHandle, Reply};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1) {
        Some(path) => client(&path),
        None => server(),
    }
}

/// The objects there are.
#[derive(Default)]
struct Counters {
    doors: Mutex<HashMap<u64, Door>>,
    changed: Condvar,
    made: AtomicU64,
}

impl Counters {
    /// Makes a counter; it is in nobody's way once its last holder has gone.
    fn make(self: &Arc<Self>) -> std::io::Result<Reply> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let count = AtomicU64::new(0);
        let all = Arc::clone(self);
        let door = Door::builder()
            .on_unreferenced(move || all.remove_if_unreferenced(number))
            .create(move |_| Reply::bytes((count.fetch_add(1, Ordering::Relaxed) + 1).to_le_bytes()))?;
        let lent = door.lend()?;
        self.doors.lock().expect("no holder panics").insert(number, door);
        Ok(Reply::empty().give(lent))
    }

    fn remove_if_unreferenced(&self, number: u64) {
        let mut doors = self.doors.lock().expect("no holder panics");
        // Somebody may have been given another descriptor of it since.
        if doors
            .get(&number)
            .is_some_and(|door| door.is_unreferenced().unwrap_or(false))
        {
            doors.remove(&number);
            println!("server: counter {number} is gone");
            self.changed.notify_all();
        }
    }
}

fn server() -> Result<ExitCode> {
    let counters = Arc::new(Counters::default());
    let all = Arc::clone(&counters);
    let factory = Door::builder()
        .create(move |_| all.make().unwrap_or_else(|error| Reply::bytes(error.to_string())))?;
    let folder = tempfile::tempdir()?;
    let attachment = factory.attach(folder.path().join("counters.door"))?;

    let mut client = Command::new(std::env::current_exe()?)
        .arg(attachment.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(client.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with("client: done") {
        line.clear();
        if said.read_line(&mut line)? == 0 {
            return Err("the client failed".into());
        }
        print!("{line}");
    }
    // It holds one counter still, and has no chance to let go of it.
    client.kill()?;
    client.wait()?;
    let doors = counters.doors.lock().expect("no holder panics");
    let _gone = counters
        .changed
        .wait_while(doors, |doors| !doors.is_empty())
        .expect("no holder panics");
    Ok(ExitCode::SUCCESS)
}

fn new_counter(factory: &DoorHandle) -> Result<DoorHandle> {
    let answer = factory.call(b"")?;
    let error = String::from_utf8_lossy(answer.data()).into_owned();
    let descriptor = answer.into_descriptors().into_iter().next().ok_or(error)?;
    Ok(descriptor.into_door()?)
}

fn client(path: &str) -> Result<ExitCode> {
    let factory = DoorHandle::open(path)?;
    let (one, other) = (new_counter(&factory)?, new_counter(&factory)?);
    for (name, counter) in [("one", &one), ("one", &one), ("other", &other)] {
        let count = u64::from_le_bytes(counter.call(b"")?.data().try_into()?);
        println!("client: {name} is at {count}");
    }
    drop(other);
    println!("client: done");
    // Until it is killed.
    std::io::stdin().read_exact(&mut [0])?;
    Ok(ExitCode::SUCCESS)
}
