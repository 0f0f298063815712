use super::*;
use proptest::prelude::*;

fn sixteen(head: &[u8]) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[..head.len()].copy_from_slice(head);
    cdb
}

#[test]
fn the_four_forms_of_read_make_one_value() {
    let expect = |lba, blocks, fua| Ok(Cdb::Read(Transfer { lba, blocks, fua }));
    assert_eq!(
        Cdb::parse(&[0x08, 0x1F, 0xFF, 0xFE, 1, 0]),
        expect(0x1F_FFFE, 1, false)
    );
    assert_eq!(Cdb::parse(&[0x08, 0xE0, 0, 0, 0, 0]), expect(0, 256, false));
    assert_eq!(
        Cdb::parse(&[0x28, 0x08, 1, 2, 3, 4, 0, 5, 6, 0]),
        expect(0x0102_0304, 0x0506, true)
    );
    assert_eq!(
        Cdb::parse(&[0x28, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]),
        expect(0, 0, false),
        "DPO is accepted"
    );
    assert_eq!(
        Cdb::parse(&[0xA8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0]),
        expect(0x0102_0304, 0x0506_0708, false)
    );
    assert_eq!(
        Cdb::parse(&[0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0]),
        expect(0x0102_0304_0506_0708, 0x090A_0B0C, false)
    );
}

#[test]
fn protection_is_refused_in_every_command_that_has_the_field() {
    for opcode in [
        0x28, 0x2A, 0x2E, 0x2F, 0x41, 0x88, 0x8A, 0x8E, 0x8F, 0x93, 0xA8, 0xAA, 0xAE, 0xAF,
    ] {
        for bit in [0x20, 0x40, 0x80] {
            let cdb = sixteen(&[opcode, bit, 0, 0, 0, 0, 0, 0, 1, 1, 0]);
            assert_eq!(
                Cdb::parse(&cdb),
                Err(CdbError::InvalidField),
                "{opcode:02X}h, byte 1 = {bit:02X}h"
            );
        }
    }
}

#[test]
fn fields_out_of_range_are_invalid_fields() {
    for (why, cdb) in [
        ("REQUEST SENSE, reserved bit", &[0x03, 0x02, 0, 0, 18, 0][..]),
        ("INQUIRY, page without EVPD", &[0x12, 0, 0x80, 0, 255, 0]),
        ("INQUIRY, CMDDT", &[0x12, 0x02, 0, 0, 255, 0]),
        ("INQUIRY, control", &[0x12, 0, 0, 0, 255, 1]),
        ("MODE SELECT, PF=0", &[0x15, 0x00, 0, 0, 24, 0]),
        ("RESERVE, third party", &[0x16, 0x10, 0, 0, 0, 0]),
        ("START STOP UNIT, LOEJ", &[0x1B, 0, 0, 0, 0x02, 0]),
        ("START STOP UNIT, power condition", &[0x1B, 0, 0, 0, 0x20, 0]),
        ("SEND DIAGNOSTIC, background self-test", &[0x1D, 0x20, 0, 0, 0, 0]),
        ("SEND DIAGNOSTIC, parameter list", &[0x1D, 0x10, 0, 0, 8, 0]),
        ("VERIFY, BYTCHK 11b", &[0x2F, 0x06, 0, 0, 0, 0, 0, 0, 1, 0]),
        ("VERIFY, BYTCHK 10b", &[0x2F, 0x04, 0, 0, 0, 0, 0, 0, 1, 0]),
        ("WRITE SAME, ANCHOR", &[0x41, 0x10, 0, 0, 0, 0, 0, 0, 1, 0]),
        ("WRITE SAME(10), NDOB", &[0x41, 0x01, 0, 0, 0, 0, 0, 0, 1, 0]),
        ("UNMAP, ANCHOR", &[0x42, 0x01, 0, 0, 0, 0, 0, 0, 24, 0]),
        ("REPORT LUNS, select", &[0xA0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
        (
            "REPORT LUNS, allocation",
            &[0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0],
        ),
        ("RTPG, format", &[0xA3, 0x4A, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
        ("RTPG, allocation", &[0xA3, 0x0A, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0]),
        ("NACA", &[0x00, 0, 0, 0, 0, 0x04]),
    ] {
        assert_eq!(Cdb::parse(cdb), Err(CdbError::InvalidField), "{why}");
    }
}

#[test]
fn st_045_an_allocation_length_of_zero_is_no_error() {
    let cdb = Cdb::parse(&[0xA3, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(cdb.allocation_length(), Some(0));
    assert_eq!(
        Cdb::parse(&[0x12, 0, 0, 0, 0, 0]).unwrap().allocation_length(),
        Some(0)
    );
}

#[test]
fn mode_sense_fields() {
    let cdb = Cdb::parse(&[0x5A, 0, 0x48, 0xFF, 0, 0, 0, 1, 2, 0]).unwrap();
    let expected = ModeSense {
        form: ModeForm::Ten,
        control: PageControl::Changeable,
        page: 8,
        subpage: 0xFF,
        allocation_length: 0x0102,
    };
    assert_eq!(cdb, Cdb::ModeSense(expected));
}

#[test]
fn unmap_lists_shorter_than_a_header_are_a_length_error() {
    for (length, expected) in [(0, true), (1, false), (7, false), (8, true), (24, true)] {
        let parsed = Cdb::parse(&[0x42, 0, 0, 0, 0, 0, 0, 0, length, 0]);
        assert_eq!(parsed.is_ok(), expected, "{length}");
    }
    let error = Cdb::parse(&[0x42, 0, 0, 0, 0, 0, 0, 0, 7, 0]).unwrap_err();
    assert_eq!(error.sense(), Sense::PARAMETER_LIST_LENGTH_ERROR);
}

#[test]
fn st_047_set_target_port_groups_is_no_command_of_ours() {
    assert_eq!(
        Cdb::parse(&sixteen(&[0xA4, 0x0A])),
        Err(CdbError::UnknownOperation)
    );
}

#[test]
fn a_cdb_that_ends_early_is_truncated() {
    for row in crate::opcode::TABLE {
        let mut cdb = std::vec![0; row.length() - 1];
        cdb[0] = row.opcode;
        cdb[1] = row.service_action.unwrap_or(0);
        assert_eq!(Cdb::parse(&cdb), Err(CdbError::Truncated), "{}", row.name);
    }
    assert_eq!(Cdb::parse(&[]), Err(CdbError::UnknownOperation));
}

proptest! {
    #[test]
    fn any_bytes_parse_without_a_panic(cdb in proptest::collection::vec(any::<u8>(), 0..32)) {
        let _ = Cdb::parse(&cdb);
    }

    #[test]
    fn any_bytes_behind_a_known_opcode_parse_without_a_panic(
        row in 0..crate::opcode::TABLE.len(), tail: [u8; 15],
    ) {
        let row = &crate::opcode::TABLE[row];
        let mut cdb = [0; 16];
        cdb[0] = row.opcode;
        cdb[1..].copy_from_slice(&tail);
        if let Some(action) = row.service_action {
            cdb[1] = (cdb[1] & 0xE0) | action;
        }
        let parsed = Cdb::parse(&cdb);
        prop_assert_ne!(parsed, Err(CdbError::UnknownOperation));
        prop_assert_ne!(parsed, Err(CdbError::Truncated));
    }
}
