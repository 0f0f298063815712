//! libiscsi's conformance tests (`iscsi-test-cu`), each run by itself, through the active and through the standby portal.

use std::collections::BTreeMap;
use std::path::Path;

use conformance::process::{self, Start};
use conformance::tools::{self, TOOL_LIMIT};
use conformance::{NodeId, Pair};
use serde::Deserialize;

const UNIT_BYTES: u64 = 64 << 20;
/// The tests are dealt out to this many pairs per portal, which run at the same time.
const HANDS: usize = 2;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skips {
    skip: Vec<Skip>,
}

/// A line of `skips.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    test: String,
    reason: String,
}

fn skips() -> Skips {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("skips.toml");
    let text = std::fs::read_to_string(path).expect("skips.toml");
    let skips: Skips =
        toml::from_str(&text).expect("skips.toml has one table [[skip]] with test and reason each");
    assert!(
        skips.skip.iter().all(|skip| !skip.reason.trim().is_empty()),
        "each skip needs a reason"
    );
    skips
}

fn all_tests() -> Vec<String> {
    let list = process::run_ok(
        Start::new("iscsi-test-cu", "iscsi-test-cu").arg("--list"),
        TOOL_LIMIT,
    );
    let list = list.expect("iscsi-test-cu, from the Debian package libiscsi-bin");
    let leaf = |line: &&str| line.starts_with("ALL.") && line.matches('.').count() == 2;
    list.lines()
        .map(str::trim)
        .filter(leaf)
        .map(str::to_owned)
        .collect()
}

fn is_listed(skips: &Skips, test: &str) -> bool {
    skips.skip.iter().any(|skip| {
        test == skip.test
            || test
                .strip_prefix(&skip.test)
                .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// Runs one hand of the tests through one portal.
fn run(portal: NodeId, hand: usize) {
    let pair = Pair::start().expect("a pair");
    pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let (first, second) = (pair.node(portal).url(0), pair.node(portal.peer()).url(0));
    let skips = skips();
    let mut bad: BTreeMap<String, String> = BTreeMap::new();
    let mut passed = 0;
    for test in all_tests()
        .iter()
        .skip(hand)
        .step_by(HANDS)
        .filter(|test| !is_listed(&skips, test))
    {
        let urls: Vec<&str> = if test.starts_with("ALL.MultipathIO") {
            vec![&first, &second]
        } else {
            vec![&first]
        };
        match tools::iscsi_test_cu(test, &urls) {
            Err(error) => drop(bad.insert(test.clone(), format!("{error:#}"))),
            Ok(done) => {
                let text = format!("{}{}", done.stdout, done.stderr);
                let verdict = verdict(&text);
                match verdict {
                    Ok(()) => passed += 1,
                    Err(why) => drop(bad.insert(test.clone(), format!("{why}\n{}", notable(&text)))),
                }
            }
        }
    }
    println!("{passed} tests passed through node {portal:?}");
    let report: Vec<String> = bad.iter().map(|(test, why)| format!("{test}: {why}")).collect();
    assert!(
        bad.is_empty(),
        "{} of {}:\n{}\n{}",
        bad.len(),
        bad.len() + passed,
        report.join("\n"),
        pair.logs()
    );
    assert!(passed > 40, "only {passed} tests were run");
}

/// The tool clears reservations before and after *every* test, and reports that it did not have to.
const PREPARATION: &str = "PERSISTENT RESERVE IN is not implemented.";

fn verdict(text: &str) -> Result<(), String> {
    if text
        .lines()
        .any(|line| line.contains("[SKIPPED]") && !line.contains(PREPARATION))
    {
        return Err("the tool skipped it: list it in skips.toml with a reason, or support it".to_owned());
    }
    // The summary line "tests: total, ran, passed, failed, inactive".
    let line = text.lines().find(|line| line.trim_start().starts_with("tests "));
    let fields: Vec<&str> = line.ok_or("no summary")?.split_whitespace().collect();
    match fields.as_slice() {
        ["tests", total, ran, passed, "0", ..] if total == ran && ran == passed && *total != "0" => Ok(()),
        _ => Err(format!("{fields:?}")),
    }
}

/// The lines that say what went wrong.
fn notable(text: &str) -> String {
    let notable = |line: &&str| {
        ["[FAILED]", "[SKIPPED]", "CU_"]
            .iter()
            .any(|mark| line.contains(mark))
            && !line.contains(PREPARATION)
    };
    text.lines()
        .filter(notable)
        .take(4)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn active_portal_first_hand() {
    run(NodeId::A, 0);
}

#[test]
fn active_portal_second_hand() {
    run(NodeId::A, 1);
}

#[test]
fn standby_portal_first_hand() {
    run(NodeId::B, 0);
}

#[test]
fn standby_portal_second_hand() {
    run(NodeId::B, 1);
}

#[test]
fn every_skip_names_a_test_that_exists() {
    let tests = all_tests();
    for skip in skips().skip {
        let known = tests
            .iter()
            .any(|test| *test == skip.test || test.starts_with(&format!("{}.", skip.test)));
        assert!(
            known,
            "skips.toml names {}, which iscsi-test-cu does not have",
            skip.test
        );
    }
}
