//! `cargo xtask spec`: which test covers which row of the specification.
//!
//! The rows stand in `docs/spec-rows.tsv`. A test covers a row when its name says so: a function `st_004_…`, or a
//! function `st_004_st_007_…` for several rows, in Rust or in C. What is deliberately different stands in
//! `docs/deviations.tsv`. A row that is marked `required` and has neither is a failure.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::build;

/// `DR` 34, `ST` 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RowId {
    book: Book,
    number: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Book {
    Doors,
    Stmf,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = if self.book == Book::Doors { "DR" } else { "ST" };
        write!(f, "{book}-{:03}", self.number)
    }
}

impl RowId {
    fn parse(text: &str) -> Option<Self> {
        let (book, number) = text.split_once(['-', '_'])?;
        let book = match book {
            "DR" | "dr" => Book::Doors,
            "ST" | "st" => Book::Stmf,
            _ => return None,
        };
        if number.len() != 3 {
            return None;
        }
        Some(Self {
            book,
            number: number.parse().ok()?,
        })
    }
}

#[derive(Debug)]
struct Row {
    title: String,
    required: bool,
}

/// A test, as `file: function`.
type Tests = BTreeMap<RowId, Vec<String>>;

/// Prints the table; an error names the required rows that nothing covers.
pub(crate) fn run(all: bool) -> Result<()> {
    let root = build::root();
    let rows = read_rows(&root.join("docs/spec-rows.tsv"))?;
    let deviations = read_deviations(&root.join("docs/deviations.tsv"))?;
    let mut tests = Tests::new();
    for folder in ["crates", "conformance", "examples", "xtask"] {
        collect(&root, &root.join(folder), &mut tests)?;
    }
    let mut missing = Vec::new();
    let (mut covered, mut deviating) = (0, 0);
    let (mut in_c, mut in_rust) = (0, 0);
    for (id, row) in &rows {
        let found = tests.get(id).map_or(&[][..], Vec::as_slice);
        let deviation = deviations.get(id);
        covered += usize::from(!found.is_empty());
        deviating += usize::from(deviation.is_some());
        let open = found.is_empty() && deviation.is_none();
        if open && row.required {
            missing.push(id.to_string());
        }
        if open && !row.required && !all {
            continue;
        }
        let is_in = |folder: &str| found.iter().any(|test| test.starts_with(folder));
        let (c, rust) = (is_in("crates/libdoor/"), is_in("crates/door/"));
        in_c += usize::from(c);
        in_rust += usize::from(rust);
        let interfaces = match (id.book, c, rust) {
            (Book::Stmf, ..) | (_, false, false) => "",
            (_, true, false) => "[C] ",
            (_, false, true) => "[Rust] ",
            (_, true, true) => "[C, Rust] ",
        };
        println!("{id}  {interfaces}{}", row.title);
        found.iter().for_each(|test| println!("        {test}"));
        if let Some(deviation) = deviation {
            println!("        deviation: {deviation}");
        }
        if open {
            println!(
                "        {}",
                if row.required {
                    "NO TEST"
                } else {
                    "not required yet"
                }
            );
        }
    }
    if let Some(unknown) = tests.keys().find(|id| !rows.contains_key(id)) {
        bail!(
            "a test names {unknown}, which docs/spec-rows.tsv does not have: {:?}",
            tests[unknown]
        );
    }
    println!(
        "\n{} rows: {covered} covered by tests, {deviating} with a recorded deviation",
        rows.len()
    );
    println!(
        "doors: {in_c} rows against the C library, {in_rust} against the Rust crate (crates/door/tests/README.md says why not all)"
    );
    if !missing.is_empty() {
        bail!(
            "required rows with neither test nor deviation: {}",
            missing.join(" ")
        );
    }
    Ok(())
}

fn read_rows(path: &Path) -> Result<BTreeMap<RowId, Row>> {
    let mut rows = BTreeMap::new();
    for fields in table(path)? {
        let [id, title, state] = fields.as_slice() else {
            bail!("{}: {fields:?} has not 3 fields", path.display())
        };
        let id = RowId::parse(id).with_context(|| format!("{}: {id} is no row", path.display()))?;
        let required = match state.as_str() {
            "required" => true,
            "later" => false,
            other => bail!(
                "{}: {id} is `{other}`, neither required nor later",
                path.display()
            ),
        };
        if rows
            .insert(
                id,
                Row {
                    title: title.clone(),
                    required,
                },
            )
            .is_some()
        {
            bail!("{}: {id} stands twice", path.display());
        }
    }
    Ok(rows)
}

fn read_deviations(path: &Path) -> Result<BTreeMap<RowId, String>> {
    let mut deviations = BTreeMap::new();
    for fields in table(path)? {
        let [id, what, why] = fields.as_slice() else {
            bail!("{}: {fields:?} has not 3 fields", path.display())
        };
        let id = RowId::parse(id).with_context(|| format!("{}: {id} is no row", path.display()))?;
        deviations.insert(id, format!("{what} ({why})"));
    }
    Ok(deviations)
}

/// The fields of each line after the heading.
fn table(path: &Path) -> Result<Vec<Vec<String>>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().skip(1).filter(|line| !line.is_empty());
    Ok(lines
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect())
}

fn collect(root: &Path, folder: &Path, tests: &mut Tests) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, tests)?;
            continue;
        }
        let source = path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "c");
        if !source {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let is_c = path.extension().is_some_and(|extension| extension == "c");
        for name in function_names(&text, is_c) {
            for id in rows_of(&name) {
                let tests = tests.entry(id).or_default();
                let line = format!("{shown}: {name}");
                if !tests.contains(&line) {
                    tests.push(line);
                }
            }
        }
    }
    Ok(())
}

/// Names of test functions in a source: `fn dr_…`/`fn st_…` marked as a test in Rust, definitions in C.
fn function_names(text: &str, is_c: bool) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("#[") {
            marked |= line.contains("test]") || line.contains("test(");
            continue;
        }
        let after = if is_c {
            c_definition(line)
        } else {
            line.strip_prefix("fn ").filter(|_| marked)
        };
        if let Some(after) = after {
            let name: String = after
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if !rows_of(&name).is_empty() {
                names.push(name);
            }
        }
        marked &= line.is_empty() || line.starts_with("//");
    }
    names
}

/// `static void st_004_…(void)` and `static int dr_…(`: the name on.
fn c_definition(line: &str) -> Option<&str> {
    let line = line.strip_prefix("static ").unwrap_or(line);
    ["void ", "int ", "bool "]
        .iter()
        .find_map(|kind| line.strip_prefix(kind))
        .filter(|_| !line.ends_with(';'))
}

/// `st_004_st_007_what_it_proves` covers two rows; `st_004_007_…` as well.
fn rows_of(name: &str) -> Vec<RowId> {
    let mut rows = Vec::new();
    let parts: Vec<&str> = name.split('_').collect();
    let mut book = None;
    for part in parts {
        match part {
            "dr" | "st" => book = Some(part),
            number if number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let id = book.and_then(|book| RowId::parse(&format!("{book}_{number}")));
                rows.extend(id);
            }
            _ => break,
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(name: &str) -> Vec<String> {
        rows_of(name).iter().map(RowId::to_string).collect()
    }

    #[test]
    fn a_name_tells_its_rows() {
        assert_eq!(ids("dr_034_data_max_is_enforced"), ["DR-034"]);
        assert_eq!(ids("st_004_st_007_null_handle"), ["ST-004", "ST-007"]);
        assert_eq!(ids("st_015_016_017_bad_posts"), ["ST-015", "ST-016", "ST-017"]);
        assert!(ids("first_016_not_a_row").is_empty());
    }

    #[test]
    fn only_functions_marked_as_tests_count_in_rust() {
        let text = "#[test]\nfn st_001_a() {}\nfn st_002_helper() {}\n#[test]\n#[ignore]\nfn st_003_b() {}\n";
        assert_eq!(function_names(text, false), ["st_001_a", "st_003_b"]);
    }

    #[test]
    fn definitions_count_in_c_and_declarations_do_not() {
        let text = "static void st_004_null(void)\n{\n}\nint st_005_decl(void);\n";
        assert_eq!(function_names(text, true), ["st_004_null"]);
    }
}
