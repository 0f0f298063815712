//! The control door: every administrative request arrives here, is checked and is carried out.

mod list;
mod logical_units;
mod proxy;
mod service;
mod views;

use crate::target::Target;
use admin_proto::{Answer, Request, StmfStatus};
use door::{Attachment, Door, Invocation, ReceivedDescriptor, Reply};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{info, warn};

/// The control door while the daemon runs; dropping it detaches the path.
#[derive(Debug)]
pub(crate) struct ControlDoor {
    _attachment: Attachment,
    _door: Door,
}

/// What the requests work on.
#[derive(Debug)]
pub(crate) struct Admin {
    target: Arc<Target>,
    started: std::time::Instant,
    /// Requests that change something run one after the other.
    writer: Mutex<()>,
}

/// An answer and the descriptor that goes with it.
type Outcome = (Answer, Option<OwnedFd>);

impl ControlDoor {
    /// Makes the door and attaches it at `path`.
    pub(crate) fn open(target: Arc<Target>, path: &Path) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let admin = Admin {
            target,
            started: std::time::Instant::now(),
            writer: Mutex::default(),
        };
        let door = Door::builder()
            .refuse_descriptors(false)
            .max_descriptors(1)
            .max_argument_bytes(admin_proto::MAX_REQUEST_BYTES as u64)
            .create(move |mut call: Invocation<'_>| admin.serve(&mut call))
            .context("the control door could not be made")?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("folder {}", folder.display()))?;
        }
        let attachment = door.attach(path).with_context(|| {
            format!(
                "control door {}: is another stmfd running? give each its own --control",
                path.display()
            )
        })?;
        Ok(Self {
            _attachment: attachment,
            _door: door,
        })
    }
}

impl Admin {
    fn serve(&self, call: &mut Invocation<'_>) -> Reply {
        let descriptors = call.take_descriptors();
        let (answer, descriptor) = match admin_proto::decode_request(call.argument()) {
            Ok(request) => match self.permit(call, &request) {
                Ok(()) => self.carry_out(request, descriptors),
                Err((status, message)) => (Answer::failed(status, message), None),
            },
            Err(error) => {
                info!(%error, "control door: request refused");
                (Answer::from(error), None)
            }
        };
        let reply = Reply::bytes(admin_proto::encode_answer(&answer));
        match descriptor {
            Some(descriptor) => reply.give(descriptor),
            None => reply,
        }
    }

    /// Whoever runs the daemon, and root, may do everything; others may look.
    fn permit(&self, call: &Invocation<'_>, request: &Request) -> Result<(), (StmfStatus, &'static str)> {
        if request.is_query() {
            return Ok(());
        }
        match call.credentials() {
            Ok(caller) if is_privileged(caller.euid) => Ok(()),
            Ok(caller) => {
                warn!(
                    uid = caller.euid,
                    pid = caller.pid,
                    "control door: permission denied"
                );
                Err((
                    StmfStatus::Perm,
                    "only root and the user stmfd runs as may change anything",
                ))
            }
            Err(error) => {
                warn!(%error, "control door: the caller cannot be identified");
                Err((StmfStatus::Perm, "the caller could not be identified"))
            }
        }
    }

    fn carry_out(&self, request: Request, descriptors: Vec<ReceivedDescriptor>) -> Outcome {
        if let Request::InitProxyDoor {} = request {
            return self.init_proxy_door(descriptors);
        }
        if let Request::DestroyProxyDoor { session } = request {
            return (self.destroy_proxy_door(session), None);
        }
        let _one_at_a_time =
            (!request.is_query()).then(|| self.writer.lock().unwrap_or_else(PoisonError::into_inner));
        let answer = match request {
            Request::GetState {} => self.service_state(),
            Request::SetServiceOnline { online } => self.set_service_online(online),
            Request::GetAluaState {} => self.alua_state(),
            Request::SetAluaState { enabled, node } => self.set_alua_state(enabled, node),
            Request::InitProxyDoor {} | Request::DestroyProxyDoor { .. } => Answer::from(StmfStatus::Error),
            Request::CreateLu(create) => self.create_lu(create),
            Request::ModifyLu(modify) => self.modify_lu(modify),
            Request::DeleteLu { guid, keep_views } => self.delete_lu(guid, keep_views),
            Request::ImportLu { path } => self.import_lu(&path),
            Request::LuStandby { guid } => self.lu_standby(guid),
            Request::Failover { guid, force } => self.failover(guid, force),
            Request::OnlineLu { guid } => self.set_lu_online(guid, true),
            Request::OfflineLu { guid } => self.set_lu_online(guid, false),
            Request::ListLus {} => self.list_lus(),
            Request::LuProperties { guid } => self.lu_properties(guid),
            Request::CreateGroup { kind, name } => self.create_group(kind, &name),
            Request::DeleteGroup { kind, name } => self.delete_group(kind, &name),
            Request::AddGroupMember { kind, group, member } => self.add_group_member(kind, &group, &member),
            Request::RemoveGroupMember { kind, group, member } => {
                self.remove_group_member(kind, &group, &member)
            }
            Request::ListGroups { kind } => self.list_groups(kind),
            Request::AddView { guid, view } => self.add_view(guid, view),
            Request::RemoveView { guid, index } => self.remove_view(guid, index),
            Request::ListViews { guid } => self.list_views(guid),
            Request::ValidateView { view } => self.validate_view(view),
            Request::ListTargets {} => self.list_targets(),
            Request::OnlineTarget { name } => self.set_target_online(&name, true),
            Request::OfflineTarget { name } => self.set_target_online(&name, false),
            Request::ListProxy {} => self.list_proxy(),
            Request::Stats {} => self.statistics(),
        };
        (answer, None)
    }
}

/// Whether a caller with this effective user id may change anything.
pub(crate) fn is_privileged(euid: u32) -> bool {
    euid == 0 || euid == rustix::process::geteuid().as_raw()
}

/// The GUID of the control door's vocabulary, as the core knows it.
fn core_guid(guid: admin_proto::Guid) -> stmf_core::Guid {
    stmf_core::Guid(guid.0)
}

/// And back.
fn wire_guid(guid: stmf_core::Guid) -> admin_proto::Guid {
    admin_proto::Guid(*guid.as_bytes())
}
