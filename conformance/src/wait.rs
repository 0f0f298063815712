//! Waiting by asking, never by sleeping a fixed time.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Time allowed for anything that should take milliseconds. Only a broken program reaches it: the machine may be
/// busy with other work and this process may run at the lowest priority.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The bound of the issue: an initiator must have its answer, or lose its connection, within this time.
pub const INITIATOR_BOUND: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

/// Asks `probe` until it gives a value or `limit` has passed; `what` names the thing for the error.
///
/// A probe that fails with an error is asked again; the last error is part of the message.
///
/// # Errors
/// When `limit` has passed without a value.
pub fn until<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    let mut last = None;
    loop {
        match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        if Instant::now() >= end {
            let why = last.map_or_else(String::new, |error| format!(" (last error: {error:#})"));
            return Err(anyhow!("waited {} s for {what}{why}", limit.as_secs()));
        }
        std::thread::sleep(POLL);
    }
}
