//! Gives the shared library its SONAME, and the name by which the loader looks for it.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libdoor.so.1");
    // Thread-specific data has a destructor in here: the library must stay once it is loaded.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if let Err(error) = link_soname() {
        println!("cargo:warning=libdoor.so.1 is not linked to libdoor.so: {error}");
    }
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
