//! However the stream is cut, the same things happen.
mod common;

use bytes::BytesMut;
use common::{INITIATOR, NONE, TARGET, pattern, pdu, serve, text};
use iscsi_proto::{Connection, ConnectionConfig, Instant, bhs};

const NOW: Instant = Instant(0);

/// The PDUs of a whole session, and how many of them are login. Target transfer tags are known beforehand
/// because the seed is.
fn transcript(digests: bool) -> (Vec<Vec<u8>>, usize) {
    let on = (digests, digests);
    let value = if digests { "CRC32C" } else { "None" };
    let login = |stage, next, tag| bhs::LoginRequest {
        immediate: true,
        transit: true,
        current_stage: stage,
        next_stage: next,
        initiator_task_tag: tag,
        cmd_sn: 1,
        ..bhs::LoginRequest::default()
    };
    let names = text(&[("InitiatorName", INITIATOR), ("TargetName", TARGET)]);
    let keys = text(&[
        ("HeaderDigest", value),
        ("DataDigest", value),
        ("MaxBurstLength", "512"),
    ]);
    let command = |cmd_sn, tag, write: bool, length| bhs::ScsiCommand {
        finished: true,
        read: !write,
        write,
        initiator_task_tag: tag,
        expected_data_transfer_length: length,
        cmd_sn,
        ..bhs::ScsiCommand::default()
    };
    let data = pattern(700);
    let mut additional = vec![0, 3, 1, 0];
    additional.extend([1, 2, 0, 0]);
    let data_out = |transfer_tag, data_sn, buffer_offset, finished| bhs::DataOut {
        finished,
        initiator_task_tag: 11,
        target_transfer_tag: transfer_tag,
        data_sn,
        buffer_offset,
        ..bhs::DataOut::default()
    };
    let request = bhs::TextRequest {
        finished: true,
        initiator_task_tag: 12,
        target_transfer_tag: NONE,
        cmd_sn: 3,
        ..bhs::TextRequest::default()
    };
    let nop = bhs::NopOut {
        immediate: true,
        initiator_task_tag: 13,
        ..bhs::NopOut::default()
    };
    let abort = bhs::TaskManagementRequest {
        immediate: true,
        function: 1,
        initiator_task_tag: 14,
        ..bhs::TaskManagementRequest::default()
    };
    let logout = bhs::LogoutRequest {
        cmd_sn: 4,
        initiator_task_tag: 15,
        ..bhs::LogoutRequest::default()
    };
    let pdus = vec![
        pdu(login(0, 1, 1).encode(), &[], &names, (false, false)),
        pdu(login(1, 3, 1).encode(), &[], &keys, (false, false)),
        pdu(command(1, 10, false, 700).encode(), &additional, &[], on),
        pdu(command(2, 11, true, 700).encode(), &[], &data[..101], on),
        pdu(data_out(1, 0, 101, false).encode(), &[], &data[101..400], on),
        pdu(data_out(1, 1, 400, true).encode(), &[], &data[400..613], on),
        pdu(data_out(3, 0, 613, true).encode(), &[], &data[613..], on),
        pdu(request.encode(), &[], &text(&[("SendTargets", "")]), on),
        pdu(nop.encode(), &[], b"abc", on),
        pdu(abort.encode(), &[], &[], on),
        pdu(logout.encode(), &[], &[], on),
    ];
    (pdus, 2)
}

/// Feeds the pieces one by one; what the daemon saw, and every byte the target sent.
fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Vec<u8>) {
    let mut target = Connection::new(ConnectionConfig::default(), NOW);
    let mut input = BytesMut::new();
    let (mut seen, mut sent) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        target.handle_input(NOW, &mut input).unwrap();
        seen.extend(serve(&mut target, NOW));
        while let Some(bytes) = target.poll_transmit() {
            sent.extend_from_slice(&bytes);
        }
    }
    (seen, sent)
}

#[test]
fn a_session_goes_the_same_way_wherever_its_bytes_are_cut() {
    for digests in [false, true] {
        let (pdus, _) = transcript(digests);
        let expected = run(pdus.iter().map(Vec::as_slice));
        assert_eq!(expected.0.len(), 9, "{:#?}", expected.0);
        assert!(expected.0[8].starts_with("Closed(LoggedOut"));
        for (at, cut_pdu) in pdus.iter().enumerate() {
            for cut in 0..=cut_pdu.len() {
                let (head, tail) = cut_pdu.split_at(cut);
                let before = pdus[..at].iter().map(Vec::as_slice);
                let after = pdus[at + 1..].iter().map(Vec::as_slice);
                let actual = run(before.chain([head, tail]).chain(after));
                assert_eq!(actual, expected, "PDU {at} cut at {cut}");
            }
        }
        let whole: Vec<u8> = pdus.concat();
        assert_eq!(run(whole.chunks(1)), expected, "byte by byte");
    }
}

#[test]
fn pdus_that_come_together_are_all_taken() {
    for digests in [false, true] {
        let (pdus, login) = transcript(digests);
        let (expected, sent) = run(pdus.iter().map(Vec::as_slice));
        // From the write on everything waits for R2Ts and answers; before it, nothing does. The answers tell
        // a later ExpCmdSN, so only their length is the same.
        let together = pdus[login..login + 2].concat();
        let pieces = pdus[..login].iter().map(Vec::as_slice);
        let rest = pdus[login + 2..].iter().map(Vec::as_slice);
        let (actual, bytes) = run(pieces.chain([together.as_slice()]).chain(rest));
        assert_eq!((actual, bytes.len()), (expected, sent.len()));
    }
}
