//! The manual pages and shell completions of doorctl, from its own definitions.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::build::root;

/// Where they are kept.
const MAN: &str = "docs/man/man1";
const COMPLETIONS: &str = "docs/completions";
/// What the definitions do not say.
const SECTIONS: &str = include_str!("../../crates/doorctl/man/sections.roff");

/// Writes them; with `check`, only tells whether they are as they would be written.
pub(crate) fn run(check: bool) -> Result<()> {
    for (path, content) in files()? {
        let path = root().join(path);
        if check {
            if std::fs::read(&path).ok().as_deref() != Some(&content) {
                bail!("{}: not current; run 'cargo xtask man'", path.display());
            }
            continue;
        }
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        std::fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn files() -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut program = doorctl::command().disable_help_subcommand(true);
    program.build();
    let subcommands: Vec<clap::Command> = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .cloned()
        .collect();
    let mut files = vec![(Path::new(MAN).join("doorctl.1"), main_page(&program)?)];
    for command in subcommands {
        let name = format!("doorctl-{}.1", command.get_name());
        files.push((Path::new(MAN).join(name), page_of(&command)?));
    }
    for (shell, name) in [
        (Shell::Bash, "doorctl.bash"),
        (Shell::Zsh, "_doorctl"),
        (Shell::Fish, "doorctl.fish"),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut doorctl::command(), "doorctl", &mut script);
        files.push((Path::new(COMPLETIONS).join(name), script));
    }
    Ok(files)
}

fn page(command: &clap::Command, title: &str) -> Man {
    Man::new(command.clone())
        .title(title)
        .section("1")
        .source("Lintel")
        .manual("User Commands")
}

fn main_page(program: &clap::Command) -> Result<Vec<u8>> {
    // The exit status has a section of its own, below.
    let man = page(&program.clone().after_help(""), "DOORCTL");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    man.render_subcommands_section(&mut out)?;
    out.extend(SECTIONS.as_bytes());
    let pages: Vec<String> = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| format!("doorctl-{}", command.get_name()))
        .collect();
    out.extend(see_also(&pages));
    Ok(out)
}

fn page_of(command: &clap::Command) -> Result<Vec<u8>> {
    let name = format!("doorctl-{}", command.get_name());
    let man = page(command, &name.to_uppercase());
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    out.extend(see_also(&["doorctl".to_owned()]));
    Ok(out)
}

/// Pages of section 1 given, then those of the functions.
fn see_also(pages: &[String]) -> Vec<u8> {
    let mut names: Vec<String> = pages
        .iter()
        .map(|page| format!("\\fB{}\\fR(1)", page.replace('-', "\\-")))
        .collect();
    for function in ["door_call", "door_create", "door_info", "fattach", "fdetach"] {
        names.push(format!("\\fB{function}\\fR(3)"));
    }
    format!(".SH \"SEE ALSO\"\n{}\n", names.join(",\n")).into_bytes()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_manual_pages_and_completions_are_current() {
        super::run(true).unwrap();
    }
}
