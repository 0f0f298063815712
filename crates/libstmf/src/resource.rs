//! Logical unit resources: descriptions of a logical unit to be created, and snapshots of existing ones.
//!
//! A `luResource` is a number in disguise, looked up in a table: a handle that was freed, or never was one, is refused
//! instead of being followed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use admin_proto::{AccessState, CreateLu, LuDetails, LuProperty, StmfStatus};

/// One resource.
#[derive(Clone)]
pub(crate) enum Resource {
    /// Being described, with the texts as they were given.
    Described {
        create: Box<CreateLu>,
        texts: Vec<(LuProperty, String)>,
    },
    /// As it was when it was asked for.
    Snapshot(Box<LuDetails>),
}

#[derive(Default)]
struct Table {
    last: usize,
    resources: HashMap<usize, Resource>,
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);

fn with_table<R>(body: impl FnOnce(&mut Table) -> R) -> R {
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    body(table.get_or_insert_default())
}

impl Resource {
    /// An empty description.
    pub(crate) fn described() -> Self {
        Self::Described {
            create: Box::default(),
            texts: Vec::new(),
        }
    }

    /// Keeps the resource and returns its handle, never 0.
    pub(crate) fn keep(self) -> usize {
        with_table(|table| {
            table.last += 1;
            table.resources.insert(table.last, self);
            table.last
        })
    }

    /// A copy of the resource of a handle.
    pub(crate) fn find(handle: usize) -> Result<Self, StmfStatus> {
        with_table(|table| table.resources.get(&handle).cloned()).ok_or(StmfStatus::InvalidArg)
    }

    /// Forgets the resource of a handle.
    pub(crate) fn free(handle: usize) -> Result<(), StmfStatus> {
        with_table(|table| table.resources.remove(&handle))
            .map(drop)
            .ok_or(StmfStatus::InvalidArg)
    }

    /// Sets a property of the resource of a handle, which must be a description.
    pub(crate) fn set(handle: usize, property: LuProperty, value: &str) -> Result<(), StmfStatus> {
        with_table(|table| match table.resources.get_mut(&handle) {
            Some(Self::Described { create, texts }) => {
                create.set(property, value)?;
                texts.retain(|(known, _)| *known != property);
                texts.push((property, value.to_owned()));
                Ok(())
            }
            Some(Self::Snapshot(_)) | None => Err(StmfStatus::InvalidArg),
        })
    }

    /// The text of a property.
    ///
    /// A logical unit that is not active here tells its access state only; everything else is `NoPropertyStandby`.
    pub(crate) fn text(&self, property: LuProperty) -> Result<String, StmfStatus> {
        let details = match self {
            Self::Described { texts, .. } => {
                let text = texts
                    .iter()
                    .find(|(known, _)| *known == property)
                    .map(|(_, text)| text.clone());
                return text.ok_or(StmfStatus::NoProperty);
            }
            Self::Snapshot(details) => details,
        };
        if property == LuProperty::AccessState {
            let access = details.summary.access.unwrap_or(AccessState::Active);
            return Ok(access.property_value().to_owned());
        }
        let disk = match &details.disk {
            Some(disk) if details.summary.access == Some(AccessState::Active) => disk,
            _ => return Err(StmfStatus::NoPropertyStandby),
        };
        let text = match property {
            LuProperty::Alias => details.summary.alias.clone(),
            LuProperty::BlockSize => Some(disk.block_size.to_string()),
            LuProperty::DataFile => Some(disk.data_file.clone()),
            LuProperty::Guid => Some(details.summary.guid.to_string()),
            LuProperty::MetaFile => disk.meta_file.clone(),
            LuProperty::MgmtUrl => disk.mgmt_url.clone(),
            LuProperty::Size => Some(disk.size.to_string()),
            LuProperty::WriteProtect => Some(disk.write_protected.to_string()),
            LuProperty::WriteCacheDisable => Some((!disk.write_cache).to_string()),
            LuProperty::Vendor => Some(disk.vendor.clone()),
            LuProperty::Product => Some(disk.product.clone()),
            LuProperty::Serial => disk.serial.clone(),
            LuProperty::New => return Err(StmfStatus::InvalidProperty),
            // Used up when the GUID was made.
            LuProperty::CompanyId | LuProperty::HostId | LuProperty::AccessState => None,
        };
        text.ok_or(StmfStatus::NoProperty)
    }
}

#[cfg(test)]
mod tests {
    use admin_proto::{DiskProperties, Guid, LuState, LuSummary};

    use super::*;

    fn snapshot(access: AccessState) -> Resource {
        let summary = LuSummary {
            guid: Guid([0x60; 16]),
            state: LuState::Online,
            provider: Some("sbd".into()),
            alias: Some("a".into()),
            access: Some(access),
            view_entries: 0,
        };
        let disk = DiskProperties {
            data_file: "/d".into(),
            meta_file: None,
            size: 1 << 30,
            block_size: 512,
            mgmt_url: None,
            vendor: "SUN".into(),
            product: "COMSTAR".into(),
            revision: "1.0".into(),
            serial: None,
            write_protected: true,
            write_cache: true,
        };
        Resource::Snapshot(Box::new(LuDetails {
            summary,
            disk: Some(disk),
            epoch: 1,
        }))
    }

    #[test]
    fn st_054_a_standby_snapshot_tells_its_access_state_only() {
        for (access, digit) in [
            (AccessState::ActiveToStandby, "1"),
            (AccessState::Standby, "2"),
            (AccessState::StandbyToActive, "3"),
        ] {
            let resource = snapshot(access);
            for property in LuProperty::ALL {
                let expected = match property {
                    LuProperty::AccessState => Ok(digit.to_owned()),
                    _ => Err(StmfStatus::NoPropertyStandby),
                };
                assert_eq!(resource.text(property), expected, "{property:?}");
            }
        }
    }

    #[test]
    fn an_active_snapshot_tells_what_is_set() {
        let resource = snapshot(AccessState::Active);
        let text = |property| resource.text(property);
        assert_eq!(text(LuProperty::AccessState).unwrap(), "0");
        assert_eq!(text(LuProperty::Size).unwrap(), "1073741824");
        assert_eq!(text(LuProperty::WriteProtect).unwrap(), "true");
        assert_eq!(text(LuProperty::WriteCacheDisable).unwrap(), "false");
        assert_eq!(text(LuProperty::Guid).unwrap(), "60".repeat(16));
        assert_eq!(text(LuProperty::MetaFile), Err(StmfStatus::NoProperty));
        assert_eq!(text(LuProperty::New), Err(StmfStatus::InvalidProperty));
    }

    #[test]
    fn a_freed_handle_is_refused() {
        let handle = Resource::described().keep();
        assert_ne!(handle, 0);
        Resource::set(handle, LuProperty::Alias, "x").unwrap();
        Resource::set(handle, LuProperty::Alias, "y").unwrap();
        assert_eq!(
            Resource::find(handle).unwrap().text(LuProperty::Alias).unwrap(),
            "y"
        );
        assert_eq!(Resource::free(handle), Ok(()));
        assert_eq!(Resource::free(handle), Err(StmfStatus::InvalidArg));
        assert_eq!(
            Resource::set(handle, LuProperty::Alias, "x"),
            Err(StmfStatus::InvalidArg)
        );
        assert!(Resource::find(handle).is_err());
    }
}
