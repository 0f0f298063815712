//! A server and a client that await: one thread of the client has several calls in progress, and gives one up.
//!
//! Usage: `cargo run -p door --example async --features tokio`. Ends with 0 if the server noticed.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use door::{Call, Door, DoorHandle, Invocation, Reply};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    match std::env::args().nth(1) {
        Some(folder) => client(Path::new(&folder)).await,
        None => server().await,
    }
}

async fn server() -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let (given_up, mut noticed) = mpsc::unbounded_channel();
    let begun = Notify::new();
    // A future for each call, on a thread of the runtime's blocking pool: it may wait for timers and sockets, and it may block.
    let egg =
        Door::builder().create_async(&Handle::current(), async move |call: Invocation<'_>| {
            match call.argument() {
                b"for ever" => {
                    begun.notify_one();
                    if call.wait_cancelled(None) {
                        let _ = given_up.send(());
                    }
                    Reply::empty()
                }
                b"is it on?" => {
                    begun.notified().await;
                    Reply::bytes("since just now")
                }
                wish => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Reply::bytes(format!("{}, done", String::from_utf8_lossy(wish)))
                }
            }
        })?;
    let _attachment = egg.attach(folder.path().join("egg.door"))?;

    let mut client = Command::new(std::env::current_exe()?);
    client.arg(folder.path());
    let status = tokio::task::spawn_blocking(move || client.status()).await??;
    noticed.recv().await.ok_or("nobody gave up")?;
    println!("server: one caller gave up");
    Ok(ExitCode::from(u8::from(!status.success())))
}

async fn client(folder: &Path) -> Result<ExitCode> {
    let egg = DoorHandle::open(folder.join("egg.door"))?;

    // Both are in progress at the same time.
    let (soft, hard) = tokio::join!(egg.call_async(b"soft"), egg.call_async(b"hard"));
    for answer in [soft?, hard?] {
        println!("client: {}", String::from_utf8_lossy(answer.data()));
    }

    // Whatever drops the future gives the call up: here the other branch comes first.
    tokio::select! {
        answer = egg.call_async(b"for ever") => return Err(format!("that was short: {answer:?}").into()),
        answer = egg.call_async(b"is it on?") => {
            println!("client: {}", String::from_utf8_lossy(answer?.data()));
        }
    }

    // A deadline is the call's own: it needs no timer of the runtime, and comes back as an error.
    let call = Call::new(b"for ever").timeout(Duration::from_millis(10));
    println!(
        "client: {}",
        egg.call_async(call).await.expect_err("it lasts for ever")
    );
    Ok(ExitCode::SUCCESS)
}
