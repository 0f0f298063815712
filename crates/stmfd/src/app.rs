//! Start and stop of the daemon.

use crate::admin::ControlDoor;
use crate::config::Settings;
use crate::iscsi;
use crate::proxy::Proxy;
use crate::target::Target;
use anyhow::{Context as _, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

/// Heartbeats, deadlines and greetings are looked at this often.
const TICK: Duration = Duration::from_millis(100);
/// Connections get this long to take their last answers when the daemon stops.
const FAREWELL: Duration = Duration::from_millis(500);

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(settings: Settings) -> Result<()> {
    // Portals first: a wrong address is found before anything is touched.
    let mut portals = Vec::new();
    for address in &settings.iscsi_listen {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("iSCSI portal {address}: another program may serve it; see --iscsi-listen")
        })?;
        portals.push(listener);
    }
    let target = Target::new(settings.clone())?;
    target.bring_up();
    let proxy = Proxy::new(Arc::clone(&target));
    target.set_proxy(Arc::clone(&proxy));
    let control = ControlDoor::open(Arc::clone(&target), &settings.control)?;
    let (stopper, stop) = watch::channel(false);
    let shards = iscsi::Shards::start(&target, &stop)?;
    for listener in portals {
        let address = listener.local_addr()?;
        info!(%address, target = settings.target_name, "iSCSI portal");
        tokio::spawn(iscsi::serve(Arc::clone(&shards), listener, stop.clone()));
    }
    let ticking = Arc::clone(&proxy);
    let ticker = std::thread::Builder::new()
        .name("tick".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(TICK);
                ticking.tick();
            }
        });
    ticker.context("no thread for the timer")?;
    info!(control = %settings.control.display(), node = settings.node, "ready");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping");
    drop(control);
    if stopper.send(true).is_err() {
        warn!("no portal was listening to the stop signal");
    }
    tokio::time::sleep(FAREWELL).await;
    target.close_stores();
    Ok(())
}
