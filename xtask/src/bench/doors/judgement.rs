//! What follows from the figures: which budgets are met, and who is ahead.

use super::table::Ratio;

/// A budget, and whether a door keeps to it.
pub(super) struct Verdict {
    pub(super) row: &'static str,
    pub(super) door: &'static str,
    pub(super) said: &'static str,
    pub(super) value: Ratio,
    pub(super) unit: &'static str,
    pub(super) met: bool,
}

impl Verdict {
    pub(super) fn word(&self) -> &'static str {
        if self.met { "met" } else { "MISSED" }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ratio {
            median,
            lowest,
            highest,
        } = self.value;
        write!(
            f,
            "{:<30} {:<18} {median:>7.2} {} ({lowest:.2} to {highest:.2})  {}: {}",
            self.row,
            self.door,
            self.unit,
            self.said,
            self.word()
        )
    }
}

/// A door against the best of the others.
pub(super) struct Standing {
    pub(super) row: &'static str,
    pub(super) door: &'static str,
    pub(super) other: &'static str,
    /// Why the other may be ahead, if that is known.
    pub(super) why: Option<&'static str>,
    pub(super) times: f64,
}

impl Standing {
    pub(super) fn word(&self) -> String {
        match self.why {
            _ if self.times >= 1.0 => "ahead".to_owned(),
            Some(why) => format!("behind, because {why}"),
            None => "BEHIND".to_owned(),
        }
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:<30} {:<18} {:>7.2} times as good as {}: {}",
            self.row,
            self.door,
            self.times,
            self.other,
            self.word()
        )
    }
}
