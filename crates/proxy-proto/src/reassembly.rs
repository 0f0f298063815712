//! Data put in order by offset. Duplicates, overlaps and lateness do no harm; what was not granted is refused.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// Pieces that may wait for an earlier one.
const MAX_EARLY: usize = 4096;

#[derive(Debug)]
pub(crate) struct Reassembly {
    /// Bytes from offset 0 the sender may send.
    granted: u64,
    /// Bytes from offset 0 that have arrived without a hole.
    received: u64,
    ordered: Vec<Bytes>,
    early: BTreeMap<u64, Bytes>,
    early_bytes: u64,
}

/// The sender did what it was not allowed to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotGranted;

impl Reassembly {
    pub(crate) fn new(granted: u64) -> Self {
        Self {
            granted,
            received: 0,
            ordered: Vec::new(),
            early: BTreeMap::new(),
            early_bytes: 0,
        }
    }

    pub(crate) fn granted(&self) -> u64 {
        self.granted
    }

    pub(crate) fn grant(&mut self, more: u64) {
        self.granted = self.granted.saturating_add(more);
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// What has arrived in order since the last time.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        core::mem::take(&mut self.ordered)
    }

    /// Gives back the end of what [`Self::take`] gave out.
    pub(crate) fn put_back(&mut self, data: Bytes) {
        self.ordered.insert(0, data);
    }

    pub(crate) fn accept(&mut self, offset: u64, data: Bytes) -> Result<(), NotGranted> {
        let end = offset.checked_add(data.len() as u64).ok_or(NotGranted)?;
        if end > self.granted {
            return Err(NotGranted);
        }
        if data.is_empty() || end <= self.received {
            return Ok(());
        }
        if offset <= self.received {
            self.append(offset, data);
        } else {
            self.keep(offset, data)?;
        }
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.received {
                break;
            }
            let (offset, piece) = entry.remove_entry();
            self.early_bytes = self.early_bytes.saturating_sub(piece.len() as u64);
            self.append(offset, piece);
        }
        Ok(())
    }

    fn append(&mut self, offset: u64, mut data: Bytes) {
        let known = usize::try_from(self.received.saturating_sub(offset)).unwrap_or(usize::MAX);
        if known < data.len() {
            let fresh = data.split_off(known);
            self.received = self.received.saturating_add(fresh.len() as u64);
            self.ordered.push(fresh);
        }
    }

    /// Overlapping pieces may together not hold more than twice what was granted.
    fn keep(&mut self, offset: u64, data: Bytes) -> Result<(), NotGranted> {
        let known = self.early.get(&offset).map_or(0, Bytes::len);
        if data.len() <= known {
            return Ok(());
        }
        let bytes = self
            .early_bytes
            .saturating_sub(known as u64)
            .saturating_add(data.len() as u64);
        if bytes > self.granted.saturating_mul(2) || self.early.len() >= MAX_EARLY {
            return Err(NotGranted);
        }
        self.early_bytes = bytes;
        self.early.insert(offset, data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(r: &mut Reassembly) -> Vec<u8> {
        r.take().concat()
    }

    #[test]
    fn order_duplicates_and_overlaps_do_not_matter() {
        let mut r = Reassembly::new(10);
        for (offset, piece) in [
            (6, "ghij"),
            (2, "cde"),
            (2, "cd"),
            (0, "abc"),
            (0, "abcdefg"),
            (6, "gh"),
        ] {
            r.accept(offset, Bytes::from(piece)).unwrap();
        }
        assert_eq!((r.received(), all(&mut r)), (10, b"abcdefghij".to_vec()));
    }

    #[test]
    fn data_beyond_the_grant_is_refused() {
        let mut r = Reassembly::new(4);
        assert_eq!(r.accept(0, Bytes::from("abcde")), Err(NotGranted));
        assert_eq!(r.accept(u64::MAX, Bytes::from("a")), Err(NotGranted));
        r.grant(1);
        assert_eq!(r.accept(0, Bytes::from("abcde")), Ok(()));
    }

    #[test]
    fn overlapping_early_data_cannot_pile_up() {
        let mut r = Reassembly::new(1000);
        let refused = (1..900u64).any(|o| r.accept(o, Bytes::from(alloc::vec![0; 100])).is_err());
        assert!(refused && r.early_bytes <= 2000);
    }
}
