//! Login, discovery, and the data phases of commands.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::pdu::{self, Pdu, request, response};
use super::{Agreed, Initiator, NO_TAG, Outcome};

/// Pieces of an R2T longer than this are refused: no target here asks for so much at once.
const MAX_BURST_BYTES: usize = 16 << 20;

impl Initiator {
    /// One login exchange from the operational stage straight to full feature phase. RFC 7143 §6.
    ///
    /// # Errors
    /// When the target refuses; the message has its status class and detail.
    pub(super) fn start_session(&mut self, name: &str, target: Option<&str>) -> Result<()> {
        let receive = pdu::MAX_RECEIVE_BYTES.to_string();
        let mut pairs = vec![
            ("InitiatorName", name),
            (
                "SessionType",
                if target.is_some() { "Normal" } else { "Discovery" },
            ),
            ("HeaderDigest", "None"),
            ("DataDigest", "None"),
            ("MaxRecvDataSegmentLength", receive.as_str()),
        ];
        if let Some(target) = target {
            pairs.extend([
                ("TargetName", target),
                ("InitialR2T", "Yes"),
                ("ImmediateData", "Yes"),
                ("FirstBurstLength", "65536"),
                ("MaxBurstLength", "1048576"),
                ("MaxOutstandingR2T", "1"),
                ("MaxConnections", "1"),
                ("ErrorRecoveryLevel", "0"),
                ("DataPDUInOrder", "Yes"),
                ("DataSequenceInOrder", "Yes"),
            ]);
        }
        let mut answers = Vec::new();
        let mut text = pdu::text(&pairs);
        // The target may ask for more rounds; a handful is plenty without authentication.
        for _ in 0..6 {
            let answer = self.login_round(std::mem::take(&mut text))?;
            answers.extend(pdu::parse_text(&answer.data));
            let moved_on = answer.header[1] & 0x83 == 0x83;
            if moved_on {
                self.agreed = agreed(&answers)?;
                return Ok(());
            }
        }
        bail!("the target does not come to full feature phase")
    }

    fn login_round(&mut self, text: Vec<u8>) -> Result<Pdu> {
        let mut login = Pdu::new(request::LOGIN | 0x40);
        login.header[1] = 0x87; // transit from operational negotiation (1) to full feature (3)
        let isid = self.isid();
        login.header[8..14].copy_from_slice(&isid);
        login.set_word(16, 0);
        login.set_word(24, self.cmd_sn);
        login.data = text;
        self.send(&mut login)?;
        let end = Instant::now() + self.limit;
        let answer = self.receive(end)?;
        if answer.opcode() != response::LOGIN {
            bail!("login was answered with opcode {:#04x}", answer.opcode());
        }
        if answer.header[36] != 0 {
            bail!(
                "login refused with status {:02x}{:02x}h",
                answer.header[36],
                answer.header[37]
            );
        }
        Ok(answer)
    }

    /// A session identifier of the "random" form that differs for each connection of this machine. RFC 7143 §11.12.5.
    fn isid(&self) -> [u8; 6] {
        let port = self.stream.local_addr().map_or(0, |address| address.port());
        let [high, low] = port.to_be_bytes();
        let [_, _, pid_high, pid_low] = std::process::id().to_be_bytes();
        [0x80, pid_high, pid_low, 0, high, low]
    }

    pub(super) fn send_targets(&mut self) -> Result<Vec<(String, Vec<String>)>> {
        let tag = self.take_tag();
        let mut ask = Pdu::new(request::TEXT);
        ask.header[1] = 0x80;
        ask.set_word(16, tag);
        ask.set_word(20, NO_TAG);
        ask.set_word(24, self.cmd_sn);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        ask.data = pdu::text(&[("SendTargets", "All")]);
        self.send(&mut ask)?;
        let answer = self.answer_to(tag, response::TEXT)?;
        let mut targets: Vec<(String, Vec<String>)> = Vec::new();
        for (key, value) in pdu::parse_text(&answer.data) {
            match (key.as_str(), targets.last_mut()) {
                ("TargetName", _) => targets.push((value, Vec::new())),
                ("TargetAddress", Some((_, portals))) => portals.push(value),
                _ => {}
            }
        }
        Ok(targets)
    }

    pub(super) fn data_in(&mut self, pdu: &Pdu) -> Result<()> {
        let tag = pdu.tag();
        let offset = pdu.word(40) as usize;
        let Some(pending) = self.pending.get_mut(&tag) else {
            bail!("data-in for task {tag}, which is not outstanding");
        };
        if offset != pending.data_in.len() {
            bail!(
                "data-in at offset {offset} where {} was expected",
                pending.data_in.len()
            );
        }
        pending.data_in.extend_from_slice(&pdu.data);
        if pdu.header[1] & 0x01 != 0 {
            let outcome = Outcome {
                status: pdu.header[3],
                ..Outcome::default()
            };
            self.finish(tag, pdu, outcome)?;
        }
        Ok(())
    }

    pub(super) fn scsi_response(&mut self, pdu: &Pdu) -> Result<()> {
        let sense_length = pdu
            .data
            .first_chunk::<2>()
            .map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
        let sense = pdu.data.get(2..2 + sense_length).unwrap_or_default().to_vec();
        let outcome = Outcome {
            status: pdu.header[3],
            response: pdu.header[2],
            sense,
            ..Outcome::default()
        };
        self.finish(pdu.tag(), pdu, outcome)
    }

    fn finish(&mut self, tag: u32, pdu: &Pdu, mut outcome: Outcome) -> Result<()> {
        let pending = self.pending.remove(&tag);
        let pending = pending.with_context(|| format!("a second answer for task {tag}"))?;
        outcome.data = pending.data_in;
        let residual = pdu.word(44);
        if pdu.header[1] & 0x02 != 0 {
            outcome.underflow = residual;
        }
        if pdu.header[1] & 0x04 != 0 {
            outcome.overflow = residual;
        }
        self.done.insert(tag, outcome);
        Ok(())
    }

    pub(super) fn ready_to_transfer(&mut self, pdu: &Pdu) -> Result<()> {
        let tag = pdu.tag();
        let (offset, length) = (pdu.word(40) as usize, pdu.word(44) as usize);
        if length > MAX_BURST_BYTES {
            bail!("the target asks for {length} bytes at once");
        }
        let Some(pending) = self.pending.get(&tag) else {
            bail!("R2T for task {tag}, which is not outstanding")
        };
        let Some(wanted) = pending.out.get(offset..offset + length) else {
            bail!(
                "the target asks for bytes {offset}+{length} of {}",
                pending.out.len()
            );
        };
        let wanted = wanted.to_vec();
        let pieces = wanted.chunks(self.agreed.send_bytes.max(1));
        let last = pieces.len().saturating_sub(1);
        let mut at = offset;
        for (number, piece) in pieces.enumerate() {
            let mut out = Pdu::new(request::DATA_OUT);
            out.header[1] = if number == last { 0x80 } else { 0 };
            out.header[8..16].copy_from_slice(&pdu.header[8..16]);
            out.set_word(16, tag);
            out.set_word(20, pdu.word(20));
            out.set_word(36, u32::try_from(number)?);
            out.set_word(40, u32::try_from(at)?);
            out.data = piece.to_vec();
            at += piece.len();
            self.send(&mut out)?;
        }
        Ok(())
    }
}

fn agreed(answers: &[(String, String)]) -> Result<Agreed> {
    let find = |key: &str| {
        answers
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    };
    let number = |key: &str, default: usize| -> Result<usize> {
        find(key).map_or(Ok(default), |text| {
            text.parse().with_context(|| format!("{key}={text}"))
        })
    };
    Ok(Agreed {
        send_bytes: number("MaxRecvDataSegmentLength", 8192)?,
        first_burst: number("FirstBurstLength", 65_536)?,
        immediate_data: find("ImmediateData") != Some("No"),
    })
}
