//! Every number a message is bounded by.

/// Protocol version spoken by this crate. A HELLO is readable in every version; any other message of another version
/// is refused.
pub const VERSION: u16 = 1;
/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 40;
/// Most bytes of typed fields after the header.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most bytes of one whole message: 16 MiB of data and 64 KiB of envelope.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024 + 64 * 1024;
/// Most data bytes of one message that anybody may offer in its limits.
pub const MAX_DATA_BYTES: usize = 16 * 1024 * 1024;
/// Least number of data bytes per message a node must take.
pub const MIN_DATA_BYTES: u32 = 4096;
/// Most bytes of a port or initiator name (an iSCSI name has at most 223).
pub const MAX_NAME_BYTES: usize = 512;
/// Most bytes of a path, alias or serial number.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Most bytes of a CDB (SPC-4: additional CDB length is one byte).
pub const MAX_CDB_BYTES: usize = 260;
/// Most bytes of sense data (SPC-4 §4.5.1).
pub const MAX_SENSE_BYTES: usize = 252;
/// Most target ports of one node in an inventory.
pub const MAX_PORTS: usize = 1024;
/// Most logical units of one node in an inventory.
pub const MAX_LUNS: usize = 65_536;
