//! Who is calling: `tests/c/rows_credential.c`.

use crate::row;

#[test]
fn dr_117_credentials_are_the_callers() {
    row(117);
}

#[test]
fn dr_118_no_credentials_outside_a_call() {
    row(118);
}

#[test]
fn dr_119_credentials_are_those_of_the_immediate_caller() {
    row(119);
}

#[test]
fn dr_120_ucred_is_allocated_once_and_used_again() {
    row(120);
}

#[test]
fn dr_121_own_door_is_served_by_another_thread() {
    row(121);
}

#[test]
fn dr_122_recursion_is_served() {
    row(122);
}
