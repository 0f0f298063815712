//! Where things are in the memory of a link.
//!
//! A link has 64 *lanes*; each carries one call at a time. Every 128 bytes (two cache lines, because processors fetch neighbours)
//! have one writer:
//!
//! ```text
//! header  +256  pending   u64 per pool, a bit per lane        client sets, server clears
//!         +1024 attending u32 per lane: pool + 1 of a thread that keeps to it, else 0; and
//!                   whether that thread sleeps                                             server
//! lane    +0    request   req flags ndesc cpu handle len  inline[96]                          client
//!         +128  reply     rep status ndesc cpu len place  inline[96]                          server
//!         +256  accepted  acc                                                                 server
//!         +384  rare      rd tick notice stalled made spilled offer settled                   server
//!         +512  rare      sleep cancel wr feed eaten verdict                                  client
//!         +640  argument 7552 bytes        +8192 result 8192 bytes
//! window  256 KiB per lane: longer arguments and results stream through it
//! ```
//!
//! The server never decides by these words alone: what is busy, finished or parked it keeps in private memory.

use crate::sync::atomic::{AtomicU32, AtomicU64};
use crate::sys::memory::{Area, Shared};

/// Lanes of a link.
pub(crate) const LANES: usize = if cfg!(loom) { 3 } else { 64 };
/// Pools a link can ring.
pub(crate) const POOLS: usize = 64;
/// Bytes of argument or result beside the words of a cache line.
pub(crate) const INLINE_BYTES: usize = 96;
/// Bytes of argument in a lane.
pub(crate) const ARGUMENT_BYTES: usize = 7552;
/// Bytes of result in a lane.
pub(crate) const RESULT_BYTES: usize = 8192;
/// Bytes of the window of a lane.
pub(crate) const WINDOW_BYTES: usize = 256 << 10;
/// Step of a stream; only the last one may be smaller.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// Size of the memory of a link.
pub(crate) const LINK_BYTES: usize = HEADER_BYTES + LANES * (LANE_BYTES + WINDOW_BYTES);

/// The memory of a link.
pub(crate) type Memory = Shared<LINK_BYTES>;

const HEADER_BYTES: usize = 4096;
const LANE_BYTES: usize = 16 << 10;
const PENDING: usize = 256;
const ATTENDING: usize = 1024;
/// Where the words of a lane end.
const ARGUMENT: usize = 640;
const RESULT: usize = 8192;
const _: () = assert!(ARGUMENT + ARGUMENT_BYTES == RESULT && RESULT + RESULT_BYTES == LANE_BYTES);
const _: () = assert!(PENDING + POOLS * 8 <= ATTENDING && ATTENDING + LANES * 4 <= HEADER_BYTES);

/// In `flags`: the caller takes no results.
pub(crate) const NO_RESULTS: u32 = 1;
/// In `place`: the result streams through the window.
pub(crate) const PLACE_STREAM: u32 = 1;
/// In `place`: the server has something to do between the client's word on an offer and the end of the call.
pub(crate) const PLACE_HELD: u32 = 2;
/// In `attending`: the thread does not look, it sleeps on `feed`.
pub(crate) const DOZES: u32 = 1 << 31;
/// In `sleep`: the caller sleeps on `tick`.
pub(crate) const SLEEPS: u32 = 1;
/// In `sleep`: the caller sleeps on the link's socket.
pub(crate) const POLLS: u32 = 2;
/// In `stalled`: the server sleeps on `feed`.
pub(crate) const STARVES: u32 = 1;
/// In `stalled`: the server has put the transfer aside and wants the bell when there is more.
pub(crate) const PARKED: u32 = 2;

/// A count or number that is small by construction, as it is written into a word.
#[inline]
pub(crate) fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The bits of `pool` in the header: which lanes rang.
#[inline]
pub(crate) fn pending(memory: &Memory, pool: usize) -> &AtomicU64 {
    memory.double_word(PENDING + 8 * (pool % POOLS))
}

/// One lane of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<'a> {
    memory: &'a Memory,
    index: usize,
    words: Area<'a, ARGUMENT>,
}

impl<'a> Lane<'a> {
    #[inline]
    pub(crate) fn new(memory: &'a Memory, index: usize) -> Self {
        let index = index % LANES;
        Self {
            memory,
            index,
            words: memory.area(HEADER_BYTES + index * LANE_BYTES),
        }
    }

    /// Pool + 1 of a server thread that keeps to this lane, and [`DOZES`]; a hint.
    #[inline]
    pub(crate) fn attending(self) -> &'a AtomicU32 {
        self.memory.word(ATTENDING + 4 * self.index)
    }

    /// Number of the request posted last.
    #[inline]
    pub(crate) fn req(self) -> &'a AtomicU32 {
        self.words.word::<0>()
    }

    /// See [`NO_RESULTS`].
    #[inline]
    pub(crate) fn flags(self) -> &'a AtomicU32 {
        self.words.word::<4>()
    }

    /// Descriptors of the request.
    #[inline]
    pub(crate) fn request_descriptors(self) -> &'a AtomicU32 {
        self.words.word::<8>()
    }

    /// Processor of the client + 1; 0 if unknown.
    #[inline]
    pub(crate) fn client_cpu(self) -> &'a AtomicU32 {
        self.words.word::<12>()
    }

    /// Which door is meant.
    #[inline]
    pub(crate) fn handle(self) -> &'a AtomicU64 {
        self.words.double_word::<16>()
    }

    /// Bytes of the argument.
    #[inline]
    pub(crate) fn request_len(self) -> &'a AtomicU64 {
        self.words.double_word::<24>()
    }

    /// Number of the request answered last: the only sign of completion.
    #[inline]
    pub(crate) fn rep(self) -> &'a AtomicU32 {
        self.words.word::<128>()
    }

    /// A [`Status`](super::wire::Status).
    #[inline]
    pub(crate) fn status(self) -> &'a AtomicU32 {
        self.words.word::<132>()
    }

    /// Descriptors of the reply.
    #[inline]
    pub(crate) fn reply_descriptors(self) -> &'a AtomicU32 {
        self.words.word::<136>()
    }

    /// Processor of the server thread + 1; 0 if unknown.
    #[inline]
    pub(crate) fn server_cpu(self) -> &'a AtomicU32 {
        self.words.word::<140>()
    }

    /// Bytes of the reply.
    #[inline]
    pub(crate) fn reply_len(self) -> &'a AtomicU64 {
        self.words.double_word::<144>()
    }

    /// See [`PLACE_STREAM`].
    #[inline]
    pub(crate) fn place(self) -> &'a AtomicU32 {
        self.words.word::<152>()
    }

    /// Number of the request a thread has taken last.
    #[inline]
    pub(crate) fn acc(self) -> &'a AtomicU32 {
        self.words.word::<256>()
    }

    /// How much of the argument's stream was consumed: a [`Progress`].
    #[inline]
    pub(crate) fn rd(self) -> &'a AtomicU64 {
        self.words.double_word::<384>()
    }

    /// What a sleeping client sleeps on; changes whenever it is woken.
    #[inline]
    pub(crate) fn tick(self) -> &'a AtomicU32 {
        self.words.word::<392>()
    }

    /// Changes when there is a question for the client on the link's socket.
    #[inline]
    pub(crate) fn notice(self) -> &'a AtomicU32 {
        self.words.word::<396>()
    }

    /// See [`STARVES`] and [`PARKED`].
    #[inline]
    pub(crate) fn stalled(self) -> &'a AtomicU32 {
        self.words.word::<400>()
    }

    /// How much of the result's stream was supplied: a [`Progress`].
    #[inline]
    pub(crate) fn made(self) -> &'a AtomicU64 {
        self.words.double_word::<408>()
    }

    /// Number of the request the rest of whose result came as a sealed file over the link's socket.
    #[inline]
    pub(crate) fn spilled(self) -> &'a AtomicU32 {
        self.words.word::<416>()
    }

    /// How often descriptors have been offered to the client in answer to this request.
    #[inline]
    pub(crate) fn offer(self) -> &'a AtomicU32 {
        self.words.word::<420>()
    }

    /// What the server has made of an offer, if the client waits to hear that: a [`Verdict`].
    #[inline]
    pub(crate) fn settled(self) -> &'a AtomicU64 {
        self.words.double_word::<424>()
    }

    /// See [`SLEEPS`] and [`POLLS`].
    #[inline]
    pub(crate) fn sleep(self) -> &'a AtomicU32 {
        self.words.word::<512>()
    }

    /// Number of the request the client gave up.
    #[inline]
    pub(crate) fn cancel(self) -> &'a AtomicU32 {
        self.words.word::<516>()
    }

    /// How much of the argument's stream was supplied: a [`Progress`].
    #[inline]
    pub(crate) fn wr(self) -> &'a AtomicU64 {
        self.words.double_word::<520>()
    }

    /// What a starving or dozing server thread sleeps on.
    #[inline]
    pub(crate) fn feed(self) -> &'a AtomicU32 {
        self.words.word::<528>()
    }

    /// How much of the result's stream was consumed: a [`Progress`].
    #[inline]
    pub(crate) fn eaten(self) -> &'a AtomicU64 {
        self.words.double_word::<536>()
    }

    /// Whether the client has the descriptors that were offered: a [`Verdict`].
    #[inline]
    pub(crate) fn verdict(self) -> &'a AtomicU64 {
        self.words.double_word::<544>()
    }

    /// The link's memory and the place in it where an argument of `len` bytes lies, if it does not stream.
    #[inline]
    pub(crate) fn argument(self, len: usize) -> (&'a Memory, usize) {
        let offset = if len <= INLINE_BYTES { 32 } else { ARGUMENT };
        (self.memory, HEADER_BYTES + self.index * LANE_BYTES + offset)
    }

    /// The link's memory and the place in it where a result of `len` bytes lies, if it does not stream.
    #[inline]
    pub(crate) fn result(self, len: usize) -> (&'a Memory, usize) {
        let lane = HEADER_BYTES + self.index * LANE_BYTES;
        match len {
            0..=INLINE_BYTES => (self.memory, lane + 160),
            len if len <= RESULT_BYTES => (self.memory, lane + RESULT),
            _ => self.window(0), // up to the whole of it
        }
    }

    /// The link's memory and the place in it where byte `position` of a stream lies.
    pub(crate) fn window(self, position: usize) -> (&'a Memory, usize) {
        let windows = HEADER_BYTES + LANES * LANE_BYTES;
        (
            self.memory,
            windows + self.index * WINDOW_BYTES + position % WINDOW_BYTES,
        )
    }
}

/// How far a stream has come, and which request it belongs to: 24 bits of its number, 40 bits of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress;

impl Progress {
    /// Most bytes a stream can have.
    pub(crate) const MAX: u64 = (1 << 40) - 1;

    /// The word that says `bytes` of request `seq`.
    pub(crate) fn of(seq: u32, bytes: usize) -> u64 {
        u64::from(seq) << 40 | (bytes as u64 & Self::MAX)
    }

    /// Bytes of request `seq` according to `word`; 0 if it speaks of another one.
    pub(crate) fn bytes(word: u64, seq: u32) -> usize {
        if word >> 40 == u64::from(seq) & 0xFF_FFFF {
            usize::try_from(word & Self::MAX).unwrap_or(0)
        } else {
            0
        }
    }
}

/// What became of an offer of descriptors, as a word: number of the request, number of the offer, and whether it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) seq: u32,
    pub(crate) offer: u32,
}

impl Verdict {
    /// The word that says that the offer stands, or that it does not.
    #[inline]
    pub(crate) fn word(self, stands: bool) -> u64 {
        u64::from(self.seq) << 32 | u64::from(self.offer & 0x7FFF_FFFF) << 1 | u64::from(stands)
    }

    /// What `word` says about this offer; `None` if it speaks of another one.
    #[inline]
    pub(crate) fn in_word(self, word: u64) -> Option<bool> {
        (word | 1 == self.word(true)).then_some(word & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_on_another_offer_says_nothing() {
        let offer = Verdict { seq: 7, offer: 2 };
        assert_eq!(offer.in_word(offer.word(true)), Some(true));
        assert_eq!(offer.in_word(offer.word(false)), Some(false));
        for other in [Verdict { seq: 8, offer: 2 }, Verdict { seq: 7, offer: 3 }] {
            assert_eq!(offer.in_word(other.word(true)), None);
        }
        assert_eq!(offer.in_word(0), None);
    }

    #[test]
    fn progress_of_another_request_counts_nothing() {
        let word = Progress::of(0xABCD_EF01, 77);
        assert_eq!(Progress::bytes(word, 0xABCD_EF01), 77);
        assert_eq!(Progress::bytes(word, 0xABCD_EF02), 0);
    }

    #[test]
    fn the_geometry_is_what_peers_expect() {
        assert_eq!(LINK_BYTES, 4096 + 64 * (16 + 256) * 1024);
    }
}
