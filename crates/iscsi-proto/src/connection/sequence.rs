//! CmdSN, StatSN and the command window. RFC 7143 §4.2.2.

use crate::ProtocolError;

/// What to do with a numbered PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is the next one.
    Execute,
    /// It is outside the window: ignored without a word, as the standard has it.
    Ignore,
}

/// The numbers of one session with one connection.
#[derive(Debug)]
pub(super) struct Sequence {
    exp_cmd_sn: u32,
    stat_sn: u32,
    /// Numbered commands that may be outstanding.
    window: u32,
    /// Numbered commands that are.
    held: u32,
}

impl Sequence {
    pub(super) fn new(window: u32, stat_sn: u32) -> Self {
        Self {
            exp_cmd_sn: 0,
            stat_sn,
            window: window.clamp(1, 1 << 30),
            held: 0,
        }
    }

    /// Starts with the CmdSN of the first login request.
    pub(super) fn start(&mut self, cmd_sn: u32) {
        self.exp_cmd_sn = cmd_sn;
    }

    /// Judges a PDU that carries a CmdSN. In order over one connection, so a gap can only be an offence.
    pub(super) fn admit(&mut self, immediate: bool, cmd_sn: u32) -> Result<Admission, ProtocolError> {
        if immediate {
            return Ok(Admission::Execute);
        }
        let ahead = cmd_sn.wrapping_sub(self.exp_cmd_sn);
        if ahead >= self.window - self.held {
            return Ok(Admission::Ignore);
        }
        if ahead > 0 {
            return Err(ProtocolError::CommandSequenceHole {
                expected: self.exp_cmd_sn,
                received: cmd_sn,
            });
        }
        self.exp_cmd_sn = self.exp_cmd_sn.wrapping_add(1);
        Ok(Admission::Execute)
    }

    /// A numbered command is outstanding from now on.
    pub(super) fn hold(&mut self) {
        self.held += 1;
    }

    /// It is no longer.
    pub(super) fn release(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    pub(super) fn exp_cmd_sn(&self) -> u32 {
        self.exp_cmd_sn
    }

    /// Never goes back: a new command moves ExpCmdSN on and takes its place in the window at once.
    pub(super) fn max_cmd_sn(&self) -> u32 {
        self.exp_cmd_sn
            .wrapping_add(self.window - self.held)
            .wrapping_sub(1)
    }

    /// The next StatSN, not used up (R2T, ping).
    pub(super) fn stat_sn(&self) -> u32 {
        self.stat_sn
    }

    /// The StatSN of a response.
    pub(super) fn next_stat_sn(&mut self) -> u32 {
        let stat_sn = self.stat_sn;
        self.stat_sn = stat_sn.wrapping_add(1);
        stat_sn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes_and_opens_without_going_back_and_across_the_wrap() {
        let mut sequence = Sequence::new(4, 0);
        sequence.start(u32::MAX - 1);
        assert_eq!(sequence.max_cmd_sn(), 1);
        for cmd_sn in [u32::MAX - 1, u32::MAX, 0, 1] {
            assert_eq!(sequence.admit(false, cmd_sn), Ok(Admission::Execute));
            sequence.hold();
            assert_eq!(sequence.max_cmd_sn(), 1);
        }
        assert_eq!(sequence.admit(false, 2), Ok(Admission::Ignore));
        sequence.release();
        assert_eq!(sequence.max_cmd_sn(), 2);
        assert_eq!(sequence.admit(false, 2), Ok(Admission::Execute));
    }

    #[test]
    fn old_and_far_numbers_are_ignored_and_a_hole_is_an_offence() {
        let mut sequence = Sequence::new(4, 0);
        sequence.start(10);
        assert_eq!(sequence.admit(false, 9), Ok(Admission::Ignore));
        assert_eq!(sequence.admit(false, 14), Ok(Admission::Ignore));
        assert_eq!(
            sequence.admit(false, 11),
            Err(ProtocolError::CommandSequenceHole {
                expected: 10,
                received: 11
            })
        );
        assert_eq!(sequence.admit(true, 77), Ok(Admission::Execute));
        assert_eq!(sequence.exp_cmd_sn(), 10);
    }
}
