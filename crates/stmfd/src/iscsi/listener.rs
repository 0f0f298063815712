//! Accepts connections; bounded, and never stopped by one that fails.

use super::shards::{Accepted, Shards};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

/// Connections of all portals together; one more is closed at once.
const MAXIMUM_CONNECTIONS: usize = 1024;
/// After a failed accept (no descriptors left, say) the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves one portal until `stop` changes.
pub(crate) async fn serve(shards: Arc<Shards>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept iSCSI connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            warn!(%peer, "refused: {MAXIMUM_CONNECTIONS} iSCSI connections are open");
            continue;
        };
        debug!(%peer, "iSCSI connection");
        match socket.into_std() {
            Ok(socket) => shards.take(Accepted { socket, peer, place }),
            Err(error) => warn!(%peer, %error, "iSCSI connection closed"),
        }
    }
}
