//! Requests about logical units.

use super::{Admin, core_guid, wire_guid};
use crate::proxy::FailoverFailed;
use crate::target::{ActivateError, DemoteError, Demotion, Lu, Properties, RegistryError};
use admin_proto::{Answer, CreateLu, Guid, LuName, ModifyLu, Reply, StmfStatus};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stmf_block::OpenError;
use stmf_core::AccessState;

impl Admin {
    pub(super) fn create_lu(&self, create: CreateLu) -> Answer {
        let Some(data_file) = create.data_file else {
            return Answer::failed(StmfStatus::MissingPropertyValue, "a data file must be named");
        };
        let created = self.target.create(Properties {
            data_file: PathBuf::from(data_file),
            meta_file: create.meta_file.map(PathBuf::from),
            guid: create.guid.map(core_guid),
            alias: create.alias,
            size: create.size,
            block_size: create.block_size,
            write_protect: create.write_protect.unwrap_or(false),
            write_cache_disable: create.write_cache_disable.unwrap_or(false),
            vendor: create.vendor,
            product: create.product,
            serial: create.serial,
            company_id: create.company_id,
            host_id: create.host_id,
            management_url: create.mgmt_url,
        });
        match created {
            Ok(lu) => {
                self.target.proxy().inventory_changed();
                Answer::good(Reply::Lu {
                    guid: wire_guid(lu.guid),
                })
            }
            Err(error) => registry_failure(&error),
        }
    }

    pub(super) fn modify_lu(&self, modify: ModifyLu) -> Answer {
        let lu = match &modify.lu {
            LuName::Guid(guid) => self.target.lu(core_guid(*guid)),
            LuName::File(path) => self.target.by_path(Path::new(path)),
        };
        let Some(lu) = lu else {
            return Answer::from(StmfStatus::NotFound);
        };
        if lu.access() != AccessState::Active {
            return Answer::failed(StmfStatus::AccessStateSet, "cannot modify while in standby mode");
        }
        let changed = self.target.modify(&lu, |metadata| {
            if let Some(alias) = modify.alias {
                metadata.alias = alias;
            }
            if let Some(size) = modify.size {
                metadata.size_bytes = size;
            }
            if let Some(protect) = modify.write_protect {
                metadata.write_protect = protect;
            }
            if let Some(disable) = modify.write_cache_disable {
                metadata.write_cache_disable = disable;
            }
            if let Some(url) = modify.mgmt_url {
                metadata.management_url = (!url.is_empty()).then_some(url);
            }
        });
        match changed {
            Ok(()) => {
                self.target.proxy().inventory_changed();
                Answer::done()
            }
            Err(error) => registry_failure(&error),
        }
    }

    pub(super) fn delete_lu(&self, guid: Guid, keep_views: bool) -> Answer {
        let Some(lu) = self.target.lu(core_guid(guid)) else {
            return Answer::from(StmfStatus::NotFound);
        };
        let was_owner = lu.access() == AccessState::Active;
        match self.target.delete(&lu, keep_views) {
            Ok(()) => {
                if was_owner {
                    self.target.proxy().inventory_changed();
                }
                Answer::done()
            }
            Err(error) => registry_failure(&error),
        }
    }

    pub(super) fn import_lu(&self, path: &str) -> Answer {
        let path = Path::new(path);
        if !path.is_absolute() {
            return Answer::failed(StmfStatus::MetaFileName, "the path must be absolute");
        }
        let Some(lu) = self.target.by_path(path) else {
            return match self.target.import(path) {
                Ok(lu) => {
                    self.target.proxy().inventory_changed();
                    Answer::good(Reply::Lu {
                        guid: wire_guid(lu.guid),
                    })
                }
                Err(error) => registry_failure(&error),
            };
        };
        if lu.access() == AccessState::Active {
            return file_in_use(&lu);
        }
        match self.target.proxy().promote(&lu) {
            Ok(()) => Answer::good(Reply::Lu {
                guid: wire_guid(lu.guid),
            }),
            Err(error) => failover_failure(&error),
        }
    }

    pub(super) fn lu_standby(&self, guid: Guid) -> Answer {
        let Some(lu) = self.target.lu(core_guid(guid)) else {
            return Answer::from(StmfStatus::NotFound);
        };
        match self.target.demote(&lu, Demotion::Plain) {
            Ok(()) => {
                self.target.proxy().inventory_changed();
                Answer::done()
            }
            Err(DemoteError::Busy) => Answer::from(StmfStatus::Busy),
            // It is where it was asked to be, or on its way.
            Err(DemoteError::NotActive) => Answer::done(),
            Err(error @ (DemoteError::Drain | DemoteError::Flush(_))) => {
                Answer::failed(StmfStatus::Error, error.to_string())
            }
        }
    }

    pub(super) fn failover(&self, guid: Guid, force: bool) -> Answer {
        let Some(lu) = self.target.lu(core_guid(guid)) else {
            return Answer::from(StmfStatus::NotFound);
        };
        let proxy = self.target.proxy();
        let result = if force {
            proxy.take_by_force(&lu)
        } else {
            proxy.failover(&lu)
        };
        match result {
            Ok(()) => Answer::done(),
            Err(error) => failover_failure(&error),
        }
    }

    pub(super) fn set_lu_online(&self, guid: Guid, online: bool) -> Answer {
        let Some(lu) = self.target.lu(core_guid(guid)) else {
            return Answer::from(StmfStatus::NotFound);
        };
        match self.target.set_online(&lu, online) {
            Ok(()) => Answer::done(),
            Err(error) => Answer::failed(StmfStatus::Error, error.to_string()),
        }
    }
}

fn file_in_use(lu: &Arc<Lu>) -> Answer {
    Answer {
        status: StmfStatus::FileInUse,
        message: Some(format!(
            "logical unit {} is active on this node with this file",
            lu.guid
        )),
        reply: Some(Reply::Lu {
            guid: wire_guid(lu.guid),
        }),
    }
}

fn failover_failure(error: &FailoverFailed) -> Answer {
    let status = match error {
        FailoverFailed::Busy => StmfStatus::Busy,
        FailoverFailed::Activate(error) => activate_status(error),
        FailoverFailed::AlreadyActive
        | FailoverFailed::AluaDisabled
        | FailoverFailed::PeerOwns
        | FailoverFailed::Fencing(_)
        | FailoverFailed::Channel
        | FailoverFailed::Refused(_)
        | FailoverFailed::Demote(_)
        | FailoverFailed::TimedOut => StmfStatus::AccessStateSet,
    };
    Answer::failed(status, error.to_string())
}

fn registry_failure(error: &RegistryError) -> Answer {
    let status = match error {
        RegistryError::Open(error) => open_status(error),
        RegistryError::Activate(error) => activate_status(error),
        RegistryError::FileInUse { .. } => StmfStatus::FileInUse,
        RegistryError::GuidInUse { .. } => StmfStatus::GuidInUse,
        RegistryError::BlockSize(_) => StmfStatus::InvalidBlockSize,
        RegistryError::Guid(_) => StmfStatus::MetaFileName,
        RegistryError::Relative(_) => StmfStatus::DataFileName,
        RegistryError::Busy => StmfStatus::LuBusy,
        RegistryError::State(_) => StmfStatus::Error,
    };
    let reply = match error {
        RegistryError::FileInUse { guid } => Some(Reply::Lu {
            guid: wire_guid(*guid),
        }),
        _ => None,
    };
    Answer {
        status,
        message: Some(error.to_string()),
        reply,
    }
}

fn activate_status(error: &ActivateError) -> StmfStatus {
    match error {
        ActivateError::Busy => StmfStatus::Busy,
        ActivateError::Open(error) => open_status(error),
        ActivateError::WrongGuid { .. } => StmfStatus::MetaFileName,
        ActivateError::Superseded { .. } => StmfStatus::AccessStateSet,
        ActivateError::State(_) => StmfStatus::Error,
    }
}

fn open_status(error: &OpenError) -> StmfStatus {
    match error {
        OpenError::Data { .. } => StmfStatus::DataFileName,
        OpenError::InUse { .. } => StmfStatus::FileInUse,
        OpenError::Metadata { .. } => StmfStatus::MetaFileName,
        OpenError::MetadataWrite { .. } => StmfStatus::MetaCreation,
        OpenError::Size { .. } => StmfStatus::FileSizeInvalid,
    }
}
