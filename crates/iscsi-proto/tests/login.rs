//! Login: stages, statuses, the daemon's verdict.
mod common;

use common::{INITIATOR, Initiator, TARGET, text};
use iscsi_proto::{CloseReason, ConnectionConfig, Event, LoginRequest, LoginStatus, ProtocolError, bhs};

const NAMES: &[(&str, &str)] = &[("InitiatorName", INITIATOR), ("TargetName", TARGET)];

fn initiator() -> Initiator {
    Initiator::new(ConnectionConfig::default())
}

/// The login is refused with `status`, the initiator is told, and the connection is closed.
fn refused(mut initiator: Initiator, header: bhs::LoginRequest, data: &[u8], status: LoginStatus) {
    assert_eq!(
        initiator.send(header.encode(), data),
        Err(ProtocolError::LoginRefused(status)),
        "{header:?}"
    );
    let response = bhs::LoginResponse::decode(&initiator.one().header);
    assert_eq!(
        (response.status, response.transit),
        (status.class_and_detail(), false)
    );
    assert!(matches!(initiator.event(), Event::Closed(CloseReason::LoginRefused(s)) if s == status));
    assert_eq!(initiator.target.poll_timeout(), None);
}

#[test]
fn a_login_goes_through_both_stages() {
    let mut initiator = initiator();
    let mut pairs = NAMES.to_vec();
    pairs.extend([("SessionType", "Normal"), ("AuthMethod", "CHAP,None")]);
    initiator
        .send(initiator.login_header(0, Some(1)).encode(), &text(&pairs))
        .unwrap();
    let Event::Login(request) = initiator.event() else {
        panic!("no login")
    };
    let expected = LoginRequest {
        initiator: INITIATOR.to_owned(),
        target: Some(TARGET.to_owned()),
        isid: [0x80, 1, 2, 3, 4, 5],
        tsih: 0,
        cid: 1,
        discovery: false,
    };
    assert_eq!(request, expected);
    assert!(
        initiator.received().is_empty(),
        "nothing is said before the verdict"
    );
    initiator.grant();
    let answer = initiator.one();
    let header = bhs::LoginResponse::decode(&answer.header);
    assert_eq!(
        (
            header.transit,
            header.current_stage,
            header.next_stage,
            header.tsih
        ),
        (true, 0, 1, 0)
    );
    assert_eq!((header.exp_cmd_sn, header.max_cmd_sn), (100, 227));
    let expected = [
        ("TargetAlias", "disks"),
        ("TargetPortalGroupTag", "1"),
        ("AuthMethod", "None"),
    ];
    assert_eq!(
        answer.pairs(),
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );

    // The names may come again; the target's declarations do not.
    initiator
        .send(initiator.login_header(1, Some(3)).encode(), &text(NAMES))
        .unwrap();
    let Event::SessionOpened(session) = initiator.event() else {
        panic!("no session")
    };
    assert_eq!((session.tsih, session.discovery), (42, false));
    let answer = initiator.one();
    let header = bhs::LoginResponse::decode(&answer.header);
    assert_eq!((header.transit, header.next_stage, header.tsih), (true, 3, 42));
    assert_eq!(
        answer.pairs(),
        [("MaxRecvDataSegmentLength".to_owned(), "262144".to_owned())]
    );
    initiator.no_event();
}

#[test]
fn a_login_may_take_several_requests_in_one_stage() {
    let mut initiator = initiator();
    initiator
        .send(initiator.login_header(1, None).encode(), &text(NAMES))
        .unwrap();
    initiator.event();
    initiator.grant();
    let first = initiator.one();
    assert!(!bhs::LoginResponse::decode(&first.header).transit);
    initiator
        .send(
            initiator.login_header(1, Some(3)).encode(),
            &text(&[("MaxBurstLength", "65536")]),
        )
        .unwrap();
    assert!(matches!(initiator.event(), Event::SessionOpened(_)));
    assert_eq!(initiator.target.parameters().max_burst, 65536);
    assert_eq!(initiator.target.parameters().first_burst, 65536);
}

#[test]
fn text_may_be_cut_anywhere_by_the_c_bit() {
    let whole = text(NAMES);
    for cut in 0..=whole.len() {
        let mut initiator = initiator();
        let first = bhs::LoginRequest {
            continued: true,
            ..initiator.login_header(1, None)
        };
        initiator.send(first.encode(), &whole[..cut]).unwrap();
        let answer = initiator.one();
        assert!(answer.data.is_empty() && !bhs::LoginResponse::decode(&answer.header).transit);
        initiator.no_event();
        initiator
            .send(initiator.login_header(1, Some(3)).encode(), &whole[cut..])
            .unwrap();
        assert!(matches!(initiator.event(), Event::Login(_)), "cut at {cut}");
    }
}

#[test]
fn a_long_answer_is_sent_in_pieces() {
    let mut initiator = initiator();
    let many: Vec<String> = (0..250)
        .map(|n| format!("X-test.{n}-{}", "k".repeat(40)))
        .collect();
    let mut pairs = NAMES.to_vec();
    pairs.extend(many.iter().map(|key| (key.as_str(), "")));
    let whole = text(&pairs);
    let mut header = bhs::LoginRequest {
        continued: true,
        ..initiator.login_header(1, None)
    };
    let mut chunks = whole.chunks(8192).peekable();
    while let Some(chunk) = chunks.next() {
        if chunks.peek().is_none() {
            header = initiator.login_header(1, Some(3));
        }
        initiator.send(header.encode(), chunk).unwrap();
    }
    initiator.event();
    initiator.received();
    initiator.grant();
    let mut answer = Vec::new();
    loop {
        let piece = initiator.one();
        assert!(piece.data.len() <= 8192);
        answer.extend_from_slice(&piece.data);
        let response = bhs::LoginResponse::decode(&piece.header);
        if response.transit {
            break;
        }
        assert!(response.continued);
        initiator
            .send(initiator.login_header(1, Some(3)).encode(), &[])
            .unwrap();
    }
    let not_understood = common::pairs(&answer)
        .iter()
        .filter(|(_, value)| value == "NotUnderstood")
        .count();
    assert_eq!(not_understood, 250);
    assert!(matches!(initiator.event(), Event::SessionOpened(_)));
}

#[test]
fn st_157_the_daemons_refusals_reach_the_initiator() {
    for (status, wire) in [
        (LoginStatus::InitiatorError, [2, 0]),
        (LoginStatus::AuthenticationFailed, [2, 1]),
        (LoginStatus::AuthorizationFailed, [2, 2]),
        (LoginStatus::NotFound, [2, 3]),
        (LoginStatus::TargetRemoved, [2, 4]),
        (LoginStatus::UnsupportedVersion, [2, 5]),
        (LoginStatus::TooManyConnections, [2, 6]),
        (LoginStatus::MissingParameter, [2, 7]),
        (LoginStatus::CannotIncludeInSession, [2, 8]),
        (LoginStatus::SessionTypeNotSupported, [2, 9]),
        (LoginStatus::SessionDoesNotExist, [2, 0x0A]),
        (LoginStatus::InvalidDuringLogin, [2, 0x0B]),
        (LoginStatus::TargetError, [3, 0]),
        (LoginStatus::ServiceUnavailable, [3, 1]),
        (LoginStatus::OutOfResources, [3, 2]),
    ] {
        let mut initiator = initiator();
        initiator
            .send(initiator.login_header(1, Some(3)).encode(), &text(NAMES))
            .unwrap();
        initiator.event();
        initiator.target.login_verdict(initiator.now, Err(status));
        assert_eq!(bhs::LoginResponse::decode(&initiator.one().header).status, wire);
        assert!(matches!(initiator.event(), Event::Closed(CloseReason::LoginRefused(s)) if s == status));
    }
}

#[test]
fn what_a_login_request_must_not_be_has_its_status() {
    use LoginStatus::{
        AuthenticationFailed, InitiatorError, InvalidDuringLogin, MissingParameter, SessionTypeNotSupported,
        UnsupportedVersion,
    };
    let base = initiator().login_header(1, Some(3));
    for (header, status) in [
        (
            bhs::LoginRequest {
                version_min: 1,
                version_max: 1,
                ..base
            },
            UnsupportedVersion,
        ),
        (
            bhs::LoginRequest {
                current_stage: 2,
                ..base
            },
            InitiatorError,
        ),
        (
            bhs::LoginRequest {
                current_stage: 3,
                ..base
            },
            InitiatorError,
        ),
        (
            bhs::LoginRequest {
                next_stage: 1,
                ..base
            },
            InitiatorError,
        ),
        (
            bhs::LoginRequest {
                next_stage: 2,
                ..base
            },
            InitiatorError,
        ),
        (
            bhs::LoginRequest {
                continued: true,
                ..base
            },
            InitiatorError,
        ),
        (
            bhs::LoginRequest {
                initiator_task_tag: common::NONE,
                ..base
            },
            InitiatorError,
        ),
    ] {
        refused(initiator(), header, &text(NAMES), status);
    }
    let name = ("InitiatorName", INITIATOR);
    let long = "iqn.".to_owned() + &"a".repeat(220);
    for (pairs, status) in [
        (vec![("TargetName", TARGET)], MissingParameter),
        (vec![name], MissingParameter),
        (vec![name, ("TargetName", &long)], InitiatorError),
        (vec![name, ("TargetName", "")], InitiatorError),
        (vec![name, ("SessionType", "Other")], SessionTypeNotSupported),
    ] {
        refused(initiator(), base, &text(&pairs), status);
    }
    let discovery = text(&[name, ("SessionType", "Discovery")]);
    refused(
        initiator(),
        bhs::LoginRequest { tsih: 1, ..base },
        &discovery,
        InvalidDuringLogin,
    );
    refused(initiator(), base, b"InitiatorName", InitiatorError);

    // CHAP only: nobody can be authenticated yet.
    let mut initiator = initiator();
    let pairs = [NAMES[0], NAMES[1], ("AuthMethod", "CHAP")];
    initiator
        .send(initiator.login_header(0, Some(1)).encode(), &text(&pairs))
        .unwrap();
    initiator.event();
    initiator.grant();
    assert_eq!(bhs::LoginResponse::decode(&initiator.one().header).status, [2, 1]);
    assert!(
        matches!(initiator.event(), Event::Closed(CloseReason::LoginRefused(s)) if s == AuthenticationFailed)
    );
}

#[test]
fn later_requests_must_agree_with_the_first() {
    let open = || {
        let mut initiator = initiator();
        initiator
            .send(initiator.login_header(1, None).encode(), &text(NAMES))
            .unwrap();
        initiator.event();
        initiator.grant();
        initiator.one();
        initiator
    };
    let base = initiator().login_header(1, Some(3));
    for header in [
        bhs::LoginRequest { isid: [1; 6], ..base },
        bhs::LoginRequest { tsih: 3, ..base },
        bhs::LoginRequest { cid: 2, ..base },
        bhs::LoginRequest {
            initiator_task_tag: common::NONE,
            ..base
        },
        bhs::LoginRequest {
            current_stage: 0,
            ..base
        },
    ] {
        refused(open(), header, &[], LoginStatus::InitiatorError);
    }
    for pair in [
        ("InitiatorName", "iqn.2026-11.test:other"),
        ("TargetName", INITIATOR),
        ("SessionType", "Discovery"),
    ] {
        refused(open(), base, &text(&[pair]), LoginStatus::InitiatorError);
    }
}

#[test]
fn a_task_tag_that_counts_up_is_answered_with_the_tag_it_came_with() {
    let mut initiator = initiator();
    initiator
        .send(initiator.login_header(1, None).encode(), &text(NAMES))
        .unwrap();
    initiator.event();
    initiator.grant();
    initiator.one();
    let next = bhs::LoginRequest {
        initiator_task_tag: 8,
        ..initiator.login_header(1, Some(3))
    };
    initiator.send(next.encode(), &[]).unwrap();
    assert_eq!(
        bhs::LoginResponse::decode(&initiator.one().header).initiator_task_tag,
        8
    );
}

#[test]
fn other_pdus_before_login_close_the_connection() {
    let nop = bhs::NopOut {
        immediate: true,
        ..bhs::NopOut::default()
    };
    let mut fresh = initiator();
    assert_eq!(
        fresh.send(nop.encode(), &[]),
        Err(ProtocolError::NotLoggedIn { opcode: 0 })
    );
    assert!(fresh.received().is_empty());

    let mut begun = initiator();
    begun
        .send(begun.login_header(1, None).encode(), &text(NAMES))
        .unwrap();
    begun.event();
    begun.grant();
    begun.one();
    assert_eq!(
        begun.send(nop.encode(), &[]),
        Err(ProtocolError::NotLoggedIn { opcode: 0 })
    );
    assert_eq!(bhs::LoginResponse::decode(&begun.one().header).status, [2, 0x0B]);
}

#[test]
fn a_second_request_before_the_verdict_is_an_offence() {
    let mut initiator = initiator();
    let header = initiator.login_header(1, Some(3)).encode();
    initiator.send(header, &text(NAMES)).unwrap();
    assert_eq!(
        initiator.send(header, &[]),
        Err(ProtocolError::LoginRequestOverlap)
    );
}

#[test]
fn login_segments_are_held_to_the_standards_default() {
    let mut initiator = initiator();
    let header = initiator.login_header(1, Some(3)).encode();
    assert_eq!(
        initiator.send(header, &[b'a'; 8193]),
        Err(ProtocolError::DataSegmentTooLong {
            length: 8193,
            limit: 8192
        })
    );
}

#[test]
fn endless_text_is_refused() {
    let mut initiator = initiator();
    let header = bhs::LoginRequest {
        continued: true,
        ..initiator.login_header(1, None)
    };
    for _ in 0..8 {
        initiator.send(header.encode(), &[b'a'; 8192]).unwrap();
    }
    initiator.received();
    refused(initiator, header, b"a", LoginStatus::InitiatorError);
}

#[test]
fn a_login_that_takes_too_long_is_given_up() {
    let mut initiator = initiator();
    initiator
        .send(initiator.login_header(1, None).encode(), &text(NAMES))
        .unwrap();
    initiator.event();
    assert_eq!(
        initiator.target.poll_timeout(),
        Some(initiator.now.after(std::time::Duration::from_secs(15)))
    );
    initiator.wait(14);
    initiator.no_event();
    initiator.wait(1);
    assert!(matches!(
        initiator.event(),
        Event::Closed(CloseReason::LoginTimedOut)
    ));
    // A verdict that comes too late changes nothing.
    initiator.grant();
    assert!(initiator.received().is_empty());
}

#[test]
fn names_come_in_the_form_in_which_they_are_compared() {
    for (sent, seen) in [
        ("iqn.2026-11.TEST:Disk", "iqn.2026-11.test:disk"),
        ("EUI.02004567a425678d", "eui.02004567A425678D"),
        ("naa.52004567ba64678d", "naa.52004567BA64678D"),
    ] {
        let mut initiator = initiator();
        let pairs = [("InitiatorName", sent), ("TargetName", TARGET)];
        initiator
            .send(initiator.login_header(1, Some(3)).encode(), &text(&pairs))
            .unwrap();
        let Event::Login(request) = initiator.event() else {
            panic!("no login")
        };
        assert_eq!(request.initiator, seen);
    }
}

#[test]
fn session_identity_reaches_the_daemon() {
    let mut initiator = initiator();
    let header = bhs::LoginRequest {
        tsih: 9,
        cid: 5,
        ..initiator.login_header(1, Some(3))
    };
    initiator.send(header.encode(), &text(NAMES)).unwrap();
    let Event::Login(request) = initiator.event() else {
        panic!("no login")
    };
    assert_eq!(
        (request.isid, request.tsih, request.cid),
        ([0x80, 1, 2, 3, 4, 5], 9, 5)
    );
}
