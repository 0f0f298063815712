//! What calls carry, in Rust and in C (`c/soak.h`): enough to see that each answer is that of its own request.

use anyhow::{Result, ensure};

/// Bytes in front of a request's payload.
pub(crate) const REQUEST: usize = 48;
/// Bytes in front of an answer's payload.
pub(crate) const ANSWER: usize = 24;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// To be carried out once.
    Call = 0,
    /// How many calls of this caller have been carried out, and of which of its lives.
    Count = 1,
    /// Bytes the server's allocator has given out, and doors it has made for callers and not seen the end of.
    Allocated = 2,
    /// Like `Call`; a door made for this caller is to come last with the answer.
    Spawn = 3,
    /// Like `Call`; a door of the caller's process comes last with the request, and is to be called. The first figure tells whether it
    /// answered.
    CallBack = 4,
}

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// Of this request alone.
    pub(crate) nonce: u64,
    /// Of the calling thread's life alone; later ones have greater numbers.
    pub(crate) life: u64,
    /// Number of the call in this life, from 1.
    pub(crate) serial: u64,
    /// Where the server keeps account of the caller, below [`CALLERS`](crate::ledger::CALLERS).
    pub(crate) caller: u32,
    pub(crate) kind: u32,
    /// Bytes of payload wanted.
    pub(crate) reply: u32,
    /// Descriptors that come with the request.
    pub(crate) given: u32,
    /// Descriptors to be sent back.
    pub(crate) wanted: u32,
    /// Microseconds the server works on it.
    pub(crate) work: u32,
}

impl Request {
    /// The request with so many bytes of payload.
    pub(crate) fn encode(&self, payload: u32, out: &mut Vec<u8>) {
        out.clear();
        for word in [self.nonce, self.life, self.serial] {
            out.extend(word.to_le_bytes());
        }
        for word in [
            self.caller,
            self.kind,
            self.reply,
            self.given,
            self.wanted,
            self.work,
        ] {
            out.extend(word.to_le_bytes());
        }
        fill(self.nonce, payload, out);
    }

    /// A request that arrived, if its payload is its own.
    pub(crate) fn decode(argument: &[u8]) -> Result<Self> {
        ensure!(argument.len() >= REQUEST, "a request is too short");
        let (head, payload) = argument.split_at(REQUEST);
        let (mut longs, shorts) = (head[..24].chunks_exact(8), &head[24..]);
        let mut long = || longs.next().map_or(0, little_endian);
        let mut shorts = shorts.chunks_exact(4);
        let mut short = || {
            shorts
                .next()
                .map_or(0, |bytes| u32::try_from(little_endian(bytes)).unwrap_or(0))
        };
        let request = Self {
            nonce: long(),
            life: long(),
            serial: long(),
            caller: short(),
            kind: short(),
            reply: short(),
            given: short(),
            wanted: short(),
            work: short(),
        };
        ensure!(
            follows(request.nonce, payload),
            "a request's bytes are not its own"
        );
        Ok(request)
    }

    /// True if that is what it wants.
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u32
    }

    /// What the `number`th descriptor of the request holds.
    pub(crate) fn token_there(&self, number: u64) -> u64 {
        (self.nonce >> 8) + number
    }

    /// What the `number`th descriptor of the answer holds.
    pub(crate) fn token_back(&self, number: u64) -> u64 {
        (!self.nonce >> 8) + number
    }

    /// The answer: the request's number, two figures, and the payload it asks for.
    pub(crate) fn answer(&self, figures: [u64; 2]) -> Vec<u8> {
        let mut answer = Vec::with_capacity(ANSWER + self.reply as usize);
        for word in [self.nonce, figures[0], figures[1]] {
            answer.extend(word.to_le_bytes());
        }
        fill(!self.nonce, self.reply, &mut answer);
        answer
    }

    /// The figures of an answer, if it is that of this request in each byte.
    pub(crate) fn figures(&self, answer: &[u8]) -> Result<[u64; 2]> {
        ensure!(
            answer.len() == ANSWER + self.reply as usize,
            "an answer has the wrong length"
        );
        ensure!(
            little_endian(&answer[..8]) == self.nonce,
            "an answer is another request's"
        );
        ensure!(
            follows(!self.nonce, &answer[ANSWER..]),
            "an answer's bytes are not its own"
        );
        Ok([little_endian(&answer[8..16]), little_endian(&answer[16..ANSWER])])
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn word(nonce: u64, number: u64) -> [u8; 8] {
    nonce
        .wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_mul(0xBF58_476D_1CE4_E5B9)
        .to_le_bytes()
}

/// Appends `len` bytes that follow from `nonce`.
fn fill(nonce: u64, len: u32, out: &mut Vec<u8>) {
    let end = out.len() + len as usize;
    out.extend((0..u64::from(len.div_ceil(8))).flat_map(|number| word(nonce, number)));
    out.truncate(end);
}

/// True if `bytes` are those that follow from `nonce`.
fn follows(nonce: u64, bytes: &[u8]) -> bool {
    bytes
        .chunks(8)
        .zip(0..)
        .all(|(chunk, number)| *chunk == word(nonce, number)[..chunk.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request = Request {
        nonce: 0x1234_5678_9ABC_DEF0,
        life: 1,
        serial: 2,
        caller: 3,
        kind: Kind::Call as u32,
        reply: 1001,
        given: 1,
        wanted: 2,
        work: 0,
    };

    #[test]
    fn one_wrong_byte_of_a_request_is_seen() {
        let mut bytes = Vec::new();
        REQUEST.encode(77, &mut bytes);
        let arrived = Request::decode(&bytes).expect("nothing is wrong with it");
        assert_eq!(
            (arrived.nonce, arrived.caller, arrived.wanted),
            (REQUEST.nonce, 3, 2)
        );
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(Request::decode(&bytes).is_err());
    }

    #[test]
    fn an_answer_of_another_request_or_with_a_wrong_byte_is_seen() {
        let mut answer = REQUEST.answer([5, 6]);
        assert_eq!(REQUEST.figures(&answer).expect("it is the answer"), [5, 6]);
        let other = Request {
            nonce: REQUEST.nonce + 1,
            ..REQUEST
        };
        assert!(other.figures(&answer).is_err());
        answer[ANSWER + 1000] ^= 0x80;
        assert!(REQUEST.figures(&answer).is_err());
        answer.pop();
        assert!(REQUEST.figures(&answer).is_err());
    }
}
