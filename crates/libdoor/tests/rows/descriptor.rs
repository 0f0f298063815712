//! Descriptors that are passed: `tests/c/rows_descriptor.c`.

use crate::row;

#[test]
fn dr_037_refuse_desc_refuses_descriptors() {
    row(37);
}

#[test]
fn dr_038_refuse_desc_does_not_bind_results() {
    row(38);
}

#[test]
fn dr_039_desc_max_is_enforced() {
    row(39);
}

#[test]
fn dr_041_too_many_descriptors_is_e2big_and_closes_none() {
    row(41);
}

#[test]
fn dr_101_result_descriptor_is_shared_and_plain() {
    row(101);
}

#[test]
fn dr_102_released_result_descriptor_is_closed_in_the_server() {
    row(102);
}

#[test]
fn dr_103_descriptors_follow_the_data_at_a_multiple_of_24() {
    row(103);
}

#[test]
fn dr_104_mapping_holds_data_and_descriptors() {
    row(104);
}

#[test]
fn dr_105_passed_door_carries_its_attributes_and_identity() {
    row(105);
}

#[test]
fn dr_106_door_sent_home_is_local() {
    row(106);
}

#[test]
fn dr_107_descriptors_arrive_in_order_at_the_lowest_numbers() {
    row(107);
}

#[test]
fn dr_108_bad_entry_closes_all_released_ones() {
    row(108);
}

#[test]
fn dr_109_entry_must_be_marked_as_descriptor() {
    row(109);
}

#[test]
fn dr_110_same_released_descriptor_twice_is_einval() {
    row(110);
}

#[test]
fn dr_111_full_server_fails_the_call_and_recovers() {
    row(111);
}

#[test]
fn dr_112_full_client_fails_door_return_and_goes_on_waiting() {
    row(112);
}

#[test]
fn dr_113_refused_call_leaves_released_descriptors_open() {
    row(113);
}

#[test]
fn dr_114_revoked_door_leaves_released_descriptors_open() {
    row(114);
}

#[test]
fn dr_115_interrupted_call_has_closed_released_descriptors() {
    row(115);
}

#[test]
fn dr_116_revoked_door_is_marked_when_passed() {
    row(116);
}

#[test]
fn dr_160_descriptors_stay_valid_without_the_mapping() {
    row(160);
}

#[test]
fn dr_169_door_return_can_be_repeated_once_the_client_has_room() {
    row(169);
}

#[test]
fn dr_172_nothing_but_the_result_is_written_to_rbuf() {
    row(172);
}
