//! Status codes. SAM-5 r21 §5.3.1.

/// The status that ends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// The command succeeded.
    Good = 0x00,
    /// Sense data tells why it did not.
    CheckCondition = 0x02,
    /// The condition a PRE-FETCH asked about is met.
    ConditionMet = 0x04,
    /// The logical unit cannot take the command now; try again.
    Busy = 0x08,
    /// A reservation of another I_T nexus forbids the command.
    ReservationConflict = 0x18,
    /// No room for another task from this I_T nexus.
    TaskSetFull = 0x28,
    /// An auto contingent allegiance is in force.
    AcaActive = 0x30,
    /// Another I_T nexus aborted the task (only with TAS=1).
    TaskAborted = 0x40,
}

impl Status {
    /// Every status of the table, in numerical order.
    pub const ALL: [Self; 8] = [
        Self::Good,
        Self::CheckCondition,
        Self::ConditionMet,
        Self::Busy,
        Self::ReservationConflict,
        Self::TaskSetFull,
        Self::AcaActive,
        Self::TaskAborted,
    ];

    /// The byte on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The status of a byte from the wire, or `None` when the byte is reserved or obsolete.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_the_one_of_sam_5_table_36() {
        let codes: std::vec::Vec<u8> = Status::ALL.iter().map(|s| s.code()).collect();
        assert_eq!(codes, [0x00, 0x02, 0x04, 0x08, 0x18, 0x28, 0x30, 0x40]);
        for code in 0..=255u8 {
            assert_eq!(Status::from_code(code).is_some(), codes.contains(&code));
        }
    }
}
