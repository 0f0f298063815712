//! The pages as files: one for each function, none that leads nowhere, none that is badly written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{library, source, succeed};

/// A page that is no alias of another.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Page {
    /// The lines between a heading and the next.
    pub(crate) fn section(&self, title: &str) -> Vec<&str> {
        let heading = format!(".Sh {title}");
        self.text
            .lines()
            .skip_while(|line| **line != heading)
            .skip(1)
            .take_while(|line| !line.starts_with(".Sh "))
            .collect()
    }

    /// What its NAME says it is about.
    fn names(&self) -> Vec<&str> {
        let lines = self.section("NAME").into_iter();
        let names = lines.filter_map(|line| line.strip_prefix(".Nm "));
        names.map(|name| name.trim_end_matches(" ,")).collect()
    }
}

fn manual() -> PathBuf {
    source("../../docs/man")
}

/// Files of one section of the manual.
fn files(section: &str) -> Vec<PathBuf> {
    let folder = manual().join(section);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    files.sort();
    files
}

/// Every page of a section, without aliases.
pub(crate) fn pages(section: &str) -> Vec<Page> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a page is text");
        Page { path, text }
    };
    let pages: Vec<Page> = files(section).into_iter().map(read).collect();
    assert!(!pages.is_empty());
    pages
        .into_iter()
        .filter(|page| !page.text.starts_with(".so "))
        .collect()
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .expect("a page has a name")
        .to_string_lossy()
        .into_owned()
}

/// The versioned symbols are the interface; those of the C library that libdoor answers have none.
#[test]
fn every_exported_function_has_a_page() {
    let symbols = succeed(
        Command::new("nm")
            .args(["-D", "--defined-only", "--with-symbol-versions"])
            .arg(library(".so")),
    );
    let symbols = String::from_utf8(symbols.stdout).expect("symbols are ASCII");
    let functions: BTreeSet<&str> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2)?.strip_suffix("@@LIBDOOR_1.0"))
        .collect();
    assert!(functions.contains("door_call"), "{symbols}");
    let pages: BTreeSet<String> = files("man3").iter().map(|path| stem(path)).collect();
    let without: Vec<_> = functions.iter().filter(|name| !pages.contains(**name)).collect();
    assert!(without.is_empty(), "no page: {without:?}");
}

#[test]
fn every_name_of_a_page_leads_to_it_and_every_alias_is_a_name() {
    let mut expected = BTreeSet::new();
    for page in pages("man3") {
        let own = stem(&page.path);
        let names = page.names();
        assert_eq!(names.first(), Some(&&*own), "{}", page.path.display());
        for name in names {
            let alias = manual().join(format!("man3/{name}.3"));
            if name != own {
                let text = fs::read_to_string(&alias).unwrap_or_default();
                assert_eq!(text, format!(".so man3/{own}.3\n"), "{}", alias.display());
            }
            expected.insert(alias);
        }
    }
    assert_eq!(files("man3").into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn references_among_our_pages_lead_somewhere() {
    let ours = ["door", "ucred", "fattach", "fdetach", "libdoor", "S_IS"];
    for page in pages("man3").iter().chain(&pages("man7")) {
        for line in page.text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            for at in words
                .iter()
                .enumerate()
                .filter(|(_, word)| word.trim_start_matches('.') == "Xr")
                .map(|(at, _)| at)
            {
                let (Some(name), Some(section)) = (words.get(at + 1), words.get(at + 2)) else {
                    panic!("{}: {line}", page.path.display());
                };
                if ours.iter().any(|prefix| name.starts_with(prefix)) {
                    let other = manual().join(format!("man{section}/{name}.{section}"));
                    assert!(other.exists(), "{}: {line}", page.path.display());
                }
            }
        }
    }
}

#[test]
fn every_page_has_the_same_sections_in_the_same_order() {
    let order = [
        "NAME",
        "LIBRARY",
        "SYNOPSIS",
        "DESCRIPTION",
        "RETURN VALUES",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "ERRORS",
        "ATTRIBUTES",
        "SEE ALSO",
        "DIFFERENCES FROM SOLARIS",
    ];
    for page in pages("man3") {
        let sections: Vec<&str> = page
            .text
            .lines()
            .filter_map(|line| line.strip_prefix(".Sh "))
            .collect();
        let places: Vec<usize> = sections
            .iter()
            .map(|section| {
                order
                    .iter()
                    .position(|known| known == section)
                    .unwrap_or_else(|| panic!("{}: {section}", page.path.display()))
            })
            .collect();
        assert!(places.is_sorted(), "{}: {sections:?}", page.path.display());
        for section in ["SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"] {
            assert!(sections.contains(&section), "{}: {section}", page.path.display());
        }
    }
}

#[test]
fn mandoc_has_no_warning() {
    if Command::new("mandoc").arg("-h").output().is_err() {
        eprintln!("mandoc is not installed");
        return;
    }
    for page in pages("man3").iter().chain(&pages("man7")) {
        let output = Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(&page.path)
            .output()
            .expect("mandoc starts");
        // Whether the system's own pages are indexed is not ours to judge.
        let said: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| !line.contains("mandoc.db"))
            .map(str::to_owned)
            .collect();
        assert!(said.is_empty(), "{said:#?}");
    }
}
