//! Server threads and pools: `tests/c/rows_pool.c`.

use crate::row;

#[test]
fn dr_077_calls_run_concurrently() {
    row(77);
}

#[test]
fn dr_078_no_growth_while_a_thread_is_spare() {
    row(78);
}

#[test]
fn dr_079_depletion_runs_before_the_procedure_on_its_thread() {
    row(79);
}

#[test]
fn dr_080_second_call_waits_for_a_bounded_pool() {
    row(80);
}

#[test]
fn dr_081_depletion_of_a_private_pool_is_marked() {
    row(81);
}

#[test]
fn dr_082_server_create_returns_the_function_before() {
    row(82);
}

#[test]
fn dr_083_bound_threads_serve_their_door_only() {
    row(83);
}

#[test]
fn dr_084_process_pool_door_cannot_be_bound() {
    row(84);
}

#[test]
fn dr_085_foreign_private_door_cannot_be_bound() {
    row(85);
}

#[test]
fn dr_086_unbinding_an_unbound_thread_is_ebadf() {
    row(86);
}

#[test]
fn dr_087_binding_again_moves_the_thread() {
    row(87);
}

#[test]
fn dr_088_query_tells_the_bound_door() {
    row(88);
}

#[test]
fn dr_089_unbound_thread_returns_to_the_process_pool() {
    row(89);
}

#[test]
fn dr_090_main_thread_can_serve() {
    row(90);
}

#[test]
fn dr_091_door_return_outside_a_call_ignores_its_data() {
    row(91);
}

#[test]
fn dr_092_failed_door_return_can_be_repeated() {
    row(92);
}

#[test]
fn dr_093_too_many_descriptors_in_a_result_is_e2big() {
    row(93);
}

#[test]
fn dr_094_parked_thread_handles_signals_and_serves_on() {
    row(94);
}

#[test]
fn dr_095_xcreate_checks_its_arguments() {
    row(95);
}

#[test]
fn dr_096_xcreate_reports_a_creation_function_that_declines_or_fails() {
    row(96);
}

#[test]
fn dr_097_xcreate_starts_all_threads_before_it_returns() {
    row(97);
}

#[test]
fn dr_098_xcreate_threads_have_cancellation_disabled() {
    row(98);
}

#[test]
fn dr_099_no_depletion_callback_keeps_the_pool_fixed() {
    row(99);
}

#[test]
fn dr_100_xcreate_pool_grows_through_its_own_function() {
    row(100);
}

#[test]
fn dr_173_last_parked_thread_serves_first() {
    row(173);
}

#[test]
fn a_thread_that_dozes_for_one_client_serves_another() {
    row(950);
}

#[test]
fn xcreate_comes_back_if_a_set_up_function_ends_its_thread() {
    row(951);
}

#[test]
fn a_pool_whose_new_thread_ends_in_its_set_up_serves_on() {
    row(952);
}
