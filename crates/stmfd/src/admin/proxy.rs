//! `stmfInitProxyDoor` and `stmfDestroyProxyDoor`, as requests.

use super::{Admin, Outcome};
use crate::proxy::InstallError;
use admin_proto::{Answer, Reply, StmfStatus};
use door::{Attributes, DoorHandle, ReceivedDescriptor};

impl Admin {
    pub(super) fn init_proxy_door(&self, mut descriptors: Vec<ReceivedDescriptor>) -> Outcome {
        let refused = |message: &str| (Answer::failed(StmfStatus::InvalidArg, message), None);
        let Some(descriptor) = descriptors.pop().filter(|_| descriptors.is_empty()) else {
            return refused("exactly one door descriptor must come with the request");
        };
        let Ok(door) = DoorHandle::from_fd(descriptor.into_fd()) else {
            return refused("the descriptor is not a door");
        };
        if door
            .info()
            .is_ok_and(|info| info.attributes.contains(Attributes::REVOKED))
        {
            return refused("the door has been revoked");
        }
        match self.target.proxy().install(door) {
            Ok((session, descriptor)) => (Answer::good(Reply::ProxySession { session }), Some(descriptor)),
            Err(InstallError::Installed) => (
                Answer::failed(
                    StmfStatus::DoorInstalled,
                    "one transport at a time; end the other first",
                ),
                None,
            ),
            Err(InstallError::Door(error)) => (Answer::failed(StmfStatus::Error, error.to_string()), None),
        }
    }

    pub(super) fn destroy_proxy_door(&self, session: u64) -> Answer {
        if self.target.proxy().uninstall(session) {
            Answer::done()
        } else {
            Answer::failed(StmfStatus::NotFound, "there is no such proxy session")
        }
    }
}
