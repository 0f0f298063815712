//! Any bytes: no panic, and no more memory than what was sent and the limits explain.
mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::BytesMut;
use common::{INITIATOR, Initiator, TARGET, pdu, serve};
use iscsi_proto::{Connection, ConnectionConfig, Instant};
use proptest::prelude::*;

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
        8 => prop::sample::select(&[0x00u8, 0x40, 0x01, 0x41, 0x02, 0x42, 0x04, 0x44, 0x05, 0x43][..]),
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

fn stream() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
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
    let whole =
        (header(), additional, data).prop_map(|(raw, ahs, data)| pdu(raw, &ahs, &data, (false, false)));
    let broken = prop::collection::vec(any::<u8>(), 0..200);
    prop::collection::vec((prop_oneof![30 => whole, 1 => broken], any::<bool>()), 1..60)
}

/// Feeds the stream; `true` beside a piece lets the daemon answer after it. Returns the bytes fed.
fn feed(target: &mut Connection, stream: &[(Vec<u8>, bool)]) -> usize {
    let mut input = BytesMut::new();
    let mut fed = 0;
    for (piece, answer) in stream {
        input.extend_from_slice(piece);
        fed += piece.len();
        if target.handle_input(NOW, &mut input).is_err() {
            assert!(target.is_closed() && input.is_empty());
        }
        if *answer {
            serve(target, NOW);
            while target.poll_transmit().is_some() {}
        }
        assert!(
            target.task_count() <= 160,
            "window and immediate commands together"
        );
    }
    fed
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
            feed(&mut target, &[(bytes.clone(), true)]);
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
        let stream = vec![(pdu(raw, &[], &text, (false, false)), true); 5];
        let used = peak(|| {
            let mut target = Connection::new(ConnectionConfig::default(), NOW);
            feed(&mut target, &stream);
        });
        prop_assert!(used <= FIXED + PER_BYTE * 5 * text.len());
    }

    #[test]
    fn any_pdus_in_a_session_are_survived(stream in stream(), discovery in any::<bool>()) {
        let kind = if discovery { ("SessionType", "Discovery") } else { ("MaxBurstLength", "512") };
        let mut initiator = Initiator::new(ConnectionConfig::default());
        initiator.cmd_sn = 0; // where the stream's numbers start, too
        initiator.log_in(&[("InitiatorName", INITIATOR), ("TargetName", TARGET), kind]);
        let mut fed = 0;
        let used = peak(|| fed = feed(&mut initiator.target, &stream));
        prop_assert!(used <= FIXED + PER_BYTE * fed, "{used} bytes for {fed}");
        initiator.target.handle_timeout(Instant(u64::MAX));
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
