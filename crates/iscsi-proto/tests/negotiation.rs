//! What each key is answered with. ST-161 and the table of ST §6.3.
mod common;

use common::{INITIATOR, Initiator, TARGET, text};
use iscsi_proto::{ConnectionConfig, LoginStatus, ProtocolError, bhs};

/// Offers one key and returns the answer to it.
fn answer(key: &str, value: &str) -> Option<String> {
    let mut initiator = Initiator::new(ConnectionConfig::default());
    let pairs = [("InitiatorName", INITIATOR), ("TargetName", TARGET), (key, value)];
    let answers = initiator.log_in(&pairs);
    answers
        .into_iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value)
}

#[test]
fn st_161_hopeful_offers_get_sober_answers() {
    let mut initiator = Initiator::new(ConnectionConfig::default());
    let answers = initiator.log_in(&[
        ("InitiatorName", INITIATOR),
        ("TargetName", TARGET),
        ("InitialR2T", "No"),
        ("ErrorRecoveryLevel", "2"),
        ("MaxConnections", "64"),
        ("X-foo", "1"),
    ]);
    // DEVIATION from the row: one connection a session, where COMSTAR has 32.
    for pair in [
        ("InitialR2T", "Yes"),
        ("ErrorRecoveryLevel", "0"),
        ("MaxConnections", "1"),
        ("X-foo", "NotUnderstood"),
    ] {
        assert!(
            answers.contains(&(pair.0.to_owned(), pair.1.to_owned())),
            "{pair:?} in {answers:?}"
        );
    }
}

#[test]
fn st_161_every_key_follows_its_rule() {
    for (key, offer, expected) in [
        ("HeaderDigest", "CRC32C,None", "CRC32C"),
        ("HeaderDigest", "None,CRC32C", "None"),
        ("HeaderDigest", "X-other,CRC32C", "CRC32C"),
        ("HeaderDigest", "X-other", "Reject"),
        ("DataDigest", "CRC32C", "CRC32C"),
        ("DataDigest", "None", "None"),
        ("InitialR2T", "Yes", "Yes"),
        ("InitialR2T", "No", "Yes"),
        ("ImmediateData", "Yes", "Yes"),
        ("ImmediateData", "No", "No"),
        ("MaxConnections", "1", "1"),
        ("MaxConnections", "65535", "1"),
        ("MaxBurstLength", "512", "512"),
        ("MaxBurstLength", "16776192", "1048576"),
        ("MaxBurstLength", "0x1000", "4096"),
        ("FirstBurstLength", "4096", "4096"),
        ("FirstBurstLength", "262144", "65536"),
        ("DefaultTime2Wait", "0", "0"),
        ("DefaultTime2Wait", "3600", "3600"),
        ("DefaultTime2Retain", "0", "0"),
        ("DefaultTime2Retain", "3600", "20"),
        ("MaxOutstandingR2T", "1", "1"),
        ("MaxOutstandingR2T", "65535", "16"),
        ("DataPDUInOrder", "No", "Yes"),
        ("DataSequenceInOrder", "No", "No"),
        ("DataSequenceInOrder", "Yes", "Yes"),
        ("ErrorRecoveryLevel", "1", "0"),
        ("IFMarker", "Yes", "No"),
        ("OFMarker", "No", "No"),
        ("IFMarkInt", "2048~8192", "Irrelevant"),
        ("OFMarkInt", "2048~8192", "Irrelevant"),
        ("TaskReporting", "FastAbort,RFC3720", "RFC3720"),
        ("iSCSIProtocolLevel", "2", "1"),
        ("RDMAExtensions", "Yes", "NotUnderstood"),
        ("TargetAddress", "10.0.0.1", "Reject"),
        ("headerdigest", "None", "NotUnderstood"),
    ] {
        assert_eq!(answer(key, offer).as_deref(), Some(expected), "{key}={offer}");
    }
    assert_eq!(
        answer("InitiatorAlias", "me"),
        None,
        "a declaration is not answered"
    );
    assert_eq!(
        answer("MaxRecvDataSegmentLength", "512").as_deref(),
        Some("262144"),
        "our own declaration"
    );
}

#[test]
fn a_value_out_of_range_fails_the_login() {
    for (key, value) in [
        ("MaxConnections", "0"),
        ("MaxConnections", "65536"),
        ("MaxRecvDataSegmentLength", "511"),
        ("MaxRecvDataSegmentLength", "16777216"),
        ("MaxBurstLength", "511"),
        ("MaxBurstLength", "x"),
        ("FirstBurstLength", "16777216"),
        ("DefaultTime2Wait", "3601"),
        ("DefaultTime2Retain", "-1"),
        ("MaxOutstandingR2T", "0"),
        ("ErrorRecoveryLevel", "3"),
        ("InitialR2T", "Maybe"),
        ("ImmediateData", "yes"),
        ("DataPDUInOrder", ""),
        ("SendTargets", "All"),
        ("AuthMethod", "None"), // not in this stage
    ] {
        let mut initiator = Initiator::new(ConnectionConfig::default());
        let pairs = [("InitiatorName", INITIATOR), ("TargetName", TARGET), (key, value)];
        initiator
            .send(initiator.login_header(1, Some(3)).encode(), &text(&pairs))
            .unwrap();
        initiator.event();
        initiator.grant();
        assert_eq!(
            bhs::LoginResponse::decode(&initiator.one().header).status,
            [2, 0],
            "{key}={value}"
        );
    }
}

#[test]
fn a_key_can_be_negotiated_once() {
    let mut initiator = Initiator::new(ConnectionConfig::default());
    let pairs = [
        ("InitiatorName", INITIATOR),
        ("TargetName", TARGET),
        ("MaxBurstLength", "4096"),
    ];
    initiator
        .send(initiator.login_header(1, None).encode(), &text(&pairs))
        .unwrap();
    initiator.event();
    initiator.grant();
    initiator.one();
    assert_eq!(
        initiator.send(
            initiator.login_header(1, Some(3)).encode(),
            &text(&[("MaxBurstLength", "4096")])
        ),
        Err(ProtocolError::LoginRefused(LoginStatus::InitiatorError))
    );
}

#[test]
fn keys_of_normal_sessions_are_irrelevant_to_discovery() {
    let mut initiator = Initiator::new(ConnectionConfig::default());
    let answers = initiator.log_in(&[
        ("InitiatorName", INITIATOR),
        ("SessionType", "Discovery"),
        ("MaxBurstLength", "4096"),
        ("HeaderDigest", "None"),
    ]);
    let expected = [
        ("MaxBurstLength", "Irrelevant"),
        ("HeaderDigest", "None"),
        ("MaxRecvDataSegmentLength", "262144"),
    ];
    assert_eq!(
        answers,
        expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
}

#[test]
fn the_agreed_values_hold() {
    let initiator = Initiator::session(
        ConnectionConfig::default(),
        &[
            ("HeaderDigest", "CRC32C"),
            ("ImmediateData", "No"),
            ("MaxRecvDataSegmentLength", "65536"),
            ("MaxBurstLength", "32768"),
            ("FirstBurstLength", "65536"),
            ("MaxOutstandingR2T", "4"),
            ("DataSequenceInOrder", "No"),
        ],
    );
    let parameters = initiator.target.parameters();
    assert!(parameters.header_digest && !parameters.data_digest && !parameters.immediate_data);
    assert_eq!(parameters.initiator_max_recv_data_segment, 65536);
    assert_eq!((parameters.max_burst, parameters.first_burst), (32768, 32768));
    assert_eq!(
        (parameters.max_outstanding_r2t, parameters.data_sequence_in_order),
        (4, false)
    );
}
