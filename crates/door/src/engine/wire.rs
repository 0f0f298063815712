//! The records of the control sockets. All little-endian and of fixed size; anything else is refused.

use crate::info::{Attributes, DoorInfo, Limits};
use crate::statistics::{Histogram, Statistics};

const MAGIC: u32 = 0x4E_4C_52_44; // "DRLN"
/// From the first release on it changes whenever a record, the content of a proof or the memory layout does. Until then both ends of a link
/// come from one build, and there is nothing to tell apart.
const VERSION: u16 = 1;

/// What a holder of a door descriptor asks of the server, over that descriptor. Each carries one socket to answer on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// Make a link; the socket that comes along becomes its control socket.
    Hello = 1,
    /// Make this door known to the link with this token.
    Attach = 2,
    /// Tell about the door.
    Info = 3,
    /// The file at the door's path has changed.
    PathChanged = 4,
    /// Tell what the door has been doing; answered with a [`Counters`] record.
    Statistics = 5,
}

/// A record over a door descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) kind: RequestKind,
    /// Pools whose bell the client already has, a bit each.
    pub(crate) pools: u64,
    /// Names the link.
    pub(crate) token: [u8; 16],
}

impl Request {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = Writer::<{ Self::BYTES }>::new();
        out.head(self.kind as u16).u64(self.pools).bytes(&self.token);
        out.done()
    }

    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let mut record = Reader::of::<{ Self::BYTES }>(record)?;
        let kind = match record.head()? {
            1 => RequestKind::Hello,
            2 => RequestKind::Attach,
            3 => RequestKind::Info,
            4 => RequestKind::PathChanged,
            5 => RequestKind::Statistics,
            _ => return None,
        };
        Some(Self {
            kind,
            pools: record.u64(),
            token: record.array(),
        })
    }
}

/// The server's answer to a [`Request`]. HELLO: with the link's memory and a bell. ATTACH: with a bell if it is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// An errno, 0 for success.
    pub(crate) error: u32,
    pub(crate) pool: u32,
    pub(crate) handle: u64,
    pub(crate) token: [u8; 16],
    pub(crate) info: DoorInfo,
}

impl Answer {
    pub(crate) const BYTES: usize = 104;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = Writer::<{ Self::BYTES }>::new();
        let info = &self.info;
        out.head(0x8000)
            .u32(self.error)
            .u32(self.pool)
            .u64(self.handle)
            .bytes(&self.token);
        out.u32(info.target.unwrap_or(0)).u32(info.attributes.bits());
        out.u64(info.procedure).u64(info.cookie).u64(info.unique);
        out.u64(info.limits.data_min)
            .u64(info.limits.data_max)
            .u32(info.limits.descriptors_max)
            .u32(0);
        out.u64(super::layout::LINK_BYTES as u64);
        out.done()
    }

    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let mut record = Reader::of::<{ Self::BYTES }>(record)?;
        if record.head()? != 0x8000 {
            return None;
        }
        let (error, pool, handle, token) = (record.u32(), record.u32(), record.u64(), record.array());
        let (target, attributes) = (record.u32(), Attributes::from_bits_truncate(record.u32()));
        let (procedure, cookie, unique) = (record.u64(), record.u64(), record.u64());
        let limits = Limits {
            data_min: record.u64(),
            data_max: record.u64(),
            descriptors_max: record.u32(),
        };
        let _ = record.u32();
        if record.u64() != super::layout::LINK_BYTES as u64 {
            return None;
        }
        let target = (target != 0).then_some(target);
        let info = DoorInfo {
            target,
            procedure,
            cookie,
            attributes,
            unique,
            limits,
        };
        Some(Self {
            error,
            pool,
            handle,
            token,
            info,
        })
    }
}

/// The server's answer to [`RequestKind::Statistics`]: numbers of 8 bytes, in the order of [`Counters::FIELDS`], then the classes
/// of the histogram.
pub(crate) struct Counters;

impl Counters {
    /// Changes whenever the fields or the classes do.
    const EDITION: u32 = 1;
    const FIELDS: usize = 17;
    pub(crate) const BYTES: usize = 16 + 8 * (Self::FIELDS + Histogram::CLASSES);

    pub(crate) fn encode(told: &Statistics) -> [u8; Self::BYTES] {
        let mut out = Writer::<{ Self::BYTES }>::new();
        out.head(0x8001).u32(Self::EDITION).u32(0);
        let fields: [u64; Self::FIELDS] = [
            told.calls,
            told.running,
            told.most_running,
            told.refused,
            told.revoked,
            told.aborted,
            told.failed,
            told.bytes_in,
            told.bytes_out,
            told.descriptors_in,
            told.descriptors_out,
            told.unreferenced,
            told.threads,
            told.threads_idle,
            told.exports,
            told.clients,
            told.paths,
        ];
        for word in fields.iter().chain(&told.run_time.classes) {
            out.u64(*word);
        }
        out.done()
    }

    pub(crate) fn decode(record: &[u8]) -> Option<Statistics> {
        let mut record = Reader::of::<{ Self::BYTES }>(record)?;
        if (record.head()?, record.u32()) != (0x8001, Self::EDITION) {
            return None;
        }
        let _ = record.u32();
        Some(Statistics {
            calls: record.u64(),
            running: record.u64(),
            most_running: record.u64(),
            refused: record.u64(),
            revoked: record.u64(),
            aborted: record.u64(),
            failed: record.u64(),
            bytes_in: record.u64(),
            bytes_out: record.u64(),
            descriptors_in: record.u64(),
            descriptors_out: record.u64(),
            unreferenced: record.u64(),
            threads: record.u64(),
            threads_idle: record.u64(),
            exports: record.u64(),
            clients: record.u64(),
            paths: record.u64(),
            run_time: Histogram {
                classes: std::array::from_fn(|_| record.u64()),
            },
        })
    }
}

/// Kind of a record over a link's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoteKind {
    /// Descriptors of request or reply `seq` of `lane`; the first of them is number `first`.
    Descriptors = 1,
    /// The last `len` bytes of the result of `seq` in `lane`, in a sealed file.
    File = 2,
    /// Look at your lanes.
    Wake = 3,
    /// Prove who you are, on the socket that comes along.
    Challenge = 4,
}

/// A record over a link's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) kind: NoteKind,
    pub(crate) lane: u32,
    pub(crate) seq: u32,
    pub(crate) first: u32,
    pub(crate) len: u64,
}

impl Note {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = Writer::<{ Self::BYTES }>::new();
        out.head(self.kind as u16)
            .u32(self.lane)
            .u32(self.seq)
            .u32(self.first)
            .u32(0)
            .u64(self.len);
        out.done()
    }

    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let mut record = Reader::of::<{ Self::BYTES }>(record)?;
        let kind = match record.head()? {
            1 => NoteKind::Descriptors,
            2 => NoteKind::File,
            3 => NoteKind::Wake,
            4 => NoteKind::Challenge,
            _ => return None,
        };
        let (lane, seq, first, _) = (record.u32(), record.u32(), record.u32(), record.u32());
        (lane < 64).then(|| Self {
            kind,
            lane,
            seq,
            first,
            len: record.u64(),
        })
    }
}

/// How a call ended, as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Done = 0,
    Revoked = 1,
    /// The handle is not, or no longer, known: attach again.
    Stale = 2,
    TooBig = 3,
    DescriptorsRefused = 4,
    TooManyDescriptors = 5,
    ArgumentTooLarge = 6,
    OutOfDescriptors = 7,
    Interrupted = 8,
    NoMemory = 9,
}

impl Status {
    pub(crate) fn from_word(word: u32) -> Option<Self> {
        use Status::{
            ArgumentTooLarge, DescriptorsRefused, Done, Interrupted, NoMemory, OutOfDescriptors, Revoked,
            Stale, TooBig, TooManyDescriptors,
        };
        const ALL: [Status; 10] = [
            Done,
            Revoked,
            Stale,
            TooBig,
            DescriptorsRefused,
            TooManyDescriptors,
            ArgumentTooLarge,
            OutOfDescriptors,
            Interrupted,
            NoMemory,
        ];
        ALL.into_iter().find(|status| *status as u32 == word)
    }
}

/// Fills an array from front to back; too much or too little is a bug of this file, which its tests would show.
struct Writer<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Self {
        Self {
            bytes: [0; N],
            used: 0,
        }
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.bytes[self.used..self.used + value.len()].copy_from_slice(value);
        self.used += value.len();
        self
    }

    fn head(&mut self, kind: u16) -> &mut Self {
        self.u32(MAGIC)
            .bytes(&VERSION.to_le_bytes())
            .bytes(&kind.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    fn done(&self) -> [u8; N] {
        assert_eq!(self.used, N);
        self.bytes
    }
}

/// Reads a record whose size was checked once, at the start.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn of<const N: usize>(record: &'a [u8]) -> Option<Self> {
        (record.len() == N).then_some(Self(record))
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().expect("the size was checked");
        self.0 = rest;
        *head
    }

    fn head(&mut self) -> Option<u16> {
        let (magic, version, kind) = (
            self.u32(),
            u16::from_le_bytes(self.array()),
            u16::from_le_bytes(self.array()),
        );
        (magic == MAGIC && version == VERSION).then_some(kind)
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_wire_and_their_bytes_are_pinned() {
        let request = Request {
            kind: RequestKind::Attach,
            pools: 5,
            token: [7; 16],
        };
        let bytes = request.encode();
        assert_eq!(
            &bytes[..16],
            b"DRLN\x01\x00\x02\x00\x05\x00\x00\x00\x00\x00\x00\x00"
        );
        assert_eq!(Request::decode(&bytes), Some(request));
    }

    #[test]
    fn answers_and_notes_survive_the_wire() {
        let info = DoorInfo {
            target: Some(9),
            procedure: 1,
            cookie: 2,
            attributes: Attributes::UNREF,
            unique: 3,
            limits: Limits::default(),
        };
        let answer = Answer {
            error: 0,
            pool: 1,
            handle: 2,
            token: [3; 16],
            info,
        };
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        let note = Note {
            kind: NoteKind::File,
            lane: 63,
            seq: 2,
            first: 3,
            len: 4,
        };
        assert_eq!(Note::decode(&note.encode()), Some(note));
    }

    #[test]
    fn counters_survive_the_wire_and_their_places_are_pinned() {
        let mut classes = [0; Histogram::CLASSES];
        classes[0] = 18;
        classes[Histogram::CLASSES - 1] = 19;
        let told = Statistics {
            calls: 1,
            running: 2,
            most_running: 3,
            refused: 4,
            revoked: 5,
            aborted: 6,
            failed: 7,
            bytes_in: 8,
            bytes_out: 9,
            descriptors_in: 10,
            descriptors_out: 11,
            unreferenced: 12,
            threads: 13,
            threads_idle: 14,
            exports: 15,
            clients: 16,
            paths: u64::MAX,
            run_time: Histogram { classes },
        };
        let bytes = Counters::encode(&told);
        assert_eq!(bytes.len(), 1176);
        assert_eq!(
            &bytes[..16],
            b"DRLN\x01\x00\x01\x80\x01\x00\x00\x00\x00\x00\x00\x00"
        );
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        for field in 0..16 {
            assert_eq!(word(16 + 8 * field), field as u64 + 1);
        }
        assert_eq!((word(144), word(152), word(1168)), (u64::MAX, 18, 19));
        assert_eq!(Counters::decode(&bytes), Some(told));
        assert_eq!(Counters::decode(&bytes[..1175]), None);
        for byte in 0..12 {
            let mut bad = bytes;
            bad[byte] ^= 0x40;
            assert_eq!(Counters::decode(&bad), None, "byte {byte}");
        }
    }

    #[test]
    fn records_of_wrong_size_version_or_kind_are_refused() {
        let good = Request {
            kind: RequestKind::Hello,
            pools: 0,
            token: [0; 16],
        }
        .encode();
        assert_eq!(Request::decode(&good[..31]), None);
        for byte in 0..8 {
            let mut bad = good;
            bad[byte] ^= 0x40;
            assert_eq!(Request::decode(&bad), None, "byte {byte}");
        }
        let far = Note {
            kind: NoteKind::Wake,
            lane: 64,
            seq: 0,
            first: 0,
            len: 0,
        };
        assert_eq!(Note::decode(&far.encode()), None);
    }

    #[test]
    fn every_status_has_its_own_word() {
        for word in 0..10 {
            assert_eq!(Status::from_word(word).map(|status| status as u32), Some(word));
        }
        assert_eq!(Status::from_word(10), None);
    }
}
