//! Any bytes: no panic, and no more memory than what was sent and the limits explain.
mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::BTreeMap,
};

use bytes::BytesMut;
use common::{INITIATOR, Initiator, TARGET, pdu, serve};
use iscsi_proto::{Connection, ConnectionConfig, Instant, bhs};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

/// Counts what the current thread has allocated and not freed, and the most it ever was.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call goes to the system allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most memory `work` had beyond what there was before.
fn peak(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before).unsigned_abs()
}

const NOW: Instant = Instant(0);

/// A header that gets somewhere: known opcodes, small numbers, and anything in between.
fn header() -> impl Strategy<Value = [u8; 48]> {
    let opcode = prop_oneof![
        8 => prop::sample::select(&[0x00u8, 0x40, 0x01, 0x01, 0x41, 0x02, 0x42, 0x04, 0x44, 0x05, 0x05, 0x05, 0x43][..]),
        1 => Just(0x06u8),
        1 => any::<u8>(),
    ];
    let flags = prop_oneof![
        prop::sample::select(&[0x80u8, 0xA0, 0xA1, 0xC0, 0xC1, 0x81, 0x87][..]),
        any::<u8>()
    ];
    let small = |highest: u32| prop_oneof![6 => 0..=highest, 1 => Just(u32::MAX), 1 => any::<u32>()];
    let tags = (small(3), small(40_000), small(40), small(40));
    let tail = (any::<u32>(), small(3), small(40_000));
    (opcode, flags, tags, tail).prop_map(|(opcode, flags, (tag, second, cmd_sn, stat_sn), tail)| {
        let mut raw = [0; 48];
        raw[0] = opcode;
        raw[1] = flags;
        let (cdb, data_sn, offset) = tail;
        for (at, number) in [
            (16, tag),
            (20, second),
            (24, cmd_sn),
            (28, stat_sn),
            (32, cdb),
            (36, data_sn),
            (40, offset),
        ] {
            raw[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        raw
    })
}

/// One step of a stream.
#[derive(Debug, Clone)]
enum Step {
    /// A PDU; with `straight` the fields that would end the session at once are put right first.
    Pdu {
        raw: [u8; 48],
        additional: Vec<u8>,
        data: Vec<u8>,
        straight: bool,
    },
    /// Bytes that are none.
    Junk(Vec<u8>),
    /// The daemon answers what it was asked.
    Answer,
}

fn stream() -> impl Strategy<Value = Vec<Step>> {
    let data = prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec(any::<u8>(), 0..600),
        1 => Just(b"SendTargets=All\0".to_vec()),
        1 => Just(b"SendTargets=\0MaxRecvDataSegmentLength=512\0".to_vec()),
        1 => Just(b"X-a=b\0".repeat(200)),
    ];
    let additional = prop_oneof![
        8 => Just(Vec::new()),
        1 => prop::collection::vec(any::<u8>(), 1..8).prop_map(|words| words.repeat(4)),
    ];
    let straight = prop::bool::weighted(0.98);
    let pdu =
        (header(), additional, data, straight).prop_map(|(raw, additional, data, straight)| Step::Pdu {
            raw,
            additional,
            data,
            straight,
        });
    let junk = prop::collection::vec(any::<u8>(), 0..200).prop_map(Step::Junk);
    prop::collection::vec(
        prop_oneof![60 => pdu, 1 => junk, 40 => Just(Step::Answer)],
        1..120,
    )
}

/// What an initiator must know to be taken seriously.
#[derive(Default)]
struct Knowledge {
    cmd_sn: u32,
    r2t: Option<bhs::ReadyToTransfer>,
}

impl Knowledge {
    fn straighten(&mut self, raw: &mut [u8; 48], additional: &mut Vec<u8>, data: &mut Vec<u8>) {
        let length = u32::try_from(data.len()).unwrap();
        match raw[0] & 0x3F {
            bhs::ScsiCommand::OPCODE => {
                additional.clear();
                let write = length > 0 || raw[1] & 0x20 != 0;
                let mut command = bhs::ScsiCommand::decode(raw);
                command.attribute %= 5;
                command.finished = true;
                command.write = write;
                command.read &= !write;
                command.expected_data_transfer_length = length + command.expected_data_transfer_length % 8192;
                *raw = command.encode();
            }
            bhs::DataOut::OPCODE => {
                if let Some(r2t) = self.r2t.take() {
                    let wanted = r2t.desired_data_transfer_length;
                    data.resize(wanted as usize, 1);
                    let header = bhs::DataOut {
                        finished: true,
                        initiator_task_tag: r2t.initiator_task_tag,
                        target_transfer_tag: r2t.target_transfer_tag,
                        buffer_offset: r2t.buffer_offset,
                        ..bhs::DataOut::default()
                    };
                    *raw = header.encode();
                }
            }
            _ => {}
        }
        // Task tags: not the reserved one.
        raw[16] &= 0x7F;
        let numbered = matches!(raw[0], 0x00 | 0x01 | 0x02 | 0x04 | 0x06);
        if numbered {
            raw[24..28].copy_from_slice(&self.cmd_sn.to_be_bytes());
            self.cmd_sn += 1;
        }
    }

    /// Reads what the target has sent; the pieces of the PDUs that matter here start with their header.
    fn read(&mut self, sent: &[u8]) {
        let mut rest = sent;
        while let Some((header, after)) = rest.split_first_chunk::<48>() {
            if bhs::opcode(header) == bhs::ReadyToTransfer::OPCODE {
                self.r2t
                    .get_or_insert_with(|| bhs::ReadyToTransfer::decode(header));
            }
            rest = &after[(bhs::lengths(header).1 as usize).next_multiple_of(4)..];
        }
    }
}

/// Feeds the stream; returns the bytes fed and what the daemon saw.
fn feed(target: &mut Connection, stream: &[Step]) -> (usize, Vec<String>) {
    let mut input = BytesMut::new();
    let (mut fed, mut seen) = (0, Vec::new());
    let mut knowledge = Knowledge::default();
    for step in stream {
        match step.clone() {
            Step::Answer => {
                seen.extend(serve(target, NOW).iter().map(|event| {
                    event
                        .split_once('(')
                        .map_or(event.as_str(), |(name, _)| name)
                        .to_owned()
                }));
                let mut sent = Vec::new();
                while let Some(piece) = target.poll_transmit() {
                    sent.extend_from_slice(&piece);
                }
                knowledge.read(&sent);
                continue;
            }
            Step::Junk(bytes) => {
                input.extend_from_slice(&bytes);
                fed += bytes.len();
            }
            Step::Pdu {
                mut raw,
                mut additional,
                mut data,
                straight,
            } => {
                if straight {
                    knowledge.straighten(&mut raw, &mut additional, &mut data);
                }
                let bytes = pdu(raw, &additional, &data, (false, false));
                input.extend_from_slice(&bytes);
                fed += bytes.len();
            }
        }
        if target.handle_input(NOW, &mut input).is_err() {
            assert!(target.is_closed() && input.is_empty());
        }
        assert!(
            target.task_count() <= 160,
            "window and immediate commands together"
        );
    }
    (fed, seen)
}

/// What is held per byte fed: its own slice, a Reject of twice the size, an event, and doubling vectors.
const PER_BYTE: usize = 24;
/// Arena, tables, one answer of the test's daemon.
const FIXED: usize = 256 * 1024;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_before_login_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let used = peak(|| {
            let mut target = Connection::new(ConnectionConfig::default(), NOW);
            feed(&mut target, &[Step::Junk(bytes.clone()), Step::Answer]);
        });
        prop_assert!(used <= FIXED + PER_BYTE * bytes.len(), "{used} bytes for {}", bytes.len());
    }

    #[test]
    fn any_login_is_survived(stage in 0u8..4, next in 0u8..4, flags in any::<u8>(),
                             junk in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut text = common::text(&[("InitiatorName", INITIATOR), ("TargetName", TARGET)]);
        text.extend_from_slice(&junk);
        let mut raw = [0; 48];
        raw[0] = 0x43;
        raw[1] = flags & 0xC0 | stage << 2 | next;
        let step = Step::Pdu { raw, additional: Vec::new(), data: text.clone(), straight: false };
        let stream = vec![[step, Step::Answer]; 5].concat();
        let used = peak(|| {
            let mut target = Connection::new(ConnectionConfig::default(), NOW);
            feed(&mut target, &stream);
        });
        prop_assert!(used <= FIXED + PER_BYTE * 5 * text.len());
    }

    #[test]
    fn any_pdus_in_a_session_are_survived(stream in stream(), discovery in any::<bool>()) {
        let kind = if discovery { ("SessionType", "Discovery") } else { ("MaxBurstLength", "4096") };
        let mut initiator = Initiator::new(ConnectionConfig::default());
        initiator.cmd_sn = 0; // where the stream's numbers start, too
        initiator.log_in(&[("InitiatorName", INITIATOR), ("TargetName", TARGET), kind]);
        let mut fed = 0;
        let used = peak(|| fed = feed(&mut initiator.target, &stream).0);
        prop_assert!(used <= FIXED + PER_BYTE * fed, "{used} bytes for {fed}");
        initiator.target.handle_timeout(Instant(u64::MAX));
    }
}

/// The streams above would prove nothing if they ended at their first PDU.
#[test]
fn the_hostile_streams_reach_every_part() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::<String, usize>::new();
    for _ in 0..300 {
        let mut initiator = Initiator::new(ConnectionConfig::default());
        initiator.cmd_sn = 0;
        let kind = ("MaxBurstLength", "4096");
        initiator.log_in(&[("InitiatorName", INITIATOR), ("TargetName", TARGET), kind]);
        let steps = stream().new_tree(&mut runner).unwrap().current();
        for event in feed(&mut initiator.target, &steps).1 {
            let name = event.split([' ', '{']).next().unwrap_or_default().to_owned();
            *seen.entry(name).or_default() += 1;
        }
    }
    for (event, least) in [
        ("Command", 300),
        ("DataOut", 100),
        ("TaskManagement", 50),
        ("SendTargets", 3),
        ("Logout", 5),
        ("Closed", 20),
    ] {
        assert!(
            seen.get(event).is_some_and(|&count| count >= least),
            "{event}: {seen:?}"
        );
    }
}

#[test]
fn a_header_that_promises_much_costs_nothing() {
    let mut initiator = Initiator::session(ConnectionConfig::default(), &[]);
    let mut raw = [0; 48];
    raw[0] = 0x40;
    iscsi_proto::bhs::set_data_length(&mut raw, 262_144);
    let mut input = BytesMut::from(&raw[..]);
    let used = peak(|| initiator.target.handle_input(NOW, &mut input).unwrap());
    assert_eq!(used, 0);
    assert_eq!(initiator.target.input_wanted(&input), 262_144);
}
