//! Threads that serve connections, one event loop each.
//!
//! A connection stays on its thread: its socket, its timers and the answers it waits for wake that thread and no
//! other. (A work-stealing runtime wakes a second worker for every answer that comes from outside it.)

use super::connection;
use crate::target::Target;
use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::{debug, warn};

/// A connection that has been accepted, and its place among those allowed.
pub(super) struct Accepted {
    pub(super) socket: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: OwnedSemaphorePermit,
}

/// The threads.
#[derive(Debug)]
pub(crate) struct Shards {
    threads: Vec<UnboundedSender<Accepted>>,
    next: AtomicUsize,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Shards {
    /// Starts one thread for each processor.
    pub(crate) fn start(target: &Arc<Target>, stop: &watch::Receiver<bool>) -> Result<Arc<Self>> {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let (sender, receiver) = unbounded_channel();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("no event loop for iSCSI connections")?;
            let (target, stop) = (Arc::clone(target), stop.clone());
            std::thread::Builder::new()
                .name(format!("iscsi-{number}"))
                .spawn(move || runtime.block_on(serve(target, receiver, stop)))
                .context("no thread for iSCSI connections")?;
            threads.push(sender);
        }
        Ok(Arc::new(Self {
            threads,
            next: AtomicUsize::new(0),
        }))
    }

    /// Gives a connection to the next thread in turn.
    pub(super) fn take(&self, accepted: Accepted) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        if self.threads[turn].send(accepted).is_err() {
            warn!("an iSCSI thread is gone; connection closed");
        }
    }
}

async fn serve(target: Arc<Target>, mut accepted: UnboundedReceiver<Accepted>, stop: watch::Receiver<bool>) {
    while let Some(Accepted { socket, peer, place }) = accepted.recv().await {
        let socket = match TcpStream::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                warn!(%peer, %error, "iSCSI connection closed");
                continue;
            }
        };
        let (target, stop) = (Arc::clone(&target), stop.clone());
        tokio::spawn(async move {
            let reason = connection::run(target, socket, peer, stop).await;
            debug!(%peer, reason, "iSCSI connection closed");
            drop(place);
        });
    }
}
