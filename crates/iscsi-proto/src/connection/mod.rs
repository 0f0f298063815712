//! One connection: bytes, answers and time in; events, bytes and deadlines out.

mod commands;
mod control;
mod data_in;
mod data_out;
mod login;
mod sequence;
mod task;
mod text;
mod timers;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
};

use bytes::{Bytes, BytesMut};

use self::{
    data_out::Budget,
    sequence::{Admission, Sequence},
    task::Task,
    text::TextExchange,
    timers::Timers,
};
use crate::{
    CloseReason, Closing, ConnectionConfig, Event, Instant, Parameters, ProtocolError, SessionOpened,
    bhs::{self, RESERVED_TAG, RawHeader},
    error::RejectReason,
    framing::{Framer, Pdu},
    login::{LOGIN_SEGMENT_BYTES, Login},
    negotiation::Limits,
    transmit::Transmit,
};

/// How far the connection is.
#[derive(Debug)]
enum Phase {
    Login(Box<Login>),
    FullFeature,
    Closed,
}

/// Things an initiator did that have no other consequence, for statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Numbered PDUs outside the command window.
    pub ignored_commands: u64,
    /// Data-Out PDUs of tasks that are over.
    pub discarded_data: u64,
    /// Reject PDUs sent.
    pub rejects: u64,
}

/// The target end of one iSCSI connection, and of its session (one connection a session).
///
/// Methods called `handle_…` take input; the answers to events are `login_verdict`, `send_targets`,
/// `request_data`, `complete`, `task_aborted` and `complete_task_management`. After any of them take what
/// [`poll_transmit`](Self::poll_transmit) has, then [`poll_event`](Self::poll_event), then look at
/// [`poll_timeout`](Self::poll_timeout). Stop reading the socket while what is to be sent does not leave:
/// that is what bounds the memory of an initiator that asks and does not listen.
#[derive(Debug)]
pub struct Connection {
    config: ConnectionConfig,
    now: Instant,
    phase: Phase,
    session: Option<SessionOpened>,
    parameters: Parameters,
    framer: Framer,
    transmit: Transmit,
    events: VecDeque<Event>,
    sequence: Sequence,
    /// Boxed, because the tree moves its entries and a task is large.
    tasks: BTreeMap<u32, Box<Task>>,
    /// Task management requests the daemon works on, and whether they came with I.
    management: BTreeMap<u32, bool>,
    /// Immediate commands and requests outstanding.
    immediate_held: u32,
    budget: Budget,
    text: TextExchange,
    timers: Timers,
    last_transfer_tag: u32,
    counters: Counters,
}

impl Connection {
    /// A connection just accepted at `now`.
    #[must_use]
    pub fn new(config: ConnectionConfig, now: Instant) -> Self {
        let [seed_high, seed_low] = [config.seed >> 32, config.seed & 0xFFFF_FFFF]
            .map(|half| u32::try_from(half).unwrap_or_default());
        let limits = Limits::new(&config);
        let login = Login::new(
            limits,
            config.max_recv_data_segment,
            config.target_portal_group_tag,
        );
        Self {
            now,
            phase: Phase::Login(Box::new(login)),
            session: None,
            parameters: Parameters::default(),
            framer: Framer::new(LOGIN_SEGMENT_BYTES),
            transmit: Transmit::default(),
            events: VecDeque::new(),
            sequence: Sequence::new(config.command_window, seed_low),
            tasks: BTreeMap::new(),
            management: BTreeMap::new(),
            immediate_held: 0,
            budget: Budget::new(config.max_data_out_total),
            text: TextExchange::default(),
            timers: Timers::new(now, config.login_timeout),
            last_transfer_tag: seed_high,
            counters: Counters::default(),
            config,
        }
    }

    /// Takes every whole PDU out of `input` and leaves a partial one. Data segments are slices of `input`'s
    /// memory, not copies: it is free again when the last of them is dropped.
    ///
    /// # Errors
    /// The initiator broke a rule. [`Event::Closed`] with the same error is queued, every task is over, and
    /// further input is dropped.
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), ProtocolError> {
        self.now = now;
        while !self.is_closed() {
            let outcome = match self.framer.next(input) {
                Ok(None) => return Ok(()),
                Ok(Some(pdu)) => {
                    self.timers.heard(now);
                    self.receive(pdu)
                }
                Err(offence) => Err(offence),
            };
            if let Err(offence) = outcome {
                let reason = match offence {
                    ProtocolError::LoginRefused(status) => CloseReason::LoginRefused(status),
                    other => CloseReason::Protocol(other),
                };
                self.end(reason);
                input.clear();
                return Err(offence);
            }
        }
        input.clear();
        Ok(())
    }

    /// How many more bytes must come before [`handle_input`](Self::handle_input) can do anything, at least
    /// 1, with `input` as the last call left it: room worth having before the next read.
    #[must_use]
    pub fn input_wanted(&self, input: &BytesMut) -> usize {
        self.framer.wanted(input)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next bytes to send, in order. Headers and small data of consecutive PDUs come in one piece, the
    /// data of a read as the slices the daemon gave; take all there are and send them with one `writev`.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmit.poll()
    }

    /// Bytes [`poll_transmit`](Self::poll_transmit) has left.
    #[must_use]
    pub fn transmit_backlog(&self) -> usize {
        self.transmit.backlog()
    }

    /// True once [`Event::Closed`] has been queued.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// The session, once login is over.
    #[must_use]
    pub fn session(&self) -> Option<&SessionOpened> {
        self.session.as_ref()
    }

    /// What login has agreed on.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Commands outstanding.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// Statistics.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Ends the connection from our side. During login, and for a discovery session, always at once.
    pub fn close(&mut self, closing: Closing) {
        let normal = self.session.as_ref().is_some_and(|session| !session.discovery);
        match (&self.phase, closing) {
            (Phase::Closed, _) => {}
            (Phase::FullFeature, Closing::RequestLogout) if normal => self.ask_for_logout(),
            (Phase::FullFeature, _) if normal => {
                self.announce_drop();
                self.end(CloseReason::Requested);
            }
            (Phase::FullFeature, _) => self.end(CloseReason::Requested),
            (Phase::Login(_), _) => {
                self.refuse_waiting_login();
                self.end(CloseReason::Requested);
            }
        }
    }

    /// One whole PDU.
    fn receive(&mut self, pdu: Pdu) -> Result<(), ProtocolError> {
        let header = &pdu.header;
        let opcode = bhs::opcode(header);
        match self.phase {
            Phase::Closed => return Ok(()),
            Phase::Login(_) => return self.receive_in_login(&pdu),
            Phase::FullFeature => {}
        }
        let discovery = self.session.as_ref().is_some_and(|session| session.discovery);
        match opcode {
            bhs::NopOut::OPCODE => self.receive_nop_out(&bhs::NopOut::decode(header), pdu.data),
            bhs::TextRequest::OPCODE => {
                self.receive_text(&bhs::TextRequest::decode(header), header, &pdu.data)
            }
            bhs::LogoutRequest::OPCODE => self.receive_logout(&bhs::LogoutRequest::decode(header)),
            bhs::ScsiCommand::OPCODE | bhs::TaskManagementRequest::OPCODE | bhs::DataOut::OPCODE
                if discovery =>
            {
                self.reject(RejectReason::ProtocolError, header);
                Ok(())
            }
            bhs::ScsiCommand::OPCODE => self.receive_command(&bhs::ScsiCommand::decode(header), pdu),
            bhs::DataOut::OPCODE => self.receive_data_out(&bhs::DataOut::decode(header), pdu.data),
            bhs::TaskManagementRequest::OPCODE => {
                self.receive_task_management(&bhs::TaskManagementRequest::decode(header), header)
            }
            bhs::Snack::OPCODE => {
                self.reject(RejectReason::SnackReject, header);
                Ok(())
            }
            bhs::LoginRequest::OPCODE => {
                self.reject(RejectReason::ProtocolError, header);
                Ok(())
            }
            _ => {
                self.reject(RejectReason::CommandNotSupported, header);
                Ok(())
            }
        }
    }

    /// Judges a numbered PDU; false if it is to be ignored.
    fn admit(&mut self, immediate: bool, cmd_sn: u32) -> Result<bool, ProtocolError> {
        let admitted = self.sequence.admit(immediate, cmd_sn)? == Admission::Execute;
        self.counters.ignored_commands += u64::from(!admitted);
        Ok(admitted)
    }

    /// Takes a place for a command or request that will be outstanding; false if there is none.
    fn hold(&mut self, immediate: bool) -> bool {
        if !immediate {
            self.sequence.hold();
        } else if self.immediate_held < self.config.max_immediate_commands {
            self.immediate_held += 1;
        } else {
            return false;
        }
        true
    }

    /// Gives the place back.
    fn release(&mut self, immediate: bool) {
        if immediate {
            self.immediate_held = self.immediate_held.saturating_sub(1);
        } else {
            self.sequence.release();
        }
    }

    /// A target transfer tag no other has had for a long time.
    fn next_transfer_tag(&mut self) -> u32 {
        self.last_transfer_tag = self.last_transfer_tag.wrapping_add(1);
        if self.last_transfer_tag == RESERVED_TAG {
            self.last_transfer_tag = 0;
        }
        self.last_transfer_tag
    }

    /// Answers a PDU we cannot take with its own header. RFC 7143 §11.17.
    fn reject(&mut self, reason: RejectReason, offender: &RawHeader) {
        self.counters.rejects += 1;
        let header = bhs::Reject {
            reason: reason as u8,
            initiator_task_tag: RESERVED_TAG,
            stat_sn: self.sequence.next_stat_sn(),
            exp_cmd_sn: self.sequence.exp_cmd_sn(),
            max_cmd_sn: self.sequence.max_cmd_sn(),
            data_sn: 0,
        };
        self.transmit.pdu(header.encode(), offender);
    }

    /// The end: nothing is outstanding any more.
    fn end(&mut self, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        self.phase = Phase::Closed;
        self.tasks.clear();
        self.management.clear();
        self.budget.clear();
        self.text = TextExchange::default();
        self.events.push_back(Event::Closed(reason));
    }
}
