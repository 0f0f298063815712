//! A daemon made of doors alone: the control door, sessions, calls of the installed door, and no SCSI at all.
//!
//! It keeps the promises of the proxy door interface, so that the library and the programs that use it can be tried on
//! their own. The real daemon has its own tests.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    thread,
    time::Duration,
};

use admin_proto::{
    Answer, Channel, ConfigurationState, Reply, Request, ServiceState, ServiceStatus, StmfStatus,
    decode_request, encode_answer,
};
use door::{Attachment, Call, Door, DoorHandle, Invocation};

/// What a message begins with; everything else is malformed.
pub(crate) const MAGIC: &[u8] = b"LNTP";

const LONGEST_MESSAGE: u64 = (16 << 20) + 4096;

/// A running fake. Dropping it is the death of the daemon, as far as others can tell.
pub(crate) struct Fake {
    state: Arc<State>,
    _attachment: Attachment,
    _control: Door,
    pub(crate) path: PathBuf,
}

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    alua: (bool, u32),
    last_session: u64,
    session: Option<Session>,
    posted: Vec<Vec<u8>>,
}

struct Session {
    id: u64,
    transport: Arc<DoorHandle>,
    _door: Door,
}

impl Fake {
    /// Serves the control door at `path`.
    pub(crate) fn start(path: &Path) -> Self {
        let state = Arc::new(State::default());
        let for_calls = Arc::clone(&state);
        let control = Door::builder()
            .refuse_descriptors(false)
            .max_descriptors(1)
            .create(move |mut call: Invocation<'_>| {
                let descriptors = call.take_descriptors().into_iter().map(OwnedFd::from).collect();
                let (answer, descriptor) = match decode_request(call.argument()) {
                    Ok(request) if may_change(&call) || request.is_query() => {
                        for_calls.serve(request, descriptors)
                    }
                    Ok(_) => (StmfStatus::Perm.into(), None),
                    Err(error) => (error.into(), None),
                };
                let reply = door::Reply::bytes(encode_answer(&answer));
                match descriptor {
                    Some(descriptor) => reply.give(descriptor),
                    None => reply,
                }
            })
            .unwrap();
        let attachment = control.attach(path).unwrap();
        // As a daemon does, so that others can be refused by it rather than by the file.
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        Self {
            state,
            _attachment: attachment,
            _control: control,
            path: path.to_path_buf(),
        }
    }

    /// Calls the installed door; the word it answers, or `None` without a door or an answer of 4 bytes.
    pub(crate) fn send(&self, message: &[u8]) -> Option<u32> {
        let transport = Arc::clone(&self.state.inner.lock().unwrap().session.as_ref()?.transport);
        call(&transport, message)
    }

    /// Whether a door is installed.
    pub(crate) fn has_door(&self) -> bool {
        self.state.inner.lock().unwrap().session.is_some()
    }

    /// What was posted, and forgets it.
    pub(crate) fn take_posted(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state.inner.lock().unwrap().posted)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // The death of a process lets go of everything at once; calls that are running keep the state alive here.
        let session = self.state.inner.lock().unwrap().session.take();
        drop(session);
    }
}

/// Only the user this fake runs as may change anything; asked of each call.
fn may_change(call: &Invocation<'_>) -> bool {
    // SAFETY: geteuid(2) cannot fail and touches nothing.
    let own = unsafe { libc::geteuid() };
    call.credentials()
        .is_ok_and(|credentials| credentials.euid == own)
}

fn call(transport: &DoorHandle, message: &[u8]) -> Option<u32> {
    let answer = transport
        .call_with(Call::new(message).timeout(Duration::from_secs(20)))
        .ok()?;
    Some(u32::from_ne_bytes(answer.data().try_into().ok()?))
}

impl State {
    fn serve(self: &Arc<Self>, request: Request, descriptors: Vec<OwnedFd>) -> (Answer, Option<OwnedFd>) {
        let mut inner = self.inner.lock().unwrap();
        let (alua_enabled, alua_node) = inner.alua;
        let reply = match request {
            Request::GetState {} => Reply::Service(ServiceStatus {
                service: ServiceState::Online,
                configuration: ConfigurationState::InitDone,
                alua_enabled,
                alua_node,
                proxy_channel: Channel::Down,
                peer_node: None,
                peer_version: None,
                last_failover: None,
            }),
            Request::GetAluaState {} => Reply::Alua {
                enabled: alua_enabled,
                node: alua_node,
            },
            Request::ListLus {} => Reply::Lus { lus: Vec::new() },
            Request::ListTargets {} => Reply::Targets { targets: Vec::new() },
            Request::SetAluaState { enabled, node } => {
                inner.alua = (enabled, node);
                let transport = inner
                    .session
                    .as_ref()
                    .map(|session| Arc::clone(&session.transport));
                // Registrations: sent by a thread of the daemon, which a stuck door must not hold up.
                if let Some(transport) = transport.filter(|_| enabled) {
                    thread::spawn(move || call(&transport, b"LNTP registration"));
                }
                return (Answer::done(), None);
            }
            Request::InitProxyDoor {} => {
                return match self.install(&mut inner, descriptors) {
                    Ok((session, door)) => (Answer::good(Reply::ProxySession { session }), Some(door)),
                    Err(status) => (status.into(), None),
                };
            }
            Request::DestroyProxyDoor { session } => {
                return if end(&mut inner, session) {
                    (Answer::done(), None)
                } else {
                    (StmfStatus::NotFound.into(), None)
                };
            }
            _ => return (StmfStatus::NotFound.into(), None),
        };
        (Answer::good(reply), None)
    }

    fn install(
        self: &Arc<Self>,
        inner: &mut Inner,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(u64, OwnedFd), StmfStatus> {
        let transport = descriptors.into_iter().next().ok_or(StmfStatus::InvalidArg)?;
        let transport = DoorHandle::from_fd(transport).map_err(|_| StmfStatus::InvalidArg)?;
        if inner.session.is_some() {
            return Err(StmfStatus::DoorInstalled);
        }
        inner.last_session += 1;
        let id = inner.last_session;
        let state: Weak<Self> = Arc::downgrade(self);
        let for_posts = Weak::clone(&state);
        let door = Door::builder()
            .max_argument_bytes(LONGEST_MESSAGE)
            .on_unreferenced(move || {
                if let Some(state) = state.upgrade() {
                    end(&mut state.inner.lock().unwrap(), id);
                }
            })
            .create(move |call: Invocation<'_>| {
                let status = match for_posts.upgrade() {
                    Some(state) if may_change(&call) => state.post(call.argument()),
                    Some(_) => StmfStatus::Perm,
                    None => StmfStatus::PostMsgFailed,
                };
                door::Reply::bytes(status.to_word())
            })
            .map_err(|_| StmfStatus::Error)?;
        let lent = door.lend().map_err(|_| StmfStatus::Error)?;
        inner.session = Some(Session {
            id,
            transport: Arc::new(transport),
            _door: door,
        });
        Ok((id, lent))
    }

    fn post(&self, message: &[u8]) -> StmfStatus {
        if !message.starts_with(MAGIC) {
            return StmfStatus::PostMsgFailed;
        }
        self.inner.lock().unwrap().posted.push(message.to_vec());
        StmfStatus::Success
    }
}

/// Ends the session of this number, if it still is the present one.
fn end(inner: &mut Inner, id: u64) -> bool {
    match inner.session.take_if(|session| session.id == id) {
        // Its door may be the one whose procedure runs here: a thread of its own lets go of it.
        Some(session) => {
            thread::spawn(move || drop(session));
            true
        }
        None => false,
    }
}
