//! The channel between the nodes is cut or frozen while all four processes live.

use std::time::Duration;

use conformance::initiator::{Initiator, Outcome, SenseCode, Transfer, cdb};
use conformance::wait::PATIENCE;
use conformance::writer::{Slots, Writer};
use conformance::{Cutter, Node, Pair, until};

const UNIT_BYTES: u64 = 64 << 20;
const SLOTS: Slots = Slots {
    first: 4096,
    count: 8192,
};

fn login(node: &Node) -> Initiator {
    Initiator::login(node.portal(), node.target()).expect("login")
}

fn read(session: &mut Initiator) -> Outcome {
    session
        .command(0, &cdb::read16(0, 8), Transfer::In(4096))
        .expect("a status, not a dropped connection")
}

/// Breaks the channel with `fault` and follows what each side sees, until it is whole again.
fn the_channel_fails(fault: fn(&Cutter)) {
    let pair = Pair::builder().with_cutter().start().expect("a pair");
    pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let mut standby = login(pair.b());
    until(PATIENCE, "a first read through the standby", || {
        Ok(read(&mut standby).is_good().then_some(()))
    })
    .expect("reads");
    let mut writer = Writer::start(pair.a(), 0, SLOTS);
    writer.advance(20).expect("I/O on the active node");

    fault(pair.cutter());
    let mut seen: Vec<Outcome> = Vec::new();
    until(PATIENCE, "02/04/0C on the standby", || {
        let outcome = read(&mut standby);
        let unavailable = outcome.has_sense(SenseCode::UNAVAILABLE);
        if seen.last() != Some(&outcome) {
            seen.push(outcome);
        }
        Ok(unavailable.then_some(()))
    })
    .expect("the standby says NOT READY after the grace");
    let between: Vec<&Outcome> = seen.iter().filter(|outcome| !outcome.is_good()).collect();
    let (last, first) = between.split_last().expect("at least the end");
    assert!(last.has_sense(SenseCode::UNAVAILABLE));
    assert!(
        !first.is_empty(),
        "no retryable status came before 02/04/0C: {seen:?}"
    );
    assert!(first.iter().all(|outcome| outcome.is_retryable()), "{first:?}");

    writer.advance(20).expect("I/O on the active node is undisturbed");
    assert!(writer.disturbances().is_empty(), "{:?}", writer.disturbances());
    assert_eq!(writer.reconnects(), 0, "the active node dropped a connection");
    answered_locally(&mut standby);

    pair.cutter().restore();
    until(
        PATIENCE,
        "reads through the standby to work again by themselves",
        || Ok(read(&mut standby).is_good().then_some(())),
    )
    .unwrap_or_else(|error| panic!("{error:#}\n{}", pair.logs()));
    pair.wait_channel().expect("up on both nodes");
    writer.stop().expect("undisturbed");
    writer
        .verify(pair.b())
        .expect("everything is there through the standby");
}

/// What a node without its peer still answers: who it is, what it has, and the truth about the groups.
fn answered_locally(standby: &mut Initiator) {
    let luns = standby
        .command(0, &cdb::report_luns(256), Transfer::In(256))
        .expect("a status");
    assert!(luns.is_good() && luns.data.len() >= 16, "REPORT LUNS: {luns}");
    let groups = standby
        .command(0, &cdb::report_target_port_groups(256), Transfer::In(256))
        .expect("a status");
    assert!(groups.is_good(), "REPORT TARGET PORT GROUPS: {groups}");
}

#[test]
fn st_044_065_109_110_cut_with_closed_connections() {
    the_channel_fails(Cutter::cut);
}

#[test]
fn st_113_frozen_without_a_closed_connection() {
    the_channel_fails(Cutter::stall);
}

#[test]
fn commands_outstanding_at_the_cut_end_within_the_bound() {
    let pair = Pair::builder().with_cutter().start().expect("a pair");
    pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let mut standby = login(pair.b());
    standby
        .command_past_attention(0, &cdb::TEST_UNIT_READY, Transfer::None)
        .expect("a status");
    pair.cutter().stall();
    let mut tags: Vec<u32> = (0..16)
        .map(|number| {
            standby
                .submit(0, &cdb::read16(number * 64, 64), Transfer::In(32_768))
                .expect("sent")
        })
        .collect();
    standby.set_limit(Duration::from_secs(30));
    while !tags.is_empty() {
        let (tag, outcome) = standby.wait_any().expect("an answer within 30 s");
        let ended = outcome.is_retryable() || outcome.has_sense(SenseCode::UNAVAILABLE);
        assert!(ended, "{outcome}");
        tags.retain(|waiting| *waiting != tag);
    }
}
