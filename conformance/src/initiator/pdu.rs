//! iSCSI PDUs as the initiator needs them. RFC 7143 §11.

use anyhow::{Result, bail};

/// Basic header segment length, bytes.
pub const HEADER_BYTES: usize = 48;

/// Largest data segment this initiator accepts (its `MaxRecvDataSegmentLength`), bytes.
pub const MAX_RECEIVE_BYTES: usize = 262_144;

/// Initiator opcodes. RFC 7143 §11.2.1.2.
pub mod request {
    /// NOP-Out.
    pub const NOP_OUT: u8 = 0x00;
    /// SCSI Command.
    pub const SCSI_COMMAND: u8 = 0x01;
    /// Task Management Function Request.
    pub const TASK_MANAGEMENT: u8 = 0x02;
    /// Login Request.
    pub const LOGIN: u8 = 0x03;
    /// Text Request.
    pub const TEXT: u8 = 0x04;
    /// SCSI Data-Out.
    pub const DATA_OUT: u8 = 0x05;
    /// Logout Request.
    pub const LOGOUT: u8 = 0x06;
}

/// Target opcodes. RFC 7143 §11.2.1.2.
pub mod response {
    /// NOP-In.
    pub const NOP_IN: u8 = 0x20;
    /// SCSI Response.
    pub const SCSI_RESPONSE: u8 = 0x21;
    /// Task Management Function Response.
    pub const TASK_MANAGEMENT: u8 = 0x22;
    /// Login Response.
    pub const LOGIN: u8 = 0x23;
    /// Text Response.
    pub const TEXT: u8 = 0x24;
    /// SCSI Data-In.
    pub const DATA_IN: u8 = 0x25;
    /// Logout Response.
    pub const LOGOUT: u8 = 0x26;
    /// Ready To Transfer.
    pub const READY_TO_TRANSFER: u8 = 0x31;
    /// Asynchronous Message.
    pub const ASYNC_MESSAGE: u8 = 0x32;
    /// Reject.
    pub const REJECT: u8 = 0x3f;
}

/// One PDU: header and data segment (without padding).
#[derive(Debug, Clone)]
pub struct Pdu {
    /// The basic header segment.
    pub header: [u8; HEADER_BYTES],
    /// The data segment.
    pub data: Vec<u8>,
}

impl Pdu {
    /// An empty PDU with this first byte (opcode, with 0x40 for immediate delivery).
    #[must_use]
    pub fn new(first: u8) -> Self {
        let mut header = [0; HEADER_BYTES];
        header[0] = first;
        Self {
            header,
            data: Vec::new(),
        }
    }

    /// The opcode without the immediate bit.
    #[must_use]
    pub fn opcode(&self) -> u8 {
        self.header[0] & 0x3f
    }

    /// The big-endian word at byte `at` of the header.
    #[must_use]
    pub fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes([
            self.header[at],
            self.header[at + 1],
            self.header[at + 2],
            self.header[at + 3],
        ])
    }

    /// Sets the big-endian word at byte `at` of the header.
    pub fn set_word(&mut self, at: usize, value: u32) {
        self.header[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// The initiator task tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.word(16)
    }

    /// The bytes on the wire: length filled in, data padded to four.
    ///
    /// # Errors
    /// When the data segment does not fit its 24-bit length.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let length = u32::try_from(self.data.len())?;
        if length > 0x00ff_ffff {
            bail!("a data segment of {length} bytes does not fit 24 bits");
        }
        let mut bytes = self.header.to_vec();
        bytes[5..8].copy_from_slice(&length.to_be_bytes()[1..]);
        bytes.extend_from_slice(&self.data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        Ok(bytes)
    }
}

/// Bytes from the wire until they are whole PDUs.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// Room offered to one read.
const READ_BYTES: usize = 65_536;

impl Buffer {
    /// Where the next bytes go; tell how many with [`Self::filled`].
    pub fn room(&mut self) -> &mut [u8] {
        if self.start > 0 && self.bytes.len() - self.end < READ_BYTES {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() - self.end < READ_BYTES {
            self.bytes.resize(self.end + READ_BYTES, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// `count` bytes have been written into the room.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Takes one PDU off the front, or `None` while it is incomplete.
    ///
    /// # Errors
    /// When the target announces more than we said we accept.
    pub fn take(&mut self) -> Result<Option<Pdu>> {
        let waiting = &self.bytes[self.start..self.end];
        let Some(header) = waiting.first_chunk::<HEADER_BYTES>().copied() else {
            return Ok(None);
        };
        let extra = usize::from(header[4]) * 4;
        let length = u32::from_be_bytes([0, header[5], header[6], header[7]]) as usize;
        if length > MAX_RECEIVE_BYTES {
            bail!("the target sent a data segment of {length} bytes, above what was negotiated");
        }
        let data_start = HEADER_BYTES + extra;
        let end = data_start + length.next_multiple_of(4);
        if waiting.len() < end {
            return Ok(None);
        }
        let data = waiting[data_start..data_start + length].to_vec();
        self.start += end;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        Ok(Some(Pdu { header, data }))
    }
}

/// `key=value` pairs as login and text PDUs carry them: each ended by a zero byte.
#[must_use]
pub fn text(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs
        .iter()
        .flat_map(|(key, value)| format!("{key}={value}\0").into_bytes())
        .collect()
}

/// The pairs of a text segment.
#[must_use]
pub fn parse_text(data: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(data);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_taken_again_and_a_part_is_not() {
        let mut pdu = Pdu::new(request::TEXT);
        pdu.set_word(16, 7);
        pdu.data = b"SendTargets=All\0".to_vec();
        let bytes = pdu.encode().expect("fits");
        let mut buffer = Buffer::default();
        for (at, byte) in bytes.iter().enumerate() {
            assert!(
                buffer.take().expect("no offence").is_none(),
                "{at} bytes are no PDU"
            );
            buffer.room()[0] = *byte;
            buffer.filled(1);
        }
        let again = buffer.take().expect("no offence").expect("whole");
        assert_eq!(
            (again.tag(), again.data.as_slice()),
            (7, &b"SendTargets=All\0"[..])
        );
        assert!(buffer.take().expect("no offence").is_none());
    }

    #[test]
    fn text_pairs_survive() {
        let pairs = parse_text(&text(&[("A", "1"), ("B", "x=y")]));
        assert_eq!(
            pairs,
            [
                ("A".to_owned(), "1".to_owned()),
                ("B".to_owned(), "x=y".to_owned())
            ]
        );
    }
}
