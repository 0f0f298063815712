//! What one session sees.

use alloc::collections::BTreeMap;

use scsi_proto::Lun;

use crate::guid::Guid;

/// The logical units of one session by LUN. Two maps compare equal when the session sees no difference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LunMap(BTreeMap<Lun, Guid>);

impl LunMap {
    /// The logical unit at this LUN.
    #[must_use]
    pub fn get(&self, lun: Lun) -> Option<Guid> {
        self.0.get(&lun).copied()
    }

    /// The LUN of this logical unit.
    #[must_use]
    pub fn lun_of(&self, guid: Guid) -> Option<Lun> {
        self.iter().find(|(_, other)| *other == guid).map(|(lun, _)| lun)
    }

    /// All pairs in ascending order of LUN.
    pub fn iter(&self) -> impl Iterator<Item = (Lun, Guid)> + '_ {
        self.0.iter().map(|(lun, guid)| (*lun, *guid))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Lun, Guid)> for LunMap {
    fn from_iter<I: IntoIterator<Item = (Lun, Guid)>>(pairs: I) -> Self {
        Self(pairs.into_iter().filter(|(lun, _)| *lun <= Lun::MAX).collect())
    }
}
