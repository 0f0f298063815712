//! Callers that give up: `tests/c/rows_abort.c`.

use crate::row;

#[test]
fn dr_065_signal_gives_eintr_despite_sa_restart() {
    row(65);
}

#[test]
fn dr_066_ignored_signals_do_not_disturb() {
    row(66);
}

#[test]
fn dr_067_stop_and_continue_do_not_disturb() {
    row(67);
}

#[test]
fn dr_068_signal_while_waiting_for_a_thread_gives_eagain() {
    row(68);
}

#[test]
fn dr_069_no_cancel_spares_the_server_thread() {
    row(69);
}

#[test]
fn dr_070_abort_cancels_a_willing_server_thread() {
    row(70);
}

#[test]
fn dr_071_default_thread_finishes_after_an_abort() {
    row(71);
}

#[test]
fn dr_072_aborted_caller_has_no_credentials() {
    row(72);
}

#[test]
fn dr_073_result_for_an_aborted_caller_is_dropped() {
    row(73);
}

#[test]
fn dr_074_killed_caller_is_like_an_aborted_one() {
    row(74);
}

#[test]
fn dr_075_default_threads_have_cancellation_disabled() {
    row(75);
}

#[test]
fn dr_076_cancelling_a_sleeping_caller_ends_it() {
    row(76);
}
