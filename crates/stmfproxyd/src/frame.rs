//! Framing inside TLS: a 4-byte big-endian length, then that many bytes. Length 0 is a sign of life.

use std::io;

/// Most bytes of one message: 16 MiB of data and 64 KiB of envelope.
pub const MAX_FRAME: usize = 16 * 1024 * 1024 + 64 * 1024;
/// Bytes of the length.
pub const LENGTH_BYTES: usize = 4;

const FIRST_CAPACITY: usize = 256 * 1024;

/// A length beyond [`MAX_FRAME`] arrived (ST-117).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame of {0} bytes where {MAX_FRAME} are allowed")]
pub struct FrameTooBig(pub u32);

/// Bytes of a stream, cut into frames. Memory grows with what has arrived, never with what a length promises.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// First byte not yet given out; `start <= end <= bytes.len()`.
    start: usize,
    /// End of what has arrived.
    end: usize,
}

impl Default for FrameBuffer {
    fn default() -> Self {
        Self {
            bytes: vec![0; FIRST_CAPACITY],
            start: 0,
            end: 0,
        }
    }
}

impl FrameBuffer {
    /// Lets `read` put bytes behind those that are there; returns how many it put.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fill(&mut self, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            // Still more than half full: what is there is the beginning of one long frame.
            if self.end > self.bytes.len() / 2 {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
        let n = read(&mut self.bytes[self.end..])?;
        self.end = self.end.saturating_add(n).min(self.bytes.len());
        Ok(n)
    }

    /// The next whole frame, empty for a sign of life; `None` until more has arrived.
    ///
    /// # Errors
    /// [`FrameTooBig`]; the stream is of no use any more.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameTooBig> {
        let there = &self.bytes[self.start..self.end];
        let Some((length, rest)) = there.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let claimed = u32::from_be_bytes(*length);
        let length = claimed as usize;
        if length > MAX_FRAME {
            return Err(FrameTooBig(claimed));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start + LENGTH_BYTES;
        self.start = from + length;
        Ok(Some(&self.bytes[from..from + length]))
    }

    /// Gives memory of a long frame back once it is not needed.
    pub fn shrink(&mut self) {
        if self.start == self.end && self.bytes.len() > 8 * FIRST_CAPACITY {
            *self = Self::default();
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(buffer: &mut FrameBuffer, mut data: &[u8]) {
        while !data.is_empty() {
            buffer.fill(|space| io::Read::read(&mut data, space)).unwrap();
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
    }

    #[test]
    fn frames_come_out_however_the_stream_is_cut() {
        let messages: Vec<Vec<u8>> = [0usize, 1, 5, 70_000, 0, 600_000, 3]
            .iter()
            .map(|n| vec![7; *n])
            .collect();
        let stream = messages.iter().map(|m| framed(m)).collect::<Vec<_>>().concat();
        for step in [1009, 65_536, 1 << 20] {
            let mut buffer = FrameBuffer::default();
            let mut out = Vec::new();
            for piece in stream.chunks(step) {
                feed(&mut buffer, piece);
                while let Some(frame) = buffer.next_frame().unwrap() {
                    out.push(frame.to_vec());
                }
            }
            assert_eq!(out, messages, "cut every {step} bytes");
        }
    }

    #[test]
    fn st_117_a_length_over_the_limit_ends_the_stream_without_memory_for_it() {
        let mut buffer = FrameBuffer::default();
        feed(&mut buffer, &u32::MAX.to_be_bytes());
        assert_eq!(buffer.next_frame(), Err(FrameTooBig(u32::MAX)));
        let mut buffer = FrameBuffer::default();
        feed(&mut buffer, &u32::try_from(MAX_FRAME).unwrap().to_be_bytes());
        assert_eq!(buffer.next_frame(), Ok(None));
        assert!(
            buffer.capacity() <= FIRST_CAPACITY,
            "a promise of 16 MiB takes no memory"
        );
    }

    #[test]
    fn the_longest_frame_passes_and_its_memory_is_given_back() {
        let mut buffer = FrameBuffer::default();
        feed(&mut buffer, &framed(&vec![1; MAX_FRAME]));
        assert_eq!(buffer.next_frame().unwrap().map(<[u8]>::len), Some(MAX_FRAME));
        buffer.shrink();
        assert!(buffer.capacity() <= FIRST_CAPACITY);
    }
}
