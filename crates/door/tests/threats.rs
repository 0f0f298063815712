//! The page that says who can do what to whom names tests; they must exist.

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
