//! READ, WRITE, VERIFY, WRITE SAME, UNMAP, SYNCHRONIZE CACHE.

use super::*;
use crate::action::Extent;
use scsi_proto::unmap::{BlockRange, encode_unmap_list};

const BLOCKS: u64 = 1 << 20;

fn sixteen(opcode: u8, byte_1: u8, lba: u64, blocks: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (opcode, byte_1);
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

fn read_16(lba: u64, blocks: u32) -> [u8; 16] {
    sixteen(0x88, 0, lba, blocks)
}

fn unmap_cdb(length: u16) -> [u8; 10] {
    let [high, low] = length.to_be_bytes();
    [0x42, 0, 0, 0, 0, 0, 0, high, low, 0]
}

#[test]
fn st_058_reads_of_every_form_become_the_same_operation() {
    let mut bench = Bench::active();
    let expected = Action::Medium(MediumOp::Read {
        offset: 16 * 512,
        length: 8 * 512,
    });
    assert_eq!(bench.send(I1, &READ_10), expected);
    assert_eq!(bench.send(I1, &[0x08, 0, 0, 16, 8, 0]), expected);
    assert_eq!(
        bench.send(I1, &[0xA8, 0, 0, 0, 0, 16, 0, 0, 0, 8, 0, 0]),
        expected
    );
    assert_eq!(bench.send(I1, &read_16(16, 8)), expected);
}

#[test]
fn st_147_the_end_of_the_medium_with_no_blocks_is_within_it() {
    let mut bench = Bench::active();
    assert_eq!(bench.send(I1, &read_16(BLOCKS, 0)), good());
    assert_eq!(
        bench.send(I1, &read_16(BLOCKS, 1)),
        check(Sense::LBA_OUT_OF_RANGE)
    );
    assert_eq!(
        bench.send(I1, &read_16(BLOCKS + 1, 0)),
        check(Sense::LBA_OUT_OF_RANGE)
    );
    let last = MediumOp::Read {
        offset: (BLOCKS - 1) * 512,
        length: 512,
    };
    assert_eq!(bench.send(I1, &read_16(BLOCKS - 1, 1)), Action::Medium(last));
}

#[test]
fn st_059_st_148_no_range_wraps_around() {
    let mut bench = Bench::active();
    for (lba, blocks) in [
        (0, u32::MAX),
        (u64::MAX, 1),
        (u64::MAX, u32::MAX),
        (1 << 63, 8),
        (u64::MAX - 7, 8),
    ] {
        for opcode in [0x88, 0x8A, 0x8E, 0x8F, 0x91, 0x93] {
            let action = bench.send(I1, &sixteen(opcode, 0, lba, blocks));
            assert_eq!(
                action,
                check(Sense::LBA_OUT_OF_RANGE),
                "{opcode:02X}h {lba} {blocks}"
            );
        }
    }
    let blocks = u64::MAX;
    let mut bench = Bench::new(
        LuProperties {
            blocks,
            ..properties()
        },
        AccessState::Active,
    );
    assert_eq!(
        bench.send(I1, &read_16(u64::MAX - 9, 8)),
        check(Sense::LBA_OUT_OF_RANGE),
        "bytes count too"
    );
}

#[test]
fn more_than_the_maximum_transfer_length_is_an_invalid_field() {
    let mut bench = Bench::active();
    let max = MAX_TRANSFER_BYTES / 512;
    let limits = bench.data(&[0x12, 1, 0xB0, 1, 0, 0]);
    assert_eq!(
        limits[8..12],
        max.to_be_bytes(),
        "what is reported is what is accepted"
    );
    assert!(matches!(bench.send(I1, &read_16(0, max)), Action::Medium(_)));
    assert!(matches!(
        bench.send(I1, &sixteen(0x8A, 0, 0, max)),
        Action::DataOut { .. }
    ));
    for (opcode, byte_1) in [(0x88, 0), (0x8A, 0), (0x8E, 0), (0x8F, 0), (0x8F, 2)] {
        let action = bench.send(I1, &sixteen(opcode, byte_1, 0, max + 1));
        assert_eq!(action, check(Sense::INVALID_FIELD_IN_CDB), "{opcode:02X}h");
    }
}

#[test]
fn a_write_collects_its_data_and_then_goes_to_the_medium() {
    let mut bench = Bench::active();
    let Action::DataOut { length: 4096, then } = bench.send(I1, &WRITE_10) else {
        panic!("data out")
    };
    assert!(!then.needs_contents());
    assert_eq!(then.transfer_length(), 4096);
    let write = MediumOp::Write {
        offset: 16 * 512,
        length: 4096,
        fua: false,
    };
    assert_eq!(
        bench.send_with(&WRITE_10, &[7; 4096]),
        Action::Medium(write.clone())
    );
    assert_eq!(bench.lu.medium_done(&write, Ok(())), Response::good());
}

#[test]
fn force_unit_access_and_a_disabled_cache_write_through() {
    let mut cdb = WRITE_10;
    cdb[1] = 0x08;
    let write = |fua| {
        Action::Medium(MediumOp::Write {
            offset: 16 * 512,
            length: 4096,
            fua,
        })
    };
    assert_eq!(Bench::active().send_with(&cdb, &[0; 4096]), write(true));
    let mut bench = Bench::new(
        LuProperties {
            write_cache: false,
            ..properties()
        },
        AccessState::Active,
    );
    assert_eq!(bench.send_with(&WRITE_10, &[0; 4096]), write(true));
}

#[test]
fn an_initiator_that_sends_less_than_its_cdb_says_writes_whole_blocks_only() {
    let mut bench = Bench::active();
    bench.expected_data_out = 1500;
    let Action::DataOut { length, then } = bench.send(I1, &WRITE_10) else {
        panic!("data out")
    };
    assert_eq!((length, then.transfer_length()), (1024, 4096));
    bench.expected_data_out = 511;
    let residual = Some(4096);
    let refused = Response::check(Sense::INVALID_FIELD_IN_INFORMATION_UNIT);
    let expected = Response {
        transfer_length: residual,
        ..refused
    };
    assert_eq!(bench.send(I1, &WRITE_10), Action::Respond(expected));
    bench.expected_data_out = 0;
    let expected = Response {
        transfer_length: residual,
        ..Response::good()
    };
    assert_eq!(bench.send(I1, &WRITE_10), Action::Respond(expected));

    bench.expected_data_out = 0;
    let Action::Respond(response) = bench.send(I1, &sixteen(0x8F, 2, 1, 2)) else {
        panic!("an answer")
    };
    assert_eq!(
        response.sense,
        Some(Sense::INVALID_FIELD_IN_INFORMATION_UNIT),
        "nothing was compared"
    );
    bench.expected_data_out = 1 << 20;
    assert!(matches!(
        bench.send(I1, &WRITE_10),
        Action::DataOut { length: 4096, .. }
    ));
}

#[test]
fn st_145_write_protection_keeps_every_change_out() {
    let mut bench = Bench::new(
        LuProperties {
            write_protected: true,
            ..properties()
        },
        AccessState::Active,
    );
    for cdb in [
        &[0x0A, 0, 0, 0, 1, 0][..],
        &WRITE_10,
        &[0xAA, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        &sixteen(0x8A, 0, 0, 1),
        &sixteen(0x8E, 0, 0, 1),
        &sixteen(0x93, 0, 0, 1),
        &sixteen(0x93, 1, 0, 1),
        &unmap_cdb(24),
    ] {
        assert_eq!(bench.send(I1, cdb), check(Sense::WRITE_PROTECTED), "{cdb:02X?}");
    }
    assert!(matches!(bench.send(I1, &READ_10), Action::Medium(_)));
}

#[test]
fn verify_reads_or_compares() {
    let mut bench = Bench::active();
    let range = MediumOp::Verify {
        offset: 512,
        length: 1024,
    };
    assert_eq!(bench.send(I1, &sixteen(0x8F, 0, 1, 2)), Action::Medium(range));
    let compare = MediumOp::Compare {
        offset: 512,
        length: 1024,
    };
    assert_eq!(
        bench.send_with(&sixteen(0x8F, 2, 1, 2), &[0; 1024]),
        Action::Medium(compare.clone())
    );
    let miscompare = bench
        .lu
        .medium_done(&compare, Err(MediumError::Miscompare { offset: 100 }));
    assert_eq!(
        miscompare,
        Response::check(Sense::MISCOMPARE.with_information(100))
    );
    for (byte_1, compare) in [(0, false), (2, true)] {
        let expected = MediumOp::WriteVerify {
            offset: 512,
            length: 1024,
            compare,
        };
        let action = bench.send_with(&sixteen(0x8E, byte_1, 1, 2), &[0; 1024]);
        assert_eq!(action, Action::Medium(expected));
    }
}

#[test]
fn write_same_takes_one_block_or_none() {
    let mut bench = Bench::active();
    let same = |block, unmap| {
        Action::Medium(MediumOp::WriteSame {
            offset: 512,
            length: 2048,
            block,
            unmap,
            fua: false,
        })
    };
    assert_eq!(
        bench.send_with(&sixteen(0x93, 0, 1, 4), &[7; 512]),
        same([7; 512].to_vec(), false)
    );
    assert_eq!(
        bench.send_with(&sixteen(0x93, 8, 1, 4), &[0; 512]),
        same([0; 512].to_vec(), true)
    );
    assert_eq!(
        bench.send(I1, &sixteen(0x93, 9, 1, 4)),
        same([0; 512].to_vec(), true)
    );
    assert_eq!(
        bench.send_with(&[0x41, 0, 0, 0, 0, 1, 0, 0, 4, 0], &[7; 512]),
        same([7; 512].to_vec(), false)
    );
    for length in [0, 511, 513, 1024] {
        for cdb in [
            &sixteen(0x93, 0, 1, 4)[..],
            &sixteen(0x93, 8, 1, 4),
            &[0x41, 0, 0, 0, 0, 1, 0, 0, 4, 0],
        ] {
            assert_eq!(
                bench.send_with(cdb, &std::vec![7; length]),
                check(Sense::INVALID_FIELD_IN_CDB),
                "{length} bytes are not one block: {cdb:02X?}"
            );
        }
    }
    assert_eq!(
        bench.send_with(&sixteen(0x93, 0, 1, 0), &[7; 512]),
        check(Sense::INVALID_FIELD_IN_CDB)
    );
}

#[test]
fn the_bytes_a_cdb_moves_follow_from_the_cdb_alone() {
    let bench = Bench::standby(StandbyIo::Full);
    let length = |cdb: &[u8]| bench.lu.transfer_length(cdb);
    for opcode in [0x88, 0x8A, 0x8E] {
        assert_eq!(length(&sixteen(opcode, 0, 16, 8)), Some(4096), "{opcode:02X}h");
        assert_eq!(length(&sixteen(opcode, 0, 16, 0)), Some(0), "{opcode:02X}h");
        let most = u64::from(u32::MAX) * 512;
        assert_eq!(length(&sixteen(opcode, 0, 0, u32::MAX)), Some(most));
    }
    assert_eq!(length(&READ_10), Some(4096));
    assert_eq!(length(&[0x0A, 0, 0, 16, 0, 0]), Some(256 * 512));
    assert_eq!(length(&sixteen(0x8F, 0x02, 16, 8)), Some(4096));
    assert_eq!(
        length(&sixteen(0x8F, 0x00, 16, 8)),
        None,
        "BYTCHK=00b moves nothing"
    );
    assert_eq!(length(&sixteen(0x93, 0x00, 16, 8)), Some(512));
    assert_eq!(length(&[0x41, 0, 0, 0, 0, 1, 0, 0, 4, 0]), Some(512));
    assert_eq!(length(&sixteen(0x93, 0x01, 16, 8)), None, "NDOB=1 moves nothing");
    for cdb in [
        &TEST_UNIT_READY[..],
        &INQUIRY,
        &unmap_cdb(24),
        &[0xC5],
        &[0x28],
        &[],
    ] {
        assert_eq!(length(cdb), None, "{cdb:02X?}");
    }
}

#[test]
fn write_same_honours_the_limit_it_reports() {
    let mut bench = Bench::active();
    let limits = bench.data(&[0x12, 1, 0xB0, 1, 0, 0]);
    let max = u32::try_from(u64::from_be_bytes(limits[36..44].try_into().unwrap())).unwrap();
    assert!(matches!(
        bench.send(I1, &sixteen(0x93, 1, 0, max)),
        Action::Medium(_)
    ));
    assert_eq!(
        bench.send(I1, &sixteen(0x93, 1, 0, max + 1)),
        check(Sense::INVALID_FIELD_IN_CDB)
    );
    assert_eq!(limits[4], 1, "WSNZ");
    assert_eq!(
        bench.send(I1, &sixteen(0x93, 1, 0, 0)),
        check(Sense::INVALID_FIELD_IN_CDB)
    );
    assert_eq!(
        bench.send(I1, &sixteen(0x93, 1, BLOCKS + 1, 0)),
        check(Sense::LBA_OUT_OF_RANGE)
    );

    let mut bench = Bench::new(
        LuProperties {
            unmap: false,
            ..properties()
        },
        AccessState::Active,
    );
    assert_eq!(
        bench.send(I1, &sixteen(0x93, 9, 0, 1)),
        check(Sense::INVALID_FIELD_IN_CDB)
    );
}

#[test]
fn st_155_unmap_lists() {
    let mut bench = Bench::active();
    assert_eq!(bench.send(I1, &unmap_cdb(0)), good());
    assert_eq!(
        bench.send(I1, &[0x42, 1, 0, 0, 0, 0, 0, 0, 24, 0]),
        check(Sense::INVALID_FIELD_IN_CDB)
    );
    let send = |bench: &mut Bench, list: &[u8]| {
        bench.send_with(&unmap_cdb(u16::try_from(list.len()).unwrap()), list)
    };
    let range = |lba, blocks| BlockRange { lba, blocks };
    let list = encode_unmap_list(&[range(1, 2), range(9, 0), range(BLOCKS - 1, 1)]);
    let extents = [
        Extent {
            offset: 512,
            length: 1024,
        },
        Extent {
            offset: (BLOCKS - 1) * 512,
            length: 512,
        },
    ]
    .to_vec();
    assert_eq!(send(&mut bench, &list), Action::Medium(MediumOp::Unmap(extents)));
    assert_eq!(send(&mut bench, &encode_unmap_list(&[])), good());
    let beyond = encode_unmap_list(&[range(0, 1), range(BLOCKS, 1)]);
    assert_eq!(
        send(&mut bench, &beyond),
        check(Sense::LBA_OUT_OF_RANGE),
        "and nothing is unmapped"
    );
    assert_eq!(
        send(&mut bench, &list[..40]),
        check(Sense::PARAMETER_LIST_LENGTH_ERROR)
    );
    let mut odd = list.clone();
    odd[3] = 47;
    assert_eq!(
        send(&mut bench, &odd),
        check(Sense::INVALID_FIELD_IN_PARAMETER_LIST)
    );
    let limits = bench.data(&[0x12, 1, 0xB0, 1, 0, 0]);
    let max = u32::from_be_bytes(limits[20..24].try_into().unwrap());
    assert_eq!(u64::from(max), BLOCKS, "what is reported is what is accepted");
    let all = encode_unmap_list(&[range(0, max - 1), range(7, 1)]);
    assert!(matches!(send(&mut bench, &all), Action::Medium(_)));
    let above = encode_unmap_list(&[range(0, max - 1), range(7, 2)]);
    assert_eq!(
        send(&mut bench, &above),
        check(Sense::INVALID_FIELD_IN_PARAMETER_LIST)
    );
    let many = encode_unmap_list(&[range(0, 1); 257]);
    assert_eq!(
        send(&mut bench, &many),
        check(Sense::INVALID_FIELD_IN_PARAMETER_LIST)
    );
    assert!(matches!(
        send(&mut bench, &encode_unmap_list(&[range(0, 1); 256])),
        Action::Medium(_)
    ));
}

#[test]
fn unmap_without_the_property_is_an_invalid_operation_code() {
    let mut bench = Bench::new(
        LuProperties {
            unmap: false,
            ..properties()
        },
        AccessState::Active,
    );
    assert_eq!(bench.send(I1, &unmap_cdb(24)), check(Sense::INVALID_OPCODE));
    let limits = bench.data(&[0x12, 1, 0xB0, 1, 0, 0]);
    assert_eq!(limits[20..36], [0; 16], "and no limits are reported for it");
}

#[test]
fn synchronize_cache_flushes_after_checking_its_range() {
    let mut bench = Bench::active();
    for byte_1 in [0, 2] {
        let cdb = [0x35, byte_1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bench.send(I1, &cdb), Action::Medium(MediumOp::Flush));
        assert_eq!(
            bench.send(I1, &sixteen(0x91, byte_1, BLOCKS - 1, 1)),
            Action::Medium(MediumOp::Flush)
        );
    }
    assert_eq!(
        bench.send(I1, &sixteen(0x91, 0, BLOCKS, 1)),
        check(Sense::LBA_OUT_OF_RANGE)
    );
}

#[test]
fn every_failure_of_the_medium_has_its_sense() {
    let bench = Bench::active();
    for (error, sense) in [
        (MediumError::Read, Sense::READ_ERROR),
        (MediumError::Write, Sense::WRITE_ERROR),
        (MediumError::NoSpace, Sense::SPACE_ALLOCATION_FAILED),
        (
            MediumError::Miscompare { offset: 3 },
            Sense::MISCOMPARE.with_information(3),
        ),
        (MediumError::Gone, Sense::UNAVAILABLE),
    ] {
        assert_eq!(
            bench.lu.medium_done(&MediumOp::Flush, Err(error)),
            Response::check(sense)
        );
    }
}

#[test]
fn the_status_of_an_lba_is_one_extent_to_the_end() {
    let mut bench = Bench::active();
    let mut cdb = sixteen(0x9E, 0x12, BLOCKS - 3, 64);
    let data = bench.data(&cdb);
    assert_eq!(
        data[8..20],
        [&(BLOCKS - 3).to_be_bytes()[..], &[0, 0, 0, 3]].concat()
    );
    cdb[2..10].copy_from_slice(&BLOCKS.to_be_bytes());
    assert_eq!(bench.send(I1, &cdb), check(Sense::LBA_OUT_OF_RANGE));
}
