//! Standby, transition, promotion.

use super::*;

const UNKNOWN: [u8; 16] = [0xC5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const READS: [&[u8]; 4] = [&[0x08], &[0x28], &[0xA8], &[0x88]];
const WRITES: [&[u8]; 14] = [
    &[0x0A],
    &[0x2A],
    &[0xAA],
    &[0x8A],
    &[0x41],
    &[0x93],
    &[0x42],
    &[0x35],
    &[0x91],
    &[0x2F],
    &[0xAF],
    &[0x8F],
    &[0x2E],
    &[0xAE],
];
/// The commands without medium access that are forwarded under every policy.
const FORWARDED: [&[u8]; 14] = [
    &[0x00],
    &[0x12],
    &[0x1A],
    &[0x5A],
    &[0x15],
    &[0x55],
    &[0x16],
    &[0x17],
    &[0x5E],
    &[0x5F],
    &[0x25],
    &[0x9E, 0x10],
    &[0x1B],
    &[0xA3, 0x05],
];

fn padded(head: &[u8]) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[..head.len()].copy_from_slice(head);
    cdb
}

fn answers(bench: &mut Bench, cdbs: &[&[u8]], expected: &Action) {
    for cdb in cdbs {
        assert_eq!(bench.send(I1, &padded(cdb)), *expected, "{cdb:02X?}");
    }
}

#[test]
fn st_056_st_062_full_forwards_everything() {
    let mut bench = Bench::standby(StandbyIo::Full);
    answers(&mut bench, &READS, &Action::Proxy);
    answers(&mut bench, &WRITES, &Action::Proxy);
    answers(&mut bench, &FORWARDED, &Action::Proxy);
    assert_eq!(bench.send(I1, &UNKNOWN), check(Sense::INVALID_OPCODE));
}

#[test]
fn st_060_st_061_st_066_compat_forwards_reads_and_a_list_and_refuses_the_rest() {
    let mut bench = Bench::standby(StandbyIo::Compat);
    answers(&mut bench, &READS, &Action::Proxy);
    answers(&mut bench, &FORWARDED, &Action::Proxy);
    answers(&mut bench, &WRITES, &check(Sense::STANDBY));
    answers(
        &mut bench,
        &[&UNKNOWN, &[0x89], &[0x83], &[0x84], &[0xA3, 0x0C]],
        &check(Sense::STANDBY),
    );
}

#[test]
fn reject_reads_refuses_reads_too() {
    let mut bench = Bench::standby(StandbyIo::RejectReads);
    answers(&mut bench, &READS, &check(Sense::STANDBY));
    answers(&mut bench, &FORWARDED, &Action::Proxy);
}

#[test]
fn st_065_report_luns_rtpg_and_request_sense_are_answered_without_the_peer() {
    for standby_io in [StandbyIo::Full, StandbyIo::Compat, StandbyIo::RejectReads] {
        let mut bench = Bench::standby(standby_io);
        for channel_up in [true, false] {
            bench.pair.channel_up = channel_up;
            bench.data(&[0xA0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
            bench.data(&RTPG);
            bench.data(&REQUEST_SENSE);
        }
    }
}

#[test]
fn st_044_st_067_without_the_peer_media_commands_are_unavailable() {
    for standby_io in [StandbyIo::Full, StandbyIo::Compat] {
        let mut bench = Bench::standby(standby_io);
        bench.pair.channel_up = false;
        answers(&mut bench, &READS, &check(Sense::UNAVAILABLE));
        assert_eq!(
            bench.send(I1, &TEST_UNIT_READY),
            check(Sense::STANDBY),
            "a usable path after a switch"
        );
        assert_eq!(bench.data(&INQUIRY)[5] & 0x30, 0x10);
        bench.pair.alua_enabled = false;
        bench.pair.channel_up = true;
        answers(&mut bench, &READS, &check(Sense::UNAVAILABLE));
        assert_eq!(bench.send(I1, &TEST_UNIT_READY), check(Sense::UNAVAILABLE));
    }
}

#[test]
fn what_came_through_the_proxy_is_never_sent_back() {
    for access in [
        AccessState::Standby,
        AccessState::ActiveToStandby,
        AccessState::StandbyToActive,
    ] {
        for standby_io in [StandbyIo::Full, StandbyIo::Compat, StandbyIo::RejectReads] {
            for hold in [false, true] {
                let mut bench = Bench::standby(standby_io);
                bench.lu.set_access(access, hold);
                bench.through_proxy = true;
                let sense = if access == AccessState::Standby {
                    Sense::STANDBY
                } else {
                    Sense::TRANSITION
                };
                answers(&mut bench, &READS, &check(sense));
                answers(&mut bench, &WRITES, &check(sense));
                assert_eq!(bench.send(I1, &TEST_UNIT_READY), check(sense));
            }
        }
    }
}

#[test]
fn st_086_in_transition_media_commands_are_refused_and_discovery_is_served() {
    let mut bench = Bench::active();
    bench.lu.set_access(AccessState::ActiveToStandby, false);
    answers(&mut bench, &READS, &check(Sense::TRANSITION));
    answers(&mut bench, &WRITES, &check(Sense::TRANSITION));
    answers(
        &mut bench,
        &[&TEST_UNIT_READY, &UNKNOWN],
        &check(Sense::TRANSITION),
    );
    bench.data(&INQUIRY);
    bench.data(&[0xA0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    let groups = bench.data(&RTPG);
    assert_eq!(groups[4] & 0x0F, 0xF);
    let sense = bench.data(&REQUEST_SENSE);
    assert_eq!((sense[2], sense[12], sense[13]), (2, 4, 0x0A));
}

#[test]
fn st_091_a_planned_hand_over_holds_commands_instead() {
    for access in [AccessState::ActiveToStandby, AccessState::StandbyToActive] {
        let mut bench = Bench::active();
        bench.lu.set_access(access, true);
        answers(&mut bench, &READS, &Action::Hold);
        answers(&mut bench, &WRITES, &Action::Hold);
        answers(&mut bench, &[&TEST_UNIT_READY], &Action::Hold);
        bench.data(&INQUIRY);
        bench.data(&RTPG);
    }
}

#[test]
fn a_held_command_goes_on_where_the_transition_ends() {
    let mut bench = Bench::active();
    bench.lu.set_access(AccessState::ActiveToStandby, true);
    assert_eq!(bench.send(I1, &READ_10), Action::Hold);
    bench.lu.set_access(AccessState::Standby, true);
    assert_eq!(
        bench.send(I1, &READ_10),
        attention(UnitAttention::AccessStateChanged)
    );
    assert_eq!(bench.send(I1, &READ_10), Action::Proxy);
}

#[test]
fn st_088_the_old_owner_tells_each_nexus_once() {
    let mut bench = Bench::active();
    bench.lu.set_access(AccessState::ActiveToStandby, true);
    bench.lu.set_access(AccessState::Standby, false);
    for nexus in [I1, I2] {
        assert_eq!(
            bench.send(nexus, &READ_10),
            attention(UnitAttention::AccessStateChanged)
        );
        assert_eq!(bench.send(nexus, &READ_10), Action::Proxy);
    }
}

#[test]
fn st_089_the_new_owner_tells_power_on_and_then_the_change() {
    let mut bench = Bench::standby(StandbyIo::Full);
    bench.lu.set_access(AccessState::StandbyToActive, true);
    bench.lu.set_access(AccessState::Active, false);
    assert_eq!(
        bench.send(I1, &TEST_UNIT_READY),
        attention(UnitAttention::PowerOnOrReset)
    );
    assert_eq!(
        bench.send(I1, &TEST_UNIT_READY),
        attention(UnitAttention::AccessStateChanged)
    );
    assert_eq!(bench.send(I1, &TEST_UNIT_READY), good());
}

#[test]
fn st_092_a_demotion_that_is_taken_back_makes_it_active_again() {
    let mut bench = Bench::active();
    bench.lu.set_access(AccessState::ActiveToStandby, true);
    bench.lu.set_access(AccessState::Active, false);
    assert_eq!(
        bench.send(I1, &READ_10),
        attention(UnitAttention::AccessStateChanged)
    );
    assert!(matches!(bench.send(I1, &READ_10), Action::Medium(_)));
}

#[test]
fn a_promotion_that_fails_leaves_a_silent_standby() {
    let mut bench = Bench::standby(StandbyIo::Full);
    bench.lu.set_access(AccessState::StandbyToActive, true);
    bench.lu.set_access(AccessState::Standby, false);
    assert_eq!(bench.send(I1, &READ_10), Action::Proxy);
}

#[test]
fn st_043_st_090_both_nodes_give_the_same_answer_byte_for_byte() {
    let mut owner = Bench::active();
    let mut other = Bench::standby(StandbyIo::Full);
    other.pair.local_node = 1;
    core::mem::swap(&mut other.pair.local_ports, &mut other.pair.peer_ports);
    assert_eq!(owner.data(&RTPG), other.data(&RTPG));
    assert_eq!(owner.data(&RTPG)[9], 0, "nothing has changed yet");
    owner.lu.set_access(AccessState::ActiveToStandby, true);
    other.lu.set_access(AccessState::StandbyToActive, true);
    assert_eq!(owner.data(&RTPG), other.data(&RTPG));
    owner.lu.set_access(AccessState::Standby, false);
    other.lu.set_access(AccessState::Active, false);
    for bench in [&mut owner, &mut other] {
        while bench.send(I1, &TEST_UNIT_READY) != bench.send(I1, &TEST_UNIT_READY) {}
    }
    let answer = owner.data(&RTPG);
    assert_eq!(answer, other.data(&RTPG));
    assert_eq!(answer[9], 2, "altered by implicit behaviour");
    assert_eq!(
        (answer[4], answer[20]),
        (0x01, 0x80),
        "node 1 has it now, and is preferred"
    );
}

#[test]
fn st_045_rtpg_allocation_lengths() {
    let mut bench = Bench::active();
    let rtpg = |length: u8| [0xA3, 0x0A, 0, 0, 0, 0, 0, 0, 0, length, 0, 0];
    assert_eq!(bench.data(&rtpg(0)), []);
    assert_eq!(bench.send(I1, &rtpg(3)), check(Sense::INVALID_FIELD_IN_CDB));
    let full = bench.data(&RTPG);
    assert_eq!(bench.data(&rtpg(8)), full[..8]);
    assert_eq!(full[..4], u32::try_from(full.len() - 4).unwrap().to_be_bytes());
}

#[test]
fn st_046_the_extended_header_has_a_transition_time() {
    let mut bench = Bench::active();
    let data = bench.data(&[0xA3, 0x2A, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(data[4..8], [0x10, 60, 0, 0]);
}

#[test]
fn a_write_taken_in_before_a_hand_over_still_reaches_the_medium_but_not_after_it() {
    let mut bench = Bench::active();
    let (port, pair) = (bench.port.clone(), bench.pair.clone());
    let Action::DataOut { then, .. } = bench.send(I1, &WRITE_10) else {
        panic!("data out")
    };
    bench.lu.set_access(AccessState::ActiveToStandby, true);
    let command = bench.command(I1, &WRITE_10, &port, &pair);
    let action = bench.lu.resume(then.clone(), &[], &command);
    let write = MediumOp::Write {
        offset: 16 * 512,
        length: 4096,
        fua: false,
    };
    assert_eq!(action, Action::Medium(write.clone()));
    assert_eq!(
        bench.lu.medium_done(&write, Err(MediumError::Gone)),
        Response::check(Sense::TRANSITION)
    );
    bench.lu.set_access(AccessState::Standby, false);
    assert_eq!(bench.lu.resume(then, &[], &command), check(Sense::STANDBY));
    assert_eq!(
        bench.lu.medium_done(&write, Err(MediumError::Gone)),
        Response::check(Sense::STANDBY)
    );
}

#[test]
fn st_108_a_resize_is_told_on_the_standby_node_too() {
    let mut bench = Bench::standby(StandbyIo::Full);
    bench.lu.modify(LuProperties {
        blocks: 7,
        ..properties()
    });
    assert_eq!(
        bench.send(I1, &TEST_UNIT_READY),
        attention(UnitAttention::CapacityChanged)
    );
    assert_eq!(bench.send(I1, &TEST_UNIT_READY), Action::Proxy);
}
