//! What the connection remembers of a command, and the collection of its data.

use alloc::{collections::VecDeque, vec::Vec};

use bytes::{Bytes, BytesMut};

use crate::number::len32;

/// One outstanding command.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) lun: [u8; 8],
    pub(super) immediate_delivery: bool,
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) expected_in: u32,
    pub(super) expected_out: u32,
    /// Immediate data not asked for yet.
    pub(super) immediate: Bytes,
    /// Bytes the daemon has asked for in all, expected or not.
    pub(super) requested: u64,
    /// Bytes the command is about, if the daemon has said so.
    pub(super) transfer_length: Option<u64>,
    /// Bytes of the command's data collected before `collecting`.
    pub(super) collected: u32,
    /// R2Ts sent for the command.
    pub(super) r2t_sn: u32,
    /// Bytes counted for this task in the connection's budget.
    pub(super) reserved: u64,
    pub(super) collecting: Option<Collecting>,
}

/// One `request_data` that is not complete.
#[derive(Debug)]
pub(super) struct Collecting {
    /// Where in the command's data it ends.
    pub(super) end: u32,
    /// The first byte no R2T has asked for.
    pub(super) next: u32,
    /// R2Ts sent and not delivered, by offset. With DataSequenceInOrder=No a later one can be complete
    /// before the first.
    pub(super) sequences: VecDeque<Sequence>,
    pub(super) pieces: Pieces,
}

impl Collecting {
    /// R2Ts that still wait for data.
    pub(super) fn outstanding(&self) -> usize {
        self.sequences
            .iter()
            .filter(|sequence| sequence.received < sequence.length)
            .count()
    }
}

/// The data of one R2T.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) transfer_tag: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) received: u32,
    pub(super) data_sn: u32,
    pub(super) pieces: Pieces,
}

impl Sequence {
    pub(super) fn is_complete(&self) -> bool {
        self.received == self.length
    }
}

/// Received data in order. Pieces are kept as they came; small ones are copied together, so that an
/// initiator that sends a few bytes at a time cannot make us keep a receive buffer for each.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    whole: Vec<Bytes>,
    small: BytesMut,
}

/// A piece shorter than this is copied.
const SMALL: usize = 2048;

impl Pieces {
    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if data.len() < SMALL {
            self.small.extend_from_slice(&data);
        } else {
            self.flush();
            self.whole.push(data);
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        for piece in other.into_vec() {
            self.push(piece);
        }
    }

    pub(super) fn into_vec(mut self) -> Vec<Bytes> {
        self.flush();
        self.whole
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            self.whole.push(self.small.split().freeze());
        }
    }
}

/// What was expected against what there was. RFC 7143 §11.4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Residual {
    pub(super) overflow: bool,
    pub(super) underflow: bool,
    pub(super) count: u32,
}

impl Residual {
    pub(super) fn new(expected: u32, actual: u64) -> Self {
        let expected = u64::from(expected);
        let count = u32::try_from(expected.abs_diff(actual)).unwrap_or(u32::MAX);
        Self {
            overflow: actual > expected,
            underflow: actual < expected,
            count,
        }
    }
}

impl Task {
    /// The residual of a command that ends with `data_in` bytes for the initiator; `good`: with status GOOD.
    pub(super) fn residual(&self, data_in: u64, good: bool) -> Residual {
        if self.write {
            Residual::new(self.expected_out, self.transfer_length.unwrap_or(self.requested))
        } else {
            // The initiator gets all it expects: there may have been more before it was cut.
            let cut = good && data_in >= u64::from(self.expected_in);
            let uncut = self.transfer_length.filter(|_| cut).unwrap_or(0);
            Residual::new(self.expected_in, data_in.max(uncut))
        }
    }

    /// Cuts what is wanted next from the immediate data.
    pub(super) fn take_immediate(&mut self, limit: u32) -> Bytes {
        let length = self.immediate.len().min(limit as usize);
        let data = self.immediate.split_to(length);
        self.collected += len32(length);
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_the_difference_with_its_sign() {
        for (expected, actual, overflow, underflow, count) in [
            (0, 0, false, false, 0),
            (512, 512, false, false, 0),
            (0, 512, true, false, 512),
            (200, 512, true, false, 312),
            (10_000, 512, false, true, 9488),
            (512, 0, false, true, 512),
            (u32::MAX, 0, false, true, u32::MAX),
            (0, u64::MAX, true, false, u32::MAX),
        ] {
            assert_eq!(
                Residual::new(expected, actual),
                Residual {
                    overflow,
                    underflow,
                    count
                }
            );
        }
    }

    #[test]
    fn small_pieces_are_gathered_and_large_ones_kept() {
        let large = Bytes::from(alloc::vec![9; 4096]);
        let mut pieces = Pieces::default();
        for _ in 0..3 {
            pieces.push(Bytes::from_static(b"ab"));
        }
        pieces.push(large.clone());
        pieces.push(Bytes::from_static(b"c"));
        let whole = pieces.into_vec();
        assert_eq!(whole, [&b"ababab"[..], &large, b"c"]);
        assert_eq!(whole[1].as_ptr(), large.as_ptr());
    }
}
