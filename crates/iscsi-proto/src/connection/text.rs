//! Text requests of the full feature phase: SendTargets, and MaxRecvDataSegmentLength again.
//! RFC 7143 §11.10, appendix C.

use alloc::{format, string::ToString, vec::Vec};

use super::Connection;
use crate::{
    Event, ProtocolError, SendTargets, TargetRecord,
    bhs::{self, RESERVED_TAG, RawHeader},
    error::RejectReason,
    negotiation::{Limits, Negotiation, Place},
    text::{self, Outgoing, TextBuffer},
};

/// The one text exchange a connection can have.
#[derive(Debug, Default)]
pub(super) struct TextExchange {
    state: State,
    received: TextBuffer,
    reply: Outgoing,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// The daemon looks for targets; then this request is answered.
    Asking { tag: u32, finished: bool },
    /// The initiator goes on with this transfer tag: with its text, or for more of ours.
    Continuing { tag: u32, transfer_tag: u32 },
}

/// What one text asks for.
enum Asked {
    /// Nothing the daemon knows about.
    Nothing,
    Targets(SendTargets),
    /// `SendTargets=All` in a normal session, or a value that is out of range.
    Refused(RejectReason),
}

impl Connection {
    /// Answers [`Event::SendTargets`]: none, for a name nobody has. Ignored when nobody asks.
    pub fn send_targets(&mut self, targets: &[TargetRecord]) {
        let State::Asking { tag, finished } = self.text.state else {
            return;
        };
        let mut reply = core::mem::take(&mut self.text.reply).into_text();
        for target in targets {
            text::push_pair(&mut reply, "TargetName", &target.name);
            for (portal, tag) in &target.portals {
                text::push_pair(&mut reply, "TargetAddress", &format!("{portal},{tag}"));
            }
        }
        self.text.reply = Outgoing::new(reply);
        self.send_text(tag, finished);
    }

    pub(super) fn receive_text(
        &mut self,
        header: &bhs::TextRequest,
        raw: &RawHeader,
        data: &[u8],
    ) -> Result<(), ProtocolError> {
        if !self.admit(header.immediate, header.cmd_sn)? {
            return Ok(());
        }
        let tag = header.initiator_task_tag;
        match self.text.state {
            State::Asking { .. } => return Err(ProtocolError::TextRequestOverlap),
            State::Continuing {
                tag: same,
                transfer_tag,
            } if (tag, header.target_transfer_tag) == (same, transfer_tag) => {}
            _ if header.target_transfer_tag == RESERVED_TAG => self.text = TextExchange::default(),
            _ => {
                self.reject(RejectReason::InvalidPduField, raw);
                return Ok(());
            }
        }
        if tag == RESERVED_TAG || (header.finished && header.continued) {
            self.reject(RejectReason::InvalidPduField, raw);
            return Ok(());
        }
        if self.text.reply.is_under_way() {
            self.send_text(tag, header.finished);
            return Ok(());
        }
        self.text.received.push(data)?;
        if header.continued {
            self.send_text(tag, false);
            return Ok(());
        }
        let text = self.text.received.take();
        let mut reply = Vec::new();
        let asked = self.read_text(&text, &mut reply)?;
        self.text.reply = Outgoing::new(reply);
        match asked {
            Asked::Nothing => self.send_text(tag, header.finished),
            Asked::Targets(which) => {
                self.text.state = State::Asking {
                    tag,
                    finished: header.finished,
                };
                self.events.push_back(Event::SendTargets(which));
            }
            Asked::Refused(reason) => {
                self.text = TextExchange::default();
                self.reject(reason, raw);
            }
        }
        Ok(())
    }

    /// Reads a whole text; answers to keys go to `reply`.
    fn read_text(&mut self, text: &[u8], reply: &mut Vec<u8>) -> Result<Asked, ProtocolError> {
        let discovery = self.session.as_ref().is_some_and(|session| session.discovery);
        let mut negotiation = Negotiation::new(Limits::new(&self.config));
        negotiation.parameters = self.parameters.clone();
        let mut asked = Asked::Nothing;
        for (name, value) in text::parse(text).map_err(ProtocolError::MalformedText)? {
            if name != "SendTargets" {
                if negotiation
                    .receive(Place::FullFeature, discovery, name, value, reply)
                    .is_err()
                {
                    return Ok(Asked::Refused(RejectReason::ProtocolError));
                }
                continue;
            }
            let own_target = self.session.as_ref().and_then(|session| session.target.clone());
            asked = match (value, own_target) {
                ("All", _) if discovery => Asked::Targets(SendTargets::All),
                ("All", _) => Asked::Refused(RejectReason::CommandNotSupported),
                ("", Some(target)) => Asked::Targets(SendTargets::Name(target)),
                // Without a target of its own the session has all of them to be told about.
                ("", None) => Asked::Targets(SendTargets::All),
                (name, _) => Asked::Targets(SendTargets::Name(name.to_string())),
            };
        }
        self.parameters.initiator_max_recv_data_segment =
            negotiation.parameters.initiator_max_recv_data_segment;
        Ok(asked)
    }

    /// Sends the next piece of the reply; the exchange ends with the last one if the initiator agrees.
    fn send_text(&mut self, tag: u32, finished: bool) {
        let limit = self.parameters.initiator_max_recv_data_segment;
        let next_tag = self.next_transfer_tag();
        let (piece, last) = self.text.reply.next(limit);
        let finished = finished && last;
        let transfer_tag = if finished { RESERVED_TAG } else { next_tag };
        self.text.state = if finished {
            State::Idle
        } else {
            State::Continuing { tag, transfer_tag }
        };
        let header = bhs::TextResponse {
            finished,
            continued: !last,
            lun: [0; 8],
            initiator_task_tag: tag,
            target_transfer_tag: transfer_tag,
            stat_sn: self.sequence.next_stat_sn(),
            exp_cmd_sn: self.sequence.exp_cmd_sn(),
            max_cmd_sn: self.sequence.max_cmd_sn(),
        };
        self.transmit.pdu(header.encode(), piece);
    }
}
