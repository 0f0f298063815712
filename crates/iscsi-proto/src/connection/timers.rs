//! Deadlines: login, silence, data that does not come, logout.

use core::time::Duration;

use super::{Connection, Phase};
use crate::{CloseReason, Instant};

/// What is waited for, and since when.
#[derive(Debug)]
pub(super) struct Timers {
    login: Instant,
    /// The last PDU received.
    heard: Instant,
    /// When the answer to a ping is due.
    ping: Option<Instant>,
    /// The last Data-Out, or the first R2T after none.
    data: Instant,
    logout: Logout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logout {
    No,
    /// Asked for; the deadline is set as soon as the time is known.
    Asked,
    Until(Instant),
}

impl Timers {
    pub(super) fn new(now: Instant, login_timeout: Duration) -> Self {
        Self {
            login: now.after(login_timeout),
            heard: now,
            ping: None,
            data: now,
            logout: Logout::No,
        }
    }

    /// A PDU came: the initiator lives.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.ping = None;
    }

    pub(super) fn logged_in(&mut self, now: Instant) {
        self.heard(now);
    }

    pub(super) fn data_progress(&mut self, now: Instant) {
        self.data = now;
    }

    pub(super) fn is_logging_out(&self) -> bool {
        self.logout != Logout::No
    }

    pub(super) fn start_logout(&mut self) {
        self.logout = Logout::Asked;
    }
}

impl Connection {
    /// Call [`handle_timeout`](Self::handle_timeout) no later than this; at once if it has passed. `None`
    /// when the connection is closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed => None,
            Phase::Login(_) => Some(self.timers.login),
            Phase::FullFeature => {
                let data = self.budget.is_waiting_for_data().then(|| self.data_deadline());
                let logout = match self.timers.logout {
                    Logout::No => None,
                    Logout::Asked => Some(self.now),
                    Logout::Until(deadline) => Some(deadline),
                };
                [Some(self.silence_deadline()), data, logout]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    /// Does what is due at `now`: pings a silent initiator, or gives up.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        match self.phase {
            Phase::Closed => {}
            Phase::Login(_) => {
                if now >= self.timers.login {
                    self.end(CloseReason::LoginTimedOut);
                }
            }
            Phase::FullFeature => self.handle_session_timeout(now),
        }
    }

    fn handle_session_timeout(&mut self, now: Instant) {
        match self.timers.logout {
            Logout::No => {}
            Logout::Asked => self.timers.logout = Logout::Until(now.after(self.config.logout_timeout)),
            Logout::Until(deadline) if now >= deadline => return self.end(CloseReason::LogoutTimedOut),
            Logout::Until(_) => {}
        }
        if self.budget.is_waiting_for_data() && now >= self.data_deadline() {
            return self.end(CloseReason::DataOutTimedOut);
        }
        if now >= self.silence_deadline() {
            if self.timers.ping.is_some() || self.is_discovery() {
                self.end(CloseReason::PeerSilent);
            } else {
                self.ping();
                self.timers.ping = Some(now.after(self.config.nop_timeout));
            }
        }
    }

    /// When silence leads to the next thing: a ping, or the end. A discovery session is not pinged, for
    /// nothing but text and logout has a place in it; it has the same time in all.
    fn silence_deadline(&self) -> Instant {
        let interval = self.timers.heard.after(self.config.nop_interval);
        match self.timers.ping {
            Some(deadline) => deadline,
            None if self.is_discovery() => interval.after(self.config.nop_timeout),
            None => interval,
        }
    }

    fn data_deadline(&self) -> Instant {
        self.timers.data.after(self.config.data_out_timeout)
    }

    fn is_discovery(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.discovery)
    }
}
