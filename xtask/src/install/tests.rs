//! An installation in a temporary prefix, used as a C programmer would.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{MANIFEST, Place, files_below};

fn place(prefix: &Path) -> Place {
    Place {
        prefix: prefix.to_path_buf(),
        destdir: None,
        libdir: "lib".into(),
    }
}

/// Installs files that are named like those of a build: for tests of where they go.
fn installed(place: &Place) {
    let built = prefix();
    for name in [
        "doorctl",
        "stmfadm",
        "stmfd",
        "stmfproxyd",
        "libdoor.so",
        "libdoor.a",
    ] {
        fs::write(built.path().join(name), name).unwrap();
    }
    place.install(built.path()).unwrap();
}

fn prefix() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}

/// Files and links below a folder, relative to it.
fn listed(folder: &Path) -> BTreeSet<PathBuf> {
    files_below(folder)
        .unwrap()
        .iter()
        .map(|file| file.strip_prefix(folder).unwrap().to_path_buf())
        .collect()
}

/// `cc hello.c OPTIONS -o hello`, OPTIONS being what pkg-config says; as a shell would put them in.
fn compiled(prefix: &Path, cc: &str, pkg_config: &str) -> PathBuf {
    let program = prefix.join("hello");
    let source = crate::build::root().join("crates/libdoor/tests/c/hello.c");
    let line = format!(
        "{cc} {} $(pkg-config {pkg_config} door) -o {}",
        source.display(),
        program.display()
    );
    succeed(
        Command::new("sh")
            .args(["-c", &line])
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")),
    );
    program
}

/// One installation for all of it: the programs of a test build are large.
#[test]
fn a_c_programmer_finds_everything_in_the_prefix() {
    let prefix = prefix();
    let prefix = prefix.path();
    conformance::binaries::built("stmfd").unwrap();
    let built = conformance::binaries::bin_dir().unwrap();
    place(prefix).install(&built).unwrap();
    programs_run(prefix);
    pages_and_completions_are_where_they_are_looked_for(prefix);
    the_library_is_the_file_its_soname_says_and_a_link_for_the_linker(prefix);
    a_program_needs_only_what_pkg_config_says(prefix);
    a_static_program_needs_only_what_pkg_config_says(prefix);
    a_program_with_the_archive_alone_needs_only_what_pkg_config_says(prefix);
}

fn programs_run(prefix: &Path) {
    for program in ["bin/doorctl", "bin/stmfadm", "sbin/stmfd", "sbin/stmfproxyd"] {
        succeed(Command::new(prefix.join(program)).arg("--help"));
    }
}

fn pages_and_completions_are_where_they_are_looked_for(prefix: &Path) {
    let files = listed(prefix);
    for file in [
        "share/man/man1/doorctl.1",
        "share/man/man3/door_call.3",
        "share/man/man3/door_unbind.3",
        "share/man/man7/door.7",
        "share/bash-completion/completions/doorctl",
        "share/zsh/site-functions/_doorctl",
        "share/fish/vendor_completions.d/doorctl.fish",
        "include/libdoor/sys/stat.h",
    ] {
        assert!(files.contains(Path::new(file)), "{file}");
    }
}

fn the_library_is_the_file_its_soname_says_and_a_link_for_the_linker(prefix: &Path) {
    let lib = prefix.join("lib");
    let dynamic = succeed(Command::new("readelf").arg("-d").arg(lib.join("libdoor.so.1")));
    assert!(String::from_utf8_lossy(&dynamic.stdout).contains("Library soname: [libdoor.so.1]"));
    assert!(fs::symlink_metadata(lib.join("libdoor.so.1")).unwrap().is_file());
    let link = fs::read_link(lib.join("libdoor.so")).unwrap();
    assert_eq!(link, Path::new("libdoor.so.1"));
}

fn a_program_needs_only_what_pkg_config_says(prefix: &Path) {
    let program = compiled(prefix, "cc", "--cflags --libs");
    let needed = succeed(Command::new("readelf").arg("-d").arg(&program));
    assert!(String::from_utf8_lossy(&needed.stdout).contains("Shared library: [libdoor.so.1]"));
    let output = succeed(Command::new(program).env("LD_LIBRARY_PATH", prefix.join("lib")));
    assert_eq!(output.stdout, b"42\n");
}

fn a_static_program_needs_only_what_pkg_config_says(prefix: &Path) {
    let program = compiled(prefix, "cc -static", "--static --cflags --libs");
    let output = succeed(Command::new(program).env_remove("LD_LIBRARY_PATH"));
    assert_eq!(output.stdout, b"42\n");
}

fn a_program_with_the_archive_alone_needs_only_what_pkg_config_says(prefix: &Path) {
    fs::remove_file(prefix.join("lib/libdoor.so")).unwrap();
    let program = compiled(prefix, "cc", "--static --cflags --libs");
    let output = succeed(Command::new(program).env_remove("LD_LIBRARY_PATH"));
    assert_eq!(output.stdout, b"42\n");
}

#[test]
fn uninstall_leaves_what_was_there_before() {
    let prefix = prefix();
    fs::create_dir_all(prefix.path().join("share/man/man1")).unwrap();
    fs::write(prefix.path().join("share/man/man1/theirs.1"), "").unwrap();
    let place = place(prefix.path());
    installed(&place);
    installed(&place); // what a second time finds made, the first has made
    super::undo(&place).unwrap();
    assert_eq!(
        listed(prefix.path()),
        BTreeSet::from([PathBuf::from("share/man/man1/theirs.1")])
    );
    let left: Vec<_> = fs::read_dir(prefix.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["share"]);
    assert!(super::undo(&place).is_err(), "nothing is left to remove");
}

#[test]
fn a_later_install_removes_what_it_no_longer_brings() {
    let prefix = prefix();
    let place = place(prefix.path());
    installed(&place);
    let (manifest, old) = (prefix.path().join(MANIFEST), prefix.path().join("bin/doorcall"));
    fs::write(&old, "").unwrap();
    let lines = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{lines}bin/doorcall\n")).unwrap();
    installed(&place);
    assert!(!old.exists());
    assert_eq!(fs::read_to_string(&manifest).unwrap(), lines);
}

#[test]
fn a_manifest_cannot_lead_out_of_the_prefix() {
    let outside = prefix();
    let (prefix, theirs) = (outside.path().join("prefix"), outside.path().join("theirs"));
    let place = place(&prefix);
    installed(&place);
    fs::write(&theirs, "").unwrap();
    fs::write(prefix.join(MANIFEST), "../theirs\n").unwrap();
    assert!(super::undo(&place).is_err());
    assert!(theirs.exists());
}

#[test]
fn a_folder_for_libraries_outside_the_prefix_is_refused_before_anything_is_installed() {
    let outside = prefix();
    let place = Place {
        libdir: "../lib64".into(),
        ..place(&outside.path().join("prefix"))
    };
    // What would be built is not looked for.
    let error = place.install(Path::new("/nowhere")).unwrap_err();
    assert!(error.to_string().contains("--libdir"), "{error}");
    assert_eq!(listed(outside.path()), BTreeSet::new());
}

#[test]
fn files_go_under_destdir_and_do_not_know_it() {
    let (stage, other) = (prefix(), prefix());
    let place = Place {
        destdir: Some(stage.path().to_path_buf()),
        libdir: "lib/x86_64-linux-gnu".into(),
        ..place(other.path())
    };
    installed(&place);
    assert_eq!(listed(other.path()), BTreeSet::new());
    let pc = place.on_disk("lib/x86_64-linux-gnu/pkgconfig/door.pc");
    assert!(pc.starts_with(stage.path()));
    let said = fs::read_to_string(pc).unwrap();
    assert!(
        said.starts_with(&format!("prefix={}\n", other.path().display())),
        "{said}"
    );
    assert!(!said.contains(&stage.path().display().to_string()), "{said}");
}
