//! Wiring: what is started, in which order, and how it ends.

use crate::channel::Channel;
use crate::config::{Arguments, Command, Serve, Side};
use crate::identity;
use crate::pin::{Credentials, Tls};
use crate::session::{Session, proxy_door};
use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::net::TcpListener;
use std::sync::Arc;
use tracing::info;

/// Does what the command line says; returns when it is done, or a signal has ended it.
///
/// # Errors
/// What keeps it from starting.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Some(Command::GenerateIdentity { dir, name, force }) => {
            let (cert, key) = identity::generate(&dir, &name, force)?;
            println!("certificate {}\nkey         {}", cert.display(), key.display());
            println!("give the certificate, not the key, to the peer node as its --peer-cert");
            Ok(())
        }
        None => serve(arguments.serve),
    }
}

fn serve(serve: Serve) -> anyhow::Result<()> {
    let settings = serve.settle()?;
    let credentials = Credentials {
        chain: identity::certificates(&settings.cert)?,
        key: identity::key(&settings.key)?,
        pinned: identity::certificates(&settings.peer_cert)?,
    };
    let tls = Tls::new(&credentials).context("certificate, key or peer certificate cannot be used")?;
    // Signals first: one that comes while starting must end the program, too.
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot wait for signals")?;
    let channel = Channel::new(tls);
    let session = Session::new(settings.control, settings.node);
    let door = proxy_door(Arc::clone(&channel)).context("cannot make the door")?;
    let road = match settings.side {
        Side::Listen(address) => {
            let listener =
                TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
            info!("listening at {}", listener.local_addr()?);
            channel.listen(listener, session.clone())?
        }
        Side::Connect(address) => channel.connect(address, session.clone())?,
    };
    let alive = channel.keep_alive()?;
    let kept = session.keep(door)?;
    let signal = signals.forever().next();
    info!("signal {}: ending", signal.unwrap_or_default());
    channel.stop();
    session.stop();
    for thread in [road, alive, kept] {
        // A thread that panicked has said so.
        let _ = thread.join();
    }
    Ok(())
}
