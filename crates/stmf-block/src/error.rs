//! What can go wrong when a store is opened, and while it is used.

use std::io;
use std::path::PathBuf;

/// Why a store could not be opened, created or imported. Each names the file and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data file or device is missing, unreadable or of the wrong kind (STMF_ERROR_DATA_FILE_NAME).
    #[error("data file {path}: {source}")]
    Data {
        /// The file or device.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process serves this store (STMF_ERROR_FILE_IN_USE).
    #[error("data file {path} is in use by another process")]
    InUse {
        /// The file or device.
        path: PathBuf,
    },
    /// The metadata is missing, damaged or of an unknown version (STMF_ERROR_META_FILE_NAME).
    #[error("metadata in {path}: {reason}")]
    Metadata {
        /// The file that holds the metadata.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The metadata could not be written (STMF_ERROR_META_CREATION).
    #[error("metadata in {path} could not be written: {source}")]
    MetadataWrite {
        /// The file that holds the metadata.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The usable size is below 1 MiB or not a multiple of the block size (STMF_ERROR_FILE_SIZE_INVALID).
    #[error("size {bytes} is not usable: at least 1 MiB and a multiple of the block size {block_size}")]
    Size {
        /// Bytes of user data asked for or found.
        bytes: u64,
        /// Bytes of one logical block.
        block_size: u32,
    },
}

/// A failed operation on an open store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MediumFault {
    /// The store could not be read.
    #[error("read error")]
    Read,
    /// The store could not be written or flushed.
    #[error("write error")]
    Write,
    /// The file system below is full.
    #[error("no space left")]
    NoSpace,
    /// Bytes differ; the offset of the first difference counts from the start of the compared range.
    #[error("miscompare at byte {offset}")]
    Miscompare {
        /// Bytes from the start of the compared range.
        offset: u64,
    },
}
