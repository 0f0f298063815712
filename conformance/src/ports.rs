//! Free TCP ports on loopback, without the race of "bind, read the number, close, hope".
//!
//! A port comes from below the kernel's range for outgoing connections, so no connection of anybody takes it by
//! accident, and is held by a lock on a small file as long as the [`Port`] lives, so that test processes that run at
//! the same time never pick the same one.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port number that is ours until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// Reserves a port that nobody listens on.
    ///
    /// # Errors
    /// When the lock directory cannot be made or all ports are taken.
    pub fn reserve() -> Result<Self> {
        let dir = lock_dir()?;
        // Start somewhere of our own: processes that start together would otherwise queue at the first port.
        let mut seed = crate::random::Random::new(u64::from(std::process::id()) << 16 | clock_bits());
        let start = u16::try_from(seed.below(u64::from(COUNT)))?;
        for step in 0..COUNT {
            let number = FIRST + (start + step) % COUNT;
            if let Some(port) = Self::try_number(&dir, number)? {
                return Ok(port);
            }
        }
        bail!(
            "no free port between {FIRST} and {}: are old test daemons still running?",
            FIRST + COUNT
        )
    }

    /// A number that the caller chose; only checked to be free now.
    ///
    /// # Errors
    /// When somebody listens on it.
    pub fn fixed(number: u16) -> Result<Self> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).with_context(|| {
            format!("port {number} on 127.0.0.1 is taken: stop what uses it (`ss -ltnp`)")
        })?;
        Ok(Self { number, _lock: None })
    }

    fn try_number(dir: &std::path::Path, number: u16) -> Result<Option<Self>> {
        let path = dir.join(number.to_string());
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        Ok(free.then_some(Self {
            number,
            _lock: Some(lock),
        }))
    }

    /// The port number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The address on loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

fn clock_bits() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| u64::from(since.subsec_nanos()))
}

fn lock_dir() -> Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let dir = std::env::temp_dir().join(format!("lintel-ports-{uid}"));
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reservations_never_meet() {
        let ports: Vec<Port> = (0..50).map(|_| Port::reserve().expect("a port")).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }

    #[test]
    fn a_taken_port_is_refused_with_its_number() {
        let port = Port::reserve().expect("a port");
        let _holder = TcpListener::bind(port.address()).expect("bind");
        let error = Port::fixed(port.number()).expect_err("taken");
        assert!(error.to_string().contains(&port.number().to_string()), "{error}");
    }
}
