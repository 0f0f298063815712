//! kill -9 of each of the four processes in the middle of I/O, one at a time.
//!
//! Each time: no initiator is left without an answer or a dropped connection for 30 s, everything works again after
//! the restart without a manual step, and every durable write that was acknowledged is there, through both nodes.

use conformance::node::Program::{self, Stmfd, Transport};
use conformance::wait::PATIENCE;
use conformance::writer::{Slots, Writer};
use conformance::{NodeId, Pair, until};

const UNIT_BYTES: u64 = 256 << 20;
/// Durable writes through each portal before the kill, and again after the restart.
const WRITES: u64 = 40;
const HALF: u64 = UNIT_BYTES / 2 / 4096;

fn kill_in_the_middle_of_io(id: NodeId, program: Program) {
    let mut pair = Pair::start().expect("a pair");
    let _unit = pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let mut writers = [
        Writer::start(
            pair.a(),
            0,
            Slots {
                first: 0,
                count: HALF,
            },
        ),
        Writer::start(
            pair.b(),
            0,
            Slots {
                first: HALF,
                count: HALF,
            },
        ),
    ];
    for writer in &writers {
        writer.advance(WRITES).expect("I/O before the kill");
    }
    pair.kill9(id, program);
    if program == Stmfd {
        let own = &writers[id.number()];
        until(PATIENCE, "the initiator to notice", || {
            Ok((own.reconnects() > 0).then_some(()))
        })
        .expect("a dropped connection");
    }
    pair.restart(id, program)
        .expect("whole again after the restart, by itself");
    for (writer, portal) in writers.iter().zip(["A", "B"]) {
        writer
            .advance(WRITES)
            .unwrap_or_else(|error| panic!("I/O through {portal}: {error:#}\n{}", pair.logs()));
    }
    for writer in &mut writers {
        writer.stop().expect("never left without an answer");
        writer.verify(pair.a()).expect("acknowledged data through node A");
        writer.verify(pair.b()).expect("acknowledged data through node B");
    }
}

#[test]
fn the_active_daemon_is_killed() {
    kill_in_the_middle_of_io(NodeId::A, Stmfd);
}

#[test]
fn the_standby_daemon_is_killed() {
    kill_in_the_middle_of_io(NodeId::B, Stmfd);
}

#[test]
fn the_active_transport_is_killed() {
    kill_in_the_middle_of_io(NodeId::A, Transport);
}

#[test]
fn the_standby_transport_is_killed() {
    kill_in_the_middle_of_io(NodeId::B, Transport);
}

#[test]
fn the_owner_is_killed_for_good_and_the_standby_takes_over_on_a_verdict() {
    let fencing = |verdict: &str| conformance::node::DaemonOptions {
        arguments: vec!["--fencing-command".to_owned(), verdict.to_owned()],
        ..Default::default()
    };
    let builder = Pair::builder()
        .options(NodeId::A, fencing("false"))
        .options(NodeId::B, fencing("true"));
    let mut pair = builder.start().expect("a pair");
    let unit = pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let mut writer = Writer::start(
        pair.a(),
        0,
        Slots {
            first: 0,
            count: HALF,
        },
    );
    writer.advance(WRITES).expect("I/O before the kill");
    pair.kill9(NodeId::A, Transport);
    pair.kill9(NodeId::A, Stmfd);
    writer.stop().expect("never left without an answer");
    // While node B still believes in its peer, it refuses: there would be two owners.
    until(PATIENCE, "node B to notice", || {
        Ok((pair.b().channel()? != "up").then_some(()))
    })
    .expect("noticed");
    pair.b()
        .stmfadm(&["failover", "--force", &unit.guid])
        .expect("a forced switch with a positive verdict");
    pair.wait_access(NodeId::B, &unit, "active").expect("active on B");
    writer
        .verify(pair.b())
        .expect("acknowledged data on the new owner");
}

#[test]
fn a_forced_switch_without_a_positive_verdict_is_refused() {
    let options = conformance::node::DaemonOptions {
        arguments: vec!["--fencing-command".to_owned(), "false".to_owned()],
        ..Default::default()
    };
    let mut pair = Pair::builder()
        .options(NodeId::B, options)
        .start()
        .expect("a pair");
    let unit = pair.create_unit("disk", 16 << 20, 0).expect("a logical unit");
    pair.kill9(NodeId::A, Transport);
    pair.kill9(NodeId::A, Stmfd);
    let refused = pair
        .b()
        .stmfadm_raw(&["failover", "--force", &unit.guid])
        .expect("stmfadm runs");
    assert!(!refused.success(), "{refused:?}");
    assert_eq!(
        pair.b().access_state(&unit.guid).expect("a list").as_deref(),
        Some("standby")
    );
}
