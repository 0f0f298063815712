//! Which connection is in use, and how there comes to be one.
//!
//! What a replacement of this program must do, in any language and with any transport:
//! - carry whole messages both ways, unchanged; it may drop them only when it loses its connection;
//! - answer the door call with 0 once it has taken the message, 11 (EAGAIN) while the peer is not connected;
//! - answer 11 once more to the first call after a connection was lost, even if there is a new one: that is how the
//!   framework learns that messages may be missing (it would find out by itself, but only seconds later);
//! - bound what it reads, and let nobody but the peer in.

use crate::connection::{Connection, KEEPALIVE, Poster, Sent};
use crate::pin::Tls;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Handshakes in progress at once; more callers are turned away.
pub const MAX_HANDSHAKES: usize = 16;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// How long the listening thread sleeps at most before it looks whether to stop.
const STOP_LATENCY: Duration = Duration::from_millis(200);

/// The road to the peer. Dropping it does not end its threads; [`Channel::stop`] does.
#[derive(Debug)]
pub struct Channel {
    tls: Tls,
    current: RwLock<Option<Arc<Connection>>>,
    /// A connection was lost and no door call has been told.
    loss_untold: AtomicBool,
    stopping: Mutex<bool>,
    stop_signal: Condvar,
    handshakes: AtomicUsize,
    refused: AtomicUsize,
}

impl Channel {
    /// No connection yet.
    #[must_use]
    pub fn new(tls: Tls) -> Arc<Self> {
        Arc::new(Self {
            tls,
            current: RwLock::new(None),
            loss_untold: AtomicBool::new(false),
            stopping: Mutex::new(false),
            stop_signal: Condvar::new(),
            handshakes: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        })
    }

    /// Sends one message. [`Sent::Lost`] means: not connected, or messages before this one may have been lost.
    pub fn send(&self, message: &[u8]) -> Sent {
        if self.loss_untold.load(Ordering::Acquire) && self.loss_untold.swap(false, Ordering::AcqRel) {
            return Sent::Lost;
        }
        let current = self.current();
        current.map_or(Sent::Lost, |connection| connection.send(message))
    }

    /// Whether the peer is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.current().is_some_and(|c| !c.is_over())
    }

    /// Callers refused so far.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn current(&self) -> Option<Arc<Connection>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends the connection and the threads.
    pub fn stop(&self) {
        *self.stopping() = true;
        self.stop_signal.notify_all();
        if let Some(connection) = self.current() {
            connection.end();
        }
    }

    fn stopping(&self) -> MutexGuard<'_, bool> {
        self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        *self.stopping()
    }

    /// Sleeps; true if it is time to stop.
    fn pause(&self, time: Duration) -> bool {
        let guard = self.stopping();
        let waited = self
            .stop_signal
            .wait_timeout_while(guard, time, |stopping| !*stopping);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Sends a sign of life each second while there is a connection.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn keep_alive(self: &Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        let this = Arc::clone(self);
        std::thread::Builder::new()
            .name("keepalive".into())
            .spawn(move || {
                while !this.pause(KEEPALIVE) {
                    if let Some(connection) = this.current() {
                        connection.send(&[]);
                    }
                }
            })
    }

    /// Waits for the peer on `listener`; the newest authenticated connection is the one in use.
    ///
    /// # Errors
    /// The listener cannot be used, or no thread could be started.
    pub fn listen(
        self: &Arc<Self>,
        listener: TcpListener,
        poster: Arc<dyn Poster>,
    ) -> std::io::Result<JoinHandle<()>> {
        listener.set_nonblocking(true)?;
        let this = Arc::clone(self);
        std::thread::Builder::new().name("listen".into()).spawn(move || {
            let patience = Timespec::try_from(STOP_LATENCY).ok();
            while !this.is_stopping() {
                let mut ready = [PollFd::new(&listener, PollFlags::IN)];
                if !matches!(poll(&mut ready, patience.as_ref()), Ok(1..)) {
                    continue;
                }
                match listener.accept() {
                    Ok((tcp, peer)) => this.admit(tcp, peer, &poster),
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(e) => {
                        warn!("cannot accept: {e}");
                        this.pause(STOP_LATENCY);
                    }
                }
            }
        })
    }

    fn admit(self: &Arc<Self>, tcp: TcpStream, peer: SocketAddr, poster: &Arc<dyn Poster>) {
        if self.handshakes.fetch_add(1, Ordering::AcqRel) >= MAX_HANDSHAKES {
            self.handshakes.fetch_sub(1, Ordering::AcqRel);
            self.refuse(peer, &"too many handshakes in progress");
            return;
        }
        let (this, poster) = (Arc::clone(self), Arc::clone(poster));
        let thread = std::thread::Builder::new().name("peer".into()).spawn(move || {
            let accepted = Connection::accept(tcp, &this.tls);
            this.handshakes.fetch_sub(1, Ordering::AcqRel);
            match accepted {
                Ok(connection) => this.serve(Arc::new(connection), &*poster),
                Err(why) => this.refuse(peer, &why),
            }
        });
        if let Err(e) = thread {
            self.handshakes.fetch_sub(1, Ordering::AcqRel);
            self.refuse(peer, &e);
        }
    }

    fn refuse(&self, peer: SocketAddr, why: &dyn std::fmt::Display) {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        // A scanner must not fill the disk: the first hundred one by one, then every hundredth.
        if count <= 100 || count.is_multiple_of(100) {
            warn!("refused {peer} ({count} so far): {why}");
        }
    }

    /// Goes to the peer at `address` (looked up each time) again and again.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn connect(
        self: &Arc<Self>,
        address: String,
        poster: Arc<dyn Poster>,
    ) -> std::io::Result<JoinHandle<()>> {
        let this = Arc::clone(self);
        std::thread::Builder::new().name("peer".into()).spawn(move || {
            let mut retry = FIRST_RETRY;
            let mut last = String::new();
            loop {
                match this.reach(&address) {
                    Ok(connection) => {
                        let begin = Instant::now();
                        this.serve(Arc::new(connection), &*poster);
                        last.clear();
                        // A connection that is thrown out at once must not be asked for ten times a second for ever.
                        if begin.elapsed() > LAST_RETRY {
                            retry = FIRST_RETRY;
                        }
                    }
                    Err(why) => {
                        let why = format!("{why:#}");
                        if why != last {
                            warn!("cannot reach {address}: {why}");
                            last = why;
                        }
                    }
                }
                if this.pause(jittered(retry)) {
                    return;
                }
                retry = (retry * 2).min(LAST_RETRY);
            }
        })
    }

    fn reach(&self, address: &str) -> anyhow::Result<Connection> {
        let tcp = TcpStream::connect_timeout(&crate::config::address(address)?, CONNECT_DEADLINE)?;
        Ok(Connection::connect(tcp, &self.tls)?)
    }

    /// Takes the connection into use and reads it until it ends.
    fn serve(&self, connection: Arc<Connection>, poster: &dyn Poster) {
        let peer = connection.peer();
        let old = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            current.replace(Arc::clone(&connection))
        };
        if let Some(old) = old {
            info!("{peer} is the peer now, no longer {}", old.peer());
            old.end();
            self.loss_untold.store(true, Ordering::Release);
        } else {
            info!("connected to {peer}");
        }
        if self.is_stopping() {
            connection.end();
        }
        let why = connection.run(poster);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|c| Arc::ptr_eq(c, &connection)) {
            *current = None;
            self.loss_untold.store(true, Ordering::Release);
        }
        drop(current);
        info!("connection to {peer} ended: {why}");
    }
}

/// Up to a quarter more or less, so that two nodes do not keep missing each other.
fn jittered(time: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness the middle is as good.
    let byte = getrandom::fill(&mut random).map_or(128, |()| random[0]);
    time.mul_f64(0.75 + f64::from(byte) / 512.0)
}
