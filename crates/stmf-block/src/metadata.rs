//! The metadata of a logical unit: what makes a store the same disk on whichever node opens it.
//!
//! The area is 64 KiB, at the start of the data file or alone in a metadata file. It holds two slots, at byte
//! 4096 and at byte 32768; a write goes to the slot that does not hold the newest valid copy, so a crash in the
//! middle of it leaves the older copy whole. A slot is a header of 32 bytes and a JSON text:
//!
//! | Byte | Field |
//! |---|---|
//! | 0 | magic `LINTELLU` |
//! | 8 | format version, u32 little-endian; another one is refused |
//! | 12 | length of the JSON text in bytes, u32 |
//! | 16 | generation, u64; the higher one is the newer copy |
//! | 24 | CRC-32C of bytes 0..24 and the JSON text, u32 |
//! | 28 | zero |

use rustix::fs::{fdatasync, fsync};
use rustix::io::{pread, pwrite};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::AsFd;

/// Bytes of the metadata area. User data begins here when metadata and data share a file.
pub const AREA_BYTES: u64 = 65536;
const SLOTS: [u64; 2] = [4096, 32768];
const SLOT_BYTES: usize = 28 * 1024;
const HEADER_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"LINTELLU";
const VERSION: u32 = 1;

/// Which node may touch the store, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Counts owners; only the owner of the highest epoch may open the store for I/O.
    pub epoch: u64,
    /// Node number of that owner, 0 or 1.
    pub node: u16,
}

/// Everything a logical unit keeps with its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// NAA-6 identifier, 32 hexadecimal digits.
    pub guid: String,
    /// Path of the data file as it was when the logical unit was created.
    pub data_file: String,
    /// Whether the metadata stands in a file of its own.
    pub separate: bool,
    /// Bytes of user data.
    pub size_bytes: u64,
    /// Bytes of one logical block.
    pub block_size: u32,
    /// Name shown to administrators.
    pub alias: String,
    /// INQUIRY vendor identification, at most 8 bytes.
    pub vendor: String,
    /// INQUIRY product identification, at most 16 bytes.
    pub product: String,
    /// Unit serial number (VPD 80h); none means the GUID is shown.
    pub serial: Option<String>,
    /// Management network address (VPD 85h).
    pub management_url: Option<String>,
    /// Writes are refused.
    pub write_protect: bool,
    /// The write-back cache is off.
    pub write_cache_disable: bool,
    /// The owner of the store.
    pub owner: Owner,
}

/// Why the metadata area holds nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Neither slot carries the magic: this is not a logical unit's store.
    #[error("no logical unit metadata found; create the logical unit first, or name the right file")]
    Absent,
    /// The area is there but no copy is whole.
    #[error("metadata is damaged ({0}); restore the file from a copy, it was left as it is")]
    Damaged(String),
    /// Written by a newer release.
    #[error("metadata format version {0} is not known to this release")]
    Version(u32),
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A decoded slot: its generation and content.
type Slot = (u64, Metadata);

/// Reads the newest whole copy and its generation.
pub fn read(file: impl AsFd) -> Result<(u64, Metadata), ReadError> {
    let mut newest: Option<Slot> = None;
    let mut fault = None;
    for offset in SLOTS {
        match read_slot(file.as_fd(), offset) {
            Ok(slot) if newest.as_ref().is_none_or(|(generation, _)| slot.0 > *generation) => {
                newest = Some(slot);
            }
            Ok(_) | Err(ReadError::Absent) => {}
            Err(error) => fault = Some(error),
        }
    }
    match (newest, fault) {
        (Some(slot), _) => Ok(slot),
        (None, Some(error)) => Err(error),
        (None, None) => Err(ReadError::Absent),
    }
}

/// Writes a copy of the next generation, durable when this returns; gives the new generation.
pub fn write(file: impl AsFd, previous: u64, metadata: &Metadata) -> io::Result<u64> {
    let generation = previous + 1;
    let bytes = encode(generation, metadata)?;
    let offset = SLOTS[usize::from(generation % 2 == 1)];
    write_all(file.as_fd(), &bytes, offset)?;
    if previous == 0 {
        fsync(file.as_fd())?;
    } else {
        fdatasync(file.as_fd())?;
    }
    Ok(generation)
}

/// Overwrites both slots with zeros: the store of a logical unit that is created anew.
pub fn erase(file: impl AsFd) -> io::Result<()> {
    for offset in SLOTS {
        write_all(file.as_fd(), &[0; HEADER_BYTES], offset)?;
    }
    fdatasync(file.as_fd())?;
    Ok(())
}

fn read_slot(file: impl AsFd, offset: u64) -> Result<Slot, ReadError> {
    let mut bytes = vec![0_u8; SLOT_BYTES];
    let mut have = 0;
    while have < bytes.len() {
        match pread(file.as_fd(), &mut bytes[have..], offset + have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(ReadError::Io(error.into())),
        }
    }
    decode(&bytes)
}

fn encode(generation: u64, metadata: &Metadata) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec_pretty(metadata)?;
    if text.len() > SLOT_BYTES - HEADER_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "metadata does not fit its slot",
        ));
    }
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + text.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&generation.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes), &text);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&text);
    Ok(bytes)
}

fn decode(slot: &[u8]) -> Result<Slot, ReadError> {
    let damaged = |what: &str| ReadError::Damaged(what.to_owned());
    let word = |at: usize| {
        slot.get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_le_bytes)
    };
    if slot.get(..8) != Some(MAGIC.as_slice()) {
        return Err(ReadError::Absent);
    }
    let (Some(version), Some(length), Some(crc)) = (word(8), word(12), word(24)) else {
        return Err(damaged("short header"));
    };
    if version != VERSION {
        return Err(ReadError::Version(version));
    }
    if word(28) != Some(0) {
        return Err(damaged("reserved bytes are not zero"));
    }
    let generation = slot
        .get(16..24)
        .and_then(|b| b.try_into().ok())
        .map(u64::from_le_bytes);
    let text = usize::try_from(length)
        .ok()
        .and_then(|n| slot.get(HEADER_BYTES..HEADER_BYTES.checked_add(n)?));
    let (Some(generation), Some(text)) = (generation, text) else {
        return Err(damaged("length beyond the slot"));
    };
    if crc32c::crc32c_append(crc32c::crc32c(&slot[..24]), text) != crc {
        return Err(damaged("checksum differs"));
    }
    let metadata = serde_json::from_slice(text).map_err(|error| damaged(&error.to_string()))?;
    Ok((generation, metadata))
}

fn write_all(file: impl AsFd, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match pwrite(file.as_fd(), bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Metadata {
        Metadata {
            guid: "600144F0C73AB8000000549B00010001".to_owned(),
            data_file: "/disk".to_owned(),
            separate: false,
            size_bytes: 1 << 20,
            block_size: 512,
            alias: "disk".to_owned(),
            vendor: "LINTEL".to_owned(),
            product: "STMF".to_owned(),
            serial: None,
            management_url: None,
            write_protect: false,
            write_cache_disable: false,
            owner: Owner { epoch: 1, node: 0 },
        }
    }

    #[test]
    fn the_newest_generation_is_read_back() {
        let file = tempfile::tempfile().unwrap();
        let mut metadata = sample();
        let mut generation = write(&file, 0, &metadata).unwrap();
        for epoch in 2..6 {
            metadata.owner.epoch = epoch;
            generation = write(&file, generation, &metadata).unwrap();
        }
        assert_eq!(read(&file).unwrap(), (5, metadata));
    }

    #[test]
    fn a_torn_write_leaves_the_older_copy() {
        let file = tempfile::tempfile().unwrap();
        let old = sample();
        let first = write(&file, 0, &old).unwrap();
        let mut new = old.clone();
        new.alias = "renamed".to_owned();
        write(&file, first, &new).unwrap();
        pwrite(&file, b"torn", SLOTS[0] + 40).unwrap();
        assert_eq!(read(&file).unwrap(), (first, old));
    }

    #[test]
    fn two_damaged_copies_are_refused_and_nothing_is_absent_without_magic() {
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(read(&file), Err(ReadError::Absent)));
        let first = write(&file, 0, &sample()).unwrap();
        write(&file, first, &sample()).unwrap();
        for slot in SLOTS {
            pwrite(&file, b"x", slot + 50).unwrap();
        }
        assert!(matches!(read(&file), Err(ReadError::Damaged(_))));
    }

    #[test]
    fn any_bytes_are_refused_without_panic() {
        let mut slot = encode(3, &sample()).unwrap();
        for at in 0..slot.len() {
            slot[at] ^= 0x5a;
            assert!(decode(&slot).is_err(), "byte {at} is not covered");
            slot[at] ^= 0x5a;
            let _ = decode(&slot[..at]);
        }
    }
}
