//! The table of keys: who sends them, when, and how a value is agreed on. RFC 7143 §13; ST-161.

/// How a value is agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The sender tells, nothing is answered.
    Declare,
    /// A list in order of preference; the first value we support is chosen.
    FirstOf(&'static [&'static str]),
    /// Yes if either side says Yes.
    Or {
        /// What we say.
        ours: bool,
    },
    /// Yes if both sides say Yes.
    And {
        /// What we say.
        ours: bool,
    },
    /// The smaller number; what we say is part of the connection's configuration or of [`Key::ours`].
    Minimum,
    /// The larger number.
    Maximum,
    /// Always answered Irrelevant.
    Irrelevant,
}

/// Who may send a key first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The initiator only.
    Initiator,
    /// The target only.
    Target,
    /// Both.
    Both,
}

/// When a key may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// In any stage of login.
    Login,
    /// In the security stage of login.
    SecurityStage,
    /// In the operational stage of login.
    OperationalStage,
    /// In the operational stage of login, and in the full feature phase.
    OperationalStageAndFullFeature,
    /// In the full feature phase.
    FullFeature,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Name; upper and lower case count.
    pub name: &'static str,
    /// How a value is agreed on.
    pub rule: Rule,
    /// Who sends it.
    pub sender: Sender,
    /// When.
    pub when: Use,
    /// For numbers: the smallest and the largest value the standard allows.
    pub range: (u32, u32),
    /// What holds when nobody sends the key, as text.
    pub default: Option<&'static str>,
    /// For numbers: our side of [`Rule::Minimum`] and [`Rule::Maximum`], when it is fixed.
    pub ours: Option<u32>,
    /// The key speaks of commands and data: Irrelevant in a discovery session.
    pub normal_session_only: bool,
}

const KEY: Key = Key {
    name: "",
    rule: Rule::Declare,
    sender: Sender::Both,
    when: Use::OperationalStage,
    range: (0, 0),
    default: None,
    ours: None,
    normal_session_only: false,
};

const DIGEST: Rule = Rule::FirstOf(&["CRC32C", "None"]);
const MAX_SEGMENT: u32 = 0x00FF_FFFF;

/// Every key of RFC 7143 §13, and those of RFC 3720 it made obsolete that initiators still send.
pub const KEYS: &[Key] = &[
    Key {
        name: "AuthMethod",
        rule: Rule::FirstOf(&["None"]),
        when: Use::SecurityStage,
        default: Some("None"),
        ..KEY
    },
    Key {
        name: "HeaderDigest",
        rule: DIGEST,
        default: Some("None"),
        ..KEY
    },
    Key {
        name: "DataDigest",
        rule: DIGEST,
        default: Some("None"),
        ..KEY
    },
    Key {
        name: "MaxConnections",
        rule: Rule::Minimum,
        range: (1, 65535),
        default: Some("1"),
        ours: Some(1),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "SendTargets",
        sender: Sender::Initiator,
        when: Use::FullFeature,
        ..KEY
    },
    Key {
        name: "TargetName",
        sender: Sender::Initiator,
        when: Use::Login,
        ..KEY
    },
    Key {
        name: "InitiatorName",
        sender: Sender::Initiator,
        when: Use::Login,
        ..KEY
    },
    Key {
        name: "TargetAlias",
        sender: Sender::Target,
        when: Use::Login,
        ..KEY
    },
    Key {
        name: "InitiatorAlias",
        sender: Sender::Initiator,
        when: Use::Login,
        ..KEY
    },
    Key {
        name: "TargetAddress",
        sender: Sender::Target,
        when: Use::Login,
        ..KEY
    },
    Key {
        name: "TargetPortalGroupTag",
        sender: Sender::Target,
        when: Use::Login,
        range: (0, 65535),
        ..KEY
    },
    Key {
        name: "InitialR2T",
        rule: Rule::Or { ours: true },
        default: Some("Yes"),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "ImmediateData",
        rule: Rule::And { ours: true },
        default: Some("Yes"),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "MaxRecvDataSegmentLength",
        when: Use::OperationalStageAndFullFeature,
        range: (512, MAX_SEGMENT),
        default: Some("8192"),
        ..KEY
    },
    Key {
        name: "MaxBurstLength",
        rule: Rule::Minimum,
        range: (512, MAX_SEGMENT),
        default: Some("262144"),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "FirstBurstLength",
        rule: Rule::Minimum,
        range: (512, MAX_SEGMENT),
        default: Some("65536"),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "DefaultTime2Wait",
        rule: Rule::Maximum,
        range: (0, 3600),
        default: Some("2"),
        ours: Some(0),
        ..KEY
    },
    Key {
        name: "DefaultTime2Retain",
        rule: Rule::Minimum,
        range: (0, 3600),
        default: Some("20"),
        ours: Some(20),
        ..KEY
    },
    Key {
        name: "MaxOutstandingR2T",
        rule: Rule::Minimum,
        range: (1, 65535),
        default: Some("1"),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "DataPDUInOrder",
        rule: Rule::Or { ours: true },
        default: Some("Yes"),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "DataSequenceInOrder",
        rule: Rule::Or { ours: false },
        default: Some("Yes"),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "ErrorRecoveryLevel",
        rule: Rule::Minimum,
        range: (0, 2),
        default: Some("0"),
        ours: Some(0),
        ..KEY
    },
    Key {
        name: "SessionType",
        sender: Sender::Initiator,
        when: Use::Login,
        default: Some("Normal"),
        ..KEY
    },
    Key {
        name: "TaskReporting",
        rule: Rule::FirstOf(&["RFC3720"]),
        default: Some("RFC3720"),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "iSCSIProtocolLevel",
        rule: Rule::Minimum,
        range: (0, 31),
        default: Some("1"),
        ours: Some(1),
        normal_session_only: true,
        ..KEY
    },
    Key {
        name: "IFMarker",
        rule: Rule::And { ours: false },
        default: Some("No"),
        ..KEY
    },
    Key {
        name: "OFMarker",
        rule: Rule::And { ours: false },
        default: Some("No"),
        ..KEY
    },
    Key {
        name: "IFMarkInt",
        rule: Rule::Irrelevant,
        ..KEY
    },
    Key {
        name: "OFMarkInt",
        rule: Rule::Irrelevant,
        ..KEY
    },
];

/// The key of this name, and its place in [`KEYS`].
#[must_use]
pub fn find(name: &str) -> Option<(usize, &'static Key)> {
    KEYS.iter().enumerate().find(|(_, key)| key.name == name)
}

/// A number as the standard writes it: decimal, or hexadecimal after `0x`.
#[must_use]
pub fn number(value: &str) -> Option<u32> {
    let digits = |text: &str, radix| {
        (!text.is_empty() && text.chars().all(|c| c.is_digit(radix)))
            .then(|| u32::from_str_radix(text, radix).ok())
            .flatten()
    };
    match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(hexadecimal) => digits(hexadecimal, 16),
        None => digits(value, 10),
    }
}

/// Yes or No.
#[must_use]
pub fn boolean(value: &str) -> Option<bool> {
    match value {
        "Yes" => Some(true),
        "No" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, default, lowest, highest, from the lists in RFC 7143 §13.
    #[test]
    fn the_table_has_the_standards_defaults_and_ranges() {
        for (name, default, low, high) in [
            ("MaxConnections", "1", 1, 65535),
            ("MaxRecvDataSegmentLength", "8192", 512, 16_777_215),
            ("MaxBurstLength", "262144", 512, 16_777_215),
            ("FirstBurstLength", "65536", 512, 16_777_215),
            ("DefaultTime2Wait", "2", 0, 3600),
            ("DefaultTime2Retain", "20", 0, 3600),
            ("MaxOutstandingR2T", "1", 1, 65535),
            ("ErrorRecoveryLevel", "0", 0, 2),
            ("HeaderDigest", "None", 0, 0),
            ("DataDigest", "None", 0, 0),
            ("InitialR2T", "Yes", 0, 0),
            ("ImmediateData", "Yes", 0, 0),
            ("DataPDUInOrder", "Yes", 0, 0),
            ("DataSequenceInOrder", "Yes", 0, 0),
            ("SessionType", "Normal", 0, 0),
            ("AuthMethod", "None", 0, 0),
        ] {
            let (_, key) = find(name).unwrap();
            assert_eq!((key.default, key.range), (Some(default), (low, high)), "{name}");
        }
    }

    #[test]
    fn every_name_is_there_once() {
        for (at, key) in KEYS.iter().enumerate() {
            assert_eq!(find(key.name).map(|(found, _)| found), Some(at), "{}", key.name);
        }
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        assert_eq!(number("262144"), Some(262_144));
        assert_eq!(number("0x40000"), Some(262_144));
        for bad in [
            "",
            "0x",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "4294967296",
            "0x100000000",
            "Yes",
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
