//! SYNOPSIS: declares the functions as the headers do.

use std::process::Command;

use crate::pages::{Page, pages};
use crate::support::{source, succeed, workspace};

/// The functions a page declares, as C; typedefs are left out.
fn declarations(page: &Page) -> Vec<String> {
    let mut declarations = Vec::new();
    let (mut kind, mut name, mut parameters) = (String::new(), String::new(), Vec::new());
    for line in page.section("SYNOPSIS") {
        if let Some(text) = line.strip_prefix(".Ft ") {
            text.clone_into(&mut kind);
        } else if let Some(text) = line.strip_prefix(".Fo ") {
            text.clone_into(&mut name);
            parameters.clear();
        } else if let Some(text) = line.strip_prefix(".Fa ") {
            parameters.push(text.trim_matches('"').to_owned());
        } else if line == ".Fc" && !kind.starts_with("typedef") {
            declarations.push(format!("{kind} {name}({});", parameters.join(", ")));
        }
    }
    declarations
}

fn includes(page: &Page) -> Vec<String> {
    let lines = page.section("SYNOPSIS").into_iter();
    lines
        .filter_map(|line| line.strip_prefix(".In "))
        .map(|name| format!("#include <{name}>"))
        .collect()
}

/// C refuses a second declaration that differs, and -Wredundant-decls notices one that is the same: there must be one in the header.
#[test]
fn synopses_declare_what_the_headers_do() {
    let mut functions = 0;
    for page in pages("man3") {
        let declarations = declarations(&page);
        functions += declarations.len();
        let file = workspace().join(format!(
            "synopsis-{}.c",
            page.path.file_stem().expect("a name").to_string_lossy()
        ));
        let text = format!("{}\n{}\n", includes(&page).join("\n"), declarations.join("\n"));
        std::fs::write(&file, &text).expect("the file can be written");
        let cc = |options: &[&str]| {
            let mut command = Command::new("cc");
            command
                .args(["-Wall", "-Wextra", "-fsyntax-only"])
                .args(options)
                .arg("-I");
            command.arg(source("include")).arg(&file);
            command
        };
        succeed(&mut cc(&["-Werror"]));
        let said = cc(&["-Wredundant-decls"]).output().expect("cc starts");
        let said = String::from_utf8_lossy(&said.stderr);
        assert_eq!(
            said.matches("[-Wredundant-decls]").count(),
            declarations.len(),
            "{}: not in its header\n{text}{said}",
            page.path.display()
        );
    }
    assert!(
        functions >= 25,
        "only {functions} functions were found in the pages"
    );
}
