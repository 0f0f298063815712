//! Making doors, information, parameters: `tests/c/rows_create.c`.

use crate::row;

#[test]
fn dr_001_creates_at_the_lowest_free_descriptor() {
    row(1);
}

#[test]
fn dr_002_creates_close_on_exec() {
    row(2);
}

#[test]
fn dr_003_refuses_unknown_attributes() {
    row(3);
}

#[test]
fn dr_004_refuses_both_kinds_of_unref() {
    row(4);
}

#[test]
fn dr_005_refuses_attributes_of_xcreate() {
    row(5);
}

#[test]
fn dr_006_refuses_output_only_attributes() {
    row(6);
}

#[test]
fn dr_007_one_free_number_is_enough() {
    row(7);
}

#[test]
fn dr_008_identities_differ_and_grow() {
    row(8);
}

#[test]
fn dr_009_info_of_a_fresh_door() {
    row(9);
}

#[test]
fn dr_010_creation_function_runs_once_for_the_process_pool() {
    row(10);
}

#[test]
fn dr_011_creation_function_runs_once_per_private_door() {
    row(11);
}

#[test]
fn dr_012_private_door_without_threads_blocks_until_a_signal() {
    row(12);
}

#[test]
fn dr_013_blocked_call_is_served_when_a_thread_binds() {
    row(13);
}

#[test]
fn dr_014_what_is_not_a_door_gives_ebadf() {
    row(14);
}

#[test]
fn dr_042_parameters_of_a_fresh_door() {
    row(42);
}

#[test]
fn dr_043_refuse_desc_fixes_desc_max_at_zero() {
    row(43);
}

#[test]
fn dr_044_desc_max_above_int_max_is_erange() {
    row(44);
}

#[test]
fn dr_045_erange_comes_before_enotsup() {
    row(45);
}

#[test]
fn dr_046_data_min_above_data_max_is_einval() {
    row(46);
}

#[test]
fn dr_047_data_max_below_data_min_is_einval() {
    row(47);
}

#[test]
fn dr_048_unknown_parameters_are_einval() {
    row(48);
}

#[test]
fn dr_049_only_the_owner_sets_parameters() {
    row(49);
}

#[test]
fn dr_050_revoked_door_tells_parameters_but_takes_none() {
    row(50);
}

#[test]
fn dr_051_getparam_to_a_bad_address_is_efault() {
    row(51);
}
