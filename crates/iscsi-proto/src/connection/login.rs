//! The login phase around [`crate::login`].

use alloc::boxed::Box;

use super::{Connection, Phase};
use crate::{
    CloseReason, Event, Instant, LoginStatus, LoginVerdict, ProtocolError, SessionOpened, bhs,
    framing::Pdu,
    login::{Login, Step},
};

impl Connection {
    /// Answers [`Event::Login`]: consent, or the status to refuse with (then [`Event::Closed`] follows).
    /// Ignored when no login waits.
    pub fn login_verdict(&mut self, now: Instant, verdict: LoginVerdict) {
        self.now = now;
        let Phase::Login(login) = &mut self.phase else {
            return;
        };
        match login.verdict(verdict) {
            None => {}
            Some(Ok(step)) => self.take_step(step),
            Some(Err(status)) => {
                self.refuse(status);
                self.end(CloseReason::LoginRefused(status));
            }
        }
    }

    pub(super) fn receive_in_login(&mut self, pdu: &Pdu) -> Result<(), ProtocolError> {
        let Phase::Login(login) = &mut self.phase else {
            return Ok(());
        };
        let opcode = bhs::opcode(&pdu.header);
        if opcode != bhs::LoginRequest::OPCODE {
            if login.has_begun() {
                self.refuse(LoginStatus::InvalidDuringLogin);
            }
            return Err(ProtocolError::NotLoggedIn { opcode });
        }
        if login.is_waiting() {
            return Err(ProtocolError::LoginRequestOverlap);
        }
        let header = bhs::LoginRequest::decode(&pdu.header);
        if !login.has_begun() {
            self.sequence.start(header.cmd_sn);
        }
        match login.receive(header, &pdu.data) {
            Ok(step) => {
                self.take_step(step);
                Ok(())
            }
            Err(status) => {
                self.refuse(status);
                Err(status.into())
            }
        }
    }

    /// Tells an initiator that waits for its first answer that there will be no session.
    pub(super) fn refuse_waiting_login(&mut self) {
        if let Phase::Login(login) = &self.phase
            && login.is_waiting()
        {
            self.refuse(LoginStatus::ServiceUnavailable);
        }
    }

    fn refuse(&mut self, status: LoginStatus) {
        if let Phase::Login(login) = &self.phase {
            let response = login.refusal(status);
            self.send_login_response(response, &[]);
        }
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Ask(request) => self.events.push_back(Event::Login(request)),
            Step::Reply(response, text) => self.send_login_response(response, &text),
            Step::Finish(response, text, parameters) => {
                // The last response still goes without digests; what follows it has them.
                self.send_login_response(response, &text);
                self.framer.limit = self.config.max_recv_data_segment.min(0x00FF_FFFF);
                self.framer.header_digest = parameters.header_digest;
                self.framer.data_digest = parameters.data_digest;
                self.transmit.header_digest = parameters.header_digest;
                self.transmit.data_digest = parameters.data_digest;
                self.parameters = parameters;
                self.open_session();
            }
        }
    }

    fn open_session(&mut self) {
        let Phase::Login(login) = core::mem::replace(&mut self.phase, Phase::FullFeature) else {
            return;
        };
        let login: Box<Login> = login;
        let Some((request, grant)) = login.into_session() else {
            return;
        };
        let session = SessionOpened {
            initiator: request.initiator,
            target: request.target,
            isid: request.isid,
            tsih: grant.tsih,
            cid: request.cid,
            discovery: request.discovery,
        };
        self.session = Some(session.clone());
        self.timers.logged_in(self.now);
        self.events.push_back(Event::SessionOpened(session));
    }

    fn send_login_response(&mut self, mut response: bhs::LoginResponse, text: &[u8]) {
        response.stat_sn = self.sequence.next_stat_sn();
        response.exp_cmd_sn = self.sequence.exp_cmd_sn();
        response.max_cmd_sn = self.sequence.max_cmd_sn();
        self.transmit.pdu(response.encode(), text);
    }
}
