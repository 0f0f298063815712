//! The bytes to send: headers and small data gathered in one arena, large data by reference.

use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    bhs::{self, RawHeader},
    digest,
    number::len32,
};

/// Room for headers made at a time: about 300 of them for one allocation, and the same room is used again
/// once everything in it has been sent.
const ARENA_BYTES: usize = 16 * 1024;
/// Data shorter than this is copied: one more piece for writev would cost more.
const COPY_BELOW: usize = 256;

/// The sending end. A PDU is `begin`, the data as any number of `piece`s, `end`.
#[derive(Debug, Default)]
pub(crate) struct Transmit {
    pub(crate) header_digest: bool,
    pub(crate) data_digest: bool,
    /// Everything before what is in `arena`.
    queue: VecDeque<Bytes>,
    arena: BytesMut,
    queued_bytes: usize,
    /// Of the PDU being made: bytes of data so far, and their digest.
    data_bytes: usize,
    data_crc: u32,
}

impl Transmit {
    /// Starts a PDU with `data_length` bytes of data.
    pub(crate) fn begin(&mut self, mut header: RawHeader, data_length: usize) {
        bhs::set_data_length(&mut header, len32(data_length));
        self.put(&header);
        if self.header_digest {
            self.put(&digest::wire(digest::append(0, &header)));
        }
        self.data_bytes = 0;
        self.data_crc = 0;
    }

    /// Goes on with the data.
    pub(crate) fn piece(&mut self, data: Bytes) {
        if data.len() < COPY_BELOW {
            self.copy(&data);
            return;
        }
        self.count(&data);
        self.flush();
        self.queued_bytes += data.len();
        self.queue.push_back(data);
    }

    /// Goes on with data that is worth copying.
    pub(crate) fn copy(&mut self, data: &[u8]) {
        self.count(data);
        self.put(data);
    }

    /// Ends the PDU: padding and data digest.
    pub(crate) fn end(&mut self) {
        let padding = self.data_bytes.next_multiple_of(4) - self.data_bytes;
        let zeros = &[0u8; 3][..padding];
        self.count(zeros);
        self.put(zeros);
        if self.data_digest && self.data_bytes > 0 {
            self.put(&digest::wire(self.data_crc));
        }
    }

    /// A whole PDU with data that is copied.
    pub(crate) fn pdu(&mut self, header: RawHeader, data: &[u8]) {
        self.begin(header, data.len());
        self.copy(data);
        self.end();
    }

    /// The next bytes to send.
    pub(crate) fn poll(&mut self) -> Option<Bytes> {
        if self.queue.is_empty() {
            self.flush();
        }
        let next = self.queue.pop_front()?;
        self.queued_bytes -= next.len();
        Some(next)
    }

    /// Bytes not yet taken by [`poll`](Self::poll).
    pub(crate) fn backlog(&self) -> usize {
        self.queued_bytes + self.arena.len()
    }

    fn count(&mut self, data: &[u8]) {
        self.data_bytes += data.len();
        if self.data_digest {
            self.data_crc = digest::append(self.data_crc, data);
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.arena.capacity() - self.arena.len() < bytes.len() {
            self.flush();
            self.arena.reserve(bytes.len().max(ARENA_BYTES));
        }
        self.arena.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        if !self.arena.is_empty() {
            let piece = self.arena.split().freeze();
            self.queued_bytes += piece.len();
            self.queue.push_back(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_without_data_share_one_piece() {
        let mut transmit = Transmit::default();
        for _ in 0..10 {
            transmit.pdu([1; 48], &[]);
        }
        assert_eq!(transmit.backlog(), 480);
        assert_eq!(transmit.poll().map(|bytes| bytes.len()), Some(480));
        assert_eq!(transmit.poll(), None);
    }

    #[test]
    fn large_data_is_sent_from_where_it_is() {
        let mut transmit = Transmit {
            header_digest: true,
            data_digest: true,
            ..Transmit::default()
        };
        let data = Bytes::from(alloc::vec![7; 4096]);
        for _ in 0..3 {
            transmit.begin([1; 48], data.len());
            transmit.piece(data.clone());
            transmit.end();
        }
        let sent: alloc::vec::Vec<Bytes> = core::iter::from_fn(|| transmit.poll()).collect();
        // header, data, digest + header, data, digest + header, data, digest
        assert_eq!(
            sent.iter().map(Bytes::len).collect::<alloc::vec::Vec<_>>(),
            [52, 4096, 56, 4096, 56, 4096, 4]
        );
        assert!(
            sent.iter()
                .filter(|piece| piece.len() == 4096)
                .all(|piece| piece.as_ptr() == data.as_ptr())
        );
        assert_eq!(transmit.backlog(), 0);
    }

    #[test]
    fn the_arena_is_used_again_when_all_was_sent() {
        let mut transmit = Transmit::default();
        transmit.pdu([1; 48], &[]);
        let first = transmit.poll().map(|bytes| bytes.as_ptr());
        for _ in 0..ARENA_BYTES / 48 - 1 {
            transmit.pdu([1; 48], &[]);
            transmit.poll();
        }
        transmit.pdu([2; 48], &[]);
        assert_eq!(transmit.poll().map(|bytes| bytes.as_ptr()), first);
    }
}
