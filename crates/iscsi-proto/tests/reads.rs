//! Data for the initiator: cutting, status, residuals, and how few pieces it takes.
mod common;

use bytes::Bytes;
use common::{Direction, Initiator, NONE, good, pattern};
use iscsi_proto::{ConnectionConfig, Event, ScsiResponse, TaskAttribute, bhs};

fn session(pairs: &[(&str, &str)]) -> Initiator {
    Initiator::session(ConnectionConfig::default(), pairs)
}

/// Sends a command and takes its event.
fn start(initiator: &mut Initiator, tag: u32, direction: Direction, length: u32) {
    let header = initiator.command(tag, direction, length);
    initiator.send(header.encode(), &[]).unwrap();
    assert!(matches!(initiator.event(), Event::Command(command) if command.tag == tag));
}

#[test]
fn a_command_arrives_with_everything_it_said() {
    let mut initiator = session(&[]);
    let header = bhs::ScsiCommand {
        attribute: 2,
        ..initiator.command(5, Direction::Read, 4096)
    };
    initiator.send(header.encode(), &[]).unwrap();
    let Event::Command(command) = initiator.event() else {
        panic!("no command")
    };
    assert_eq!(
        (command.tag, command.lun, command.command_sn),
        (5, [0, 3, 0, 0, 0, 0, 0, 0], 100)
    );
    assert_eq!(
        (&command.cdb[..], command.attribute),
        (&[0x28; 16][..], TaskAttribute::Ordered)
    );
    assert_eq!((command.read, command.write), (true, false));
    assert_eq!((command.expected_data_in, command.expected_data_out), (4096, 0));
    assert!(command.immediate.is_empty());
}

#[test]
fn a_long_cdb_arrives_whole() {
    let mut initiator = session(&[]);
    let header = bhs::ScsiCommand {
        cdb: [0x7F; 16],
        ..initiator.command(5, Direction::None, 0)
    };
    let mut additional = vec![0, 17, 1, 0];
    additional.extend(1..=16);
    initiator.send_with(header.encode(), &additional, &[]).unwrap();
    let Event::Command(command) = initiator.event() else {
        panic!("no command")
    };
    let expected: Vec<u8> = [0x7F; 16].into_iter().chain(1..=16).collect();
    assert_eq!(&command.cdb[..], expected);
}

#[test]
fn a_4_kib_read_is_one_data_in_with_status_in_two_pieces_and_no_copy() {
    let mut initiator = session(&[]);
    start(&mut initiator, 5, Direction::Read, 4096);
    let data = Bytes::from(pattern(4096));
    let response = ScsiResponse {
        data_in: vec![data.clone()],
        ..ScsiResponse::default()
    };
    assert!(initiator.target.complete(5, response));
    let header = initiator.target.poll_transmit().unwrap();
    let segment = initiator.target.poll_transmit().unwrap();
    assert_eq!(initiator.target.poll_transmit(), None);
    assert_eq!(
        (header.len(), segment.as_ptr(), segment.len()),
        (48, data.as_ptr(), 4096)
    );
    let header = bhs::DataIn::decode(header.first_chunk().unwrap());
    assert!(header.finished && header.has_status && !header.overflow && !header.underflow);
    assert_eq!(
        (
            header.status,
            header.initiator_task_tag,
            header.target_transfer_tag
        ),
        (0, 5, NONE)
    );
    assert_eq!((header.data_sn, header.buffer_offset, header.residual), (0, 0, 0));
    assert_eq!((header.exp_cmd_sn, header.max_cmd_sn), (101, 228));
    assert!(
        !initiator.target.complete(5, ScsiResponse::default()),
        "a task is answered once"
    );
}

#[test]
fn many_reads_take_two_pieces_each_with_digests_too() {
    for pairs in [&[][..], &[("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")]] {
        let mut initiator = session(pairs);
        for tag in 0..32 {
            start(&mut initiator, tag, Direction::Read, 4096);
        }
        initiator.pieces.clear();
        for tag in 0..32 {
            initiator.target.complete(tag, good(&pattern(4096)));
        }
        let received = initiator.received();
        assert!(received.iter().all(|pdu| pdu.data == pattern(4096)));
        assert_eq!(received.len(), 32);
        assert!(initiator.pieces.len() <= 65, "{:?}", initiator.pieces);
    }
}

#[test]
fn reads_are_cut_by_segment_and_burst() {
    for digests in ["None", "CRC32C"] {
        let mut initiator = session(&[
            ("MaxRecvDataSegmentLength", "3000"),
            ("MaxBurstLength", "8192"),
            ("HeaderDigest", digests),
            ("DataDigest", digests),
        ]);
        start(&mut initiator, 5, Direction::Read, 20_000);
        let data = pattern(20_000);
        // The daemon's pieces end where they like.
        let pieces = [&data[..1], &data[1..1], &data[1..7000], &data[7000..]].map(Bytes::copy_from_slice);
        initiator.target.complete(
            5,
            ScsiResponse {
                data_in: pieces.to_vec(),
                ..ScsiResponse::default()
            },
        );
        let received = initiator.received();
        let headers: Vec<_> = received
            .iter()
            .map(|pdu| bhs::DataIn::decode(&pdu.header))
            .collect();
        let lengths: Vec<_> = received.iter().map(|pdu| pdu.data.len()).collect();
        assert_eq!(lengths, [3000, 3000, 2192, 3000, 3000, 2192, 3000, 616]);
        let finished: Vec<_> = headers.iter().map(|header| header.finished).collect();
        assert_eq!(finished, [false, false, true, false, false, true, false, true]);
        assert!(
            headers
                .iter()
                .zip(0..)
                .all(|(header, number)| header.data_sn == number)
        );
        assert_eq!(headers.iter().filter(|header| header.has_status).count(), 1);
        let mut offset = 0;
        for (header, pdu) in headers.iter().zip(&received) {
            assert_eq!(header.buffer_offset as usize, offset);
            assert_eq!(pdu.data, data[offset..offset + pdu.data.len()]);
            offset += pdu.data.len();
        }
        assert!(headers[7].has_status);
    }
}

#[test]
fn residuals_of_reads_are_told_in_either_phase() {
    // expected, available → data sent, overflow, underflow, count
    for (expected, available, sent, overflow, underflow, count) in [
        (512u32, 512usize, 512usize, false, false, 0u32),
        (1024, 512, 512, false, true, 512),
        (200, 512, 200, true, false, 312),
        (0, 512, 0, true, false, 512),
        (512, 0, 0, false, true, 512),
        (0, 0, 0, false, false, 0),
    ] {
        let mut initiator = session(&[]);
        start(&mut initiator, 5, Direction::Read, expected);
        initiator.target.complete(5, good(&pattern(available)));
        let pdu = initiator.one();
        assert_eq!(pdu.data, pattern(sent));
        let told = if sent > 0 {
            let header = bhs::DataIn::decode(&pdu.header);
            assert!(header.has_status);
            (header.overflow, header.underflow, header.residual)
        } else {
            let header = bhs::ScsiResponse::decode(&pdu.header);
            assert_eq!((pdu.opcode(), header.status), (bhs::ScsiResponse::OPCODE, 0));
            (header.overflow, header.underflow, header.residual)
        };
        assert_eq!(
            told,
            (overflow, underflow, count),
            "expected {expected}, available {available}"
        );
    }
}

#[test]
fn data_that_was_cut_elsewhere_still_tells_its_overflow() {
    // expected, given to `complete`, what the command is about, status → overflow, underflow, count
    for (expected, given, length, status, overflow, underflow, count) in [
        (512u32, 512usize, 1024u64, 0u8, true, false, 512u32),
        (200, 200, 512, 0, true, false, 312),
        (0, 0, 512, 0, true, false, 512),
        (1024, 512, 512, 0, false, true, 512),
        (512, 512, 512, 0, false, false, 0),
        (200, 512, 512, 0, true, false, 312),
        (512, 0, 1024, 2, false, true, 512),
        (0, 0, 512, 2, false, false, 0),
    ] {
        let mut initiator = session(&[]);
        start(&mut initiator, 5, Direction::Read, expected);
        initiator.target.set_transfer_length(5, length);
        let response = ScsiResponse {
            status,
            ..good(&pattern(given))
        };
        initiator.target.complete(5, response);
        let pdu = initiator.one();
        let told = if pdu.opcode() == bhs::ScsiResponse::OPCODE {
            let header = bhs::ScsiResponse::decode(&pdu.header);
            (header.overflow, header.underflow, header.residual)
        } else {
            let header = bhs::DataIn::decode(&pdu.header);
            (header.overflow, header.underflow, header.residual)
        };
        assert_eq!(
            told,
            (overflow, underflow, count),
            "expected {expected}, given {given} of {length}, status {status}"
        );
    }
}

#[test]
fn sense_goes_in_a_response_after_the_data() {
    let mut initiator = session(&[]);
    start(&mut initiator, 5, Direction::Read, 1024);
    let sense = vec![0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0];
    let response = ScsiResponse {
        status: 2,
        sense: sense.clone(),
        data_in: vec![Bytes::from(pattern(512))],
    };
    initiator.target.complete(5, response);
    let received = initiator.received();
    assert_eq!(received.len(), 2);
    let data = bhs::DataIn::decode(&received[0].header);
    assert!(data.finished && !data.has_status && !data.underflow && data.residual == 0);
    let header = bhs::ScsiResponse::decode(&received[1].header);
    assert_eq!((header.status, header.response, header.exp_data_sn), (2, 0, 1));
    assert_eq!((header.underflow, header.residual), (true, 512));
    assert_eq!(received[1].data, [&[0, 18][..], &sense].concat());
}

#[test]
fn a_command_without_data_gets_a_response_and_nothing_else() {
    let mut initiator = session(&[]);
    start(&mut initiator, 5, Direction::None, 0);
    initiator.target.complete(
        5,
        ScsiResponse {
            status: 8,
            ..ScsiResponse::default()
        },
    );
    let pdu = initiator.one();
    let header = bhs::ScsiResponse::decode(&pdu.header);
    assert_eq!(
        (header.status, header.overflow, header.underflow, header.residual),
        (8, false, false, 0)
    );
    assert!(pdu.data.is_empty());
}

#[test]
fn statuses_are_numbered_without_gaps() {
    let mut initiator = session(&[]);
    for tag in 0..3 {
        start(&mut initiator, tag, Direction::Read, 512);
    }
    initiator.target.complete(1, good(&pattern(512)));
    initiator.target.complete(
        2,
        ScsiResponse {
            status: 8,
            ..ScsiResponse::default()
        },
    );
    initiator.target.complete(0, good(&pattern(512)));
    let received = initiator.received();
    let first = bhs::DataIn::decode(&received[0].header).stat_sn;
    assert_eq!(
        bhs::ScsiResponse::decode(&received[1].header).stat_sn,
        first.wrapping_add(1)
    );
    assert_eq!(
        bhs::DataIn::decode(&received[2].header).stat_sn,
        first.wrapping_add(2)
    );
}

#[test]
fn an_aborted_task_is_not_answered() {
    let mut initiator = session(&[]);
    start(&mut initiator, 5, Direction::Read, 512);
    assert!(initiator.target.task_aborted(5));
    assert!(!initiator.target.complete(5, good(&pattern(512))));
    assert!(initiator.received().is_empty());
    assert_eq!(initiator.target.task_count(), 0);
}
