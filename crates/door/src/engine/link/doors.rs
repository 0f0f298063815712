//! Doors a client may call over a link, and the bells of their pools.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ServerLink;
use crate::engine::internal::InternalFd;
use crate::engine::layout::{POOLS, small};
use crate::engine::object::{DoorObject, Export, lock};
use crate::engine::pool::Pool;
use crate::engine::stats::Client;
use crate::engine::undertaker;

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
                self.version.fetch_add(1, Ordering::Release);
                index
            }
        };
        let handle = u64::from(table.entries[index].0) << 32 | index as u64;
        Ok((handle, pool, bell))
    }

    fn bell_of(self: &Arc<Self>, pool: &Arc<Pool>, known: u64) -> io::Result<(u32, Option<OwnedFd>)> {
        let mut bells = lock(&self.bells);
        let index = match bells
            .iter()
            .position(|(candidate, _)| Arc::ptr_eq(candidate, pool))
        {
            Some(index) => index,
            None if self.is_dead() => return Err(io::Error::from_raw_os_error(libc::ENFILE)),
            None if bells.len() == POOLS => self.hand_on_bell(&mut bells, pool)?,
            None => {
                bells.push((Arc::clone(pool), pool.add_link(self)?));
                bells.len() - 1
            }
        };
        let bell = if known & 1 << index == 0 {
            Some(bells[index].1.duplicate()?)
        } else {
            None
        };
        Ok((small(index), bell))
    }

    /// Gives `pool` the number, and the bell, of a pool none of whose doors this client holds any more. ENFILE if there is none.
    fn hand_on_bell(
        self: &Arc<Self>,
        bells: &mut [(Arc<Pool>, InternalFd)],
        pool: &Arc<Pool>,
    ) -> io::Result<usize> {
        let mut used: HashSet<*const Pool> = lock(&self.table)
            .entries
            .iter()
            .filter_map(|(_, known)| known.as_ref())
            .map(|known| Arc::as_ptr(known.export.door.pool()))
            .collect();
        // A call whose argument is still coming goes on though its caller let go of the door.
        for state in &self.lanes {
            used.extend(
                lock(&state.transfer)
                    .as_ref()
                    .map(|transfer| Arc::as_ptr(transfer.door.pool())),
            );
        }
        let index = bells
            .iter()
            .position(|(candidate, _)| !used.contains(&Arc::as_ptr(candidate)))
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENFILE))?;
        let (owner, bell) = &mut bells[index];
        pool.adopt_link(self, bell)?;
        owner.remove_link(self.key, bell);
        *owner = Arc::clone(pool);
        Ok(index)
    }

    /// The number this client knows `pool` by.
    pub(crate) fn pool_index(&self, pool: &Arc<Pool>) -> Option<usize> {
        lock(&self.bells)
            .iter()
            .position(|(candidate, _)| Arc::ptr_eq(candidate, pool))
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
            undertaker::bury(known.map(|known| known.export));
        }
    }
}
