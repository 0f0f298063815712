//! `doorctl info`.

use std::fmt::Write as _;
use std::time::Duration;

use door::{Attributes, DoorHandle, DoorInfo, Statistics};

use crate::{output, proc};

pub(crate) fn run(door: &DoorHandle, deadline: Duration, json: bool) -> anyhow::Result<()> {
    let info = door.info_within(deadline)?;
    // A door that was revoked with its server has nothing more to tell.
    let told = match door.statistics(deadline) {
        Ok(told) => Some(told),
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => None,
        Err(error) => return Err(error.into()),
    };
    if json {
        let mut value = to_json(&info);
        value["statistics"] = told.map_or(serde_json::Value::Null, |told| statistics_json(&told));
        output::print_json(&value)
    } else {
        let counted = told.map_or_else(String::new, |told| statistics_text(&told));
        output::print(to_text(&info) + &counted)
    }
}

/// Names of the attributes that are set, as `<door.h>` has them without the prefix.
pub(crate) fn attributes(attributes: Attributes) -> Vec<&'static str> {
    attributes.iter_names().map(|(name, _)| name).collect()
}

/// A limit that was never set is no limit.
fn limit(value: u64, none: u64) -> Option<u64> {
    (value != none).then_some(value)
}

/// `Label    : value`, line by line.
fn lines<'a>(lines: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::new();
    for (label, value) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<18}: {value}");
    }
    text
}

fn to_text(info: &DoorInfo) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let unlimited =
        |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    let names = attributes(info.attributes);
    let server = info.target.map(|pid| match proc::command(pid) {
        Some(command) => format!("{pid} ({})", output::visible(&command)),
        None => pid.to_string(),
    });
    lines([
        ("Server process", or_dash(server)),
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
    ])
}

fn statistics_text(told: &Statistics) -> String {
    let quantile = |share| {
        told.run_time
            .quantile(share)
            .map_or_else(|| "-".to_owned(), output::duration)
    };
    lines([
        (
            "Calls",
            format!(
                "{} ({} running, {} at most)",
                told.calls, told.running, told.most_running
            ),
        ),
        (
            "Errors",
            format!(
                "{} refused, {} revoked, {} aborted by the caller, {} failed",
                told.refused, told.revoked, told.aborted, told.failed
            ),
        ),
        ("Bytes", format!("{} in, {} out", told.bytes_in, told.bytes_out)),
        (
            "Descriptors passed",
            format!("{} in, {} out", told.descriptors_in, told.descriptors_out),
        ),
        (
            "Run time",
            format!(
                "{} median, {} p99, {} at most",
                quantile(0.5),
                quantile(0.99),
                quantile(1.0)
            ),
        ),
        (
            "Threads",
            format!("{} ({} idle)", told.threads, told.threads_idle),
        ),
        (
            "Held by others",
            // This program holds one of them.
            format!(
                "{} descriptors, {} of them called through, {} paths",
                told.exports.saturating_sub(1),
                told.clients,
                told.paths
            ),
        ),
        ("Unreferenced", format!("{} times", told.unreferenced)),
    ])
}

fn to_json(info: &DoorInfo) -> serde_json::Value {
    serde_json::json!({
        "target": info.target,
        "procedure": info.procedure,
        "cookie": info.cookie,
        "attributes": attributes(info.attributes),
        "unique": info.unique,
        "data_min": info.limits.data_min,
        "data_max": limit(info.limits.data_max, u64::MAX),
        "descriptors_max": limit(info.limits.descriptors_max.into(), i32::MAX.unsigned_abs().into()),
    })
}

/// All counters; times in nanoseconds.
pub(crate) fn statistics_json(told: &Statistics) -> serde_json::Value {
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let quantile = |share| told.run_time.quantile(share).map(ns);
    let classes = told
        .run_time
        .classes()
        .map(|(from, calls)| serde_json::json!([ns(from), calls]));
    serde_json::json!({
        "calls": told.calls,
        "running": told.running,
        "most_running": told.most_running,
        "refused": told.refused,
        "revoked": told.revoked,
        "aborted": told.aborted,
        "failed": told.failed,
        "bytes_in": told.bytes_in,
        "bytes_out": told.bytes_out,
        "descriptors_in": told.descriptors_in,
        "descriptors_out": told.descriptors_out,
        "unreferenced": told.unreferenced,
        "threads": told.threads,
        "threads_idle": told.threads_idle,
        "exports": told.exports,
        "clients": told.clients,
        "paths": told.paths,
        "run_time_p50_ns": quantile(0.5),
        "run_time_p99_ns": quantile(0.99),
        "run_time_max_ns": quantile(1.0),
        "run_time_classes_ns": classes.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use door::Limits;

    use super::*;

    #[test]
    fn what_a_door_says_is_shown_line_by_line() {
        let info = DoorInfo {
            target: None,
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
Server process    : -
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

    #[test]
    fn counters_are_shown_with_their_quantiles() {
        let mut told = Statistics::default();
        told.calls = 7;
        told.run_time.add(Duration::from_micros(100), 7);
        let text = statistics_text(&told);
        assert!(
            text.starts_with("Calls             : 7 (0 running, 0 at most)\n"),
            "{text}"
        );
        assert!(text.contains("Run time          : 106 us median"), "{text}");
        let json = statistics_json(&told);
        assert_eq!(
            (&json["calls"], &json["run_time_p50_ns"]),
            (&7.into(), &106_496.into())
        );
    }
}
