//! Unit attentions, REQUEST SENSE, reservations, resets.

use super::*;

#[test]
fn st_144_the_first_command_of_a_nexus_reports_power_on_and_the_second_does_not() {
    let mut bench = Bench::active();
    bench.lu.nexus_added(NexusId(9));
    assert_eq!(
        bench.send(NexusId(9), &TEST_UNIT_READY),
        attention(UnitAttention::PowerOnOrReset)
    );
    assert_eq!(bench.send(NexusId(9), &TEST_UNIT_READY), good());
}

#[test]
fn st_083_a_proxied_nexus_is_never_told_anything() {
    let mut bench = Bench::active();
    bench.lu.nexus_added(NexusId(9));
    bench.lu.raise(UnitAttention::CapacityChanged, None);
    bench.through_proxy = true;
    assert_eq!(bench.send(NexusId(9), &TEST_UNIT_READY), good());
    assert_eq!(bench.data(&REQUEST_SENSE)[2], 0, "not as data either");
}

#[test]
fn a_standby_nexus_gets_no_power_on() {
    let mut bench = Bench::standby(StandbyIo::Full);
    bench.lu.nexus_added(NexusId(9));
    assert_eq!(bench.send(NexusId(9), &TEST_UNIT_READY), Action::Proxy);
}

#[test]
fn inquiry_and_report_luns_neither_report_nor_consume_and_request_sense_returns_it_as_data() {
    let mut bench = Bench::active();
    bench.lu.raise(UnitAttention::AccessStateChanged, None);
    bench.data(&INQUIRY);
    bench.data(&[0xA0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    let sense = bench.data(&REQUEST_SENSE);
    assert_eq!((sense[0], sense[2], sense[12], sense[13]), (0x70, 6, 0x2A, 0x06));
    assert_eq!(bench.send(I1, &TEST_UNIT_READY), good());
    assert_eq!(
        bench.send(I2, &TEST_UNIT_READY),
        attention(UnitAttention::AccessStateChanged)
    );
}

#[test]
fn st_128_report_luns_takes_back_the_change_it_answers() {
    let mut bench = Bench::active();
    bench.lu.raise_on(I1, UnitAttention::ReportedLunsChanged);
    bench.data(&[0xA0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(bench.send(I1, &TEST_UNIT_READY), good());
    bench.lu.raise_on(I1, UnitAttention::ReportedLunsChanged);
    let Action::Respond(response) = bench.send(I1, &TEST_UNIT_READY) else {
        panic!("an answer")
    };
    assert_eq!(
        response.unit_attention(),
        Some(UnitAttention::ReportedLunsChanged)
    );
}

#[test]
fn read_capacity_swallows_the_capacity_change_but_not_power_on() {
    let mut bench = Bench::active();
    bench.lu.raise(UnitAttention::CapacityChanged, None);
    assert_eq!(bench.data(&READ_CAPACITY_10).len(), 8);
    assert_eq!(bench.send(I1, &TEST_UNIT_READY), good());
    bench.lu.raise(UnitAttention::CapacityChanged, None);
    bench.lu.raise(UnitAttention::PowerOnOrReset, None);
    assert_eq!(
        bench.send(I1, &READ_CAPACITY_10),
        attention(UnitAttention::PowerOnOrReset)
    );
}

#[test]
fn st_152_what_the_original_forgot_to_report_is_reported() {
    let mut bench = Bench::active();
    for lost in [
        UnitAttention::ReservationsPreempted,
        UnitAttention::ReservationsReleased,
        UnitAttention::RegistrationsPreempted,
    ] {
        bench.lu.raise_on(I2, lost);
        assert_eq!(bench.send(I2, &TEST_UNIT_READY), attention(lost));
        assert_eq!(bench.send(I2, &TEST_UNIT_READY), good());
    }
}

#[test]
fn st_156_request_sense_returns_18_bytes_of_no_sense() {
    let mut bench = Bench::active();
    let mut expected = [0; 18];
    (expected[0], expected[7]) = (0x70, 10);
    assert_eq!(bench.data(&REQUEST_SENSE), expected);
    assert_eq!(bench.data(&[0x03, 1, 0, 0, 252, 0]), [0x72, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.data(&[0x03, 0, 0, 0, 0, 0]), []);
}

#[test]
fn st_078_a_reset_tells_the_issuer_power_on_and_the_others_device_reset() {
    let mut bench = Bench::active();
    bench.lu.reset(Some(I1));
    assert_eq!(
        bench.send(I1, &TEST_UNIT_READY),
        attention(UnitAttention::PowerOnOrReset)
    );
    assert_eq!(
        bench.send(I2, &TEST_UNIT_READY),
        attention(UnitAttention::BusDeviceReset)
    );
}

#[test]
fn st_082_a_reservation_keeps_others_out_until_its_session_ends() {
    let mut bench = Bench::active();
    assert_eq!(bench.send(I1, &[0x16, 0, 0, 0, 0, 0]), good());
    let conflict = Action::Respond(Response::status(Status::ReservationConflict));
    assert_eq!(bench.send(I2, &READ_10), conflict);
    assert_eq!(bench.send(I2, &[0x16, 0, 0, 0, 0, 0]), conflict);
    assert_eq!(
        bench.send(I2, &[0x17, 0, 0, 0, 0, 0]),
        good(),
        "a release by another has no effect"
    );
    assert_eq!(bench.send(I2, &READ_10), conflict);
    bench.data(&INQUIRY);
    assert!(matches!(bench.send(I1, &READ_10), Action::Medium(_)));
    bench.lu.nexus_removed(I1);
    assert!(matches!(bench.send(I2, &READ_10), Action::Medium(_)));
}

#[test]
fn a_conflict_comes_before_all_unit_attentions_but_power_on() {
    let mut bench = Bench::active();
    bench.send(I1, &[0x16, 0, 0, 0, 0, 0]);
    bench.lu.raise_on(I2, UnitAttention::CapacityChanged);
    let conflict = Action::Respond(Response::status(Status::ReservationConflict));
    assert_eq!(bench.send(I2, &READ_10), conflict);
    bench.lu.raise_on(I2, UnitAttention::PowerOnOrReset);
    assert_eq!(bench.send(I2, &READ_10), attention(UnitAttention::PowerOnOrReset));
    assert_eq!(bench.send(I2, &READ_10), conflict);
}

#[test]
fn st_102_a_reservation_does_not_survive_a_hand_over() {
    let mut bench = Bench::active();
    bench.send(I1, &[0x16, 0, 0, 0, 0, 0]);
    bench.lu.set_access(AccessState::ActiveToStandby, true);
    bench.lu.set_access(AccessState::Standby, false);
    bench.lu.set_access(AccessState::Active, false);
    for _ in 0..2 {
        bench.send(I2, &TEST_UNIT_READY);
    }
    assert!(matches!(bench.send(I2, &WRITE_10), Action::DataOut { .. }));
}

#[test]
fn a_nexus_nobody_announced_is_served_and_told_nothing() {
    let mut bench = Bench::active();
    bench.lu.raise(UnitAttention::CapacityChanged, None);
    assert_eq!(bench.send(NexusId(77), &TEST_UNIT_READY), good());
    assert_eq!(bench.lu.nexuses().collect::<Vec<_>>(), [I1, I2]);
}
