//! ERRORS: what a function is said to fail with, some test makes it fail with.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::pages::pages;
use crate::support;

/// A user and group that own nothing.
const NOBODY: u32 = 65534;

/// `tests/c/errors.c`, which checks what it provokes.
#[test]
fn errors_beyond_the_rows_are_as_the_pages_say() {
    let program = support::program("errors", "cc", &["errors.c"]);
    // SAFETY: asks only.
    let is_root = unsafe { libc::geteuid() == 0 };
    let users = if is_root {
        vec![None, Some(NOBODY)]
    } else {
        vec![None]
    };
    for user in users {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .expect("its mode can be set");
        let mut command = Command::new(&program);
        command.arg(folder.path()).env_remove("LD_LIBRARY_PATH");
        if let Some(user) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(user))
                .expect("the folder can be given away");
            command.uid(user).gid(user);
        }
        support::succeed(&mut command);
    }
}

/// Pairs that no FAILS of the C tests shows, with the row that does or the reason why nothing can.
const OTHERWISE: &[(&str, &str, Otherwise)] = &[
    ("door_call", "EAGAIN", Otherwise::Row("dr_068")),
    ("door_call", "ENOMEM", Otherwise::Reason(NO_MEMORY)),
    ("door_ucred", "ENOMEM", Otherwise::Reason(NO_MEMORY)),
];

const NO_MEMORY: &str = "where memory is that short, a small allocation may fail first, and ends the process";

#[derive(Debug, Clone, Copy)]
enum Otherwise {
    Row(&'static str),
    Reason(&'static str),
}

/// Helpers of the C tests that call a function and give its result back.
const HELPERS: &[(&str, &str)] = &[("call_with", "door_call")];

type Pair = (String, String);

/// `FAILS(function(...), ERRNO)` in the C tests.
fn shown() -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for entry in std::fs::read_dir(support::source("tests/c")).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("sources are text");
        for rest in text.split("FAILS(").skip(1) {
            let Some((statement, _)) = rest.split_once(");") else {
                continue;
            };
            let (Some((call, errno)), Some((function, _))) = (
                statement.rsplit_once(", "),
                statement.trim_start_matches("(int)").split_once('('),
            ) else {
                continue;
            };
            if call.is_empty() || !errno.starts_with('E') {
                continue;
            }
            let helper = HELPERS.iter().find(|(helper, _)| *helper == function);
            let function = helper.map_or(function, |(_, function)| function);
            pairs.insert((function.to_owned(), errno.to_owned()));
        }
    }
    pairs
}

/// What the pages list: functions named before a list fail with what is in it.
fn listed() -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for page in pages("man3") {
        let mut functions: Vec<&str> = Vec::new();
        let mut in_list = false;
        for line in page.section("ERRORS") {
            if line.starts_with(".Bl ") {
                in_list = true;
                assert!(
                    !functions.is_empty(),
                    "{}: errors of nothing",
                    page.path.display()
                );
            } else if line == ".El" {
                in_list = false;
                functions.clear();
            } else if let (false, Some(function)) = (in_list, line.strip_prefix(".Fn ")) {
                functions.push(function.trim_end_matches(" ,"));
            } else if let (true, Some(errno)) = (in_list, line.strip_prefix(".It Bq Er ")) {
                pairs.extend(
                    functions
                        .iter()
                        .map(|function| ((*function).to_owned(), errno.to_owned())),
                );
            }
        }
    }
    pairs
}

fn rows() -> String {
    let folder = support::source("tests/rows");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    files
        .map(|file| std::fs::read_to_string(file.expect("it can be read").path()).expect("text"))
        .collect()
}

#[test]
fn every_error_a_page_lists_is_provoked_by_a_test() {
    let (listed, shown, rows) = (listed(), shown(), rows());
    assert!(listed.len() > 50, "{listed:?}");
    for (function, errno) in &listed {
        let otherwise = OTHERWISE
            .iter()
            .find(|(name, number, _)| name == function && number == errno);
        let is_shown = shown.contains(&(function.clone(), errno.clone()));
        match otherwise {
            None => assert!(
                is_shown,
                "{function} is said to fail with {errno}, and no test shows it"
            ),
            Some((.., how)) => {
                assert!(!is_shown, "{function}, {errno}: a test shows it, strike it off");
                match how {
                    Otherwise::Row(row) => {
                        assert!(rows.contains(&format!("fn {row}_")), "{row} does not exist");
                    }
                    Otherwise::Reason(reason) => assert!(!reason.is_empty()),
                }
            }
        }
    }
    for (function, errno, _) in OTHERWISE {
        let pair = ((*function).to_owned(), (*errno).to_owned());
        assert!(listed.contains(&pair), "{function}, {errno}: no page lists it");
    }
}

/// The other way round: what the tests see of our functions is on their page.
#[test]
fn every_error_a_test_provokes_is_on_its_page() {
    let listed = listed();
    let functions: BTreeSet<&str> = listed.iter().map(|(function, _)| &**function).collect();
    let missing: Vec<Pair> = shown()
        .into_iter()
        .filter(|pair| functions.contains(&*pair.0) && !listed.contains(pair))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
