//! Doors a client may call over a link.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::ServerLink;
use crate::engine::object::{DoorObject, Export, lock};
use crate::engine::stats::Client;
use crate::engine::undertaker;
use crate::sync::atomic::Ordering;

/// Doors this client may call, by handle.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// With how often each was used.
    pub(super) entries: Vec<(u32, Option<Known>)>,
    /// Which of them are not used.
    free: Vec<usize>,
    /// Where an export is, by its key.
    places: HashMap<u64, usize>,
}

/// An export this client has made known.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) export: Arc<Export>,
    _counted: Client,
}

impl ServerLink {
    /// Makes an export known to the client: its handle, its pool, and the pool's bell if the client does not have it.
    pub(crate) fn add_export(
        self: &Arc<Self>,
        export: &Arc<Export>,
        known: u64,
    ) -> io::Result<(u64, u32, Option<OwnedFd>)> {
        let (pool, bell) = self.bell_of(export.door.pool(), known)?;
        let mut table = lock(&self.table);
        let index = match table.places.get(&export.key) {
            Some(index) => *index,
            None => {
                let index = match table.free.pop() {
                    Some(index) => index,
                    None if table.entries.len() > usize::from(u16::MAX) => {
                        return Err(io::Error::from_raw_os_error(libc::EMFILE));
                    }
                    None => {
                        table.entries.push((0, None));
                        table.entries.len() - 1
                    }
                };
                let entry = &mut table.entries[index];
                entry.0 = entry.0.wrapping_add(1);
                entry.1 = Some(Known {
                    export: Arc::clone(export),
                    _counted: Client::new(&export.door),
                });
                table.places.insert(export.key, index);
                export.add_link(self);
                self.door_came(pool);
                self.version.fetch_add(1, Ordering::Release);
                index
            }
        };
        let handle = u64::from(table.entries[index].0) << 32 | index as u64;
        Ok((handle, pool, bell))
    }

    #[inline]
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    /// The door behind a handle.
    pub(crate) fn resolve(&self, handle: u64) -> Option<Arc<DoorObject>> {
        let index = usize::try_from(handle & 0xFFFF_FFFF).ok()?;
        let table = lock(&self.table);
        let (generation, export) = table.entries.get(index)?;
        let known = export
            .as_ref()
            .filter(|_| u64::from(*generation) == handle >> 32)?;
        Some(Arc::clone(&known.export.door))
    }

    /// Forgets an export whose last holder has gone.
    pub(crate) fn remove_export(&self, key: u64) {
        let mut table = lock(&self.table);
        if let Some(index) = table.places.remove(&key) {
            let known = table.entries[index].1.take();
            table.free.push(index);
            self.version.fetch_add(1, Ordering::Release);
            drop(table);
            if let Some(known) = &known {
                self.door_went(known.export.door.pool());
            }
            undertaker::bury(known.map(|known| known.export));
        }
    }
}
