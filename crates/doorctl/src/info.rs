//! `doorctl info`.

use std::fmt::Write as _;

use door::{DoorHandle, DoorInfo};

pub(crate) fn run(door: &DoorHandle, json: bool) -> anyhow::Result<()> {
    let info = door.info()?;
    if json {
        println!("{:#}", to_json(&info));
    } else {
        print!("{}", to_text(&info));
    }
    Ok(())
}

/// Names of the attributes that are set, as `<door.h>` has them without the prefix.
fn attributes(info: &DoorInfo) -> Vec<&'static str> {
    info.attributes.iter_names().map(|(name, _)| name).collect()
}

/// A limit that was never set is no limit.
fn limit(value: u64, none: u64) -> Option<u64> {
    (value != none).then_some(value)
}

fn to_text(info: &DoorInfo) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let unlimited =
        |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    let names = attributes(info);
    let mut text = String::new();
    for (label, value) in [
        ("Server process", or_dash(info.target.map(|pid| pid.to_string()))),
        ("Procedure", format!("{:#x}", info.procedure)),
        ("Cookie", format!("{:#x}", info.cookie)),
        (
            "Attributes",
            or_dash((!names.is_empty()).then(|| names.join(","))),
        ),
        ("Unique id", info.unique.to_string()),
        ("Least argument", format!("{} bytes", info.limits.data_min)),
        (
            "Greatest argument",
            unlimited(limit(info.limits.data_max, u64::MAX)),
        ),
        (
            "Descriptors",
            unlimited(limit(
                info.limits.descriptors_max.into(),
                i32::MAX.unsigned_abs().into(),
            )),
        ),
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<18}: {value}");
    }
    text
}

fn to_json(info: &DoorInfo) -> serde_json::Value {
    serde_json::json!({
        "target": info.target,
        "procedure": info.procedure,
        "cookie": info.cookie,
        "attributes": attributes(info),
        "unique": info.unique,
        "data_min": info.limits.data_min,
        "data_max": limit(info.limits.data_max, u64::MAX),
        "descriptors_max": limit(info.limits.descriptors_max.into(), i32::MAX.unsigned_abs().into()),
    })
}

#[cfg(test)]
mod tests {
    use door::{Attributes, Limits};

    use super::*;

    #[test]
    fn what_a_door_says_is_shown_line_by_line() {
        let info = DoorInfo {
            target: Some(7),
            procedure: 0x10,
            cookie: 0,
            attributes: Attributes::UNREF_MULTI | Attributes::REFUSE_DESC,
            unique: 42,
            limits: Limits {
                data_max: 4096,
                ..Limits::default()
            },
        };
        let expected = "\
Server process    : 7
Procedure         : 0x10
Cookie            : 0x0
Attributes        : UNREF_MULTI,REFUSE_DESC
Unique id         : 42
Least argument    : 0 bytes
Greatest argument : 4096
Descriptors       : unlimited
";
        assert_eq!(to_text(&info), expected);
        let json = to_json(&info);
        assert_eq!(
            json["attributes"],
            serde_json::json!(["UNREF_MULTI", "REFUSE_DESC"])
        );
        assert_eq!(
            (&json["data_max"], &json["descriptors_max"]),
            (&4096.into(), &serde_json::Value::Null)
        );
    }
}
