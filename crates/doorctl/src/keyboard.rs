//! The keyboard of a terminal while a view is drawn on it.

use std::io::{IsTerminal as _, Stdin};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use rustix::time::Timespec;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// Keys come one by one and are not shown. Dropped, the terminal is as it was.
pub(crate) struct Keyboard {
    input: Stdin,
    before: Termios,
    /// Has something to read once a signal has come that is to end this program.
    signalled: UnixStream,
}

impl Keyboard {
    /// `None` if there is none, or if it belongs to another program: this one is in the background.
    pub(crate) fn take() -> anyhow::Result<Option<Self>> {
        let input = std::io::stdin();
        let foreground = || rustix::termios::tcgetpgrp(&input) == Ok(rustix::process::getpgrp());
        if !input.is_terminal() || !foreground() {
            return Ok(None);
        }
        // Before there is anything to put back.
        let (signalled, signals) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGQUIT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, signals.try_clone()?)?;
        }
        let before = rustix::termios::tcgetattr(&input)?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        rustix::termios::tcsetattr(&input, OptionalActions::Now, &modes)?;
        Ok(Some(Self {
            input,
            before,
            signalled,
        }))
    }

    /// Waits for so long; true as soon as the user wants no more: by q, by Ctrl-C, or because the terminal is gone.
    pub(crate) fn wait_for_end(&self, time: Duration) -> anyhow::Result<bool> {
        let end = Instant::now().checked_add(time);
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut fds = [self.signalled.as_fd(), self.input.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match rustix::event::poll(&mut fds, left.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let [signalled, pressed] = fds.map(|fd| !fd.revents().is_empty());
            if signalled || pressed && self.ends()? {
                return Ok(true);
            }
        }
    }

    /// Reads the keys that have been pressed.
    fn ends(&self) -> anyhow::Result<bool> {
        let mut keys = [0; 64];
        // Past the buffer of Stdin, into which poll does not look.
        match rustix::io::read(&self.input, &mut keys) {
            Ok(0) | Err(Errno::IO) => Ok(true),
            Ok(count) => Ok(keys[..count].contains(&b'q')),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(&self.input, OptionalActions::Now, &self.before);
    }
}
