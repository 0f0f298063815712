//! INQUIRY, VPD pages, capacity, supported operation codes.

use super::*;

/// 05/24/00, and it is the REPORTING OPTIONS field that is wrong: byte 2, from bit 2 on.
const WRONG_REPORTING_OPTION: Sense = Sense::INVALID_FIELD_IN_CDB.with_cdb_field(2, 2);

fn vpd(page: u8) -> [u8; 6] {
    [0x12, 1, page, 1, 0, 0]
}

#[test]
fn st_070_inquiry_is_cut_to_the_allocation_length() {
    let mut bench = Bench::active();
    let full = bench.data(&INQUIRY);
    assert_eq!(full.len(), 74);
    assert_eq!(bench.data(&[0x12, 0, 0, 0, 5, 0]), full[..5]);
    assert_eq!(bench.data(&[0x12, 0, 0, 0, 0, 0]), []);
}

#[test]
fn st_048_without_alua_there_is_no_tpgs_and_no_rtpg() {
    let mut bench = Bench::active();
    assert_eq!(bench.data(&INQUIRY)[5] & 0x30, 0x10);
    bench.pair.alua_enabled = false;
    assert_eq!(bench.data(&INQUIRY)[5] & 0x30, 0);
    assert_eq!(bench.send(I1, &RTPG), check(Sense::INVALID_OPCODE));
}

#[test]
fn st_040_standard_inquiry_is_the_same_through_both_ports_and_st_041_vpd_83_is_not() {
    let mut bench = Bench::active();
    let (inquiry, identity) = (bench.data(&INQUIRY), bench.data(&vpd(0x83)));
    bench.through_proxy = true;
    bench.port = PortIdentity {
        name: "iqn.2026-01.org.x:b".to_string(),
        relative_target_port: 256,
        node: 1,
    };
    assert_eq!(bench.data(&INQUIRY), inquiry);
    let other = bench.data(&vpd(0x83));
    assert_eq!(other[4..24], identity[4..24], "the same logical unit");
    assert_eq!(&other[28..47], b"iqn.2026-01.org.x:b");
    assert_eq!(
        identity[other.len() - 16..],
        [1, 0x15, 0, 4, 0, 0, 0, 0, 1, 0x14, 0, 4, 0, 0, 0, 1]
    );
    assert_eq!(
        other[other.len() - 16..],
        [1, 0x15, 0, 4, 0, 0, 0, 1, 1, 0x14, 0, 4, 0, 0, 1, 0]
    );
}

#[test]
fn every_page_in_the_list_of_pages_is_there_and_no_other() {
    for unmap in [false, true] {
        let mut bench = Bench::new(
            LuProperties {
                unmap,
                ..properties()
            },
            AccessState::Active,
        );
        let list = bench.data(&vpd(0x00))[4..].to_vec();
        for page in 0..=255 {
            match bench.send(I1, &vpd(page)) {
                Action::Respond(Response {
                    status: Status::Good,
                    data,
                    ..
                }) => {
                    assert!(list.contains(&page), "{page:02X}h");
                    assert_eq!(data[1], page);
                    assert_eq!(
                        usize::from(u16::from_be_bytes([data[2], data[3]])),
                        data.len() - 4
                    );
                }
                other => {
                    assert_eq!(other, check(Sense::INVALID_FIELD_IN_CDB));
                    assert!(!list.contains(&page), "{page:02X}h");
                }
            }
        }
    }
}

#[test]
fn the_serial_number_defaults_to_the_guid() {
    let mut bench = Bench::active();
    assert_eq!(&bench.data(&vpd(0x80))[4..], b"600144F0C73AB8000000549B00010001");
    let serial = Some("S1".to_string());
    let mut bench = Bench::new(
        LuProperties {
            serial,
            ..properties()
        },
        AccessState::Active,
    );
    assert_eq!(&bench.data(&vpd(0x80))[4..], b"S1");
}

#[test]
fn st_146_read_capacity_of_3_tib() {
    let blocks = 3 * (1u64 << 40) / 512;
    let mut bench = Bench::new(
        LuProperties {
            blocks,
            ..properties()
        },
        AccessState::Active,
    );
    assert_eq!(
        bench.data(&READ_CAPACITY_10),
        [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 2, 0]
    );
    let mut cdb = [0; 16];
    (cdb[0], cdb[1], cdb[13]) = (0x9E, 0x10, 32);
    let long = bench.data(&cdb);
    assert_eq!(long[..8], (blocks - 1).to_be_bytes());
    assert_eq!(long[8..16], [0, 0, 2, 0, 0, 3, 0xC0, 0]);
    assert_eq!(long.len(), 32);
}

#[test]
fn lba_status_starts_at_the_very_block_asked_for() {
    let mut bench = Bench::active();
    let last = (1u64 << 20) - 1;
    for lba in [0u64, 8, 9, 15, last] {
        let mut cdb = [0; 16];
        (cdb[0], cdb[1], cdb[13]) = (0x9E, 0x12, 24);
        cdb[2..10].copy_from_slice(&lba.to_be_bytes());
        let data = bench.data(&cdb);
        assert_eq!(
            data[8..16],
            lba.to_be_bytes(),
            "whatever the size of a physical block"
        );
        let blocks = u32::from_be_bytes(data[16..20].try_into().unwrap());
        assert_eq!(u64::from(blocks), last + 1 - lba);
    }
}

#[test]
fn supported_operation_codes_follow_the_properties() {
    let one = |opcode: u8| [0xA3, 0x0C, 0x01, opcode, 0, 0, 0, 0, 1, 0, 0, 0];
    let mut bench = Bench::active();
    assert_eq!(bench.data(&one(0x42))[1] & 7, 3);
    assert_eq!(
        bench.data(&one(0x89))[1] & 7,
        1,
        "COMPARE AND WRITE is not there yet"
    );
    assert_eq!(bench.send(I1, &one(0xA3)), check(WRONG_REPORTING_OPTION));
    assert_eq!(
        bench.send(I1, &[0xA3, 0x0C, 0x02, 0x00, 0, 0, 0, 0, 1, 0, 0, 0]),
        check(WRONG_REPORTING_OPTION),
        "TEST UNIT READY has no service actions"
    );
    let mut bench = Bench::new(
        LuProperties {
            unmap: false,
            ..properties()
        },
        AccessState::Active,
    );
    assert_eq!(bench.data(&one(0x42))[1] & 7, 1);
    assert_eq!(
        bench.data(&[0xA3, 0x0D, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
        [0xD8, 0, 0, 0]
    );
}

#[test]
fn every_operation_code_reported_as_supported_is_carried_out() {
    for (unmap, alua_enabled) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut bench = Bench::new(
            LuProperties {
                unmap,
                ..properties()
            },
            AccessState::Active,
        );
        bench.pair.alua_enabled = alua_enabled;
        let all = bench.data(&[0xA3, 0x0C, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]);
        let listed: Vec<_> = all[4..].chunks(8).map(|d| (d[0], d[5] & 1 == 1, d[3])).collect();
        for row in opcode::TABLE {
            let mut cdb = [0; 16];
            cdb[0] = row.opcode;
            cdb[1] = row.service_action.unwrap_or(0);
            let known = bench.send(I1, &cdb) != check(Sense::INVALID_OPCODE);
            let listed = listed.contains(&(
                row.opcode,
                row.service_action.is_some(),
                row.service_action.unwrap_or(0),
            ));
            // UNMAP without list and GET LBA STATUS are refused by the property, not by their fields.
            assert_eq!(known, listed, "{} {unmap} {alua_enabled}", row.name);
        }
    }
}

#[test]
fn st_047_set_target_port_groups_and_other_strangers_are_invalid_operation_codes() {
    let mut bench = Bench::active();
    for cdb in [
        [0xA4, 0x0A],
        [0xC5, 0],
        [0x5E, 0],
        [0x89, 0],
        [0x83, 0],
        [0x9E, 0x1F],
    ] {
        let mut long = [0; 16];
        long[..2].copy_from_slice(&cdb);
        assert_eq!(bench.send(I1, &long), check(Sense::INVALID_OPCODE), "{cdb:02X?}");
    }
    assert_eq!(bench.send(I1, &[]), check(Sense::INVALID_OPCODE));
}

#[test]
fn identifying_information_holds_the_alias_and_log_sense_the_list_of_pages() {
    let mut bench = Bench::active();
    let ask = |kind: u8| [0xA3, 0x05, 0, 0, 0, 0, 0, 0, 1, 0, kind << 1, 0];
    assert_eq!(&bench.data(&ask(2)), b"\0\0\0\x0B/srv/disk0\0");
    assert_eq!(bench.data(&ask(0)), [0, 0, 0, 0]);
    assert_eq!(bench.data(&ask(0x7F)), [0, 0, 0, 4, 4, 0, 1, 0]);
    assert_eq!(bench.data(&[0x4D, 0, 0x40, 0, 0, 0, 0, 1, 0, 0]), [0, 0, 0, 1, 0]);
    assert_eq!(
        bench.send(I1, &[0x4D, 0, 0x42, 0, 0, 0, 0, 1, 0, 0]),
        check(Sense::INVALID_FIELD_IN_CDB)
    );
}
