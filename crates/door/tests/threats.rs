//! Pages that name tests and rows: the tests must exist, and no row be forgotten.

use std::fs;
use std::path::Path;

/// Words in backticks that can only be names of tests.
fn named(page: &str) -> Vec<&str> {
    let in_ticks = page.split('`').skip(1).step_by(2);
    in_ticks
        .filter(|word| {
            word.contains('_')
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect()
}

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_named_in_the_threat_model_exists() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("../../docs/door-security.md")).unwrap();
    let mut tests = String::new();
    sources(&here.join("tests"), &mut tests);
    sources(&here.join("../libdoor/tests"), &mut tests);
    let named = named(&page);
    assert!(named.len() > 20, "the page names its tests");
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|name| !tests.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn every_row_has_a_test_here_or_a_reason_in_the_readme() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("tests/README.md")).unwrap();
    let mut tests = String::new();
    sources(&here.join("tests"), &mut tests);
    // `fn dr_146_…`, also `fn dr_053_…_and_dr_055_…`
    let names: String = tests
        .split("fn ")
        .filter_map(|rest| rest.split('(').next())
        .filter(|name| name.starts_with("dr_"))
        .collect();
    let missing: Vec<u32> = (1..=175)
        .filter(|row| !names.contains(&format!("dr_{row:03}_")))
        .filter(|row| !page.contains(&format!(" {row:03} ")))
        .collect();
    assert!(missing.is_empty(), "neither a test nor a reason: {missing:?}");
}
