//! The proxy session with `stmfd`: our door installed there, and their session door to post to.

use crate::channel::Channel;
use crate::config::control_name;
use crate::connection::{Poster, Sent};
use crate::frame::MAX_FRAME;
use door::{Attributes, Door, DoorHandle, Invocation, Reply};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use stmf_client::{Client, ClientError, ProxySession};
use tracing::{debug, info, warn};

/// `stmfd` is looked at this often while all is well.
const LIVENESS: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(1);
/// Result words of the door procedure.
const SENT: u32 = 0;
const NOT_CONNECTED: u32 = 11;
const FAILED: u32 = 5;

/// Posts to whichever `stmfd` is there, and puts the door back when it has restarted.
#[derive(Debug)]
pub struct Session {
    control: Option<PathBuf>,
    node: Option<u32>,
    installed: RwLock<Option<Arc<ProxySession>>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    /// A post failed: look at once.
    suspect: bool,
}

/// The door that `stmfd` calls with each message for the peer.
///
/// # Errors
/// The system has no room for a door.
pub fn proxy_door(channel: Arc<Channel>) -> std::io::Result<Door> {
    Door::builder()
        .max_argument_bytes(MAX_FRAME as u64)
        .create(move |call: Invocation<'_>| {
            let message = call.argument();
            let word = match message.len() {
                0 => FAILED,
                _ => match channel.send(message) {
                    Sent::Yes => SENT,
                    Sent::Lost => NOT_CONNECTED,
                    Sent::TooBig => FAILED,
                },
            };
            Reply::bytes(word.to_ne_bytes())
        })
}

impl Poster for Session {
    fn post(&self, message: &[u8]) {
        let session = self
            .installed
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(session) = session else {
            debug!("stmfd is away: a message of {} bytes is dropped", message.len());
            return;
        };
        if let Err(status) = session.post(message) {
            debug!(
                "stmfd did not take a message of {} bytes: {status:?}",
                message.len()
            );
            self.state().suspect = true;
            self.changed.notify_all();
        }
    }
}

impl Session {
    /// Nothing installed yet. `node` overrides the number `stmfd` was started with.
    #[must_use]
    pub fn new(control: Option<PathBuf>, node: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            control,
            node,
            installed: RwLock::new(None),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, or until a post fails; true if it is time to stop.
    fn pause(&self, time: Duration) -> bool {
        let guard = self.state();
        let waited = self
            .changed
            .wait_timeout_while(guard, time, |s| !s.stopping && !s.suspect);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.suspect = false;
        state.stopping
    }

    /// Installs `door`, enables ALUA, and does both again whenever `stmfd` has gone and come back.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn keep(self: &Arc<Self>, door: Door) -> std::io::Result<JoinHandle<()>> {
        let this = Arc::clone(self);
        std::thread::Builder::new().name("session".into()).spawn(move || {
            let mut retry = LIVENESS;
            let mut last = String::new();
            loop {
                match this.install(&door) {
                    Ok((session, node)) => {
                        info!(
                            "proxy door installed at {}, node {node}",
                            control_name(this.control.as_deref())
                        );
                        last.clear();
                        retry = LIVENESS;
                        if this.watch(session) {
                            return;
                        }
                        warn!("stmfd has gone, or has ended the proxy session");
                    }
                    Err(why) => {
                        let why = why.to_string();
                        if why != last {
                            warn!("cannot install the proxy door: {why}");
                            last = why;
                        }
                        retry = (retry * 2).min(LAST_RETRY);
                    }
                }
                if this.pause(retry) {
                    return;
                }
            }
        })
    }

    fn install(&self, door: &Door) -> Result<(ProxySession, u32), ClientError> {
        let client = Client::connect(self.control.as_deref())?;
        let session = client.init_proxy_door(door)?;
        let node = match self.node {
            Some(node) => node,
            None => client.alua_state()?.1,
        };
        client.set_alua_state(true, node)?;
        Ok((session, node))
    }

    /// Until the session is over; true if it is time to stop.
    fn watch(&self, session: ProxySession) -> bool {
        let session_door = session
            .as_fd()
            .try_clone_to_owned()
            .ok()
            .and_then(|fd| DoorHandle::from_fd(fd).ok());
        self.set_installed(Some(Arc::new(session)));
        let stopping = loop {
            if self.pause(LIVENESS) {
                break true;
            }
            let alive = session_door
                .as_ref()
                .and_then(|door| door.info().ok())
                .is_some_and(|info| info.target.is_some() && !info.attributes.contains(Attributes::REVOKED));
            if !alive {
                break false;
            }
        };
        let session = self.set_installed(None);
        if stopping && let Some(session) = session.and_then(Arc::into_inner) {
            match session.destroy() {
                Ok(()) => info!("proxy session ended"),
                Err(why) => warn!("proxy session ended without confirmation: {why}"),
            }
        }
        stopping
    }

    fn set_installed(&self, session: Option<Arc<ProxySession>>) -> Option<Arc<ProxySession>> {
        std::mem::replace(
            &mut *self.installed.write().unwrap_or_else(PoisonError::into_inner),
            session,
        )
    }

    /// Ends the session; the thread of [`Self::keep`] returns when `stmfd` has confirmed it.
    pub fn stop(&self) {
        self.state().stopping = true;
        self.changed.notify_all();
    }
}
