//! A node's certificate and key: making and reading them.

use anyhow::{Context, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes `cert.pem` and `key.pem` in `dir`: a self-signed certificate that names `name` and is valid from 1975 to 4096, for
/// it is pinned, not dated. Without `force`, files that are there stay.
///
/// # Errors
/// A file is there, or cannot be written.
pub fn generate(dir: &Path, name: &str, force: bool) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (cert_path, key_path) = (dir.join("cert.pem"), dir.join("key.pem"));
    if !force {
        for path in [&cert_path, &key_path] {
            if path.exists() {
                bail!(
                    "{} is there already; --force overwrites it, and the peer must then get the new certificate",
                    path.display()
                );
            }
        }
    }
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).context("cannot make a certificate")?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    // The key first: a certificate without its key would be handed to the peer for nothing.
    write(
        &key_path,
        made.signing_key.serialize_pem().as_bytes(),
        0o600,
        force,
    )?;
    write(&cert_path, made.cert.pem().as_bytes(), 0o644, force)?;
    Ok((cert_path, key_path))
}

/// Writes beside the place and renames, so that a file is either the old or the new one and never readable by others
/// in between.
fn write(path: &Path, content: &[u8], mode: u32, force: bool) -> anyhow::Result<()> {
    let fresh = path.with_extension("pem.new");
    let attempt = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        if force {
            std::fs::rename(&fresh, path)
        } else {
            // Fails where somebody else has made the file meanwhile.
            std::fs::hard_link(&fresh, path)?;
            std::fs::remove_file(&fresh)
        }
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}

/// The certificates in a PEM file, at least one.
///
/// # Errors
/// The file cannot be read or has none.
pub fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from {}", path.display()))?;
    if certificates.is_empty() {
        bail!("{} has no certificate", path.display());
    }
    Ok(certificates)
}

/// The key in a PEM file that only its owner may read.
///
/// # Errors
/// The file cannot be read, has none, or others may read it.
pub fn key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let mode = std::fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        bail!(
            "{} has mode {:04o}: others may read the key; `chmod 600` it",
            path.display(),
            mode & 0o7777
        );
    }
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("cannot read a key from {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_with_a_private_key_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("identity");
        let (cert, key_path) = generate(&at, "node-a", false).unwrap();
        assert_eq!(
            std::fs::metadata(&key_path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let first = certificates(&cert).unwrap();
        key(&key_path).unwrap();
        assert!(generate(&at, "node-a", false).is_err());
        assert_eq!(certificates(&cert).unwrap(), first, "a refusal changes nothing");
        generate(&at, "node-a", true).unwrap();
        assert_ne!(certificates(&cert).unwrap(), first);
        assert_eq!(
            std::fs::read_dir(&at).unwrap().count(),
            2,
            "nothing is left beside them"
        );
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (_, key_path) = generate(dir.path(), "node-a", false).unwrap();
        std::fs::set_permissions(&key_path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(key(&key_path).unwrap_err().to_string().contains("0640"));
    }
}
