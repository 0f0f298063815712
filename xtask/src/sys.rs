//! Waiting for a signal.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};

/// Signals kept for [`Signals::wait`]: Ctrl-C and the polite request to end.
///
/// They are caught, not blocked: programs started by `std::process` inherit what is blocked, and a program in which SIGTERM
/// is blocked cannot be asked to end.
#[derive(Debug)]
pub(crate) struct Signals(signal_hook::iterator::Signals);

impl Signals {
    /// From now on SIGINT and SIGTERM do not end this process.
    pub(crate) fn hold() -> io::Result<Self> {
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map(Self)
    }

    /// Waits for one of them.
    pub(crate) fn wait(&mut self) {
        self.0.forever().next();
    }
}
