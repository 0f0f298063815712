//! The Debian packages that tests, the check and the benchmarks need.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

/// A package, and a program of it whose presence shows that it is installed.
struct Package {
    name: &'static str,
    program: &'static str,
}

const PACKAGES: [Package; 12] = [
    Package {
        name: "libiscsi-bin",
        program: "iscsi-test-cu",
    },
    Package {
        name: "qemu-utils",
        program: "qemu-img",
    },
    Package {
        name: "tgt",
        program: "tgtd",
    },
    Package {
        name: "e2fsprogs",
        program: "mke2fs",
    },
    Package {
        name: "gcc",
        program: "gcc",
    },
    Package {
        name: "g++",
        program: "g++",
    },
    Package {
        name: "clang",
        program: "clang",
    },
    Package {
        name: "gdb",
        program: "gdb",
    },
    Package {
        name: "valgrind",
        program: "valgrind",
    },
    Package {
        name: "pkgconf",
        program: "pkg-config",
    },
    Package {
        name: "mandoc",
        program: "mandoc",
    },
    Package {
        name: "coreutils",
        program: "sha256sum",
    },
];

/// The two that must be of one version: QEMU loads its iSCSI driver only from the very same build.
const QEMU: [&str; 2] = ["qemu-utils", "qemu-block-extra"];

/// Makes sure that every package is there: installs what is missing when this is root, else says what to install.
pub(crate) fn ensure() -> Result<()> {
    let mut missing: BTreeSet<&str> = PACKAGES
        .iter()
        .filter(|package| !on_path(package.program))
        .map(|package| package.name)
        .collect();
    let qemu_broken = !qemu_speaks_iscsi();
    if qemu_broken {
        missing.extend(QEMU);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.into_iter().collect();
    if !on_path("apt-get") {
        bail!(
            "missing: {}. Install them with this system's package manager",
            names.join(" ")
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "missing: run `sudo apt-get install --no-install-recommends {}` and try again",
            names.join(" ")
        );
    }
    println!("installing {}", names.join(" "));
    if candidate("qemu-block-extra").is_none() || candidate("libiscsi-bin").is_none() {
        apt(&["update"])?;
    }
    let plain: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !QEMU.contains(name))
        .collect();
    if !plain.is_empty() {
        install(&plain).or_else(|_| {
            // Lists that name versions the mirror no longer has.
            apt(&["update"])?;
            install(&plain)
        })?;
    }
    if qemu_broken {
        install_qemu()?;
    }
    Ok(())
}

/// Both QEMU packages in the version in which the block drivers can be had: a machine may carry a newer `qemu-utils`
/// from elsewhere, whose drivers nobody has.
fn install_qemu() -> Result<()> {
    let version = candidate("qemu-block-extra").context("no package source has qemu-block-extra")?;
    let pinned: Vec<String> = QEMU.iter().map(|name| format!("{name}={version}")).collect();
    let pinned: Vec<&str> = pinned.iter().map(String::as_str).collect();
    if install(&pinned).is_err() {
        apt(&["update"])?;
        install(&pinned)?;
    }
    if !qemu_speaks_iscsi() {
        bail!(
            "qemu-img still does not know iscsi:// after installing {}",
            pinned.join(" ")
        );
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["install", "-y", "--no-install-recommends", "--allow-downgrades"];
    arguments.extend(packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(std::process::Stdio::null())
        .status()
        .context("cannot run apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// The version `apt-get install` would choose.
fn candidate(package: &str) -> Option<String> {
    let text = text_of("apt-cache", &["policy", package])?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (line != "(none)").then(|| line.to_owned())
}

/// Nobody listens on port 9: a qemu-img with the driver fails to connect, one without it does not know the protocol.
fn qemu_speaks_iscsi() -> bool {
    let probe = "iscsi://127.0.0.1:9/iqn.2026-11.org.example:none/0";
    let Some(output) = output_of("qemu-img", &["info", probe]) else {
        return false;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    !said.contains("Unknown protocol") && !said.contains("unknown protocol") && !said.contains("module")
}

fn output_of(program: &str, arguments: &[&str]) -> Option<Output> {
    Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .ok()
}

fn text_of(program: &str, arguments: &[&str]) -> Option<String> {
    output_of(program, arguments).map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is found in the usual places; daemons are often not in a user's search path.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.iter().any(|folder| folder.join(program).is_file())
}
