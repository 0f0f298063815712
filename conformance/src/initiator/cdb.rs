//! The few CDBs tests send often. SBC-3, SPC-4; block size 512 everywhere.

/// TEST UNIT READY.
pub const TEST_UNIT_READY: [u8; 6] = [0; 6];

/// SYNCHRONIZE CACHE (10) of the whole medium.
pub const SYNCHRONIZE_CACHE: [u8; 10] = [0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Bytes per logical block in every test.
pub const BLOCK_BYTES: u32 = 512;

/// INQUIRY, standard data.
#[must_use]
pub fn inquiry(allocation: u16) -> [u8; 6] {
    let [high, low] = allocation.to_be_bytes();
    [0x12, 0, 0, high, low, 0]
}

/// INQUIRY for a vital product data page.
#[must_use]
pub fn inquiry_page(page: u8, allocation: u16) -> [u8; 6] {
    let [high, low] = allocation.to_be_bytes();
    [0x12, 1, page, high, low, 0]
}

/// READ (16).
#[must_use]
pub fn read16(lba: u64, blocks: u32) -> [u8; 16] {
    long_form(0x88, 0, lba, blocks)
}

/// WRITE (16), with or without force unit access.
#[must_use]
pub fn write16(lba: u64, blocks: u32, force_unit_access: bool) -> [u8; 16] {
    long_form(0x8a, if force_unit_access { 0x08 } else { 0 }, lba, blocks)
}

/// REPORT TARGET PORT GROUPS.
#[must_use]
pub fn report_target_port_groups(allocation: u32) -> [u8; 12] {
    let [a, b, c, d] = allocation.to_be_bytes();
    [0xa3, 0x0a, 0, 0, 0, 0, a, b, c, d, 0, 0]
}

/// REPORT LUNS, all.
#[must_use]
pub fn report_luns(allocation: u32) -> [u8; 12] {
    let [a, b, c, d] = allocation.to_be_bytes();
    [0xa0, 0, 0, 0, 0, 0, a, b, c, d, 0, 0]
}

/// READ CAPACITY (16).
#[must_use]
pub fn read_capacity16() -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = 0x9e;
    cdb[1] = 0x10;
    cdb[13] = 32;
    cdb
}

fn long_form(opcode: u8, flags: u8, lba: u64, blocks: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = opcode;
    cdb[1] = flags;
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}
