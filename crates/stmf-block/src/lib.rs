//! Backing stores of logical units: regular files and block devices, and the metadata kept with the data.
//!
//! A logical unit's data lives where the administrator put it. Its identity (GUID, serial number, size, the
//! owner's epoch, …) lives beside the data, so that a store found on another node is the same disk there:
//! in the first 64 KiB of the data file, or in a separate metadata file. [`metadata`] has the format.
//!
//! What this crate is *not*: it knows no SCSI and no nodes. Offsets and lengths are bytes of user data, already
//! checked against the capacity by whoever decodes commands; this crate checks them once more and refuses.
#![deny(unsafe_code)]

pub mod backing;
pub mod error;
pub mod metadata;

pub use backing::Backing;
pub use error::{MediumFault, OpenError};
pub use metadata::{Metadata, Owner};
