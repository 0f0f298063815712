//! One state file: a header line a person can read, then JSON.
//!
//! ```text
//! lintel-state 1 generation 12 crc32c 9ab31f02 bytes 431
//! { … }
//! ```
//! The previous generation stays beside it with the suffix `.previous`.

use rustix::fs::fsync;
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
/// A larger state file is refused; a thousand logical units need less than one MiB.
const MAXIMUM_BYTES: u64 = 256 << 20;

/// Why state was not loaded. The file is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is damaged.
    #[error(
        "state file {path} is damaged: {reason}. Nothing was changed. Put the previous generation ({path}.previous) \
         or a backup in its place, or move the file away to start with an empty configuration",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a newer release.
    #[error("state file {path} has format {format}, this release knows format 1: install the release that wrote it", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format number found.
        format: u32,
    },
    /// The file or its folder cannot be used.
    #[error("state file {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A state file that is loaded once and then replaced, generation by generation, by its one writer.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    generation: u64,
}

impl StateFile {
    /// Loads the newest generation; a missing file is a first start and gives `None`.
    pub fn load<T: DeserializeOwned>(path: &Path) -> Result<(Self, Option<T>), LoadError> {
        let failed = |source| LoadError::Io {
            path: path.to_path_buf(),
            source,
        };
        let mut text = Vec::new();
        match File::open(path) {
            Ok(file) => file
                .take(MAXIMUM_BYTES + 1)
                .read_to_end(&mut text)
                .map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((
                    Self {
                        path: path.to_path_buf(),
                        generation: 0,
                    },
                    None,
                ));
            }
            Err(error) => return Err(failed(error)),
        };
        let damaged = |reason: String| LoadError::Damaged {
            path: path.to_path_buf(),
            reason,
        };
        let end = text
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or_else(|| damaged("no header".into()))?;
        let (header, body) = (&text[..end], &text[end + 1..]);
        let header =
            Header::parse(header).ok_or_else(|| damaged("the first line is not a state header".into()))?;
        if header.format != FORMAT {
            return Err(LoadError::Format {
                path: path.to_path_buf(),
                format: header.format,
            });
        }
        if body.len() as u64 != header.bytes {
            return Err(damaged(format!(
                "{} bytes, the header says {}",
                body.len(),
                header.bytes
            )));
        }
        let crc = crc32c::crc32c(body);
        if crc != header.crc {
            return Err(damaged(format!(
                "checksum is {crc:08x}, the header says {:08x}",
                header.crc
            )));
        }
        let state = serde_json::from_slice(body).map_err(|error| damaged(error.to_string()))?;
        Ok((
            Self {
                path: path.to_path_buf(),
                generation: header.generation,
            },
            Some(state),
        ))
    }

    /// Replaces the state; durable when this returns. On failure the previous generation stays in force.
    pub fn save<T: Serialize>(&mut self, state: &T) -> io::Result<()> {
        let mut body = serde_json::to_vec_pretty(state)?;
        body.push(b'\n');
        let generation = self.generation + 1;
        let header = format!(
            "lintel-state {FORMAT} generation {generation} crc32c {:08x} bytes {}\n",
            crc32c::crc32c(&body),
            body.len()
        );
        let temporary = self.sibling(".new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(header.as_bytes())?;
        file.write_all(&body)?;
        fsync(&file)?;
        drop(file);
        self.keep_previous();
        fs::rename(&temporary, &self.path)?;
        self.generation = generation;
        let folder = self
            .path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        fsync(File::open(folder)?)?;
        Ok(())
    }

    /// The generation now in force; 0 before the first save.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// A convenience for the administrator: losing it loses nothing, so a failure is not an error.
    fn keep_previous(&self) {
        let previous = self.sibling(".previous");
        let _ = fs::remove_file(&previous);
        let _ = fs::hard_link(&self.path, &previous);
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

struct Header {
    format: u32,
    generation: u64,
    crc: u32,
    bytes: u64,
}

impl Header {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let words: Vec<&str> = line.split(' ').collect();
        let [
            "lintel-state",
            format,
            "generation",
            generation,
            "crc32c",
            crc,
            "bytes",
            bytes,
        ] = words[..]
        else {
            return None;
        };
        Some(Self {
            format: format.parse().ok()?,
            generation: generation.parse().ok()?,
            crc: u32::from_str_radix(crc, 16).ok()?,
            bytes: bytes.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LogicalUnit, NodeState};

    fn state(epoch: u64) -> NodeState {
        let unit = LogicalUnit {
            guid: "G".into(),
            path: "/d".into(),
            epoch,
            owned: true,
            offline: false,
        };
        NodeState {
            logical_units: vec![unit],
            ..NodeState::default()
        }
    }

    fn saved(directory: &Path, generations: u64) -> PathBuf {
        let path = directory.join("state");
        let (mut file, none) = StateFile::load::<NodeState>(&path).unwrap();
        assert!(none.is_none());
        for epoch in 1..=generations {
            file.save(&state(epoch)).unwrap();
        }
        path
    }

    #[test]
    fn the_last_generation_is_loaded_and_the_one_before_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = saved(directory.path(), 3);
        let (file, loaded) = StateFile::load::<NodeState>(&path).unwrap();
        assert_eq!((file.generation(), loaded), (3, Some(state(3))));
        let previous = directory.path().join("state.previous");
        assert_eq!(StateFile::load::<NodeState>(&previous).unwrap().1, Some(state(2)));
    }

    #[test]
    fn a_damaged_file_is_refused_by_name_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = saved(directory.path(), 1);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let loaded = StateFile::load::<NodeState>(&path);
            // The generation number alone is not covered by the checksum, and need not be.
            let Err(error) = loaded else { continue };
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(StateFile::load::<NodeState>(&path).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_crash_between_write_and_rename_leaves_the_old_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = saved(directory.path(), 2);
        fs::write(directory.path().join("state.new"), "half a st").unwrap();
        let (mut file, loaded) = StateFile::load::<NodeState>(&path).unwrap();
        assert_eq!(loaded, Some(state(2)));
        file.save(&state(7)).unwrap();
        assert_eq!(StateFile::load::<NodeState>(&path).unwrap().1, Some(state(7)));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        fs::write(&path, "lintel-state 2 generation 1 crc32c 00000000 bytes 0\n").unwrap();
        assert!(matches!(
            StateFile::load::<NodeState>(&path),
            Err(LoadError::Format { format: 2, .. })
        ));
    }
}
