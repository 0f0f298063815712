//! The logical units of this node: created, imported, registered by the peer, changed and deleted.

use super::Target;
use super::lu::Lu;
use super::ownership::ActivateError;
use super::state::Persistent;
use proxy_proto::next_epoch;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::SystemTime;
use stmf_block::backing::CreateSpec;
use stmf_block::{Backing, Metadata, OpenError, Owner};
use stmf_core::{AccessState, Guid, LogicalUnit, LuProperties};
use tracing::{info, warn};

const VENDOR: &str = "LINTEL";
const PRODUCT: &str = "STMF";
const REVISION: [u8; 4] = *b"1.0 ";
/// Company id in GUIDs made here unless one is given.
const COMPANY_ID: u32 = 0x00_14_4f;

/// What a new logical unit is made with; absent properties take their defaults.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    pub(crate) data_file: PathBuf,
    pub(crate) meta_file: Option<PathBuf>,
    pub(crate) guid: Option<Guid>,
    pub(crate) alias: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) block_size: Option<u32>,
    pub(crate) write_protect: bool,
    pub(crate) write_cache_disable: bool,
    pub(crate) vendor: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) company_id: Option<u32>,
    pub(crate) host_id: Option<u32>,
    pub(crate) management_url: Option<String>,
}

/// Why a logical unit was not created, imported or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Activate(#[from] ActivateError),
    #[error("{guid} serves this file already")]
    FileInUse { guid: Guid },
    #[error("a logical unit with GUID {guid} exists")]
    GuidInUse { guid: Guid },
    #[error("the block size must be a power of two from 512 to 32768, not {0}")]
    BlockSize(u32),
    #[error("the metadata carries no valid GUID ({0})")]
    Guid(String),
    #[error("{0} must be an absolute path")]
    Relative(PathBuf),
    #[error("another operation on this logical unit is in progress")]
    Busy,
    #[error("the state file could not be written: {0}; nothing was changed")]
    State(std::io::Error),
}

impl Target {
    pub(crate) fn state(&self) -> MutexGuard<'_, Persistent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings up what the state file names. With ALUA enabled nothing is activated before the peer has been heard.
    pub(crate) fn bring_up(self: &Arc<Self>) {
        let (alua, units) = {
            let state = self.state();
            (state.alua(), state.logical_units())
        };
        for unit in units {
            let Ok(guid) = unit.guid.parse::<Guid>() else {
                warn!(
                    guid = unit.guid,
                    "the state file names a logical unit without a valid GUID; skipped"
                );
                continue;
            };
            let path = PathBuf::from(&unit.path);
            let properties = match Backing::peek(&path) {
                Ok(metadata) => core_properties(&metadata, guid),
                Err(error) => {
                    warn!(%guid, %error, "the store cannot be looked at now");
                    unknown_properties(guid)
                }
            };
            let core = LogicalUnit::new(properties, AccessState::Standby);
            let lu = Arc::new(Lu::new(core, path, unit.epoch, None));
            {
                let mut inner = lu.lock();
                inner.owned = unit.owned;
                inner.offline = unit.offline;
            }
            self.insert(&lu);
            if unit.owned && !alua.enabled {
                // The failure is logged; the logical unit is listed and can be imported when its store is back.
                let _ = self.activate(&lu, unit.epoch);
            }
        }
        self.refresh_luns();
    }

    /// Makes a store and the logical unit on it; active here.
    pub(crate) fn create(self: &Arc<Self>, properties: Properties) -> Result<Arc<Lu>, RegistryError> {
        let paths = [Some(&properties.data_file), properties.meta_file.as_ref()];
        if let Some(path) = paths.into_iter().flatten().find(|path| !path.is_absolute()) {
            return Err(RegistryError::Relative(path.clone()));
        }
        let block_size = properties.block_size.unwrap_or(512);
        if !block_size.is_power_of_two() || !(512..=32768).contains(&block_size) {
            return Err(RegistryError::BlockSize(block_size));
        }
        let path = properties
            .meta_file
            .clone()
            .unwrap_or_else(|| properties.data_file.clone());
        if let Some(lu) = self
            .by_path(&path)
            .or_else(|| self.by_path(&properties.data_file))
        {
            return Err(RegistryError::FileInUse { guid: lu.guid });
        }
        let guid = properties.guid.unwrap_or_else(|| self.new_guid(&properties));
        if self.lu(guid).is_some() {
            return Err(RegistryError::GuidInUse { guid });
        }
        let node = self.port().node;
        let owner = Owner {
            epoch: next_epoch(0, node),
            node,
        };
        let metadata = Metadata {
            guid: guid.to_string(),
            data_file: String::new(),
            separate: properties.meta_file.is_some(),
            size_bytes: 0,
            block_size,
            alias: properties
                .alias
                .unwrap_or_else(|| properties.data_file.to_string_lossy().into_owned()),
            vendor: properties.vendor.unwrap_or_else(|| VENDOR.to_owned()),
            product: properties.product.unwrap_or_else(|| PRODUCT.to_owned()),
            serial: properties.serial,
            management_url: properties.management_url,
            write_protect: properties.write_protect,
            write_cache_disable: properties.write_cache_disable,
            owner,
        };
        let backing = Backing::create(CreateSpec {
            data_file: properties.data_file,
            metadata_file: properties.meta_file,
            size_bytes: properties.size,
            metadata,
        })?;
        self.register(backing, guid)
    }

    /// Finds the logical unit on a store and serves it here.
    pub(crate) fn import(self: &Arc<Self>, path: &Path) -> Result<Arc<Lu>, RegistryError> {
        let metadata = Backing::peek(path)?;
        let guid = metadata
            .guid
            .parse::<Guid>()
            .map_err(|_| RegistryError::Guid(metadata.guid))?;
        if self.lu(guid).is_some() {
            return Err(RegistryError::GuidInUse { guid });
        }
        let backing = Backing::open(path)?;
        let owner = backing.metadata().owner;
        let node = self.port().node;
        let mine = Owner {
            epoch: next_epoch(owner.epoch, node),
            node,
        };
        backing.update_metadata(|metadata| metadata.owner = mine)?;
        self.register(backing, guid)
    }

    /// A logical unit the peer serves: known here, standing by.
    pub(crate) fn register_standby(
        self: &Arc<Self>,
        properties: LuProperties,
        path: PathBuf,
        epoch: u64,
    ) -> std::io::Result<Arc<Lu>> {
        let guid = properties.guid;
        let core = LogicalUnit::new(properties, AccessState::Standby);
        let lu = Arc::new(Lu::new(core, path, epoch, None));
        self.keep(&lu, epoch, false)?;
        self.insert(&lu);
        self.refresh_luns();
        info!(%guid, epoch, "standby for the peer's logical unit");
        Ok(lu)
    }

    /// Takes a logical unit away; its store stays as it is.
    pub(crate) fn delete(self: &Arc<Self>, lu: &Arc<Lu>, keep_views: bool) -> Result<(), RegistryError> {
        {
            let mut inner = lu.lock();
            if inner.changing {
                return Err(RegistryError::Busy);
            }
            inner.changing = true;
        }
        let forgotten = self.state().remove_logical_unit(lu.guid, keep_views);
        if let Err(error) = forgotten {
            lu.lock().changing = false;
            return Err(RegistryError::State(error));
        }
        if !keep_views {
            self.views
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove_all_views(lu.guid);
        }
        self.lus
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&lu.guid);
        self.refresh_luns();
        self.abort(lu, stmf_core::AbortFilter::All, || {});
        let idle = lu.wait_until_idle(std::time::Duration::from_secs(10));
        let backing = lu.lock().backing.take();
        if let Some(backing) = backing
            && let Err(error) = backing.flush()
        {
            warn!(guid = %lu.guid, %error, "the store of a deleted logical unit could not be flushed");
        }
        info!(guid = %lu.guid, idle, "deleted");
        Ok(())
    }

    /// Changes properties of an active logical unit.
    pub(crate) fn modify(
        self: &Arc<Self>,
        lu: &Arc<Lu>,
        change: impl FnOnce(&mut Metadata),
    ) -> Result<(), RegistryError> {
        let backing = lu.lock().backing.clone().ok_or(RegistryError::Busy)?;
        let before = backing.metadata();
        let mut wanted = before.clone();
        change(&mut wanted);
        if wanted.size_bytes != before.size_bytes {
            let whole = wanted.size_bytes.is_multiple_of(u64::from(before.block_size));
            if !whole || wanted.size_bytes < stmf_block::backing::MINIMUM_BYTES {
                let (bytes, block_size) = (wanted.size_bytes, before.block_size);
                return Err(OpenError::Size { bytes, block_size }.into());
            }
            backing
                .grow(wanted.size_bytes)
                .map_err(|source| OpenError::Data {
                    path: PathBuf::from(&before.data_file),
                    source,
                })?;
        }
        let after = backing.update_metadata(|metadata| *metadata = wanted)?;
        lu.lock().learn(core_properties(&after, lu.guid));
        Ok(())
    }

    /// The logical unit whose store is found at `path`.
    pub(crate) fn by_path(&self, path: &Path) -> Option<Arc<Lu>> {
        self.lus().into_iter().find(|lu| lu.lock().path == path)
    }

    fn register(self: &Arc<Self>, backing: Backing, guid: Guid) -> Result<Arc<Lu>, RegistryError> {
        let metadata = backing.metadata();
        let path = backing.metadata_path().to_path_buf();
        let core = LogicalUnit::new(core_properties(&metadata, guid), AccessState::Active);
        let lu = Arc::new(Lu::new(core, path, metadata.owner.epoch, Some(Arc::new(backing))));
        self.keep(&lu, metadata.owner.epoch, true)
            .map_err(RegistryError::State)?;
        self.insert(&lu);
        self.refresh_luns();
        info!(%guid, path = %lu.lock().path.display(), "active");
        Ok(lu)
    }

    fn insert(&self, lu: &Arc<Lu>) {
        for nexus in self.nexuses() {
            lu.lock().core.nexus_added(nexus.id);
        }
        self.lus
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(lu.guid, Arc::clone(lu));
    }

    /// Takes a logical unit online or offline; offline it is visible to no initiator.
    pub(crate) fn set_online(self: &Arc<Self>, lu: &Arc<Lu>, online: bool) -> std::io::Result<()> {
        let (epoch, owned) = {
            let mut inner = lu.lock();
            inner.offline = !online;
            (inner.epoch, inner.owned)
        };
        self.keep(lu, epoch, owned)?;
        self.refresh_luns();
        if !online {
            self.abort(lu, stmf_core::AbortFilter::All, || {});
        }
        Ok(())
    }

    /// Flushes and closes every store; the daemon ends.
    pub(crate) fn close_stores(&self) {
        for lu in self.lus() {
            let backing = lu.lock().backing.take();
            if let Some(backing) = backing
                && let Err(error) = backing.flush()
            {
                warn!(guid = %lu.guid, %error, "the store could not be flushed");
            }
        }
    }

    fn new_guid(&self, properties: &Properties) -> Guid {
        let host_id = properties.host_id.unwrap_or_else(|| self.state().host_id());
        let company_id = properties.company_id.unwrap_or(COMPANY_ID);
        let seconds = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        // The counter tells apart what is made within one second.
        let mut counter = 0;
        loop {
            let guid = Guid::generate(company_id, host_id, seconds, counter);
            if self.lu(guid).is_none() {
                return guid;
            }
            counter += 1;
        }
    }
}

/// The properties the core answers with, from what stands with the data.
pub(crate) fn core_properties(metadata: &Metadata, guid: Guid) -> LuProperties {
    LuProperties {
        guid,
        alias: metadata.alias.clone(),
        vendor: padded(&metadata.vendor),
        product: padded(&metadata.product),
        revision: REVISION,
        serial: metadata.serial.clone(),
        block_size: metadata.block_size,
        blocks: metadata.size_bytes / u64::from(metadata.block_size.max(1)),
        write_protected: metadata.write_protect,
        write_cache: !metadata.write_cache_disable,
        rotational: false,
        unmap: true,
    }
}

/// What is said of a logical unit whose store this node has never seen.
fn unknown_properties(guid: Guid) -> LuProperties {
    LuProperties {
        guid,
        alias: String::new(),
        vendor: padded(VENDOR),
        product: padded(PRODUCT),
        revision: REVISION,
        serial: None,
        block_size: 512,
        blocks: 0,
        write_protected: false,
        write_cache: true,
        rotational: false,
        unmap: true,
    }
}

/// ASCII, left-aligned, padded with spaces (SPC-4 §4.3.1).
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    field
}
