//! Names in the file system: `tests/c/rows_path.c`.

use crate::row;

#[test]
fn dr_138_attached_door_is_opened_and_called() {
    row(138);
}

#[test]
fn dr_139_attaching_to_nothing_is_enoent() {
    row(139);
}

#[test]
fn dr_140_attaching_what_is_no_door_fails() {
    row(140);
}

#[test]
fn dr_141_attaching_twice_is_ebusy() {
    row(141);
}

#[test]
fn dr_142_attaching_to_a_foreign_file_is_eperm() {
    row(142);
}

#[test]
fn dr_143_attaching_to_an_unwritable_file_is_eacces() {
    row(143);
}

#[test]
fn dr_144_one_door_has_many_names() {
    row(144);
}

#[test]
fn dr_145_opening_needs_permission() {
    row(145);
}

#[test]
fn dr_146_detaching_restores_the_file() {
    row(146);
}

#[test]
fn dr_147_detaching_what_is_not_attached_fails() {
    row(147);
}

#[test]
fn dr_148_name_of_a_dead_server() {
    row(148);
}

#[test]
fn dr_149_unlink_removes_the_name() {
    row(149);
}

#[test]
fn dr_150_symlinks_are_followed() {
    row(150);
}

#[test]
fn dr_151_opened_door_cannot_be_attached_again() {
    row(151);
}

#[test]
fn dr_174_access_mode_of_the_descriptor_is_ignored() {
    row(174);
}
