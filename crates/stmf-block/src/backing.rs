//! An open store: user data behind an exclusive lock, with the operations a disk needs.

use crate::error::{MediumFault, OpenError};
use crate::metadata::{self, AREA_BYTES, Metadata};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, fdatasync, flock};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, pwritev2};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Smallest usable size in bytes.
pub const MINIMUM_BYTES: u64 = 1 << 20;
const COMPARE_BYTES: usize = 256 * 1024;

/// The store of one active logical unit. Dropping it closes the files and gives the lock back.
#[derive(Debug)]
pub struct Backing {
    data: File,
    data_offset: u64,
    size_bytes: u64,
    metadata_file: Option<File>,
    metadata_path: PathBuf,
    kept: Mutex<(u64, Metadata)>,
}

/// What a freshly created store is made of.
#[derive(Debug, Clone)]
pub struct CreateSpec {
    /// Absolute path of a regular file or block device; a missing file is made when `size_bytes` is given.
    pub data_file: PathBuf,
    /// A separate metadata file; without it the first 64 KiB of the data file are used.
    pub metadata_file: Option<PathBuf>,
    /// Bytes of user data; none takes what the file or device has.
    pub size_bytes: Option<u64>,
    /// What is written; `size_bytes`, `data_file` and `separate` are filled in here.
    pub metadata: Metadata,
}

/// The outcome of an attempt that must not wait for a disk.
#[derive(Debug)]
pub enum Now<T> {
    /// Done without waiting.
    Done(T),
    /// It would have waited: do it on a thread that may.
    WouldWait,
}

impl Backing {
    /// Makes the store of a new logical unit and opens it. An existing data file keeps its user data.
    pub fn create(spec: CreateSpec) -> Result<Self, OpenError> {
        let CreateSpec {
            data_file,
            metadata_file: metadata_path,
            size_bytes,
            mut metadata,
        } = spec;
        let data_error = |source| OpenError::Data {
            path: data_file.clone(),
            source,
        };
        let existed = data_file.exists();
        let data = OpenOptions::new()
            .read(true)
            .write(true)
            .create(size_bytes.is_some())
            .truncate(false)
            .open(&data_file)
            .map_err(data_error)?;
        lock(&data, &data_file)?;
        let data_offset = if metadata_path.is_some() { 0 } else { AREA_BYTES };
        let made = prepare(&data, &data_file, data_offset, size_bytes, metadata.block_size);
        let finish = |size: u64| {
            let path = metadata_path.clone().unwrap_or_else(|| data_file.clone());
            let separate = match &metadata_path {
                Some(path) => Some(open_metadata(path, true)?),
                None => None,
            };
            metadata.size_bytes = size;
            metadata.data_file = data_file.to_string_lossy().into_owned();
            metadata.separate = separate.is_some();
            let target = separate.as_ref().unwrap_or(&data);
            let generation = metadata::erase(target)
                .and_then(|()| metadata::write(target, 0, &metadata))
                .map_err(|source| OpenError::MetadataWrite {
                    path: path.clone(),
                    source,
                })?;
            Ok((separate, path, generation, metadata.clone()))
        };
        match made.and_then(finish) {
            Ok((metadata_file, metadata_path, generation, metadata)) => Ok(Self {
                data,
                data_offset,
                size_bytes: metadata.size_bytes,
                metadata_file,
                metadata_path,
                kept: Mutex::new((generation, metadata)),
            }),
            Err(error) => {
                if !existed {
                    let _ = std::fs::remove_file(&data_file);
                }
                Err(error)
            }
        }
    }

    /// Opens an existing store by its metadata file, or by its data file when they are one.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let first = open_data(path)?;
        let refused = |reason: String| OpenError::Metadata {
            path: path.to_path_buf(),
            reason,
        };
        let (_, seen) = metadata::read(&first).map_err(|error| refused(error.to_string()))?;
        let (data, data_path, metadata_file) = if seen.separate {
            let data_path = PathBuf::from(&seen.data_file);
            (open_data(&data_path)?, data_path, Some(first))
        } else {
            (first, path.to_path_buf(), None)
        };
        lock(&data, &data_path)?;
        // What was read before the lock may be another owner's unfinished business: read it again.
        let target = metadata_file.as_ref().unwrap_or(&data);
        let (generation, metadata) = metadata::read(target).map_err(|error| refused(error.to_string()))?;
        if metadata.separate != metadata_file.is_some() {
            return Err(refused("metadata changed while the store was opened".to_owned()));
        }
        if metadata.size_bytes < MINIMUM_BYTES || !valid_block_size(metadata.block_size) {
            return Err(OpenError::Size {
                bytes: metadata.size_bytes,
                block_size: metadata.block_size,
            });
        }
        let data_offset = if metadata.separate { 0 } else { AREA_BYTES };
        Ok(Self {
            size_bytes: metadata.size_bytes,
            data,
            data_offset,
            metadata_file,
            metadata_path: path.to_path_buf(),
            kept: Mutex::new((generation, metadata)),
        })
    }

    /// Reads the metadata of a store without opening it for I/O: no lock is taken.
    pub fn peek(path: &Path) -> Result<Metadata, OpenError> {
        let file = File::open(path).map_err(|source| OpenError::Data {
            path: path.to_path_buf(),
            source,
        })?;
        metadata::read(&file)
            .map(|(_, metadata)| metadata)
            .map_err(|error| OpenError::Metadata {
                path: path.to_path_buf(),
                reason: error.to_string(),
            })
    }

    /// A copy of the metadata as last written.
    pub fn metadata(&self) -> Metadata {
        self.lock_kept().1.clone()
    }

    /// The file that holds the metadata; importing it finds this store again.
    pub fn metadata_path(&self) -> &Path {
        &self.metadata_path
    }

    /// Changes the metadata; durable when this returns, unchanged when it fails.
    pub fn update_metadata(&self, change: impl FnOnce(&mut Metadata)) -> Result<Metadata, OpenError> {
        let mut kept = self.lock_kept();
        let mut next = kept.1.clone();
        change(&mut next);
        let target = self.metadata_file.as_ref().unwrap_or(&self.data);
        let generation =
            metadata::write(target, kept.0, &next).map_err(|source| OpenError::MetadataWrite {
                path: self.metadata_path.clone(),
                source,
            })?;
        *kept = (generation, next.clone());
        Ok(next)
    }

    /// Makes the data file at least as long as `size_bytes` of user data need.
    pub fn grow(&self, size_bytes: u64) -> io::Result<()> {
        let want = self.data_offset + size_bytes;
        if self.data.metadata()?.file_type().is_file() && self.data.metadata()?.len() < want {
            self.data.set_len(want)?;
        }
        Ok(())
    }

    /// Bytes of user data when the store was opened.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Fills `buffer` from byte `offset`, without waiting for a disk: only what the page cache holds.
    pub fn read_now(&self, offset: u64, buffer: &mut [u8]) -> Now<Result<(), MediumFault>> {
        let mut have = 0;
        while have < buffer.len() {
            let at = self.data_offset + offset + have as u64;
            let mut slices = [IoSliceMut::new(&mut buffer[have..])];
            match preadv2(&self.data, &mut slices, at, ReadWriteFlags::NOWAIT) {
                Ok(0) => {
                    buffer[have..].fill(0);
                    break;
                }
                Ok(n) => have += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => return Now::WouldWait,
                Err(_) => return Now::Done(Err(MediumFault::Read)),
            }
        }
        Now::Done(Ok(()))
    }

    /// Fills `buffer` from byte `offset`; what lies beyond the end of the file reads as zeros.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumFault> {
        let mut have = 0;
        while have < buffer.len() {
            match pread(
                &self.data,
                &mut buffer[have..],
                self.data_offset + offset + have as u64,
            ) {
                Ok(0) => {
                    buffer[have..].fill(0);
                    break;
                }
                Ok(n) => have += n,
                Err(Errno::INTR) => {}
                Err(_) => return Err(MediumFault::Read),
            }
        }
        Ok(())
    }

    /// Writes the pieces one after the other from byte `offset`; `durable` waits until they are on the medium.
    pub fn write(&self, offset: u64, pieces: &[impl AsRef<[u8]>], durable: bool) -> Result<(), MediumFault> {
        let flags = if durable {
            ReadWriteFlags::DSYNC
        } else {
            ReadWriteFlags::empty()
        };
        let mut at = self.data_offset + offset;
        for piece in pieces {
            let mut rest = piece.as_ref();
            while !rest.is_empty() {
                match pwritev2(&self.data, &[IoSlice::new(rest)], at, flags) {
                    Ok(0) | Err(Errno::NOSPC | Errno::DQUOT) => return Err(MediumFault::NoSpace),
                    Ok(n) => {
                        rest = &rest[n..];
                        at += n as u64;
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => return Err(MediumFault::Write),
                }
            }
        }
        Ok(())
    }

    /// Writes `block` again and again over `length` bytes from `offset`.
    pub fn write_same(&self, offset: u64, length: u64, block: &[u8]) -> Result<(), MediumFault> {
        if block.is_empty() {
            return Err(MediumFault::Write);
        }
        if block.iter().all(|&byte| byte == 0) && self.zero(offset, length, FallocateFlags::ZERO_RANGE) {
            return Ok(());
        }
        let repeat = (COMPARE_BYTES / block.len()).max(1);
        let pattern = block.repeat(repeat);
        let mut done = 0;
        while done < length {
            let n = usize::try_from(length - done)
                .unwrap_or(usize::MAX)
                .min(pattern.len());
            self.write(offset + done, &[&pattern[..n]], false)?;
            done += n as u64;
        }
        Ok(())
    }

    /// Gives the range back to the file system; it reads as zeros afterwards.
    pub fn unmap(&self, offset: u64, length: u64) -> Result<(), MediumFault> {
        if self.zero(
            offset,
            length,
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        ) {
            return Ok(());
        }
        let zeros = vec![0_u8; COMPARE_BYTES];
        let mut done = 0;
        while done < length {
            let n = usize::try_from(length - done)
                .unwrap_or(usize::MAX)
                .min(zeros.len());
            self.write(offset + done, &[&zeros[..n]], false)?;
            done += n as u64;
        }
        Ok(())
    }

    /// Waits until everything written is on the medium.
    pub fn flush(&self) -> Result<(), MediumFault> {
        loop {
            match fdatasync(&self.data) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::NOSPC | Errno::DQUOT) => return Err(MediumFault::NoSpace),
                Err(_) => return Err(MediumFault::Write),
            }
        }
    }

    /// Reads `length` bytes from `offset` and throws them away: the medium can be read there.
    pub fn verify(&self, offset: u64, length: u64) -> Result<(), MediumFault> {
        let mut buffer = vec![0_u8; COMPARE_BYTES];
        let mut done = 0;
        while done < length {
            let n = usize::try_from(length - done)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            self.read(offset + done, &mut buffer[..n])?;
            done += n as u64;
        }
        Ok(())
    }

    /// Compares the pieces with what stands at `offset`.
    pub fn compare(&self, offset: u64, pieces: &[impl AsRef<[u8]>]) -> Result<(), MediumFault> {
        let mut buffer = vec![0_u8; COMPARE_BYTES];
        let mut done = 0_u64;
        for piece in pieces {
            for chunk in piece.as_ref().chunks(COMPARE_BYTES) {
                let have = &mut buffer[..chunk.len()];
                self.read(offset + done, have)?;
                if let Some(at) = chunk.iter().zip(have.iter()).position(|(a, b)| a != b) {
                    return Err(MediumFault::Miscompare {
                        offset: done + at as u64,
                    });
                }
                done += chunk.len() as u64;
            }
        }
        Ok(())
    }

    fn zero(&self, offset: u64, length: u64, how: FallocateFlags) -> bool {
        length == 0 || fallocate(&self.data, how, self.data_offset + offset, length).is_ok()
    }

    fn lock_kept(&self) -> std::sync::MutexGuard<'_, (u64, Metadata)> {
        self.kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn open_data(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| OpenError::Data {
            path: path.to_path_buf(),
            source,
        })
}

fn open_metadata(path: &Path, create: bool) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)
        .map_err(|source| OpenError::MetadataWrite {
            path: path.to_path_buf(),
            source,
        })
}

/// One node, one process may have a store open for I/O; the kernel gives the lock back when it dies.
fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => OpenError::InUse {
            path: path.to_path_buf(),
        },
        other => OpenError::Data {
            path: path.to_path_buf(),
            source: other.into(),
        },
    })
}

fn valid_block_size(block_size: u32) -> bool {
    block_size.is_power_of_two() && (512..=32768).contains(&block_size)
}

/// Finds or makes room for the user data; gives its size in bytes.
fn prepare(
    data: &File,
    path: &Path,
    data_offset: u64,
    wanted: Option<u64>,
    block_size: u32,
) -> Result<u64, OpenError> {
    let failed = |source| OpenError::Data {
        path: path.to_path_buf(),
        source,
    };
    let kind = data.metadata().map_err(failed)?.file_type();
    let length = if kind.is_block_device() {
        let mut handle = data;
        handle.seek(SeekFrom::End(0)).map_err(failed)?
    } else if kind.is_file() {
        data.metadata().map_err(failed)?.len()
    } else {
        return Err(failed(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file or block device",
        )));
    };
    let block = u64::from(block_size);
    let size = wanted.unwrap_or_else(|| length.saturating_sub(data_offset) / block.max(1) * block);
    if !valid_block_size(block_size) || size < MINIMUM_BYTES || !size.is_multiple_of(block) {
        return Err(OpenError::Size {
            bytes: size,
            block_size,
        });
    }
    let end = size.checked_add(data_offset).ok_or(OpenError::Size {
        bytes: size,
        block_size,
    })?;
    if length < end {
        if !kind.is_file() {
            return Err(OpenError::Size {
                bytes: size,
                block_size,
            });
        }
        data.set_len(end).map_err(failed)?;
    }
    Ok(size)
}

#[cfg(test)]
mod tests;
