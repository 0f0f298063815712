//! `cargo xtask install` and `uninstall`: the programs, libraries, headers and manual pages of one build, under a prefix.
//!
//! What was put where stands in a manifest; a later `install` removes what it no longer brings, `uninstall` everything.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::build::{self, Profile, root};

/// Where everything goes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// The folder under which it is used.
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,
    /// Written before every path, and unknown to what is installed: for those who make packages.
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,
    /// The folder for libraries, under the prefix, such as lib64 or lib/x86_64-linux-gnu.
    #[arg(long, value_name = "DIR", default_value = "lib")]
    libdir: PathBuf,
}

/// What one installed file is made of.
enum Content {
    Copy(PathBuf),
    Text(String),
    Link(&'static str),
}

/// A file to install; `path` is relative to the prefix.
struct Item {
    path: PathBuf,
    content: Content,
    mode: u32,
}

/// Relative to the prefix. A line is a file, or, with a slash at its end, a folder that was made for one.
const MANIFEST: &str = "share/lintel/manifest";

/// The name the loader looks for, and the file. Its number changes when programs would have to be compiled again.
const SONAME: &str = "libdoor.so.1";

/// What a program needs besides the archive if it is linked with that.
const STATIC_LIBRARIES: &str = "-lpthread -lm -ldl -lrt -lutil";

/// Builds and installs.
pub(crate) fn run(place: &Place) -> Result<()> {
    place.check()?;
    let built = build::workspace(Profile::Release)?;
    let files = place.install(&built)?;
    println!(
        "{files} files installed under {}; `cargo xtask uninstall` with the same options removes them",
        place.on_disk("").display()
    );
    if place.destdir.is_none() {
        let libraries = place.prefix.join(&place.libdir);
        let libraries = libraries.display();
        println!(
            "compile with `cc prog.c $(PKG_CONFIG_PATH={libraries}/pkgconfig pkg-config --cflags --libs door)`; \
             the headers are in {}",
            place.prefix.join("include/libdoor").display()
        );
        println!(
            "programs find {SONAME} once `ldconfig` has run, if {libraries} is a folder of the loader's, \
             or with LD_LIBRARY_PATH={libraries}"
        );
    }
    Ok(())
}

/// Removes what [`run`] put there.
pub(crate) fn undo(place: &Place) -> Result<()> {
    let manifest = place.on_disk(MANIFEST);
    let lines = place.manifest()?;
    ensure!(
        !lines.is_empty(),
        "{}: nothing is installed here",
        manifest.display()
    );
    place.remove(&lines)?;
    println!("removed what {} listed", manifest.display());
    Ok(())
}

impl Place {
    /// Refuses what no installation could use.
    fn check(&self) -> Result<()> {
        ensure!(
            self.prefix.is_absolute(),
            "--prefix {}: give an absolute path",
            self.prefix.display()
        );
        ensure!(
            lies_below(&self.libdir),
            "--libdir {}: give a path below the prefix",
            self.libdir.display()
        );
        Ok(())
    }

    /// Puts the build in `built` in its places; returns the number of files.
    fn install(&self, built: &Path) -> Result<usize> {
        self.check()?;
        let items = self.items(built)?;
        let before = self.manifest()?;
        let mut lines: BTreeSet<String> = before
            .iter()
            .filter(|line| line.ends_with('/'))
            .cloned()
            .collect();
        for item in &items {
            self.make_folders(&item.path, &mut lines)?;
            self.put(item)?;
            lines.insert(text(&item.path)?);
        }
        self.make_folders(Path::new(MANIFEST), &mut lines)?;
        lines.insert(MANIFEST.to_owned());
        self.put(&Item {
            path: MANIFEST.into(),
            content: Content::Text(lines.iter().map(|line| format!("{line}\n")).collect()),
            mode: 0o644,
        })?;
        self.remove(&before.difference(&lines).cloned().collect())?;
        Ok(items.len())
    }

    /// Everything there is to install.
    fn items(&self, built: &Path) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut add = |path: PathBuf, content: Content, mode: u32| items.push(Item { path, content, mode });
        for (folder, programs) in [("bin", ["doorctl", "stmfadm"]), ("sbin", ["stmfd", "stmfproxyd"])] {
            for program in programs {
                add(
                    Path::new(folder).join(program),
                    Content::Copy(built.join(program)),
                    0o755,
                );
            }
        }
        let lib = |name: &str| self.libdir.join(name);
        add(lib(SONAME), Content::Copy(built.join("libdoor.so")), 0o644);
        add(lib("libdoor.so"), Content::Link(SONAME), 0o644);
        add(lib("libdoor.a"), Content::Copy(built.join("libdoor.a")), 0o644);
        add(lib("pkgconfig/door.pc"), Content::Text(self.pkg_config()), 0o644);
        // In a folder of their own: <sys/stat.h> is also the name of one of the system's.
        for (from, to) in [
            ("crates/libdoor/include", "include/libdoor"),
            ("docs/man", "share/man"),
            ("examples/doors", "share/doc/lintel/examples/doors"),
        ] {
            for file in files_below(&root().join(from))? {
                let path = Path::new(to).join(file.strip_prefix(root().join(from))?);
                add(path, Content::Copy(file), 0o644);
            }
        }
        for (from, to) in [
            (
                "docs/completions/doorctl.bash",
                "share/bash-completion/completions/doorctl",
            ),
            ("docs/completions/_doorctl", "share/zsh/site-functions/_doorctl"),
            (
                "docs/completions/doorctl.fish",
                "share/fish/vendor_completions.d/doorctl.fish",
            ),
            ("crates/libdoor/link/valgrind.supp", "share/lintel/valgrind.supp"),
            ("LICENSE", "share/doc/lintel/LICENSE"),
        ] {
            add(to.into(), Content::Copy(root().join(from)), 0o644);
        }
        Ok(items)
    }

    /// What pkg-config tells of libdoor, under the name `door`.
    fn pkg_config(&self) -> String {
        format!(
            "prefix={}\n\
             libdir=${{prefix}}/{}\n\
             includedir=${{prefix}}/include\n\
             \n\
             Name: door\n\
             Description: Doors for Linux: door_create(3) and its relatives\n\
             Version: {}\n\
             Cflags: -I${{includedir}}/libdoor\n\
             Libs: -L${{libdir}} -ldoor\n\
             Libs.private: {STATIC_LIBRARIES}\n",
            self.prefix.display(),
            self.libdir.display(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// Where a path below the prefix is written.
    fn on_disk(&self, path: impl AsRef<Path>) -> PathBuf {
        match &self.destdir {
            None => self.prefix.join(path),
            Some(destdir) => destdir
                .join(self.prefix.strip_prefix("/").unwrap_or(&self.prefix))
                .join(path),
        }
    }

    /// The lines of the manifest, none if there is none.
    fn manifest(&self) -> Result<BTreeSet<String>> {
        let path = self.on_disk(MANIFEST);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Makes the folders above a file, and notes those that were not there.
    fn make_folders(&self, path: &Path, lines: &mut BTreeSet<String>) -> Result<()> {
        let mut missing: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .filter(|folder| !folder.as_os_str().is_empty() && !self.on_disk(folder).is_dir())
            .collect();
        missing.reverse();
        let folder = self.on_disk(path.parent().unwrap_or(path));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for folder in missing {
            lines.insert(format!("{}/", text(folder)?));
        }
        Ok(())
    }

    /// Writes one file beside its place and moves it there, so that whoever runs or loads the old one keeps it.
    fn put(&self, item: &Item) -> Result<()> {
        let path = self.on_disk(&item.path);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let written = self.write(item, &new).and_then(|()| fs::rename(&new, &path));
        written.with_context(|| match &item.content {
            Content::Copy(from) => format!("cannot copy {} to {}", from.display(), path.display()),
            _ => format!("cannot write {}", path.display()),
        })
    }

    fn write(&self, item: &Item, new: &Path) -> std::io::Result<()> {
        match fs::remove_file(new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match &item.content {
            Content::Link(target) => return symlink(target, new),
            Content::Text(text) => fs::write(new, text)?,
            Content::Copy(from) => {
                fs::copy(from, new)?;
            }
        }
        fs::set_permissions(new, fs::Permissions::from_mode(item.mode))
    }

    /// Removes files, and those folders that are empty then.
    fn remove(&self, lines: &BTreeSet<String>) -> Result<()> {
        // From the last line to the first: what lies in a folder comes after it.
        for line in lines.iter().rev() {
            ensure!(
                lies_below(Path::new(line)),
                "{}: '{line}' is no path below the prefix; nothing more is removed",
                self.on_disk(MANIFEST).display()
            );
            let path = self.on_disk(line);
            let removed = match line.strip_suffix('/') {
                Some(_) => fs::remove_dir(&path),
                None => fs::remove_file(&path),
            };
            match removed {
                Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// True of a path that cannot lead out of a folder it is appended to.
fn lies_below(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// A path as a line of the manifest.
fn text(path: &Path) -> Result<String> {
    Ok(path
        .to_str()
        .with_context(|| format!("{}: not in UTF-8", path.display()))?
        .to_owned())
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
