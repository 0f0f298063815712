//! Data from the initiator: immediate data, R2T, and every way to get it wrong.
mod common;

use common::{Direction, Initiator, NONE, Received, pattern};
use iscsi_proto::{CloseReason, ConnectionConfig, Event, ProtocolError, RequestDataError, ScsiResponse, bhs};

const SMALL_BURSTS: &[(&str, &str)] = &[
    ("MaxBurstLength", "4096"),
    ("FirstBurstLength", "1024"),
    ("MaxOutstandingR2T", "2"),
];

fn session(pairs: &[(&str, &str)]) -> Initiator {
    Initiator::session(ConnectionConfig::default(), pairs)
}

/// Starts a write of `length` bytes with `immediate` of them.
fn write(initiator: &mut Initiator, tag: u32, length: u32, immediate: &[u8]) {
    let header = initiator.command(tag, Direction::Write, length);
    initiator.send(header.encode(), immediate).unwrap();
    let Event::Command(command) = initiator.event() else {
        panic!("no command")
    };
    assert_eq!(
        (command.tag, command.write, command.expected_data_out),
        (tag, true, length)
    );
    assert_eq!(command.immediate, immediate);
}

fn collected(initiator: &mut Initiator, tag: u32) -> Vec<u8> {
    match initiator.event() {
        Event::DataOut { tag: of, data } if of == tag => data.concat(),
        other => panic!("{other:?}"),
    }
}

fn r2t(pdu: &Received) -> bhs::ReadyToTransfer {
    assert_eq!(pdu.opcode(), bhs::ReadyToTransfer::OPCODE);
    bhs::ReadyToTransfer::decode(&pdu.header)
}

fn data_out(r2t: &bhs::ReadyToTransfer, data_sn: u32, offset: u32, finished: bool) -> bhs::DataOut {
    bhs::DataOut {
        finished,
        lun: r2t.lun,
        initiator_task_tag: r2t.initiator_task_tag,
        target_transfer_tag: r2t.target_transfer_tag,
        exp_stat_sn: 0,
        data_sn,
        buffer_offset: offset,
    }
}

/// Answers a whole R2T in pieces of `step` bytes.
fn answer(initiator: &mut Initiator, r2t: &bhs::ReadyToTransfer, data: &[u8], step: usize) {
    let start = r2t.buffer_offset as usize;
    let end = start + r2t.desired_data_transfer_length as usize;
    let mut at = start;
    for data_sn in 0.. {
        let next = (at + step).min(end);
        let header = data_out(r2t, data_sn, u32::try_from(at).unwrap(), next == end);
        initiator.send(header.encode(), &data[at..next]).unwrap();
        at = next;
        if at == end {
            break;
        }
    }
}

#[test]
fn immediate_data_that_is_enough_needs_no_r2t() {
    let mut initiator = session(&[]);
    let data = pattern(4096);
    write(&mut initiator, 5, 4096, &data);
    initiator.target.request_data(5, 4096).unwrap();
    assert_eq!(collected(&mut initiator, 5), data);
    assert!(initiator.received().is_empty());
    assert!(initiator.target.complete(5, ScsiResponse::default()));
    let header = bhs::ScsiResponse::decode(&initiator.one().header);
    assert_eq!(
        (header.status, header.overflow, header.underflow, header.residual),
        (0, false, false, 0)
    );
}

#[test]
fn the_rest_is_asked_for_with_as_many_r2ts_as_agreed() {
    for digests in ["None", "CRC32C"] {
        let mut pairs = SMALL_BURSTS.to_vec();
        pairs.extend([("HeaderDigest", digests), ("DataDigest", digests)]);
        let mut initiator = session(&pairs);
        let data = pattern(15_003);
        write(&mut initiator, 5, 15_003, &data[..1024]);
        initiator.target.request_data(5, 15_003).unwrap();
        let mut waiting: Vec<_> = initiator.received().iter().map(r2t).collect();
        let mut seen = Vec::new();
        while !waiting.is_empty() {
            assert!(waiting.len() <= 2);
            let first = waiting.remove(0);
            assert_eq!(first.lun, [0, 3, 0, 0, 0, 0, 0, 0]);
            seen.push((
                first.r2t_sn,
                first.buffer_offset,
                first.desired_data_transfer_length,
            ));
            initiator.no_event();
            answer(&mut initiator, &first, &data, 1500);
            waiting.extend(initiator.received().iter().map(r2t));
        }
        assert_eq!(
            seen,
            [
                (0, 1024, 4096),
                (1, 5120, 4096),
                (2, 9216, 4096),
                (3, 13_312, 1691)
            ]
        );
        assert_eq!(collected(&mut initiator, 5), data);
        initiator.target.complete(5, ScsiResponse::default());
        let header = bhs::ScsiResponse::decode(&initiator.one().header);
        assert_eq!((header.exp_data_sn, header.residual), (4, 0));
    }
}

#[test]
fn a_large_piece_of_data_is_not_copied() {
    let mut initiator = session(&[]);
    let data = pattern(8192);
    write(&mut initiator, 5, 8192, &[]);
    initiator.target.request_data(5, 8192).unwrap();
    let r2t = r2t(&initiator.one());
    let bytes = common::pdu(data_out(&r2t, 0, 0, true).encode(), &[], &data, (false, false));
    let mut input = bytes::BytesMut::from(&bytes[..]);
    let place = input.as_ptr().wrapping_add(48);
    initiator.target.handle_input(initiator.now, &mut input).unwrap();
    let Event::DataOut { data, .. } = initiator.event() else {
        panic!("no data")
    };
    assert_eq!((data.len(), data[0].as_ptr()), (1, place));
}

#[test]
fn sequences_may_cross_when_that_was_agreed() {
    let mut pairs = SMALL_BURSTS.to_vec();
    pairs.push(("DataSequenceInOrder", "No"));
    let mut initiator = session(&pairs);
    let data = pattern(12_288);
    write(&mut initiator, 5, 12_288, &[]);
    initiator.target.request_data(5, 12_288).unwrap();
    let r2ts: Vec<_> = initiator.received().iter().map(r2t).collect();
    answer(&mut initiator, &r2ts[1], &data, 4096);
    let third = r2t(&initiator.one());
    answer(&mut initiator, &third, &data, 4096);
    initiator.no_event();
    answer(&mut initiator, &r2ts[0], &data, 1000);
    assert_eq!(collected(&mut initiator, 5), data);
}

#[test]
fn data_can_be_taken_in_steps() {
    let mut initiator = session(&[]);
    let data = pattern(3000);
    write(&mut initiator, 5, 3000, &data[..1000]);
    initiator.target.request_data(5, 600).unwrap();
    assert_eq!(collected(&mut initiator, 5), data[..600]);
    initiator.target.request_data(5, 1000).unwrap();
    let first = r2t(&initiator.one());
    assert_eq!(
        (first.buffer_offset, first.desired_data_transfer_length),
        (1000, 600)
    );
    answer(&mut initiator, &first, &data, 600);
    assert_eq!(collected(&mut initiator, 5), data[600..1600]);
    initiator.target.request_data(5, 1400).unwrap();
    let second = r2t(&initiator.one());
    assert_eq!((second.r2t_sn, second.buffer_offset), (1, 1600));
    answer(&mut initiator, &second, &data, 1400);
    assert_eq!(collected(&mut initiator, 5), data[1600..]);
}

#[test]
fn residuals_of_writes_compare_what_the_command_needs() {
    // expected by the initiator, needed by the command → delivered, overflow, underflow, count
    for (expected, needed, overflow, underflow, count) in [
        (512u32, 512u32, false, false, 0u32),
        (1024, 512, false, true, 512),
        (200, 512, true, false, 312),
        (0, 512, true, false, 512),
        (512, 0, false, true, 512),
    ] {
        let mut initiator = session(&[]);
        let data = pattern(expected as usize);
        write(&mut initiator, 5, expected, &data);
        initiator.target.request_data(5, needed).unwrap();
        assert_eq!(
            collected(&mut initiator, 5),
            data[..needed.min(expected) as usize]
        );
        initiator.target.complete(5, ScsiResponse::default());
        let header = bhs::ScsiResponse::decode(&initiator.one().header);
        assert_eq!(
            (header.overflow, header.underflow, header.residual),
            (overflow, underflow, count)
        );
    }
}

#[test]
fn a_command_cut_to_whole_blocks_still_tells_its_whole_overflow() {
    let mut initiator = session(&[]);
    write(&mut initiator, 5, 700, &pattern(700));
    initiator.target.set_transfer_length(5, 1024);
    initiator.target.request_data(5, 512).unwrap();
    assert_eq!(collected(&mut initiator, 5), pattern(512));
    initiator.target.complete(5, ScsiResponse::default());
    let header = bhs::ScsiResponse::decode(&initiator.one().header);
    assert_eq!(
        (header.overflow, header.underflow, header.residual),
        (true, false, 324)
    );
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let config = ConnectionConfig {
        max_data_out: 4096,
        ..ConnectionConfig::default()
    };
    let mut initiator = Initiator::session(config, &[]);
    assert_eq!(
        initiator.target.request_data(5, 1),
        Err(RequestDataError::UnknownTask)
    );
    let read = initiator.command(4, Direction::Read, 512);
    initiator.send(read.encode(), &[]).unwrap();
    assert_eq!(
        initiator.target.request_data(4, 1),
        Err(RequestDataError::NotAWrite)
    );
    initiator.event();
    write(&mut initiator, 5, 8192, &[]);
    assert_eq!(
        initiator.target.request_data(5, 4097),
        Err(RequestDataError::TooLong { limit: 4096 })
    );
    initiator.target.request_data(5, 4096).unwrap();
    assert_eq!(
        initiator.target.request_data(5, 1),
        Err(RequestDataError::AlreadyCollecting)
    );
}

#[test]
fn data_under_way_is_bounded_for_the_connection() {
    let config = ConnectionConfig {
        max_data_out_total: 8192,
        ..ConnectionConfig::default()
    };
    let mut initiator = Initiator::session(config, &[]);
    for tag in 0..3 {
        write(&mut initiator, tag, 4096, &[]);
        initiator.target.request_data(tag, 4096).unwrap();
    }
    let r2ts: Vec<_> = initiator.received().iter().map(r2t).collect();
    assert_eq!(r2ts.len(), 2, "the third waits");
    answer(&mut initiator, &r2ts[0], &pattern(4096), 4096);
    initiator.event();
    assert!(
        initiator.received().is_empty(),
        "data the daemon still has counts"
    );
    initiator.target.complete(0, ScsiResponse::default());
    let received = initiator.received();
    assert_eq!(received.len(), 2);
    assert_eq!(r2t(&received[1]).initiator_task_tag, 2);
    // One that is larger than everything runs alone.
    write(&mut initiator, 9, 100_000, &[]);
    initiator.target.request_data(9, 100_000).unwrap();
    assert!(initiator.received().is_empty());
    initiator.target.task_aborted(1);
    assert!(initiator.received().is_empty());
    initiator.target.task_aborted(2);
    assert_eq!(r2t(&initiator.one()).initiator_task_tag, 9);
}

#[test]
fn every_wrong_data_out_has_its_name() {
    type Spoil = fn(&mut bhs::DataOut);
    let cases: [(Spoil, usize, ProtocolError); 7] = [
        (
            |h| h.data_sn = 1,
            4096,
            ProtocolError::DataSequenceHole {
                expected: 0,
                received: 1,
            },
        ),
        (
            |h| h.buffer_offset = 512,
            4096,
            ProtocolError::DataOffsetMismatch {
                expected: 0,
                received: 512,
            },
        ),
        (|_| {}, 4097, ProtocolError::DataOutTooLong),
        (|_| {}, 4095, ProtocolError::DataOutUnfinished),
        (|h| h.finished = false, 4096, ProtocolError::DataOutUnfinished),
        (|h| h.finished = false, 0, ProtocolError::DataOutUnfinished),
        (
            |h| h.target_transfer_tag = NONE,
            4096,
            ProtocolError::UnknownTransferTag { tag: NONE },
        ),
    ];
    for (spoil, length, offence) in cases {
        let mut initiator = session(SMALL_BURSTS);
        write(&mut initiator, 5, 8192, &[]);
        initiator.target.request_data(5, 8192).unwrap();
        let first = r2t(&initiator.received()[0]);
        let mut header = data_out(&first, 0, 0, true);
        spoil(&mut header);
        assert_eq!(initiator.send(header.encode(), &pattern(length)), Err(offence));
        assert!(matches!(initiator.event(), Event::Closed(CloseReason::Protocol(e)) if e == offence));
        assert_eq!(initiator.target.task_count(), 0);
        assert!(!initiator.target.complete(5, ScsiResponse::default()));
    }
    let mut initiator = session(SMALL_BURSTS);
    write(&mut initiator, 5, 8192, &[]);
    initiator.target.request_data(5, 8192).unwrap();
    let second = r2t(&initiator.received()[1]);
    assert_eq!(
        initiator.send(data_out(&second, 0, 4096, true).encode(), &pattern(4096)),
        Err(ProtocolError::DataSequenceOutOfOrder)
    );
}

#[test]
fn a_data_sn_that_is_not_due_ends_the_connection() {
    for (sent, expected) in [
        (&[27][..], 0),
        (&[u32::MAX], 0),
        (&[1, 0], 0),
        (&[0, 0], 1),
        (&[0, 2], 1),
    ] {
        let mut initiator = session(&[]);
        write(&mut initiator, 5, 1024, &[]);
        initiator.target.request_data(5, 1024).unwrap();
        let r2t = r2t(&initiator.one());
        let results: Vec<_> = (0..)
            .zip(sent)
            .map(|(n, &data_sn)| {
                let header = data_out(&r2t, data_sn, 512 * n, n == 1);
                initiator.send(header.encode(), &pattern(512))
            })
            .collect();
        let hole = ProtocolError::DataSequenceHole {
            expected,
            received: sent[expected as usize],
        };
        assert_eq!(results[expected as usize], Err(hole));
        assert!(matches!(initiator.event(), Event::Closed(CloseReason::Protocol(e)) if e == hole));
    }
}

#[test]
fn every_wrong_immediate_data_has_its_name() {
    let offence = |pairs: &[(&str, &str)], change: fn(&mut bhs::ScsiCommand), length| {
        let mut initiator = session(pairs);
        let mut header = initiator.command(5, Direction::Write, 4096);
        change(&mut header);
        initiator.send(header.encode(), &pattern(length)).unwrap_err()
    };
    assert_eq!(
        offence(&[("ImmediateData", "No")], |_| {}, 1),
        ProtocolError::ImmediateDataNotAllowed
    );
    let too_long = |length, limit| ProtocolError::ImmediateDataTooLong { length, limit };
    assert_eq!(offence(SMALL_BURSTS, |_| {}, 1025), too_long(1025, 1024));
    assert_eq!(offence(&[], |_| {}, 4097), too_long(4097, 4096));
    assert_eq!(
        offence(&[], |h| h.write = false, 1),
        ProtocolError::DataWithoutWrite
    );
    assert_eq!(
        offence(&[], |h| h.finished = false, 0),
        ProtocolError::UnsolicitedData
    );
    assert_eq!(
        offence(&[], |h| h.initiator_task_tag = NONE, 0),
        ProtocolError::ReservedTaskTag
    );
    let attribute = ProtocolError::ReservedTaskAttribute { attribute: 5 };
    assert_eq!(offence(&[], |h| h.attribute = 5, 0), attribute);
}

#[test]
fn data_for_a_task_that_is_over_is_dropped() {
    let mut initiator = session(&[]);
    let data = pattern(4096);
    write(&mut initiator, 5, 4096, &[]);
    initiator.target.request_data(5, 4096).unwrap();
    let r2t = r2t(&initiator.one());
    initiator.target.task_aborted(5);
    answer(&mut initiator, &r2t, &data, 1024);
    initiator.no_event();
    assert_eq!(initiator.target.counters().discarded_data, 4);
}

#[test]
fn data_that_does_not_come_ends_the_connection() {
    let mut initiator = session(&[]);
    write(&mut initiator, 5, 4096, &[]);
    initiator.target.request_data(5, 4096).unwrap();
    initiator.received();
    let nop = bhs::NopOut {
        immediate: true,
        initiator_task_tag: NONE,
        ..bhs::NopOut::default()
    };
    for _ in 0..5 {
        initiator.wait(10);
        initiator.send(nop.encode(), &[]).unwrap();
    }
    initiator.no_event();
    initiator.wait(10);
    assert!(matches!(
        initiator.event(),
        Event::Closed(CloseReason::DataOutTimedOut)
    ));
}
