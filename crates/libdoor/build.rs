//! Gives the shared library its SONAME, its symbol versions, and the name by which the loader looks for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=link");
    argument("-Wl,-soname,libdoor.so.1");
    // Thread-specific data has a destructor in here: the library must stay once it is loaded.
    argument("-Wl,-z,nodelete");
    if compiler_takes_wrappers() {
        version_symbols(&Path::new(env!("CARGO_MANIFEST_DIR")).join("link"));
    } else {
        println!("cargo:warning=libdoor.so gets no symbol versions: `cc` is not GCC");
    }
    if let Err(error) = link_soname() {
        println!("cargo:warning=libdoor.so.1 is not linked to libdoor.so: {error}");
    }
}

/// rustc hands the linker a list of exported names and offers no way to replace it; the C compiler that it links with does.
fn version_symbols(link: &Path) {
    argument("-wrapper");
    argument(&link.join("own-versions.sh").to_string_lossy());
    argument(&format!(
        "-Wl,--version-script={}",
        link.join("libdoor.map").display()
    ));
    argument("-Wl,--exclude-libs,ALL");
}

fn compiler_takes_wrappers() -> bool {
    let mut cc = Command::new("cc");
    cc.args(["-wrapper", "true", "-E", "-x", "c", "/dev/null"]);
    cc.output().is_ok_and(|output| output.status.success())
}

fn argument(argument: &str) {
    println!("cargo:rustc-cdylib-link-arg={argument}");
}

/// Makes `libdoor.so.1 -> libdoor.so` beside the library, so that what was linked with `-L target/release -ldoor` also
/// starts with `target/release` in its run path. The output directory is `PROFILE/build/libdoor-HASH/out`.
fn link_soname() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let profile = out.ancestors().nth(3).ok_or(io::ErrorKind::NotFound)?;
    for directory in [profile.to_path_buf(), profile.join("deps")] {
        let link = directory.join("libdoor.so.1");
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::os::unix::fs::symlink("libdoor.so", &link)?,
        }
    }
    Ok(())
}
