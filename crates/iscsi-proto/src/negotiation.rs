//! Agreeing on the values of keys. RFC 7143 §6.2.

use alloc::{format, string::ToString, vec::Vec};

use crate::{
    ConnectionConfig, LoginStatus,
    keys::{self, Key, Rule, Sender, Use},
    text,
};

/// What the two sides have agreed on. Starts with the standard's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// CRC32C after every header.
    pub header_digest: bool,
    /// CRC32C after every data segment.
    pub data_digest: bool,
    /// Commands may carry data.
    pub immediate_data: bool,
    /// Largest data segment the initiator takes, bytes.
    pub initiator_max_recv_data_segment: u32,
    /// Longest solicited sequence, bytes.
    pub max_burst: u32,
    /// Most immediate data of one command, bytes.
    pub first_burst: u32,
    /// Most R2Ts outstanding for one command.
    pub max_outstanding_r2t: u32,
    /// Data sequences of one command come in order.
    pub data_sequence_in_order: bool,
    /// DefaultTime2Wait, seconds.
    pub time2wait: u32,
    /// DefaultTime2Retain, seconds.
    pub time2retain: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            header_digest: false,
            data_digest: false,
            immediate_data: true,
            initiator_max_recv_data_segment: 8192,
            max_burst: 262_144,
            first_burst: 65_536,
            max_outstanding_r2t: 1,
            data_sequence_in_order: true,
            time2wait: 2,
            time2retain: 20,
        }
    }
}

/// Our own limits, for the keys whose side of the table is configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    max_burst: u32,
    first_burst: u32,
    max_outstanding_r2t: u32,
}

impl Limits {
    pub(crate) fn new(config: &ConnectionConfig) -> Self {
        Self {
            max_burst: config.max_burst.clamp(512, 0x00FF_FFFF),
            first_burst: config.first_burst.clamp(512, 0x00FF_FFFF),
            max_outstanding_r2t: u32::from(config.max_outstanding_r2t.max(1)),
        }
    }

    fn of(&self, key: &Key, so_far: &Parameters) -> u32 {
        match key.name {
            "MaxBurstLength" => self.max_burst,
            // RFC 7143 §13.14: not longer than MaxBurstLength, as far as that is known.
            "FirstBurstLength" => self.first_burst.min(so_far.max_burst),
            "MaxOutstandingR2T" => self.max_outstanding_r2t,
            _ => key.ours.unwrap_or(u32::MAX),
        }
    }
}

/// Where a key was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Security,
    Operational,
    FullFeature,
}

/// The state of one negotiation.
#[derive(Debug)]
pub(crate) struct Negotiation {
    limits: Limits,
    pub(crate) parameters: Parameters,
    /// One bit for each key of the table already dealt with: a second time is an offence, except for the
    /// names, which login compares itself.
    seen: u64,
}

const _: () = assert!(keys::KEYS.len() <= 64);

impl Negotiation {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            parameters: Parameters::default(),
            seen: 0,
        }
    }

    /// Deals with one pair: what is agreed on goes to `parameters`, the answer to `reply`.
    pub(crate) fn receive(
        &mut self,
        place: Place,
        discovery: bool,
        name: &str,
        value: &str,
        reply: &mut Vec<u8>,
    ) -> Result<(), LoginStatus> {
        let Some((at, key)) = keys::find(name) else {
            text::push_pair(reply, name, "NotUnderstood");
            return Ok(());
        };
        let bit = 1 << at;
        let again = self.seen & bit != 0;
        self.seen |= bit;
        if place == Place::FullFeature {
            return self.receive_in_full_feature(key, value, reply);
        }
        if again && key.when != Use::Login {
            return Err(LoginStatus::InitiatorError);
        }
        if key.sender == Sender::Target {
            text::push_pair(reply, name, "Reject");
            return Ok(());
        }
        let in_place = match key.when {
            Use::Login => true,
            Use::SecurityStage => place == Place::Security,
            Use::OperationalStage | Use::OperationalStageAndFullFeature => place == Place::Operational,
            Use::FullFeature => false,
        };
        if !in_place {
            return Err(LoginStatus::InitiatorError);
        }
        if discovery && key.normal_session_only {
            text::push_pair(reply, name, "Irrelevant");
            return Ok(());
        }
        if let Some(answer) = self.agree(key, value)? {
            text::push_pair(reply, name, &answer);
        }
        Ok(())
    }

    /// In the full feature phase only MaxRecvDataSegmentLength may change; SendTargets is not for here.
    fn receive_in_full_feature(
        &mut self,
        key: &Key,
        value: &str,
        reply: &mut Vec<u8>,
    ) -> Result<(), LoginStatus> {
        if key.when == Use::OperationalStageAndFullFeature {
            self.agree(key, value)?;
        } else {
            text::push_pair(reply, key.name, "Reject");
        }
        Ok(())
    }

    /// The value to answer with, if the rule has one.
    fn agree(&mut self, key: &Key, value: &str) -> Result<Option<alloc::string::String>, LoginStatus> {
        let offence = LoginStatus::InitiatorError;
        let in_range = |value| {
            keys::number(value)
                .filter(|n| (key.range.0..=key.range.1).contains(n))
                .ok_or(offence)
        };
        let yes_no = |yes: bool| if yes { "Yes" } else { "No" };
        Ok(match key.rule {
            Rule::Declare => {
                if key.range != (0, 0) {
                    self.store_number(key.name, in_range(value)?);
                }
                None
            }
            Rule::FirstOf(ours) => {
                let chosen = value
                    .split(',')
                    .find_map(|offer| ours.iter().find(|&&own| own == offer));
                match (chosen, key.when) {
                    (Some(&chosen), _) => {
                        self.store_choice(key.name, chosen);
                        Some(chosen.to_string())
                    }
                    (None, Use::SecurityStage) => return Err(LoginStatus::AuthenticationFailed),
                    (None, _) => Some("Reject".to_string()),
                }
            }
            Rule::Or { ours } => {
                let agreed = keys::boolean(value).ok_or(offence)? || ours;
                self.store_boolean(key.name, agreed);
                Some(yes_no(agreed).to_string())
            }
            Rule::And { ours } => {
                let agreed = keys::boolean(value).ok_or(offence)? && ours;
                self.store_boolean(key.name, agreed);
                Some(yes_no(agreed).to_string())
            }
            Rule::Minimum => {
                let agreed = in_range(value)?.min(self.limits.of(key, &self.parameters));
                self.store_number(key.name, agreed);
                Some(format!("{agreed}"))
            }
            Rule::Maximum => {
                let agreed = in_range(value)?.max(self.limits.of(key, &self.parameters));
                self.store_number(key.name, agreed);
                Some(format!("{agreed}"))
            }
            Rule::Irrelevant => Some("Irrelevant".to_string()),
        })
    }

    fn store_number(&mut self, name: &str, value: u32) {
        match name {
            "MaxRecvDataSegmentLength" => self.parameters.initiator_max_recv_data_segment = value,
            "MaxBurstLength" => self.parameters.max_burst = value,
            "FirstBurstLength" => self.parameters.first_burst = value,
            "MaxOutstandingR2T" => self.parameters.max_outstanding_r2t = value,
            "DefaultTime2Wait" => self.parameters.time2wait = value,
            "DefaultTime2Retain" => self.parameters.time2retain = value,
            _ => {} // one value is possible: MaxConnections 1, ErrorRecoveryLevel 0, …
        }
    }

    fn store_boolean(&mut self, name: &str, value: bool) {
        match name {
            "ImmediateData" => self.parameters.immediate_data = value,
            "DataSequenceInOrder" => self.parameters.data_sequence_in_order = value,
            _ => {} // one value is possible: InitialR2T and DataPDUInOrder Yes, markers No
        }
    }

    fn store_choice(&mut self, name: &str, value: &str) {
        match name {
            "HeaderDigest" => self.parameters.header_digest = value == "CRC32C",
            "DataDigest" => self.parameters.data_digest = value == "CRC32C",
            _ => {} // one value is possible: AuthMethod None, TaskReporting RFC3720
        }
    }

    /// What holds when login ends. Our bursts are never longer than our own limit, offered or not; what the
    /// initiator may send at once stays as agreed, or the standard's default.
    pub(crate) fn finish(&self) -> Parameters {
        let mut parameters = self.parameters.clone();
        parameters.max_burst = parameters.max_burst.min(self.limits.max_burst);
        parameters
    }
}
