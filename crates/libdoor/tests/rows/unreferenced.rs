//! References and unreferenced invocations: `tests/c/rows_unreferenced.c`.

use crate::row;

#[test]
fn dr_123_unref_is_delivered_once() {
    row(123);
}

#[test]
fn dr_124_unref_multi_is_delivered_every_time() {
    row(124);
}

#[test]
fn dr_125_unref_attribute_vanishes_when_delivered() {
    row(125);
}

#[test]
fn dr_126_closing_the_only_descriptor_notifies_nobody() {
    row(126);
}

#[test]
fn dr_127_end_of_a_forked_child_is_noticed() {
    row(127);
}

#[test]
fn dr_128_detaching_is_noticed() {
    row(128);
}

#[test]
fn dr_129_open_client_delays_the_notification() {
    row(129);
}

#[test]
fn dr_130_released_copy_is_noticed_when_the_client_closes_or_dies() {
    row(130);
}

#[test]
fn dr_131_notification_waits_for_the_running_call() {
    row(131);
}

#[test]
fn dr_132_unref_invocation_takes_no_result() {
    row(132);
}

#[test]
fn dr_133_info_in_the_invocation_says_is_unref() {
    row(133);
}

#[test]
fn dr_134_data_min_does_not_apply_to_notifications() {
    row(134);
}

#[test]
fn dr_135_revoked_door_notifies_nobody() {
    row(135);
}

#[test]
fn dr_136_bindings_are_no_references() {
    row(136);
}

#[test]
fn dr_137_is_unref_follows_copies() {
    row(137);
}

#[test]
fn dr_170_result_dropped_for_an_aborted_caller_is_noticed() {
    row(170);
}

#[test]
fn dr_175_reference_lost_during_a_notification_is_noticed() {
    row(175);
}
