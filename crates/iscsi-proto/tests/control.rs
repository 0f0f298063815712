//! Everything that is neither data nor text: window, NOP, task management, logout, rejects, timers.
mod common;

use bytes::BytesMut;
use common::{Direction, INITIATOR, Initiator, NONE, TARGET, text};
use iscsi_proto::{
    CloseReason, Closing, ConnectionConfig, Event, ProtocolError, ScsiResponse, TaskManagementFunction,
    TaskManagementResponse, bhs,
};

fn session() -> Initiator {
    Initiator::session(ConnectionConfig::default(), &[])
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

#[test]
fn commands_beyond_the_window_are_ignored_until_one_ends() {
    let config = ConnectionConfig {
        command_window: 2,
        ..ConnectionConfig::default()
    };
    let mut initiator = Initiator::session(config, &[]);
    for tag in 0..3 {
        let header = initiator.command(tag, Direction::None, 0);
        initiator.send(header.encode(), &[]).unwrap();
    }
    assert_eq!(initiator.target.task_count(), 2);
    assert_eq!(initiator.target.counters().ignored_commands, 1);
    initiator.target.complete(0, ScsiResponse::default());
    let header = bhs::ScsiResponse::decode(&initiator.one().header);
    assert_eq!((header.exp_cmd_sn, header.max_cmd_sn), (102, 102));
    initiator.cmd_sn = 102;
    let header = initiator.command(2, Direction::None, 0);
    initiator.send(header.encode(), &[]).unwrap();
    assert_eq!(initiator.target.task_count(), 2);
    // One seen before is ignored as well.
    initiator.send(header.encode(), &[]).unwrap();
    assert_eq!(initiator.target.counters().ignored_commands, 2);
}

#[test]
fn a_hole_in_the_numbers_ends_the_connection() {
    let mut initiator = session();
    initiator.cmd_sn += 1;
    let header = initiator.command(1, Direction::None, 0);
    let offence = ProtocolError::CommandSequenceHole {
        expected: 100,
        received: 101,
    };
    assert_eq!(initiator.send(header.encode(), &[]), Err(offence));
}

#[test]
fn immediate_commands_are_bounded_by_a_reject() {
    let config = ConnectionConfig {
        max_immediate_commands: 2,
        ..ConnectionConfig::default()
    };
    let mut initiator = Initiator::session(config, &[]);
    for tag in 0..2 {
        let header = bhs::ScsiCommand {
            immediate: true,
            ..initiator.command(tag, Direction::None, 0)
        };
        initiator.send(header.encode(), &[]).unwrap();
    }
    let header = bhs::ScsiCommand {
        immediate: true,
        ..initiator.command(2, Direction::None, 0)
    }
    .encode();
    initiator.send(header, &[]).unwrap();
    rejected(&mut initiator, &header, 0x06);
    initiator.target.complete(0, ScsiResponse::default());
    initiator.received();
    initiator.send(header, &[]).unwrap();
    assert_eq!(initiator.target.task_count(), 2);
}

#[test]
fn what_we_do_not_take_is_rejected_with_its_header() {
    let mut initiator = session();
    let header = initiator.command(1, Direction::Read, 512).encode();
    initiator.send(header, &[]).unwrap();
    initiator.event();
    let again = initiator.command(1, Direction::Read, 512).encode();
    initiator.send(again, &[]).unwrap();
    rejected(&mut initiator, &again, 0x07);
    let both = bhs::ScsiCommand {
        write: true,
        ..initiator.command(2, Direction::Read, 512)
    }
    .encode();
    initiator.send(both, &[]).unwrap();
    rejected(&mut initiator, &both, 0x05);
    let bidirectional = initiator.command(3, Direction::Write, 512).encode();
    initiator
        .send_with(bidirectional, &[0, 5, 2, 0, 0, 0, 2, 0], &[])
        .unwrap();
    rejected(&mut initiator, &bidirectional, 0x05);
    let unknown_additional = initiator.command(3, Direction::None, 0).encode();
    initiator
        .send_with(unknown_additional, &[0, 1, 9, 0], &[])
        .unwrap();
    rejected(&mut initiator, &unknown_additional, 0x09);
    let snack = bhs::Snack::default().encode();
    initiator.send(snack, &[]).unwrap();
    rejected(&mut initiator, &snack, 0x03);
    let login = initiator.login_header(1, Some(3)).encode();
    initiator.send(login, &[]).unwrap();
    rejected(&mut initiator, &login, 0x04);
    for opcode in [0x07, 0x1C, 0x21, 0x3F] {
        let mut unknown = [0; 48];
        unknown[0] = opcode;
        initiator.send(unknown, b"data").unwrap();
        rejected(&mut initiator, &unknown, 0x05);
    }
    // After all that the next command is the next command.
    let header = initiator.command(9, Direction::None, 0);
    initiator.send(header.encode(), &[]).unwrap();
    assert!(matches!(initiator.event(), Event::Command(command) if command.tag == 9));
    assert_eq!(initiator.target.counters().rejects, 10);
}

#[test]
fn a_nop_out_is_answered_with_its_data() {
    let mut initiator = session();
    let nop = bhs::NopOut {
        initiator_task_tag: 3,
        target_transfer_tag: NONE,
        cmd_sn: 100,
        ..bhs::NopOut::default()
    };
    initiator.send(nop.encode(), b"are you there").unwrap();
    let answer = initiator.one();
    assert_eq!(answer.data, b"are you there");
    let header = bhs::NopIn::decode(&answer.header);
    assert_eq!((header.initiator_task_tag, header.target_transfer_tag), (3, NONE));
    assert_eq!(header.exp_cmd_sn, 101);
    // More than the initiator takes is cut.
    let nop = bhs::NopOut {
        immediate: true,
        ..nop
    };
    initiator.send(nop.encode(), &[1; 10_000]).unwrap();
    assert_eq!(initiator.one().data, [1; 8192]);
}

#[test]
fn a_silent_initiator_is_pinged_and_then_given_up() {
    let mut initiator = session();
    initiator.wait(14);
    assert!(initiator.received().is_empty());
    initiator.wait(1);
    let ping = bhs::NopIn::decode(&initiator.one().header);
    assert_eq!(ping.initiator_task_tag, NONE);
    assert_ne!(ping.target_transfer_tag, NONE);
    let pong = bhs::NopOut {
        immediate: true,
        initiator_task_tag: NONE,
        target_transfer_tag: ping.target_transfer_tag,
        ..bhs::NopOut::default()
    };
    initiator.wait(14);
    initiator.send(pong.encode(), &[]).unwrap();
    assert!(initiator.received().is_empty());
    initiator.wait(15);
    let again = bhs::NopIn::decode(&initiator.one().header);
    assert_eq!(again.stat_sn, ping.stat_sn, "a ping uses up no StatSN");
    initiator.no_event();
    initiator.wait(15);
    assert!(matches!(
        initiator.event(),
        Event::Closed(CloseReason::PeerSilent)
    ));
    assert_eq!(initiator.target.poll_timeout(), None);
}

#[test]
fn task_management_reaches_the_daemon_and_its_answer_the_initiator() {
    for (code, function) in [
        (1, TaskManagementFunction::AbortTask),
        (2, TaskManagementFunction::AbortTaskSet),
        (4, TaskManagementFunction::ClearTaskSet),
        (5, TaskManagementFunction::LogicalUnitReset),
        (6, TaskManagementFunction::TargetWarmReset),
        (7, TaskManagementFunction::TargetColdReset),
    ] {
        let mut initiator = session();
        let request = bhs::TaskManagementRequest {
            immediate: true,
            function: code,
            lun: [0, 9, 0, 0, 0, 0, 0, 0],
            initiator_task_tag: 8,
            referenced_task_tag: 4,
            cmd_sn: 100,
            ..bhs::TaskManagementRequest::default()
        };
        initiator.send(request.encode(), &[]).unwrap();
        let Event::TaskManagement(asked) = initiator.event() else {
            panic!("no request")
        };
        assert_eq!(
            (asked.tag, asked.function, asked.referenced_tag),
            (8, function, 4)
        );
        assert_eq!(asked.lun, [0, 9, 0, 0, 0, 0, 0, 0]);
        initiator.send(request.encode(), &[]).unwrap();
        rejected(&mut initiator, &request.encode(), 0x07);
        assert!(
            initiator
                .target
                .complete_task_management(8, TaskManagementResponse::TaskDoesNotExist)
        );
        assert!(
            !initiator
                .target
                .complete_task_management(8, TaskManagementResponse::Complete)
        );
        let answer = bhs::TaskManagementResponse::decode(&initiator.one().header);
        assert_eq!((answer.response, answer.initiator_task_tag), (1, 8));
    }
}

#[test]
fn functions_we_do_not_have_are_answered_here() {
    for (code, response) in [(3, 5), (8, 4), (0, 5), (9, 5)] {
        let mut initiator = session();
        let request = bhs::TaskManagementRequest {
            function: code,
            initiator_task_tag: 8,
            cmd_sn: 100,
            ..bhs::TaskManagementRequest::default()
        };
        initiator.send(request.encode(), &[]).unwrap();
        initiator.no_event();
        let answer = bhs::TaskManagementResponse::decode(&initiator.one().header);
        assert_eq!((answer.response, answer.exp_cmd_sn), (response, 101));
    }
}

#[test]
fn commands_have_no_place_in_a_discovery_session() {
    let mut initiator = Initiator::discovery(&[]);
    let header = initiator.command(1, Direction::Read, 512).encode();
    initiator.send(header, &[]).unwrap();
    rejected(&mut initiator, &header, 0x04);
    initiator.wait(29);
    initiator.no_event();
    initiator.wait(1);
    assert!(initiator.received().is_empty(), "no ping");
    assert!(matches!(
        initiator.event(),
        Event::Closed(CloseReason::PeerSilent)
    ));
}

#[test]
fn logout_ends_everything() {
    for (reason, cid, response) in [(0, 0, 0), (1, 1, 0), (1, 2, 1), (2, 1, 2)] {
        let mut initiator = session();
        let header = initiator.command(1, Direction::Read, 512);
        initiator.send(header.encode(), &[]).unwrap();
        initiator.event();
        let logout = bhs::LogoutRequest {
            immediate: true,
            reason,
            initiator_task_tag: 2,
            cid,
            cmd_sn: 101,
            ..bhs::LogoutRequest::default()
        };
        initiator.send(logout.encode(), &[]).unwrap();
        let answer = bhs::LogoutResponse::decode(&initiator.one().header);
        assert_eq!((answer.response, answer.initiator_task_tag), (response, 2));
        if response == 0 {
            assert!(matches!(initiator.event(), Event::Logout));
            assert!(matches!(initiator.event(), Event::Closed(CloseReason::LoggedOut)));
            assert!(!initiator.target.complete(1, ScsiResponse::default()));
            // What still comes is dropped without a word.
            initiator.send(logout.encode(), &[]).unwrap();
            assert!(initiator.received().is_empty());
        } else {
            initiator.no_event();
            assert!(initiator.target.complete(1, ScsiResponse::default()));
        }
    }
}

#[test]
fn the_daemon_can_ask_for_logout_and_does_not_wait_for_ever() {
    let mut initiator = session();
    initiator.wait(5);
    initiator.target.close(Closing::RequestLogout);
    initiator.target.close(Closing::RequestLogout);
    let message = bhs::AsyncMessage::decode(&initiator.one().header);
    assert_eq!(
        (message.event, message.parameter3, message.initiator_task_tag),
        (1, 10, NONE)
    );
    assert_eq!(initiator.target.poll_timeout(), Some(initiator.now));
    initiator.wait(1);
    initiator.wait(9);
    initiator.no_event();
    initiator.wait(1);
    assert!(matches!(
        initiator.event(),
        Event::Closed(CloseReason::LogoutTimedOut)
    ));
}

#[test]
fn the_daemon_can_drop_a_session_with_notice() {
    let mut initiator = session();
    initiator.target.close(Closing::Now);
    assert_eq!(bhs::AsyncMessage::decode(&initiator.one().header).event, 3);
    assert!(matches!(initiator.event(), Event::Closed(CloseReason::Requested)));
    initiator.target.close(Closing::Now);
    initiator.no_event();

    let mut waiting = Initiator::new(ConnectionConfig::default());
    let pairs = [("InitiatorName", INITIATOR), ("TargetName", TARGET)];
    waiting
        .send(waiting.login_header(1, Some(3)).encode(), &text(&pairs))
        .unwrap();
    waiting.event();
    waiting.target.close(Closing::Now);
    assert_eq!(bhs::LoginResponse::decode(&waiting.one().header).status, [3, 1]);
}

#[test]
fn digests_that_do_not_match_end_the_connection() {
    let pairs = [("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")];
    let nop = bhs::NopOut {
        immediate: true,
        initiator_task_tag: 3,
        ..bhs::NopOut::default()
    };
    let bytes = common::pdu(nop.encode(), &[], b"12345", (true, true));
    assert_eq!(bytes.len(), 48 + 4 + 8 + 4);
    for at in 0..bytes.len() {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1;
        let mut initiator = Initiator::session(ConnectionConfig::default(), &pairs);
        let offence = if at < 52 {
            ProtocolError::HeaderDigestMismatch
        } else {
            ProtocolError::DataDigestMismatch
        };
        // A spoilt length is not believed: nothing more is waited for.
        assert_eq!(initiator.send_bytes(&spoilt), Err(offence), "byte {at}");
    }
}

#[test]
fn a_segment_that_is_too_long_is_refused_before_it_comes() {
    let mut initiator = session();
    let mut header = bhs::NopOut {
        immediate: true,
        ..bhs::NopOut::default()
    }
    .encode();
    bhs::set_data_length(&mut header, 262_144);
    initiator.send_bytes(&header).unwrap();
    let mut initiator = session();
    bhs::set_data_length(&mut header, 262_145);
    let offence = ProtocolError::DataSegmentTooLong {
        length: 262_145,
        limit: 262_144,
    };
    assert_eq!(initiator.send_bytes(&header), Err(offence));
    let mut more = BytesMut::from(&[0u8; 100][..]);
    assert_eq!(initiator.target.handle_input(initiator.now, &mut more), Ok(()));
    assert!(more.is_empty());
}
