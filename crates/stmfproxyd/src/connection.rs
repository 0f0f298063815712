//! One authenticated connection to the peer.
//!
//! Writers: each server thread of the door encrypts its own message under the TLS lock, then takes the flush lock and
//! writes everything encrypted so far in one go; whoever finds its message already written by another just returns. So
//! messages that wait share a write, and none waits for a thread to wake up.
//!
//! The reader reads the socket without any lock, and takes the TLS lock only to decrypt what it has in hand. The flush
//! lock is never taken by the reader and the TLS lock is never held across a system call, so a full send buffer never
//! stops the reader and an idle reader never stops a writer.

use crate::frame::{FrameBuffer, LENGTH_BYTES, MAX_FRAME};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// From accepting or connecting to an authenticated peer.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// A write of up to 1 MiB that takes longer ends the connection.
pub const SEND_DEADLINE: Duration = Duration::from_secs(5);
/// A connection on which nothing arrives for this long is over.
pub const SILENCE: Duration = Duration::from_secs(5);
/// A sign of life is sent this often.
pub const KEEPALIVE: Duration = Duration::from_secs(1);

const WRITE_STEP: usize = 1 << 20;
/// Encrypted and not yet written; a writer that finds more waits for the flush before it adds to it.
const MAX_QUEUED: usize = 32 << 20;
/// Read from the socket at once.
const READ_STEP: usize = 128 * 1024;

/// Why a connection was not made, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The system said so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// TLS said so: not TLS 1.3, another certificate, garbage.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// The handshake took too long.
    #[error("no complete handshake within {} s", HANDSHAKE_DEADLINE.as_secs())]
    Handshake,
    /// The peer ended it.
    #[error("closed by the peer")]
    Closed,
    /// Nothing arrived.
    #[error("nothing heard for {} s", SILENCE.as_secs())]
    Silent,
    /// A frame was too long.
    #[error(transparent)]
    Frame(#[from] crate::frame::FrameTooBig),
    /// This side ended it.
    #[error("ended here")]
    Ended,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is in the send buffer of the socket.
    Yes,
    /// The connection is over.
    Lost,
    /// It is longer than a frame may be.
    TooBig,
}

/// Where messages of the peer go.
pub trait Poster: Send + Sync {
    /// Takes one message; called by one thread at a time for each connection, in order.
    fn post(&self, message: &[u8]);
}

/// A connection both sides of which have proved who they are.
#[derive(Debug)]
pub struct Connection {
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Mutex<TlsState>,
    flushed: Mutex<Flush>,
    over: AtomicBool,
}

#[derive(Debug)]
struct TlsState {
    session: rustls::Connection,
    /// Messages encrypted so far.
    queued: u64,
    /// Bytes of them that are not written yet, before encryption.
    waiting: usize,
}

#[derive(Debug, Default)]
struct Flush {
    /// Messages written so far.
    upto: u64,
    /// Reused for each write.
    buffer: Vec<u8>,
}

impl Connection {
    /// The side that connected: proves itself, checks the peer, and waits for the peer's first frame, for only then has
    /// the peer accepted this node's certificate.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub fn connect(tcp: TcpStream, tls: &crate::pin::Tls) -> Result<Self, ConnectionError> {
        // The name is not checked: the certificate itself is.
        let name = ServerName::IpAddress(tcp.peer_addr()?.ip().into());
        let session = ClientConnection::new(tls.client.clone(), name)?;
        Self::establish(tcp, session.into(), true)
    }

    /// The side that accepted.
    ///
    /// # Errors
    /// [`ConnectionError`].
    pub fn accept(tcp: TcpStream, tls: &crate::pin::Tls) -> Result<Self, ConnectionError> {
        let session = ServerConnection::new(tls.server.clone())?;
        Self::establish(tcp, session.into(), false)
    }

    fn establish(
        tcp: TcpStream,
        mut session: rustls::Connection,
        client: bool,
    ) -> Result<Self, ConnectionError> {
        let peer = tcp.peer_addr()?;
        tcp.set_nonblocking(false)?;
        tcp.set_nodelay(true)?;
        let deadline = Instant::now() + HANDSHAKE_DEADLINE;
        while session.is_handshaking() || session.wants_write() {
            step(&tcp, &mut session, deadline)?;
        }
        session.set_buffer_limit(None);
        if client {
            while session.process_new_packets()?.plaintext_bytes_to_read() < LENGTH_BYTES {
                step(&tcp, &mut session, deadline)?;
            }
            let mut first = [0; LENGTH_BYTES];
            session.reader().read_exact(&mut first)?;
            if first != [0; LENGTH_BYTES] {
                return Err(rustls::Error::General("the first frame was not a sign of life".into()).into());
            }
        }
        tcp.set_read_timeout(Some(SILENCE))?;
        tcp.set_write_timeout(Some(SEND_DEADLINE))?;
        let timeout = u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(&tcp, timeout).map_err(io::Error::from)?;
        let this = Self {
            tcp,
            peer,
            tls: Mutex::new(TlsState {
                session,
                queued: 0,
                waiting: 0,
            }),
            flushed: Mutex::new(Flush::default()),
            over: AtomicBool::new(false),
        };
        if !client && this.send(&[]) != Sent::Yes {
            return Err(ConnectionError::Closed);
        }
        Ok(this)
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Ends it: waiting writers and the reader return.
    pub fn end(&self) {
        if !self.over.swap(true, Ordering::AcqRel) {
            // Fails only if the peer was faster.
            let _ = self.tcp.shutdown(Shutdown::Both);
        }
    }

    /// Sends one message (empty: a sign of life) and returns when the socket has taken it, or after [`SEND_DEADLINE`] has
    /// ended the connection.
    pub fn send(&self, message: &[u8]) -> Sent {
        let Some(length) = u32::try_from(message.len())
            .ok()
            .filter(|_| message.len() <= MAX_FRAME)
        else {
            return Sent::TooBig;
        };
        let Some(number) = self.encrypt(length, message) else {
            return Sent::Lost;
        };
        let mut flush = lock(&self.flushed);
        while flush.upto < number {
            if self.is_over() {
                return Sent::Lost;
            }
            if self.flush(&mut flush).is_err() {
                self.end();
                return Sent::Lost;
            }
        }
        Sent::Yes
    }

    /// Encrypts a frame; its number in the order of sending.
    fn encrypt(&self, length: u32, message: &[u8]) -> Option<u64> {
        let mut tls = lock(&self.tls);
        if tls.waiting > MAX_QUEUED {
            drop(tls);
            let mut flush = lock(&self.flushed);
            if self.is_over() || self.flush(&mut flush).is_err() {
                self.end();
                return None;
            }
            drop(flush);
            tls = lock(&self.tls);
        }
        if self.is_over() {
            return None;
        }
        let length = length.to_be_bytes();
        let mut frame: &mut [IoSlice<'_>] = &mut [IoSlice::new(&length), IoSlice::new(message)];
        let mut writer = tls.session.writer();
        while !frame.is_empty() {
            // Without a limit on its buffer the writer takes everything; zero would be a loop.
            let n = writer.write_vectored(frame).ok().filter(|n| *n > 0)?;
            IoSlice::advance_slices(&mut frame, n);
        }
        tls.queued += 1;
        tls.waiting = tls.waiting.saturating_add(LENGTH_BYTES + message.len());
        Some(tls.queued)
    }

    /// Writes everything encrypted so far.
    fn flush(&self, flush: &mut Flush) -> io::Result<()> {
        flush.buffer.clear();
        let upto = {
            let mut tls = lock(&self.tls);
            while tls.session.wants_write() {
                tls.session.write_tls(&mut flush.buffer)?;
            }
            tls.waiting = 0;
            tls.queued
        };
        for step in flush.buffer.chunks(WRITE_STEP) {
            write_within(&self.tcp, step, SEND_DEADLINE)?;
        }
        flush.upto = upto;
        if flush.buffer.capacity() > 4 * WRITE_STEP {
            flush.buffer = Vec::new();
        }
        Ok(())
    }

    /// Reads until the connection ends, posting each message. Returns why it ended.
    pub fn run(&self, poster: &dyn Poster) -> ConnectionError {
        let why = match self.read(poster) {
            Ok(()) => ConnectionError::Closed,
            Err(_) if self.is_over() => ConnectionError::Ended,
            Err(why) => why,
        };
        self.end();
        why
    }

    fn read(&self, poster: &dyn Poster) -> Result<(), ConnectionError> {
        let mut frames = FrameBuffer::default();
        let mut bytes = vec![0; READ_STEP];
        // What came together with the end of the handshake is in the session already.
        let mut there = 0;
        loop {
            let closed = self.decrypt(&bytes[..there], &mut frames)?;
            while let Some(frame) = frames.next_frame()? {
                if !frame.is_empty() {
                    poster.post(frame);
                }
            }
            frames.shrink();
            if closed {
                return Ok(());
            }
            there = match (&self.tcp).read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                Err(e) if is_timeout(&e) => return Err(ConnectionError::Silent),
                Err(e) => return Err(e.into()),
            };
        }
    }

    /// Decrypts bytes of the socket into `frames`; true once the peer has said goodbye.
    fn decrypt(&self, mut bytes: &[u8], frames: &mut FrameBuffer) -> Result<bool, ConnectionError> {
        let mut tls = lock(&self.tls);
        loop {
            let state = tls.session.process_new_packets()?;
            let mut plain = state.plaintext_bytes_to_read();
            while plain > 0 {
                let n = frames.fill(|space| tls.session.reader().read(space))?;
                if n == 0 {
                    break;
                }
                plain = plain.saturating_sub(n);
            }
            if state.peer_has_closed() {
                return Ok(true);
            }
            if bytes.is_empty() {
                return Ok(false);
            }
            tls.session.read_tls(&mut bytes)?;
        }
    }
}

/// One read or write of the handshake, in what is left of its time.
fn step(
    mut tcp: &TcpStream,
    session: &mut rustls::Connection,
    deadline: Instant,
) -> Result<(), ConnectionError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ConnectionError::Handshake);
    }
    tcp.set_read_timeout(Some(left))?;
    tcp.set_write_timeout(Some(left))?;
    let done = if session.wants_write() {
        session.write_tls(&mut tcp)
    } else {
        session.read_tls(&mut tcp)
    };
    match done {
        Ok(0) => return Err(ConnectionError::Closed),
        Ok(_) => {}
        Err(e) if is_timeout(&e) => return Err(ConnectionError::Handshake),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
        Err(e) => return Err(e.into()),
    }
    if let Err(e) = session.process_new_packets() {
        // Tell the other side why, if it listens.
        let _ = session.write_tls(&mut tcp);
        return Err(e.into());
    }
    Ok(())
}

fn write_within(mut tcp: &TcpStream, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
    let begin = Instant::now();
    while !bytes.is_empty() {
        match tcp.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if !bytes.is_empty() && begin.elapsed() > patience {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A panic elsewhere must not take the connection's lock with it; the state behind it is checked by its users.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
