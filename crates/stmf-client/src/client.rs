//! The connection: opening the control door, one call per request, and the requests about the service itself.

use std::{
    env, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use admin_proto::{
    ProxyStatus, Reply, Request, ServiceStatus, Statistics, Target, canonical_name, decode_answer,
    encode_request,
};
use door::{Call, CallError, DoorHandle};

use crate::{ClientError, Refusal};

/// Where the control door is unless it is said otherwise.
pub const DEFAULT_CONTROL: &str = "/run/stmf/control";

/// The environment variable that names another control door.
pub const CONTROL_ENVIRONMENT: &str = "STMF_CONTROL";

/// For requests that only touch this node's memory and state file.
const ORDINARY: Duration = Duration::from_secs(30);

/// For requests that flush, open or close a store, or wait for the peer.
const SLOW: Duration = Duration::from_secs(150);

/// A client of the control door. Cheap to make; may be shared by threads.
#[derive(Debug)]
pub struct Client {
    control: DoorHandle,
    path: PathBuf,
}

/// Unwraps the reply of the right kind.
macro_rules! expect_reply {
    ($client:expr, $request:expr, $pattern:pat => $value:expr) => {
        match $client.request(&$request)? {
            Some($pattern) => Ok($value),
            _ => Err($crate::ClientError::UnexpectedReply),
        }
    };
}
pub(crate) use expect_reply;

impl Client {
    /// Opens the control door at `path`, else at `STMF_CONTROL`, else at [`DEFAULT_CONTROL`].
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] and [`ClientError::Permission`] as far as the path tells; a daemon may still refuse
    /// each request.
    pub fn connect(path: Option<&Path>) -> Result<Self, ClientError> {
        let path = path.map_or_else(Self::default_path, Path::to_path_buf);
        match DoorHandle::open(&path) {
            Ok(control) => Ok(Self { control, path }),
            Err(error) => Err(Self::open_error(path, &error)),
        }
    }

    /// `STMF_CONTROL`, else [`DEFAULT_CONTROL`].
    pub fn default_path() -> PathBuf {
        let named = env::var_os(CONTROL_ENVIRONMENT).filter(|path| !path.is_empty());
        named.map_or_else(|| PathBuf::from(DEFAULT_CONTROL), PathBuf::from)
    }

    /// Path of the control door this client opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another client of the same daemon.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn try_clone(&self) -> Result<Self, ClientError> {
        Ok(Self {
            control: self.control.try_clone()?,
            path: self.path.clone(),
        })
    }

    /// Asks and returns the reply, for requests that have one. The named methods say which.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn request(&self, request: &Request) -> Result<Option<Reply>, ClientError> {
        self.request_with(request, None).map(|(reply, _)| reply)
    }

    /// Asks with a descriptor beside the request and returns the descriptors beside the reply too.
    pub(crate) fn request_with(
        &self,
        request: &Request,
        descriptor: Option<OwnedFd>,
    ) -> Result<(Option<Reply>, Vec<OwnedFd>), ClientError> {
        let bytes = encode_request(request);
        let deadline = deadline(request);
        let mut call = Call::new(&bytes).timeout(deadline);
        if let Some(descriptor) = descriptor {
            call = call.give(descriptor);
        }
        let answer = self
            .control
            .call_with(call)
            .map_err(|failed| self.call_error(failed.error, deadline))?;
        let judged = decode_answer(answer.data());
        // Owned before anything is judged, so that a descriptor nobody asked for is closed.
        let descriptors = answer
            .into_descriptors()
            .into_iter()
            .map(door::ReceivedDescriptor::into_fd)
            .collect();
        Ok((Refusal::judge(judged?)?, descriptors))
    }

    /// State of the service.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn state(&self) -> Result<ServiceStatus, ClientError> {
        expect_reply!(self, Request::GetState {}, Reply::Service(status) => status)
    }

    /// Takes the whole service online or offline.
    ///
    /// # Errors
    /// Every [`ClientError`]; `ServiceOnline` or `ServiceOffline` when it is so already.
    pub fn set_service_online(&self, online: bool) -> Result<(), ClientError> {
        self.request(&Request::SetServiceOnline { online }).map(drop)
    }

    /// Whether ALUA is enabled, and the number of this node.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn alua_state(&self) -> Result<(bool, u32), ClientError> {
        expect_reply!(self, Request::GetAluaState {}, Reply::Alua { enabled, node } => (enabled, node))
    }

    /// Enables or disables ALUA as node 0 or 1. Enabling again registers everything with the peer again.
    ///
    /// # Errors
    /// Every [`ClientError`]; `InvalidArg` for another node number, also when disabling.
    pub fn set_alua_state(&self, enabled: bool, node: u32) -> Result<(), ClientError> {
        self.request(&Request::SetAluaState { enabled, node }).map(drop)
    }

    /// Target ports with their sessions, sorted by name; ports of the peer have the provider `pppt`.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn list_targets(&self) -> Result<Vec<Target>, ClientError> {
        expect_reply!(self, Request::ListTargets {}, Reply::Targets { targets } => targets)
    }

    /// Requests a target port online.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`.
    pub fn online_target(&self, name: &str) -> Result<(), ClientError> {
        self.request(&Request::OnlineTarget {
            name: stored_name(name),
        })
        .map(drop)
    }

    /// Requests a target port offline; its sessions end.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`.
    pub fn offline_target(&self, name: &str) -> Result<(), ClientError> {
        self.request(&Request::OfflineTarget {
            name: stored_name(name),
        })
        .map(drop)
    }

    /// The proxy service, its channel and its counters.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn list_proxy(&self) -> Result<ProxyStatus, ClientError> {
        expect_reply!(self, Request::ListProxy {}, Reply::Proxy(status) => status)
    }

    /// Counters of logical units and target ports.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn statistics(&self) -> Result<Statistics, ClientError> {
        expect_reply!(self, Request::Stats {}, Reply::Statistics(statistics) => statistics)
    }

    fn open_error(path: PathBuf, error: &io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                ClientError::NotRunning {
                    path,
                    source: io::Error::from(error.kind()),
                }
            }
            io::ErrorKind::PermissionDenied => ClientError::Permission { path },
            _ => ClientError::Os(io::Error::new(
                error.kind(),
                format!("{}: {error}", path.display()),
            )),
        }
    }

    fn call_error(&self, error: CallError, deadline: Duration) -> ClientError {
        match error {
            CallError::Revoked => ClientError::NotRunning {
                path: self.path.clone(),
                source: io::Error::from(io::ErrorKind::ConnectionReset),
            },
            CallError::TimedOut => ClientError::TimedOut {
                seconds: deadline.as_secs(),
            },
            CallError::Os(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                ClientError::Permission {
                    path: self.path.clone(),
                }
            }
            error => ClientError::Call(error),
        }
    }
}

/// The stored form of a name; what has none is sent as it is, and the daemon says what is wrong.
pub(crate) fn stored_name(name: &str) -> String {
    canonical_name(name).unwrap_or_else(|_| name.to_owned())
}

/// How long a request may take.
const fn deadline(request: &Request) -> Duration {
    match request {
        Request::SetServiceOnline { .. }
        | Request::DestroyProxyDoor { .. }
        | Request::CreateLu(_)
        | Request::ModifyLu(_)
        | Request::DeleteLu { .. }
        | Request::ImportLu { .. }
        | Request::LuStandby { .. }
        | Request::Failover { .. }
        | Request::OfflineLu { .. }
        | Request::OfflineTarget { .. } => SLOW,
        _ => ORDINARY,
    }
}
