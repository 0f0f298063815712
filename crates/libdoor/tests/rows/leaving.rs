//! What `door_return` leaves behind: `tests/c/rows_leaving.c`.

use crate::row;

#[test]
fn every_procedure_starts_at_the_same_stack_address() {
    row(901);
}

#[test]
fn floating_point_control_words_are_restored() {
    row(902);
}

#[test]
fn pthread_exit_runs_the_handlers_of_all_frames_below() {
    row(903);
}

#[test]
fn asynchronous_cancellation_runs_the_handlers_of_all_frames_below() {
    row(904);
}

#[test]
fn failed_calls_report_their_errno_every_time() {
    row(905);
}

#[test]
fn every_answer_is_right_under_signals_threads_and_descriptors() {
    row(906);
}
