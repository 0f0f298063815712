//! Arguments and results: `tests/c/rows_call.c`.

use crate::row;

#[test]
fn dr_015_echoes_every_size_into_a_large_rbuf() {
    row(15);
}

#[test]
fn dr_016_no_data_arrives_as_null() {
    row(16);
}

#[test]
fn dr_017_null_params_send_and_receive_nothing() {
    row(17);
}

#[test]
fn dr_018_result_for_null_params_is_e2big_in_the_server() {
    row(18);
}

#[test]
fn dr_019_empty_result_leaves_pointers_alone() {
    row(19);
}

#[test]
fn dr_020_no_rbuf_gets_a_fresh_mapping() {
    row(20);
}

#[test]
fn dr_021_one_byte_too_many_gets_a_mapping_and_spares_rbuf() {
    row(21);
}

#[test]
fn dr_022_exactly_rsize_needs_no_mapping() {
    row(22);
}

#[test]
fn dr_023_data_and_rbuf_may_be_the_same() {
    row(23);
}

#[test]
fn dr_024_server_may_answer_in_place() {
    row(24);
}

#[test]
fn dr_025_failed_call_leaves_params_alone() {
    row(25);
}

#[test]
fn dr_026_argument_is_aligned_to_16() {
    row(26);
}

#[test]
fn dr_027_bad_params_come_before_a_bad_descriptor() {
    row(27);
}

#[test]
fn dr_028_bad_data_is_efault_and_runs_nothing() {
    row(28);
}

#[test]
fn dr_029_bad_descriptor_array_is_efault() {
    row(29);
}

#[test]
fn dr_030_bad_rbuf_is_efault_and_the_server_goes_on() {
    row(30);
}

#[test]
fn dr_031_unref_data_cannot_be_forged() {
    row(31);
}

#[test]
fn dr_032_huge_request_is_served_or_e2big() {
    row(32);
}

#[test]
fn dr_033_data_min_is_enforced() {
    row(33);
}

#[test]
fn dr_034_data_max_is_enforced() {
    row(34);
}

#[test]
fn dr_035_data_max_zero_allows_empty_calls() {
    row(35);
}

#[test]
fn dr_036_limits_do_not_apply_to_results() {
    row(36);
}

#[test]
fn dr_040_data_is_checked_before_descriptors() {
    row(40);
}

#[test]
fn dr_161_mappings_of_results_do_not_pile_up() {
    row(161);
}

#[test]
fn dr_164_empty_reply_is_a_success() {
    row(164);
}

#[test]
fn dr_166_null_rbuf_with_a_size_is_efault() {
    row(166);
}

#[test]
fn dr_167_zero_rsize_gets_a_mapping() {
    row(167);
}

#[test]
fn dr_168_request_is_a_snapshot() {
    row(168);
}

#[test]
fn dr_171_negative_descriptors_are_ebadf() {
    row(171);
}
