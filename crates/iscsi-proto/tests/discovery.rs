//! Text requests: SendTargets and MaxRecvDataSegmentLength.
mod common;

use common::{Initiator, NONE, TARGET, text};
use iscsi_proto::{ConnectionConfig, Event, ProtocolError, SendTargets, TargetRecord, bhs};

fn text_request(initiator: &mut Initiator, tag: u32, transfer_tag: u32) -> bhs::TextRequest {
    let cmd_sn = initiator.cmd_sn;
    initiator.cmd_sn += 1;
    bhs::TextRequest {
        finished: true,
        initiator_task_tag: tag,
        target_transfer_tag: transfer_tag,
        cmd_sn,
        ..bhs::TextRequest::default()
    }
}

/// The target rejects the PDU last sent, header and all.
fn rejected(initiator: &mut Initiator, header: &[u8; 48], reason: u8) {
    let pdu = initiator.one();
    assert_eq!(pdu.opcode(), bhs::Reject::OPCODE);
    let reject = bhs::Reject::decode(&pdu.header);
    assert_eq!((reject.reason, reject.initiator_task_tag), (reason, NONE));
    assert_eq!(pdu.data[8..], header[8..], "the offender's header comes back");
    assert_eq!(pdu.data.len(), 48);
}

fn record(name: &str) -> TargetRecord {
    TargetRecord {
        name: name.to_owned(),
        portals: vec![("10.0.0.1:3260".to_owned(), 1), ("[fe80::1]:3260".to_owned(), 2)],
    }
}

#[test]
fn st_163_discovery_lists_what_the_daemon_gives_in_its_order() {
    let mut initiator = Initiator::discovery(&[]);
    let request = text_request(&mut initiator, 3, NONE);
    initiator
        .send(request.encode(), &text(&[("SendTargets", "All")]))
        .unwrap();
    assert!(matches!(initiator.event(), Event::SendTargets(SendTargets::All)));
    initiator.target.send_targets(&[record("iqn.a"), record("iqn.b")]);
    let answer = initiator.one();
    let header = bhs::TextResponse::decode(&answer.header);
    assert!(header.finished && !header.continued);
    assert_eq!((header.initiator_task_tag, header.target_transfer_tag), (3, NONE));
    let expected = text(&[
        ("TargetName", "iqn.a"),
        ("TargetAddress", "10.0.0.1:3260,1"),
        ("TargetAddress", "[fe80::1]:3260,2"),
        ("TargetName", "iqn.b"),
        ("TargetAddress", "10.0.0.1:3260,1"),
        ("TargetAddress", "[fe80::1]:3260,2"),
    ]);
    assert_eq!(answer.data, expected);
}

#[test]
fn st_163_a_long_list_is_continued() {
    let mut initiator = Initiator::discovery(&[("MaxRecvDataSegmentLength", "512")]);
    let request = text_request(&mut initiator, 3, NONE);
    initiator
        .send(request.encode(), &text(&[("SendTargets", "All")]))
        .unwrap();
    initiator.event();
    let targets: Vec<_> = (0..100).map(|n| record(&format!("iqn.{n}"))).collect();
    initiator.target.send_targets(&targets);
    let mut answer = Vec::new();
    loop {
        let piece = initiator.one();
        assert!(piece.data.len() <= 512);
        answer.extend_from_slice(&piece.data);
        let header = bhs::TextResponse::decode(&piece.header);
        assert_eq!(header.continued, !header.finished);
        if header.finished {
            assert_eq!(header.target_transfer_tag, NONE);
            break;
        }
        let next = text_request(&mut initiator, 3, header.target_transfer_tag);
        initiator.send(next.encode(), &[]).unwrap();
    }
    let names = common::pairs(&answer)
        .into_iter()
        .filter(|(key, _)| key == "TargetName")
        .count();
    assert_eq!(names, 100);
}

#[test]
fn a_text_request_may_be_continued_by_the_initiator() {
    let mut initiator = Initiator::discovery(&[]);
    let whole = text(&[("SendTargets", "iqn.wanted")]);
    let mut transfer_tag = NONE;
    for (at, byte) in whole.iter().enumerate() {
        let last = at + 1 == whole.len();
        let request = bhs::TextRequest {
            finished: last,
            continued: !last,
            ..text_request(&mut initiator, 3, transfer_tag)
        };
        initiator.send(request.encode(), &[*byte]).unwrap();
        if !last {
            let header = bhs::TextResponse::decode(&initiator.one().header);
            assert!(!header.finished);
            transfer_tag = header.target_transfer_tag;
        }
    }
    assert!(matches!(initiator.event(), Event::SendTargets(SendTargets::Name(name)) if name == "iqn.wanted"));
    // A request beside the one that waits is one too many.
    let request = text_request(&mut initiator, 4, NONE);
    assert_eq!(
        initiator.send(request.encode(), &[]),
        Err(ProtocolError::TextRequestOverlap)
    );
}

#[test]
fn a_normal_session_can_ask_for_its_target_but_not_for_all() {
    let mut initiator = Initiator::session(ConnectionConfig::default(), &[]);
    let request = text_request(&mut initiator, 3, NONE);
    initiator
        .send(request.encode(), &text(&[("SendTargets", "")]))
        .unwrap();
    assert!(matches!(initiator.event(), Event::SendTargets(SendTargets::Name(name)) if name == TARGET));
    initiator.target.send_targets(&[]);
    let answer = initiator.one();
    assert!(answer.data.is_empty() && bhs::TextResponse::decode(&answer.header).finished);
    let request = text_request(&mut initiator, 3, NONE).encode();
    initiator.send(request, &text(&[("SendTargets", "All")])).unwrap();
    rejected(&mut initiator, &request, 0x05);
    let request = text_request(&mut initiator, 3, 77).encode();
    initiator.send(request, &[]).unwrap();
    rejected(&mut initiator, &request, 0x09);
}

#[test]
fn the_initiator_may_change_its_segment_length_later() {
    let mut initiator = Initiator::session(ConnectionConfig::default(), &[]);
    let request = text_request(&mut initiator, 3, NONE);
    let pairs = [
        ("MaxRecvDataSegmentLength", "512"),
        ("MaxBurstLength", "512"),
        ("X-a", "b"),
    ];
    initiator.send(request.encode(), &text(&pairs)).unwrap();
    let expected = [("MaxBurstLength", "Reject"), ("X-a", "NotUnderstood")];
    assert_eq!(
        initiator.one().pairs(),
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    assert_eq!(initiator.target.parameters().initiator_max_recv_data_segment, 512);
}

#[test]
fn text_that_is_none_ends_the_connection() {
    let mut initiator = Initiator::discovery(&[]);
    let request = text_request(&mut initiator, 3, NONE);
    assert!(matches!(
        initiator.send(request.encode(), b"x\0"),
        Err(ProtocolError::MalformedText(_))
    ));
    let mut initiator = Initiator::discovery(&[]);
    let mut transfer_tag = NONE;
    let offence = loop {
        let request = bhs::TextRequest {
            finished: false,
            continued: true,
            ..text_request(&mut initiator, 3, transfer_tag)
        };
        match initiator.send(request.encode(), &[b'a'; 8192]) {
            Ok(()) => {
                transfer_tag = bhs::TextResponse::decode(&initiator.one().header).target_transfer_tag;
            }
            Err(offence) => break offence,
        }
    };
    assert_eq!(offence, ProtocolError::TextTooLong);
}
