//! What came back for a command.

use std::fmt;

/// SCSI status codes this harness looks for. SAM-5.
pub mod status {
    /// GOOD.
    pub const GOOD: u8 = 0x00;
    /// CHECK CONDITION.
    pub const CHECK_CONDITION: u8 = 0x02;
    /// BUSY.
    pub const BUSY: u8 = 0x08;
    /// TASK SET FULL.
    pub const TASK_SET_FULL: u8 = 0x28;
    /// TASK ABORTED.
    pub const TASK_ABORTED: u8 = 0x40;
}

/// Sense key, additional sense code, and its qualifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenseCode(pub u8, pub u8, pub u8);

impl SenseCode {
    /// NOT READY, target port in transition: the initiator tries again.
    pub const TRANSITION: Self = Self(0x02, 0x04, 0x0a);
    /// NOT READY, target port in standby state.
    pub const STANDBY: Self = Self(0x02, 0x04, 0x0b);
    /// NOT READY, target port in unavailable state: the initiator uses another path.
    pub const UNAVAILABLE: Self = Self(0x02, 0x04, 0x0c);
    /// INVALID COMMAND OPERATION CODE.
    pub const INVALID_OPCODE: Self = Self(0x05, 0x20, 0x00);
    /// LOGICAL BLOCK ADDRESS OUT OF RANGE.
    pub const OUT_OF_RANGE: Self = Self(0x05, 0x21, 0x00);
}

impl fmt::Display for SenseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}/{:02x}/{:02x}", self.0, self.1, self.2)
    }
}

/// The end of a command, as the initiator sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// SCSI status byte.
    pub status: u8,
    /// iSCSI response byte; 0 is "command completed at target".
    pub response: u8,
    /// Sense data, without its length prefix; empty when there is none.
    pub sense: Vec<u8>,
    /// Data-in, as long as what really came.
    pub data: Vec<u8>,
    /// Bytes the target had less than expected.
    pub underflow: u32,
    /// Bytes the target had more than expected.
    pub overflow: u32,
}

impl Outcome {
    /// GOOD.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.response == 0 && self.status == status::GOOD
    }

    /// The sense code, from fixed or descriptor format.
    #[must_use]
    pub fn sense_code(&self) -> Option<SenseCode> {
        let format = *self.sense.first()? & 0x7f;
        match format {
            0x70 | 0x71 => Some(SenseCode(
                *self.sense.get(2)? & 0x0f,
                *self.sense.get(12)?,
                *self.sense.get(13)?,
            )),
            0x72 | 0x73 => Some(SenseCode(
                *self.sense.get(1)? & 0x0f,
                *self.sense.get(2)?,
                *self.sense.get(3)?,
            )),
            _ => None,
        }
    }

    /// Whether the sense code is exactly this.
    #[must_use]
    pub fn has_sense(&self, code: SenseCode) -> bool {
        self.status == status::CHECK_CONDITION && self.sense_code() == Some(code)
    }

    /// A unit attention: told once, then gone.
    #[must_use]
    pub fn is_unit_attention(&self) -> bool {
        self.status == status::CHECK_CONDITION && self.sense_code().is_some_and(|code| code.0 == 0x06)
    }

    /// What any multipath host retries on the same path: busy, transition, unit attention, aborted command.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.status,
            status::BUSY | status::TASK_SET_FULL | status::TASK_ABORTED
        ) || self.is_unit_attention()
            || self.has_sense(SenseCode::TRANSITION)
            || (self.status == status::CHECK_CONDITION
                && self.sense_code().is_some_and(|code| code.0 == 0x0b))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {:02x}h", self.status)?;
        if let Some(code) = self.sense_code() {
            write!(f, " sense {code}")?;
        }
        if self.response != 0 {
            write!(f, " response {:02x}h", self.response)?;
        }
        Ok(())
    }
}
