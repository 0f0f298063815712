//! An initiator for tests: makes PDUs and reads them back on its own, digests included.
#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    reason = "each test file uses a part of it, and lengths are small"
)]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsi_proto::{
    Connection, ConnectionConfig, Event, Instant, LoginGrant, ProtocolError, ScsiResponse, TargetRecord,
    TaskManagementResponse,
    bhs::{self, RawHeader},
};

pub(crate) const INITIATOR: &str = "iqn.2026-11.test:initiator";
pub(crate) const TARGET: &str = "iqn.2026-11.test:target";
pub(crate) const NONE: u32 = 0xFFFF_FFFF;

/// A PDU from the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) header: RawHeader,
    pub(crate) data: Vec<u8>,
}

impl Received {
    pub(crate) fn opcode(&self) -> u8 {
        bhs::opcode(&self.header)
    }

    /// The pairs of its text.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        pairs(&self.data)
    }
}

pub(crate) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    text.split(|&byte| byte == 0)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = std::str::from_utf8(pair).unwrap().split_once('=').unwrap();
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

pub(crate) fn text(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs
        .iter()
        .flat_map(|(key, value)| format!("{key}={value}\0").into_bytes())
        .collect()
}

/// CRC32C a bit at a time, so that the tests do not check the digest with itself.
pub(crate) fn crc32c(data: &[u8]) -> [u8; 4] {
    let mut crc = !0u32;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82F6_3B78
            } else {
                crc >> 1
            };
        }
    }
    (!crc).to_le_bytes()
}

/// The bytes of one PDU.
pub(crate) fn pdu(mut header: RawHeader, additional: &[u8], data: &[u8], digests: (bool, bool)) -> Vec<u8> {
    header[4] = (additional.len() / 4) as u8;
    bhs::set_data_length(&mut header, data.len() as u32);
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(additional);
    if digests.0 {
        bytes.extend_from_slice(&crc32c(&bytes));
    }
    let mut segment = data.to_vec();
    segment.resize(data.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(&segment);
    if digests.1 && !data.is_empty() {
        bytes.extend_from_slice(&crc32c(&segment));
    }
    bytes
}

/// The initiator and the target connection it talks to.
pub(crate) struct Initiator {
    pub(crate) target: Connection,
    pub(crate) now: Instant,
    pub(crate) digests: (bool, bool),
    pub(crate) cmd_sn: u32,
    input: BytesMut,
    unread: Vec<u8>,
    /// Lengths of the pieces the target handed out for sending.
    pub(crate) pieces: Vec<usize>,
}

impl Initiator {
    pub(crate) fn new(config: ConnectionConfig) -> Self {
        Self {
            target: Connection::new(config, Instant(0)),
            now: Instant(0),
            digests: (false, false),
            cmd_sn: 100,
            input: BytesMut::new(),
            unread: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// A normal session; `pairs` are added to the operational stage.
    pub(crate) fn session(config: ConnectionConfig, pairs: &[(&str, &str)]) -> Self {
        let mut initiator = Self::new(config);
        let mut all = vec![("InitiatorName", INITIATOR), ("TargetName", TARGET)];
        all.extend_from_slice(pairs);
        initiator.log_in(&all);
        initiator
    }

    /// A discovery session.
    pub(crate) fn discovery(pairs: &[(&str, &str)]) -> Self {
        let mut initiator = Self::new(ConnectionConfig::default());
        let mut all = vec![("InitiatorName", INITIATOR), ("SessionType", "Discovery")];
        all.extend_from_slice(pairs);
        initiator.log_in(&all);
        initiator
    }

    /// Straight to the full feature phase; returns the target's answer.
    pub(crate) fn log_in(&mut self, pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        self.send(self.login_header(1, Some(3)).encode(), &text(pairs))
            .unwrap();
        assert!(matches!(self.target.poll_event(), Some(Event::Login(_))));
        self.grant();
        let Some(Event::SessionOpened(_)) = self.target.poll_event() else {
            panic!("no session")
        };
        let response = self.one();
        let header = bhs::LoginResponse::decode(&response.header);
        assert_eq!(
            (header.status, header.transit, header.next_stage),
            ([0, 0], true, 3)
        );
        let answers = response.pairs();
        let on = |key: &str| {
            answers
                .iter()
                .any(|(name, value)| name == key && value == "CRC32C")
        };
        self.digests = (on("HeaderDigest"), on("DataDigest"));
        answers
    }

    pub(crate) fn login_header(&self, stage: u8, next: Option<u8>) -> bhs::LoginRequest {
        bhs::LoginRequest {
            immediate: true,
            transit: next.is_some(),
            current_stage: stage,
            next_stage: next.unwrap_or(0),
            isid: [0x80, 1, 2, 3, 4, 5],
            initiator_task_tag: 7,
            cid: 1,
            cmd_sn: self.cmd_sn,
            ..bhs::LoginRequest::default()
        }
    }

    pub(crate) fn grant(&mut self) {
        let grant = LoginGrant {
            tsih: 42,
            target_alias: Some("disks".to_owned()),
        };
        self.target.login_verdict(self.now, Ok(grant));
    }

    pub(crate) fn send(&mut self, header: RawHeader, data: &[u8]) -> Result<(), ProtocolError> {
        self.send_with(header, &[], data)
    }

    pub(crate) fn send_with(
        &mut self,
        header: RawHeader,
        additional: &[u8],
        data: &[u8],
    ) -> Result<(), ProtocolError> {
        self.send_bytes(&pdu(header, additional, data, self.digests))
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.input.extend_from_slice(bytes);
        self.target.handle_input(self.now, &mut self.input)
    }

    /// Every PDU the target has sent since the last call.
    pub(crate) fn received(&mut self) -> Vec<Received> {
        while let Some(piece) = self.target.poll_transmit() {
            self.pieces.push(piece.len());
            self.unread.extend_from_slice(&piece);
        }
        let mut rest = &self.unread[..];
        let mut pdus = Vec::new();
        let digest = |on: bool| if on { 4 } else { 0 };
        while !rest.is_empty() {
            let (header, after) = rest.split_first_chunk::<48>().expect("a whole header");
            let (header_digest, after) = after.split_at(digest(self.digests.0));
            assert!(header_digest.is_empty() || header_digest == crc32c(header));
            let length = bhs::lengths(header).1 as usize;
            let (segment, after) = after.split_at(length.next_multiple_of(4));
            let (data_digest, after) = after.split_at(digest(self.digests.1 && length > 0));
            assert!(data_digest.is_empty() || data_digest == crc32c(segment));
            assert!(segment[length..].iter().all(|&byte| byte == 0));
            pdus.push(Received {
                header: *header,
                data: segment[..length].to_vec(),
            });
            rest = after;
        }
        self.unread.clear();
        pdus
    }

    /// The one PDU the target has sent.
    pub(crate) fn one(&mut self) -> Received {
        let mut pdus = self.received();
        assert_eq!(pdus.len(), 1, "{pdus:?}");
        pdus.remove(0)
    }

    /// A command header that is the next in order; `length` is expected in the direction given.
    pub(crate) fn command(&mut self, tag: u32, direction: Direction, length: u32) -> bhs::ScsiCommand {
        let cmd_sn = self.cmd_sn;
        self.cmd_sn = cmd_sn.wrapping_add(1);
        bhs::ScsiCommand {
            finished: true,
            read: direction == Direction::Read,
            write: direction == Direction::Write,
            attribute: 1,
            lun: [0, 3, 0, 0, 0, 0, 0, 0],
            initiator_task_tag: tag,
            expected_data_transfer_length: length,
            cmd_sn,
            cdb: [0x28; 16],
            ..bhs::ScsiCommand::default()
        }
    }

    pub(crate) fn event(&mut self) -> Event {
        self.target.poll_event().expect("an event")
    }

    pub(crate) fn no_event(&mut self) {
        let event = self.target.poll_event();
        assert!(event.is_none(), "{event:?}");
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.target.handle_timeout(self.now);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    None,
    Read,
    Write,
}

/// Bytes that tell where they are.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at) as u8).collect()
}

pub(crate) fn good(data: &[u8]) -> ScsiResponse {
    ScsiResponse {
        status: 0,
        sense: Vec::new(),
        data_in: vec![Bytes::copy_from_slice(data)],
    }
}

/// A daemon that answers every event at once; returns what it saw.
pub(crate) fn serve(target: &mut Connection, now: Instant) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = target.poll_event() {
        seen.push(format!("{event:?}"));
        match event {
            Event::Login(_) => {
                let grant = LoginGrant {
                    tsih: 42,
                    target_alias: None,
                };
                target.login_verdict(now, Ok(grant));
            }
            Event::Command(command) if command.write => {
                if target
                    .request_data(command.tag, command.expected_data_out)
                    .is_err()
                {
                    target.complete(
                        command.tag,
                        ScsiResponse {
                            status: 8,
                            ..ScsiResponse::default()
                        },
                    );
                }
            }
            Event::Command(command) => {
                let length = command.expected_data_in.min(20_000) as usize;
                target.complete(command.tag, good(&pattern(length)));
            }
            Event::DataOut { tag, .. } => {
                target.complete(tag, ScsiResponse::default());
            }
            Event::SendTargets(_) => target.send_targets(&[TargetRecord {
                name: TARGET.to_owned(),
                portals: vec![("10.0.0.1:3260".to_owned(), 1)],
            }]),
            Event::TaskManagement(request) => {
                target.complete_task_management(request.tag, TaskManagementResponse::Complete);
            }
            Event::SessionOpened(_) | Event::Logout | Event::Closed(_) => {}
        }
    }
    seen
}
