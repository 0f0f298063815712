//! Revocation and the end of servers: `tests/c/rows_revoke.c`.

use crate::row;

#[test]
fn dr_052_revoke_closes_the_descriptor() {
    row(52);
}

#[test]
fn dr_053_revoked_door_cannot_be_called_but_asked() {
    row(53);
}

#[test]
fn dr_054_only_the_owner_revokes() {
    row(54);
}

#[test]
fn dr_055_running_call_survives_revocation() {
    row(55);
}

#[test]
fn dr_056_waiting_call_ends_with_ebadf_at_revocation() {
    row(56);
}

#[test]
fn dr_057_revoking_twice_succeeds() {
    row(57);
}

#[test]
fn dr_058_server_killed_in_the_call_gives_eintr() {
    row(58);
}

#[test]
fn dr_059_dead_server_gives_ebadf_and_no_target() {
    row(59);
}

#[test]
fn dr_060_waiting_call_ends_with_ebadf_when_the_server_exits() {
    row(60);
}

#[test]
fn dr_061_exit_of_the_server_thread_gives_eintr() {
    row(61);
}

#[test]
fn dr_062_return_of_the_procedure_gives_eintr() {
    row(62);
}

#[test]
fn dr_063_exec_in_the_server_ends_its_doors() {
    row(63);
}

#[test]
fn dr_064_door_outlives_the_servers_own_descriptor() {
    row(64);
}

#[test]
fn call_after_revocation_does_not_wait_for_a_thread() {
    row(907);
}
