//! Forks, threads, travelling descriptors: `tests/c/rows_process.c`.

use crate::row;

#[test]
fn dr_152_forked_child_calls_its_parent() {
    row(152);
}

#[test]
fn dr_153_forked_child_does_not_own_the_door() {
    row(153);
}

#[test]
fn dr_154_end_of_a_forked_child_leaves_the_door_alone() {
    row(154);
}

#[test]
fn dr_155_forked_child_makes_doors_of_its_own() {
    row(155);
}

#[test]
fn dr_156_threads_share_a_descriptor() {
    row(156);
}

#[test]
fn dr_157_closing_does_not_disturb_a_running_call() {
    row(157);
}

#[test]
fn dr_158_door_travels_over_a_socket() {
    row(158);
}

#[test]
fn dr_159_created_door_is_closed_by_exec_received_one_is_not() {
    row(159);
}

#[test]
fn dr_162_limits_apply_to_later_calls_only() {
    row(162);
}

#[test]
fn dr_163_copy_of_the_descriptor_works_when_the_original_is_closed() {
    row(163);
}
