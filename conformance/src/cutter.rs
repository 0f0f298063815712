//! A TCP forwarder between the two transports that can be cut, stalled and restored while both stay alive.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

use crate::ports::Port;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    /// Connections stay open, no byte moves: a frozen network.
    Stall,
    /// Connections are closed and new ones closed at once: a pulled cable with resets.
    Cut,
    /// The forwarder ends.
    End,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    open: Vec<TcpStream>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    forwarded: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mode: Mode) {
        let mut state = self.lock();
        state.mode = mode;
        if matches!(mode, Mode::Cut | Mode::End) {
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits while stalled; false when the connection must end.
    fn may_forward(&self) -> bool {
        let mut state = self.lock();
        while state.mode == Mode::Stall {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.mode == Mode::Forward
    }
}

/// Listens on a port of its own and forwards every connection to `upstream`.
#[derive(Debug)]
pub struct Cutter {
    port: Port,
    shared: Arc<Shared>,
}

impl Cutter {
    /// Starts forwarding to `upstream`, which need not listen yet.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let port = Port::reserve()?;
        let listener = TcpListener::bind(port.address()).context("the cutter cannot listen")?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                mode: Mode::Forward,
                open: Vec::new(),
            }),
            changed: Condvar::new(),
            forwarded: AtomicU64::new(0),
        });
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, upstream, &inside));
        Ok(Self { port, shared })
    }

    /// Where to connect instead of the upstream.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Closes every connection and refuses new ones.
    pub fn cut(&self) {
        self.shared.set(Mode::Cut);
    }

    /// Keeps connections open and moves no byte.
    pub fn stall(&self) {
        self.shared.set(Mode::Stall);
    }

    /// Forwards again.
    pub fn restore(&self) {
        self.shared.set(Mode::Forward);
    }

    /// Bytes moved so far, both directions.
    #[must_use]
    pub fn forwarded_bytes(&self) -> u64 {
        self.shared.forwarded.load(Ordering::Relaxed)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.shared.set(Mode::End);
        // Wakes the acceptor, which then sees the end.
        let _ = TcpStream::connect(self.port.address());
    }
}

fn accept(listener: &TcpListener, upstream: SocketAddr, shared: &Arc<Shared>) {
    for incoming in listener.incoming() {
        let mode = shared.lock().mode;
        match (mode, incoming) {
            (Mode::End, _) => return,
            (Mode::Cut, _) | (_, Err(_)) => {}
            (_, Ok(client)) => {
                // An upstream that is down is a closed connection, as without the forwarder.
                if let Ok(server) = TcpStream::connect(upstream) {
                    join(&client, &server, shared);
                }
            }
        }
    }
}

fn join(client: &TcpStream, server: &TcpStream, shared: &Arc<Shared>) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let pairs = [
        (client.try_clone(), server.try_clone()),
        (server.try_clone(), client.try_clone()),
    ];
    for pair in pairs {
        let (Ok(from), Ok(to)) = pair else { return };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || copy(from, to, &shared));
    }
    let mut state = shared.lock();
    // Forget what has ended, so that a long test does not pile up descriptors.
    state.open.retain(|stream| stream.peer_addr().is_ok());
    for stream in [client.try_clone(), server.try_clone()].into_iter().flatten() {
        state.open.push(stream);
    }
    if state.mode == Mode::Cut {
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 65_536];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        if !shared.may_forward() || to.write_all(&buffer[..read]).is_err() {
            break;
        }
        shared.forwarded.fetch_add(read as u64, Ordering::Relaxed);
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo_server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let (mut from, mut to) = (stream.try_clone().expect("clone"), stream);
                    let _ = std::io::copy(&mut from, &mut to);
                });
            }
        });
        address
    }

    #[test]
    fn a_cut_closes_and_a_restore_lets_new_connections_through() {
        let cutter = Cutter::start(echo_server()).expect("cutter");
        let mut buffer = [0; 4];
        let mut first = TcpStream::connect(cutter.address()).expect("connect");
        first.write_all(b"ping").expect("write");
        first.read_exact(&mut buffer).expect("echo");
        cutter.cut();
        assert!(matches!(first.read(&mut buffer), Ok(0) | Err(_)), "closed");
        cutter.restore();
        let mut second = TcpStream::connect(cutter.address()).expect("connect");
        second.write_all(b"pong").expect("write");
        second.read_exact(&mut buffer).expect("echo");
        assert_eq!(&buffer, b"pong");
    }

    #[test]
    fn a_stall_moves_nothing_until_restored() {
        let cutter = Cutter::start(echo_server()).expect("cutter");
        let mut buffer = [0; 4];
        let mut stream = TcpStream::connect(cutter.address()).expect("connect");
        stream.write_all(b"ping").expect("write");
        stream.read_exact(&mut buffer).expect("echo");
        cutter.stall();
        stream.write_all(b"late").expect("write");
        stream
            .set_read_timeout(Some(std::time::Duration::from_millis(50)))
            .expect("timeout");
        assert!(stream.read(&mut buffer).is_err(), "nothing comes while stalled");
        cutter.restore();
        stream.set_read_timeout(None).expect("timeout");
        stream.read_exact(&mut buffer).expect("echo");
        assert_eq!(&buffer, b"late");
    }
}
