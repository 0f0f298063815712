//! The stages of login. RFC 7143 §6.3; status codes as in ST §6.2.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    LoginGrant, LoginRequest, LoginStatus, LoginVerdict, Parameters, ProtocolError, TextError,
    bhs::{self, RESERVED_TAG},
    negotiation::{Limits, Negotiation, Place},
    text::{self, Outgoing, TextBuffer},
};

/// Data segment limit of both sides during login: the default of MaxRecvDataSegmentLength.
pub(crate) const LOGIN_SEGMENT_BYTES: u32 = 8192;
/// Longest iSCSI name. RFC 7143 §4.2.7.1.
const MAX_NAME_BYTES: usize = 223;
const FULL_FEATURE: u8 = 3;

/// The two stages of login, by their wire value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Stage {
    /// CSG 0. With AuthMethod None there is nothing to do in it; an authentication exchange belongs here,
    /// between the choice of AuthMethod and the consent to leave the stage.
    Security = 0,
    /// CSG 1.
    Operational = 1,
}

/// What one login request leads to.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this response, with this text.
    Reply(bhs::LoginResponse, Vec<u8>),
    /// Send this response, with this text; login is over and these parameters hold.
    Finish(bhs::LoginResponse, Vec<u8>, Parameters),
    /// Ask the daemon.
    Ask(LoginRequest),
}

/// The login phase of one connection.
#[derive(Debug)]
pub(crate) struct Login {
    max_recv_data_segment: u32,
    target_portal_group_tag: u16,
    negotiation: Negotiation,
    stage: Stage,
    /// The first request has said in which stage login starts.
    has_stage: bool,
    /// The first request; later ones must agree with it, but for the task tag, which some initiators count up.
    first: Option<bhs::LoginRequest>,
    /// Task tag of the request to be answered.
    task_tag: u32,
    received: TextBuffer,
    reply: Outgoing,
    /// Request and text that wait for the daemon's verdict.
    waiting: Option<(bhs::LoginRequest, Vec<u8>)>,
    request: Option<LoginRequest>,
    grant: Option<LoginGrant>,
    declared_target: bool,
    declared_segment: bool,
}

impl Login {
    pub(crate) fn new(limits: Limits, max_recv_data_segment: u32, target_portal_group_tag: u16) -> Self {
        Self {
            max_recv_data_segment,
            target_portal_group_tag,
            negotiation: Negotiation::new(limits),
            stage: Stage::Security,
            has_stage: false,
            first: None,
            task_tag: RESERVED_TAG,
            received: TextBuffer::default(),
            reply: Outgoing::default(),
            waiting: None,
            request: None,
            grant: None,
            declared_target: false,
            declared_segment: false,
        }
    }

    /// The first request came already.
    pub(crate) fn has_begun(&self) -> bool {
        self.first.is_some()
    }

    /// The daemon has been asked and has not answered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The request as the daemon has seen it, and its consent, once login is over.
    pub(crate) fn into_session(self) -> Option<(LoginRequest, LoginGrant)> {
        self.request.zip(self.grant)
    }

    /// A response that refuses.
    pub(crate) fn refusal(&self, status: LoginStatus) -> bhs::LoginResponse {
        let first = self.first.unwrap_or_default();
        bhs::LoginResponse {
            current_stage: self.stage as u8,
            isid: first.isid,
            tsih: first.tsih,
            initiator_task_tag: self.task_tag,
            status: status.class_and_detail(),
            ..bhs::LoginResponse::default()
        }
    }

    /// Takes one request.
    pub(crate) fn receive(&mut self, header: bhs::LoginRequest, data: &[u8]) -> Result<Step, LoginStatus> {
        self.check(&header)?;
        if self.reply.is_under_way() {
            // The initiator asks for the rest of our text and has nothing to add.
            if !data.is_empty() || header.continued {
                return Err(LoginStatus::InitiatorError);
            }
            return Ok(self.respond(&header));
        }
        self.received
            .push(data)
            .map_err(|_| LoginStatus::InitiatorError)?;
        if header.continued {
            return Ok(Step::Reply(self.response(&header), Vec::new()));
        }
        let text = self.received.take();
        if self.request.is_none() {
            let pairs = text::parse(&text).map_err(offence)?;
            let request = identify(&header, &pairs)?;
            self.request = Some(request.clone());
            self.waiting = Some((header, text));
            return Ok(Step::Ask(request));
        }
        self.negotiate(&header, &text)
    }

    /// Goes on after the daemon's verdict; `None` if it was not asked.
    pub(crate) fn verdict(&mut self, verdict: LoginVerdict) -> Option<Result<Step, LoginStatus>> {
        let (header, text) = self.waiting.take()?;
        Some(verdict.and_then(|grant| {
            self.grant = Some(grant);
            self.negotiate(&header, &text)
        }))
    }

    /// Header rules, against the stage and the first request.
    fn check(&mut self, header: &bhs::LoginRequest) -> Result<(), LoginStatus> {
        self.task_tag = header.initiator_task_tag;
        let first = *self.first.get_or_insert(*header);
        let stage = match header.current_stage {
            0 => Stage::Security,
            1 => Stage::Operational,
            _ => return Err(LoginStatus::InitiatorError),
        };
        if self.has_stage {
            let same = first.isid == header.isid
                && first.tsih == header.tsih
                && first.cid == header.cid
                && self.stage == stage;
            if !same {
                return Err(LoginStatus::InitiatorError);
            }
        } else {
            self.stage = stage;
            self.has_stage = true;
            if header.version_min > 0 {
                return Err(LoginStatus::UnsupportedVersion);
            }
        }
        if header.initiator_task_tag == RESERVED_TAG {
            return Err(LoginStatus::InitiatorError);
        }
        let next_is_valid =
            header.next_stage == FULL_FEATURE || (header.next_stage == 1 && stage == Stage::Security);
        if header.transit && (header.continued || !next_is_valid) {
            return Err(LoginStatus::InitiatorError);
        }
        Ok(())
    }

    /// Deals with a whole text and answers.
    fn negotiate(&mut self, header: &bhs::LoginRequest, text: &[u8]) -> Result<Step, LoginStatus> {
        let discovery = self.request.as_ref().is_some_and(|request| request.discovery);
        let place = match self.stage {
            Stage::Security => Place::Security,
            Stage::Operational => Place::Operational,
        };
        let mut reply = Vec::new();
        if !discovery && !self.declared_target {
            self.declared_target = true;
            if let Some(alias) = self
                .grant
                .as_ref()
                .and_then(|grant| grant.target_alias.as_deref())
            {
                text::push_pair(&mut reply, "TargetAlias", alias);
            }
            text::push_pair(
                &mut reply,
                "TargetPortalGroupTag",
                &format!("{}", self.target_portal_group_tag),
            );
        }
        let pairs = text::parse(text).map_err(offence)?;
        if !self
            .request
            .as_ref()
            .is_some_and(|request| agrees(request, &pairs))
        {
            return Err(LoginStatus::InitiatorError);
        }
        for (name, value) in pairs {
            self.negotiation
                .receive(place, discovery, name, value, &mut reply)?;
        }
        if self.stage == Stage::Operational && !self.declared_segment {
            self.declared_segment = true;
            let bytes = format!("{}", self.max_recv_data_segment);
            text::push_pair(&mut reply, "MaxRecvDataSegmentLength", &bytes);
        }
        self.reply = Outgoing::new(reply);
        Ok(self.respond(header))
    }

    /// Sends the next piece of the reply, and leaves the stage with the last one if the initiator wants to.
    fn respond(&mut self, header: &bhs::LoginRequest) -> Step {
        let mut response = self.response(header);
        let (piece, last) = self.reply.next(LOGIN_SEGMENT_BYTES);
        let piece = piece.to_vec();
        response.continued = !last;
        if !last || !header.transit {
            return Step::Reply(response, piece);
        }
        response.transit = true;
        response.next_stage = header.next_stage;
        if header.next_stage == FULL_FEATURE {
            response.tsih = self.grant.as_ref().map_or(0, |grant| grant.tsih);
            return Step::Finish(response, piece, self.negotiation.finish());
        }
        self.stage = Stage::Operational;
        Step::Reply(response, piece)
    }

    fn response(&self, header: &bhs::LoginRequest) -> bhs::LoginResponse {
        bhs::LoginResponse {
            current_stage: self.stage as u8,
            isid: header.isid,
            tsih: header.tsih,
            initiator_task_tag: header.initiator_task_tag,
            ..bhs::LoginResponse::default()
        }
    }
}

/// Text that cannot be read is the initiator's error.
fn offence(_: TextError) -> LoginStatus {
    LoginStatus::InitiatorError
}

impl From<LoginStatus> for ProtocolError {
    fn from(status: LoginStatus) -> Self {
        Self::LoginRefused(status)
    }
}

/// Who wants in where, from the first text. RFC 7143 §6.3: these keys are part of the first request.
fn identify(header: &bhs::LoginRequest, pairs: &[(&str, &str)]) -> Result<LoginRequest, LoginStatus> {
    let value = |name| {
        pairs
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    };
    let discovery = match value("SessionType") {
        None | Some("Normal") => false,
        Some("Discovery") => true,
        Some(_) => return Err(LoginStatus::SessionTypeNotSupported),
    };
    let initiator = name(value("InitiatorName").ok_or(LoginStatus::MissingParameter)?)?;
    let target = value("TargetName").map(name).transpose()?;
    if target.is_none() && !discovery {
        return Err(LoginStatus::MissingParameter);
    }
    if discovery && header.tsih != 0 {
        return Err(LoginStatus::InvalidDuringLogin);
    }
    Ok(LoginRequest {
        initiator,
        target,
        isid: header.isid,
        tsih: header.tsih,
        cid: header.cid,
        discovery,
    })
}

/// The names and the session type may be said again in a later stage, but not changed.
fn agrees(request: &LoginRequest, pairs: &[(&str, &str)]) -> bool {
    pairs.iter().all(|&(key, value)| match key {
        "InitiatorName" => name(value).as_ref() == Ok(&request.initiator),
        "TargetName" => name(value).ok() == request.target,
        "SessionType" => (value == "Discovery") == request.discovery,
        _ => true,
    })
}

/// An iSCSI name in the form in which names are compared: `iqn.` in lower case, the digits of `eui.` and
/// `naa.` in upper case.
fn name(name: &str) -> Result<String, LoginStatus> {
    if !(1..=MAX_NAME_BYTES).contains(&name.len()) || name.chars().any(|c| c.is_control() || c == ' ') {
        return Err(LoginStatus::InitiatorError);
    }
    let lower = name.to_lowercase();
    Ok(match lower.get(..4) {
        Some(prefix @ ("eui." | "naa.")) => prefix.to_string() + &lower[4..].to_ascii_uppercase(),
        _ => lower,
    })
}
