//! A run of bytes in pieces, taken from the front in other pieces.

use alloc::collections::VecDeque;
use bytes::{Bytes, BytesMut};

/// Bytes in order; empty pieces are not kept.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: VecDeque<Bytes>,
    length: u64,
}

impl Pieces {
    pub(crate) fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.length = self.length.saturating_add(data.len() as u64);
            self.pieces.push_back(data);
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Whether taking everything copies nothing.
    pub(crate) fn is_one_piece(&self) -> bool {
        self.pieces.len() <= 1
    }

    /// Bytes that can be taken without a copy.
    pub(crate) fn next_piece(&self) -> u64 {
        self.pieces.front().map_or(0, |p| p.len() as u64)
    }

    /// Drops what is beyond `length`.
    pub(crate) fn truncate(&mut self, length: u64) {
        while self.length > length {
            let Some(mut last) = self.pieces.pop_back() else {
                return;
            };
            let excess = usize::try_from(self.length.saturating_sub(length))
                .unwrap_or(usize::MAX)
                .min(last.len());
            last.truncate(last.len().saturating_sub(excess));
            self.length = self.length.saturating_sub(excess as u64);
            if !last.is_empty() {
                self.pieces.push_back(last);
            }
        }
    }

    /// The next `n` bytes, or all there are; copied only if they lie in several pieces.
    pub(crate) fn take(&mut self, n: u64) -> Bytes {
        let n = usize::try_from(n.min(self.length)).unwrap_or(usize::MAX);
        self.length = self.length.saturating_sub(n as u64);
        match self.pieces.front_mut() {
            None => return Bytes::new(),
            Some(front) if front.len() > n => return front.split_to(n),
            Some(front) if front.len() == n => return self.pieces.pop_front().unwrap_or_default(),
            Some(_) => {}
        }
        let mut joined = BytesMut::with_capacity(n);
        while joined.len() < n {
            let Some(mut piece) = self.pieces.pop_front() else {
                break;
            };
            let rest = n.saturating_sub(joined.len());
            if piece.len() > rest {
                joined.extend_from_slice(&piece.split_to(rest));
                self.pieces.push_front(piece);
            } else {
                joined.extend_from_slice(&piece);
            }
        }
        joined.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_however_they_are_cut() {
        let mut p = Pieces::default();
        for piece in [&b"abc"[..], b"", b"defgh", b"ij"] {
            p.push(Bytes::copy_from_slice(piece));
        }
        assert_eq!(p.take(3), "abc");
        assert_eq!(p.take(2), "de");
        assert_eq!(p.take(4), "fghi");
        assert_eq!(p.len(), 1);
        assert_eq!(p.take(100), "j");
        assert_eq!(p.take(1), "");
    }

    #[test]
    fn truncation_cuts_within_a_piece() {
        let mut p = Pieces::default();
        p.push(Bytes::from_static(b"abc"));
        p.push(Bytes::from_static(b"def"));
        p.truncate(4);
        assert_eq!((p.len(), p.take(9)), (4, Bytes::from_static(b"abcd")));
    }
}
