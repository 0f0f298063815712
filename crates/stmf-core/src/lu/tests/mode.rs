//! MODE SENSE and MODE SELECT.

use super::*;

fn sense_6(page: u8) -> [u8; 6] {
    [0x1A, 0, page, 0, 255, 0]
}

fn select_6(save: bool, length: usize) -> [u8; 6] {
    [
        0x15,
        0x10 | u8::from(save),
        0,
        0,
        u8::try_from(length).unwrap(),
        0,
    ]
}

/// A MODE SELECT(6) list with a caching page whose byte 2 is `flags`.
fn caching(flags: u8) -> [u8; 24] {
    let mut list = [0; 24];
    (list[4], list[5], list[6]) = (0x08, 18, flags);
    list
}

fn select(bench: &mut Bench, save: bool, list: &[u8]) -> Action {
    bench.send_with(&select_6(save, list.len()), list)
}

#[test]
fn st_063_all_pages_in_both_forms() {
    let mut bench = Bench::active();
    let six = bench.data(&sense_6(0x3F));
    let ten = bench.data(&[0x5A, 0, 0x3F, 0xFF, 0, 0, 0, 1, 0, 0]);
    assert_eq!(six[..4], [u8::try_from(six.len()).unwrap() - 1, 0, 0x10, 0]);
    assert_eq!(six[4..], ten[8..]);
    let mut pages = Vec::new();
    let mut rest = &six[4..];
    while let [code, length, tail @ ..] = rest {
        pages.push(code & 0x3F);
        rest = &tail[usize::from(*length)..];
    }
    assert_eq!(pages, [0x03, 0x04, 0x08, 0x0A, 0x1C]);
}

#[test]
fn page_zero_is_the_header_and_strangers_are_refused() {
    let mut bench = Bench::active();
    assert_eq!(bench.data(&sense_6(0)), [3, 0, 0x10, 0]);
    assert_eq!(bench.send(I1, &sense_6(0x02)), check(Sense::INVALID_FIELD_IN_CDB));
    assert_eq!(
        bench.send(I1, &[0x1A, 0, 0x0A, 1, 255, 0]),
        check(Sense::INVALID_FIELD_IN_CDB)
    );
    assert_eq!(
        bench.send(I1, &[0x1A, 0, 8, 0, 3, 0]),
        check(Sense::INVALID_FIELD_IN_CDB)
    );
    assert_eq!(bench.data(&[0x1A, 0, 8, 0, 0, 0]), []);
}

#[test]
fn st_145_the_header_shows_write_protection() {
    let mut bench = Bench::new(
        LuProperties {
            write_protected: true,
            ..properties()
        },
        AccessState::Active,
    );
    assert_eq!(bench.data(&sense_6(0x08))[2], 0x90);
}

#[test]
fn st_064_a_change_of_the_write_cache_is_told_to_the_others_and_flushes() {
    let mut bench = Bench::active();
    assert_eq!(
        select(&mut bench, false, &caching(0)),
        Action::Medium(MediumOp::Flush)
    );
    assert_eq!(bench.data(&sense_6(0x08))[6], 0);
    assert_eq!(
        bench.send(I2, &TEST_UNIT_READY),
        attention(UnitAttention::ModeParametersChanged)
    );
    assert_eq!(bench.send(I1, &TEST_UNIT_READY), good());
    assert!(!bench.lu.write_cache_enabled());
    let told = LuEvent::Raised {
        attention: UnitAttention::ModeParametersChanged,
        except: Some(I1),
    };
    assert_eq!(bench.lu.take_events(), [told]);
    assert_eq!(
        select(&mut bench, false, &caching(0)),
        good(),
        "no change, no flush"
    );
    assert_eq!(bench.lu.take_events(), []);
}

#[test]
fn a_saved_change_survives_a_reset_and_another_does_not() {
    let mut bench = Bench::active();
    select(&mut bench, false, &caching(0));
    assert_eq!(
        bench.data(&[0x1A, 0, 0xC8, 0, 255, 0])[6],
        4,
        "the saved value is another"
    );
    bench.lu.reset(None);
    assert!(bench.lu.write_cache_enabled());
    let mut bench = Bench::active();
    select(&mut bench, true, &caching(0));
    assert!(bench.lu.take_events().contains(&LuEvent::WriteCacheSaved(false)));
    bench.lu.reset(None);
    assert!(!bench.lu.write_cache_enabled());
    assert!(!bench.lu.properties().write_cache);
}

#[test]
fn st_149_what_mode_select_refuses() {
    let mut bench = Bench::active();
    assert_eq!(
        bench.send(I1, &[0x15, 0, 0, 0, 24, 0]),
        check(Sense::INVALID_FIELD_IN_CDB),
        "PF=0"
    );
    assert_eq!(
        select(&mut bench, false, &caching(0x05)),
        check(Sense::INVALID_FIELD_IN_PARAMETER_LIST)
    );
    let short_control = [0, 0, 0, 0, 0x0A, 2, 0, 0x10];
    assert_eq!(
        select(&mut bench, false, &short_control),
        check(Sense::PARAMETER_LIST_LENGTH_ERROR)
    );
    let unknown = [0, 0, 0, 0, 0x02, 1, 0];
    assert_eq!(
        select(&mut bench, false, &unknown),
        check(Sense::INVALID_FIELD_IN_PARAMETER_LIST)
    );
    assert_eq!(
        select(&mut bench, false, &[0; 3]),
        check(Sense::PARAMETER_LIST_LENGTH_ERROR)
    );
    assert_eq!(
        bench.send(I1, &[0x15, 0x10, 0, 0, 0, 0]),
        good(),
        "no list, nothing to do"
    );
    assert!(bench.lu.write_cache_enabled(), "and nothing changed");
}

#[test]
fn a_list_with_one_bad_page_changes_nothing() {
    let mut bench = Bench::active();
    let mut list = caching(0).to_vec();
    list.extend_from_slice(&[0x0A, 10, 0xFF, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        select(&mut bench, false, &list),
        check(Sense::INVALID_FIELD_IN_PARAMETER_LIST)
    );
    assert!(bench.lu.write_cache_enabled());
    assert_eq!(bench.send(I2, &TEST_UNIT_READY), good());
}

#[test]
fn what_mode_sense_returns_can_be_sent_back() {
    let mut bench = Bench::active();
    let mut list = bench.data(&sense_6(0x3F));
    let mut at = 4;
    while at < list.len() {
        list[at] &= 0x3F; // PS
        at += 2 + usize::from(list[at + 1]);
    }
    assert_eq!(select(&mut bench, false, &list), good());
}

#[test]
fn the_d_sense_bit_changes_the_format_of_sense_data() {
    let mut bench = Bench::active();
    let list = [0, 0, 0, 0, 0x0A, 10, 0x04, 0x10, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(select(&mut bench, false, &list), good());
    let Action::Respond(response) = bench.send(I1, &[0xC5]) else {
        panic!("an answer")
    };
    assert_eq!(response.sense_bytes(), [0x72, 5, 0x20, 0, 0, 0, 0, 0]);
    let done = bench.lu.medium_done(&MediumOp::Flush, Err(MediumError::Write));
    assert_eq!(done.sense_bytes(), [0x72, 3, 0x0C, 0, 0, 0, 0, 0]);
    bench.lu.reset(None);
    let done = bench.lu.medium_done(&MediumOp::Flush, Err(MediumError::Write));
    assert_eq!(done.sense_bytes()[0], 0x70);
}

#[test]
fn the_changeable_mask_shows_wce_and_d_sense_only() {
    let mut bench = Bench::active();
    let mask = bench.data(&[0x1A, 0, 0x7F, 0, 255, 0]);
    let pages = &mask[4..];
    let set: Vec<_> = (0..pages.len()).filter(|at| pages[*at] != 0).collect();
    // Page codes and lengths of five pages, WCE, D_SENSE.
    assert_eq!(set, [0, 1, 24, 25, 48, 49, 50, 68, 69, 70, 80, 81]);
    assert_eq!((pages[50], pages[70]), (4, 4));
}

#[test]
fn the_administrator_changes_properties_and_everybody_is_told() {
    let mut bench = Bench::active();
    let old = properties();
    bench.lu.modify(LuProperties {
        blocks: 42,
        write_cache: false,
        block_size: 4096,
        ..old.clone()
    });
    assert_eq!(bench.lu.properties().blocks, 42);
    assert_eq!(bench.lu.properties().block_size, 512, "never changes");
    assert!(!bench.lu.write_cache_enabled());
    for nexus in [I1, I2] {
        assert_eq!(
            bench.send(nexus, &TEST_UNIT_READY),
            attention(UnitAttention::CapacityChanged)
        );
        assert_eq!(
            bench.send(nexus, &TEST_UNIT_READY),
            attention(UnitAttention::ModeParametersChanged)
        );
        assert_eq!(bench.send(nexus, &TEST_UNIT_READY), good());
    }
    assert_eq!(bench.lu.take_events().len(), 2);
    bench.lu.modify(LuProperties {
        alias: "x".to_string(),
        ..bench.lu.properties().clone()
    });
    assert_eq!(
        bench.send(I1, &TEST_UNIT_READY),
        good(),
        "the alias is nobody's business"
    );
}
