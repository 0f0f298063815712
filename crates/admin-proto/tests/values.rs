//! Status codes, GUIDs, names and property texts against the lists of libstmf (3LIB) and stmfadm.

use admin_proto::{
    CreateLu, Guid, GuidError, LuName, LuProperty, ModifyLu, StmfStatus, canonical_name, check_group_name,
    parse_size,
};

/// The codes as the specification lists them: number below 0x8000 and name after `STMF_ERROR_`.
const CODES: &[(u32, &str)] = &[
    (0x01, "BUSY"),
    (0x02, "NOT_FOUND"),
    (0x03, "MEMBER_NOT_FOUND"),
    (0x04, "GROUP_NOT_FOUND"),
    (0x05, "PERM"),
    (0x06, "NOMEM"),
    (0x07, "INVALID_ARG"),
    (0x08, "EXISTS"),
    (0x09, "SERVICE_NOT_FOUND"),
    (0x0a, "SERVICE_ONLINE"),
    (0x0b, "SERVICE_OFFLINE"),
    (0x0c, "GROUP_IN_USE"),
    (0x0d, "LUN_IN_USE"),
    (0x0e, "VE_CONFLICT"),
    (0x0f, "CONFIG_NONE"),
    (0x10, "SERVICE_DATA_VERSION"),
    (0x11, "INVALID_HG"),
    (0x12, "INVALID_TG"),
    (0x13, "PROV_DATA_STALE"),
    (0x14, "NO_PROP"),
    (0x15, "NO_PROP_VAL"),
    (0x16, "MISSING_PROP_VAL"),
    (0x17, "INVALID_BLOCKSIZE"),
    (0x18, "FILE_ALREADY"),
    (0x19, "INVALID_PROPSIZE"),
    (0x20, "INVALID_PROP"),
    (0x21, "PERSIST_TYPE"),
    (0x22, "TG_ONLINE"),
    (0x23, "ACCESS_STATE_SET"),
    (0x24, "NO_PROP_STANDBY"),
    (0x25, "POST_MSG_FAILED"),
    (0x26, "DOOR_INSTALLED"),
    (0x100, "FILE_IN_USE"),
    (0x101, "INVALID_BLKSIZE"),
    (0x102, "GUID_IN_USE"),
    (0x103, "META_FILE_NAME"),
    (0x104, "DATA_FILE_NAME"),
    (0x105, "SIZE_OUT_OF_RANGE"),
    (0x106, "LU_BUSY"),
    (0x107, "META_CREATION"),
    (0x108, "FILE_SIZE_INVALID"),
    (0x109, "WRITE_CACHE_SET"),
];

#[test]
fn the_status_table_is_the_list_of_the_library() {
    assert_eq!(StmfStatus::ALL.len(), CODES.len() + 2);
    assert_eq!(
        (StmfStatus::Success.code(), StmfStatus::Success.name()),
        (0, "STMF_STATUS_SUCCESS")
    );
    assert_eq!(
        (StmfStatus::Error.code(), StmfStatus::Error.name()),
        (0x8000, "STMF_STATUS_ERROR")
    );
    for (number, name) in CODES {
        let status = StmfStatus::from_code(0x8000 | number).unwrap();
        assert_eq!(status.code(), 0x8000 | number);
        assert_eq!(status.name(), format!("STMF_ERROR_{name}"));
    }
    for unused in (0x1a..=0x1f).chain([0x27, 0xff, 0x10a]) {
        assert_eq!(StmfStatus::from_code(0x8000 | unused), None);
    }
}

#[test]
fn the_word_of_a_session_door_is_four_bytes() {
    assert_eq!(StmfStatus::PostMsgFailed.to_word(), [0x25, 0x80, 0, 0]);
    assert_eq!(
        StmfStatus::from_word(&[0x25, 0x80, 0, 0]),
        Some(StmfStatus::PostMsgFailed)
    );
    for bad in [&[][..], &[0], &[0; 3], &[0; 5], &[0; 8], &[1, 0, 0, 0]] {
        assert_eq!(StmfStatus::from_word(bad), None);
    }
}

#[test]
fn a_guid_is_exactly_32_digits_of_any_case() {
    let guid: Guid = "600144f0C73ab8000000549b00010001".parse().unwrap();
    assert_eq!(guid.to_string(), "600144F0C73AB8000000549B00010001");
    assert_eq!(guid.0[..4], [0x60, 0x01, 0x44, 0xf0]);
    assert_eq!(
        "600144F0C73AB8000000549B0001000".parse::<Guid>(),
        Err(GuidError::Length)
    );
    assert_eq!(
        "600144F0C73AB8000000549B0001000g".parse::<Guid>(),
        Err(GuidError::Digits)
    );
    assert_eq!(
        "+00144F0C73AB8000000549B00010001".parse::<Guid>(),
        Err(GuidError::Digits)
    );
}

#[test]
fn names_of_devices_have_one_stored_form() {
    assert_eq!(
        canonical_name("iqn.2026-01.Org.Example:A").unwrap(),
        "iqn.2026-01.org.example:a"
    );
    assert_eq!(
        canonical_name("WWN.210000e08b0a1b2c").unwrap(),
        "wwn.210000E08B0A1B2C"
    );
    for length in [16, 24, 32] {
        assert!(canonical_name(&format!("eui.{}", "a".repeat(length))).is_ok());
    }
    for bad in [
        "",
        "iqn",
        "iqn.",
        "abc.def",
        "eui.12",
        "naa.aaaaaaaaaaaaaaaaaaaaaaaa",
        "wwn.000000000000000g",
    ] {
        assert!(canonical_name(bad).is_err(), "{bad}");
    }
    assert!(canonical_name(&format!("iqn.{}", "a".repeat(219))).is_ok());
    assert!(canonical_name(&format!("iqn.{}", "a".repeat(220))).is_err());
    assert!(canonical_name("iqn.2026-01.org.example:a b").is_err());
    assert!(canonical_name("iqé.x").is_err());
}

#[test]
fn group_names_are_1_to_255_bytes_and_a_star_is_reserved() {
    assert!(check_group_name("a").is_ok() && check_group_name(&"a".repeat(255)).is_ok());
    for bad in ["", "*all", "a\0b", &"a".repeat(256)] {
        assert!(check_group_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_size_is_digits_and_one_suffix() {
    let good = [
        ("0", 0),
        ("512", 512),
        ("1k", 1 << 10),
        ("1M", 1 << 20),
        ("3t", 3 << 40),
        ("1p", 1 << 50),
    ];
    for (text, bytes) in good {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    assert_eq!(parse_size("15e"), Some(15 << 60));
    for bad in [
        "",
        "k",
        "1kb",
        "1 k",
        "-1",
        "+1",
        "0x10",
        "16e",
        "18446744073709551616",
        "1.5g",
    ] {
        assert_eq!(parse_size(bad), None, "{bad}");
    }
}

/// Property, text, outcome of `CreateLu::set`.
type Case = (LuProperty, String, Result<(), StmfStatus>);

#[test]
fn property_texts_are_judged_by_the_rules_of_the_library() {
    use LuProperty as P;
    use StmfStatus::{InvalidArg, InvalidProperty, InvalidPropertySize};
    let long = |length| "x".repeat(length);
    let cases: Vec<Case> = vec![
        (P::Alias, long(255), Ok(())),
        (P::Alias, long(256), Err(InvalidPropertySize)),
        (P::BlockSize, "512".into(), Ok(())),
        (P::BlockSize, "1000".into(), Ok(())),
        (P::BlockSize, "65536".into(), Err(InvalidPropertySize)),
        (
            P::BlockSize,
            "99999999999999999999".into(),
            Err(InvalidPropertySize),
        ),
        (P::BlockSize, "4k".into(), Err(InvalidArg)),
        (P::BlockSize, "".into(), Err(InvalidArg)),
        (P::CompanyId, "00144F".into(), Ok(())),
        (P::CompanyId, "000000".into(), Err(InvalidArg)),
        (P::CompanyId, "00144G".into(), Err(InvalidArg)),
        (P::CompanyId, "144F".into(), Err(InvalidPropertySize)),
        (P::HostId, "0000000a".into(), Ok(())),
        (P::HostId, "a".into(), Err(InvalidPropertySize)),
        (P::DataFile, long(1023), Ok(())),
        (P::DataFile, long(1024), Err(InvalidPropertySize)),
        (P::MetaFile, long(1024), Err(InvalidPropertySize)),
        (P::MgmtUrl, long(1024), Err(InvalidPropertySize)),
        (P::Guid, "600144F0C73AB8000000549B00010001".into(), Ok(())),
        (P::Guid, "600144F0".into(), Err(InvalidPropertySize)),
        (P::Guid, long(32), Err(InvalidArg)),
        (P::Size, "1g".into(), Ok(())),
        (P::Size, "1x".into(), Err(InvalidArg)),
        (P::WriteProtect, "TRUE".into(), Ok(())),
        (P::WriteProtect, "yes".into(), Err(InvalidArg)),
        (P::WriteCacheDisable, "false".into(), Ok(())),
        (P::Vendor, long(8), Ok(())),
        (P::Vendor, long(9), Err(InvalidPropertySize)),
        (P::Product, long(17), Err(InvalidPropertySize)),
        (P::Serial, long(252), Ok(())),
        (P::Serial, long(253), Err(InvalidPropertySize)),
        (P::New, "1".into(), Err(InvalidProperty)),
        (P::AccessState, "0".into(), Err(InvalidProperty)),
    ];
    for (property, value, expected) in cases {
        assert_eq!(
            CreateLu::default().set(property, &value),
            expected,
            "{property:?} {value}"
        );
    }
    let mut create = CreateLu::default();
    create.set(P::CompanyId, "00144f").unwrap();
    create.set(P::WriteProtect, "True").unwrap();
    assert_eq!(
        (create.company_id, create.write_protect),
        (Some(0x144f), Some(true))
    );
}

#[test]
fn five_properties_can_be_changed() {
    let changeable: Vec<_> = LuProperty::ALL
        .into_iter()
        .filter(|property| {
            let mut modify = ModifyLu::new(LuName::File("/d".into()));
            modify.set(*property, "true") != Err(StmfStatus::InvalidProperty)
        })
        .map(|property| property as u32)
        .collect();
    assert_eq!(changeable, [1, 7, 9, 10, 11]);
}

#[test]
fn property_names_are_those_of_stmfadm_in_any_case() {
    let names = [
        "alias", "blk", "guid", "host-id", "meta", "mgmt-url", "oui", "pid", "serial", "vid", "wcd", "WP",
    ];
    let numbers: Vec<_> = names
        .map(|name| LuProperty::from_name(name).unwrap() as u32)
        .to_vec();
    assert_eq!(numbers, [1, 2, 5, 16, 6, 7, 3, 13, 14, 12, 11, 10]);
    assert_eq!(LuProperty::from_name("size"), None);
    assert_eq!(
        (LuProperty::from_number(0), LuProperty::from_number(17)),
        (None, None)
    );
}
