//! SCSI on the wire: CDBs, sense data, VPD and mode pages, LUNs and parameter data.
//!
//! Everything here turns bytes into typed values or typed values into bytes. Nothing decides anything: what a
//! command *does* is the business of `stmf-core`. The crate is pure: no I/O, no clock, no panics on input.
//!
//! Clauses are cited from SAM-5 r21, SPC-4 r37 and SBC-3 r36.
//!
//! ```
//! use scsi_proto::{cdb::Cdb, sense::Sense};
//!
//! let cdb = Cdb::parse(&[0x28, 0x08, 0, 0, 0, 16, 0, 0, 8, 0]).unwrap();
//! let Cdb::Read(transfer) = cdb else { panic!("READ(10)") };
//! assert_eq!((transfer.lba, transfer.blocks, transfer.fua), (16, 8, true));
//!
//! assert_eq!(Cdb::parse(&[0xC5; 16]).unwrap_err().sense(), Sense::INVALID_OPCODE);
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

extern crate alloc;

#[cfg(test)]
extern crate std;

mod fields;

pub mod capacity;
pub mod cdb;
pub mod inquiry;
pub mod lun;
pub mod mode;
pub mod opcode;
pub mod report_luns;
pub mod rsoc;
pub mod rtpg;
pub mod sense;
pub mod status;
pub mod unmap;
pub mod vpd;

pub use cdb::Cdb;
pub use lun::Lun;
pub use sense::{AdditionalSense, Sense, SenseKey};
pub use status::Status;

/// Cuts parameter data to the ALLOCATION LENGTH of its CDB. SPC-4 r37 §4.2.5.6: never an error.
pub fn truncate(data: &mut alloc::vec::Vec<u8>, allocation_length: u64) {
    data.truncate(usize::try_from(allocation_length).unwrap_or(usize::MAX));
}
