//! A small blocking iSCSI initiator: one session, one connection, no authentication.
//!
//! It exists for what real initiators cannot do: send any CDB, see status and sense as they came, keep an exact
//! number of commands outstanding, send bytes that are no iSCSI at all. Everything it does has a deadline.

pub mod cdb;
mod outcome;
pub mod pdu;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

pub use outcome::{Outcome, SenseCode, status};
use pdu::{Pdu, request, response};

/// Initiator name used unless a test says otherwise.
pub const INITIATOR_NAME: &str = "iqn.2026-11.org.example:conformance";

const NO_TAG: u32 = 0xffff_ffff;

/// The one failure that must never happen to an initiator: neither an answer nor a dropped connection in time.
#[derive(Debug, Clone, Copy)]
pub struct NoAnswer {
    /// How long it waited.
    pub waited: Duration,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "neither an answer nor a dropped connection within {} s",
            self.waited.as_secs()
        )
    }
}

impl std::error::Error for NoAnswer {}

/// Direction and amount of a command's data.
#[derive(Debug, Clone, Copy)]
pub enum Transfer<'a> {
    /// No data.
    None,
    /// Up to this many bytes towards us.
    In(u32),
    /// These bytes towards the target.
    Out(&'a [u8]),
}

/// A command on its way.
#[derive(Debug, Default)]
struct Pending {
    out: Vec<u8>,
    data_in: Vec<u8>,
}

/// What both sides agreed on, as far as a sender needs it.
#[derive(Debug, Clone, Copy)]
struct Agreed {
    send_bytes: usize,
    first_burst: usize,
    immediate_data: bool,
}

/// One session over one TCP connection. Dropping it closes the connection without a logout.
#[derive(Debug)]
pub struct Initiator {
    stream: TcpStream,
    buffer: pdu::Buffer,
    agreed: Agreed,
    cmd_sn: u32,
    max_cmd_sn: u32,
    exp_stat_sn: u32,
    next_tag: u32,
    limit: Duration,
    pending: HashMap<u32, Pending>,
    done: HashMap<u32, Outcome>,
}

impl Initiator {
    /// Logs in to `target` at `portal` with the usual name.
    ///
    /// # Errors
    /// When the connection or the login is refused, or not answered within [`crate::wait::INITIATOR_BOUND`].
    pub fn login(portal: SocketAddr, target: &str) -> Result<Self> {
        Self::login_as(portal, target, INITIATOR_NAME)
    }

    /// Logs in as `name`.
    ///
    /// # Errors
    /// As [`Self::login`].
    pub fn login_as(portal: SocketAddr, target: &str, name: &str) -> Result<Self> {
        let mut initiator = Self::connect(portal)?;
        initiator.start_session(name, Some(target))?;
        Ok(initiator)
    }

    /// Opens a discovery session and asks for all targets: name and portal addresses of each.
    ///
    /// # Errors
    /// As [`Self::login`].
    pub fn discover(portal: SocketAddr) -> Result<Vec<(String, Vec<String>)>> {
        let mut initiator = Self::connect(portal)?;
        initiator.start_session(INITIATOR_NAME, None)?;
        initiator.send_targets()
    }

    /// Connects and does nothing yet.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(portal: SocketAddr) -> Result<Self> {
        let limit = crate::wait::INITIATOR_BOUND;
        let stream = TcpStream::connect_timeout(&portal, limit)
            .with_context(|| format!("no connection to the iSCSI portal {portal}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self {
            stream,
            buffer: pdu::Buffer::default(),
            agreed: Agreed {
                send_bytes: 8192,
                first_burst: 65_536,
                immediate_data: false,
            },
            cmd_sn: 1,
            max_cmd_sn: 1,
            exp_stat_sn: 0,
            next_tag: 1,
            limit,
            pending: HashMap::new(),
            done: HashMap::new(),
        })
    }

    /// How long an answer may take before it is an error.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// The connection, for bytes that are no iSCSI.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends a command and waits for its end.
    ///
    /// # Errors
    /// When the connection is lost, the target breaks the protocol, or no answer comes in time. A SCSI status of any
    /// kind is not an error.
    pub fn command(&mut self, lun: u16, cdb: &[u8], transfer: Transfer<'_>) -> Result<Outcome> {
        let tag = self.submit(lun, cdb, transfer)?;
        self.wait(tag)
    }

    /// [`Self::command`], repeated while the answer is a unit attention (at most 8 times): what every host does.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn command_past_attention(
        &mut self,
        lun: u16,
        cdb: &[u8],
        transfer: Transfer<'_>,
    ) -> Result<Outcome> {
        let mut outcome = self.command(lun, cdb, transfer)?;
        for _ in 0..8 {
            if !outcome.is_unit_attention() {
                break;
            }
            outcome = self.command(lun, cdb, transfer)?;
        }
        Ok(outcome)
    }

    /// Sends a command without waiting; gives its task tag.
    ///
    /// # Errors
    /// When the connection is lost, or the command window stays shut until the limit.
    pub fn submit(&mut self, lun: u16, cdb: &[u8], transfer: Transfer<'_>) -> Result<u32> {
        self.wait_for_window()?;
        let tag = self.take_tag();
        let mut pdu = Pdu::new(request::SCSI_COMMAND);
        pdu.header[1] = 0x81; // F, simple task attribute
        put_lun(&mut pdu, lun);
        let copied = cdb.len().min(16);
        pdu.header[32..32 + copied].copy_from_slice(&cdb[..copied]);
        let mut pending = Pending::default();
        match transfer {
            Transfer::None => {}
            Transfer::In(bytes) => {
                pdu.header[1] |= 0x40;
                pdu.set_word(20, bytes);
            }
            Transfer::Out(data) => {
                pdu.header[1] |= 0x20;
                pdu.set_word(20, u32::try_from(data.len())?);
                if self.agreed.immediate_data {
                    let now = data
                        .len()
                        .min(self.agreed.send_bytes)
                        .min(self.agreed.first_burst);
                    pdu.data = data[..now].to_vec();
                }
                pending.out = data.to_vec();
            }
        }
        pdu.set_word(16, tag);
        pdu.set_word(24, self.cmd_sn);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        self.pending.insert(tag, pending);
        self.send(&mut pdu)?;
        Ok(tag)
    }

    /// Waits for the end of one command.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn wait(&mut self, tag: u32) -> Result<Outcome> {
        let end = Instant::now() + self.limit;
        loop {
            if let Some(outcome) = self.done.remove(&tag) {
                return Ok(outcome);
            }
            if !self.pending.contains_key(&tag) {
                bail!("task {tag} is not outstanding");
            }
            self.receive_one(end)?;
        }
    }

    /// Waits for the end of any command: its tag and outcome.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn wait_any(&mut self) -> Result<(u32, Outcome)> {
        let end = Instant::now() + self.limit;
        loop {
            if let Some(tag) = self.done.keys().next().copied()
                && let Some(outcome) = self.done.remove(&tag)
            {
                return Ok((tag, outcome));
            }
            if self.pending.is_empty() {
                bail!("nothing is outstanding");
            }
            self.receive_one(end)?;
        }
    }

    /// Sends a task management request and waits for its response code (RFC 7143 §11.6.1; 0 = complete).
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn task_management(&mut self, function: u8, lun: u16, referenced_tag: Option<u32>) -> Result<u8> {
        let tag = self.take_tag();
        let mut pdu = Pdu::new(request::TASK_MANAGEMENT | 0x40);
        pdu.header[1] = 0x80 | function;
        put_lun(&mut pdu, lun);
        pdu.set_word(16, tag);
        pdu.set_word(20, referenced_tag.unwrap_or(NO_TAG));
        pdu.set_word(24, self.cmd_sn);
        self.send(&mut pdu)?;
        let answer = self.answer_to(tag, response::TASK_MANAGEMENT)?;
        Ok(answer.header[2])
    }

    /// Forgets a command that a task management function has ended.
    pub fn forget(&mut self, tag: u32) {
        self.pending.remove(&tag);
        self.done.remove(&tag);
    }

    /// A NOP-Out that wants an echo; gives the echoed bytes.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn ping(&mut self, data: &[u8]) -> Result<Vec<u8>> {
        let tag = self.take_tag();
        let mut pdu = Pdu::new(request::NOP_OUT | 0x40);
        pdu.header[1] = 0x80;
        pdu.set_word(16, tag);
        pdu.set_word(20, NO_TAG);
        pdu.set_word(24, self.cmd_sn);
        pdu.data = data.to_vec();
        self.send(&mut pdu)?;
        Ok(self.answer_to(tag, response::NOP_IN)?.data)
    }

    /// Ends the session properly.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn logout(mut self) -> Result<()> {
        let tag = self.take_tag();
        let mut pdu = Pdu::new(request::LOGOUT | 0x40);
        pdu.header[1] = 0x80; // close the session
        pdu.set_word(16, tag);
        pdu.set_word(24, self.cmd_sn);
        self.send(&mut pdu)?;
        let answer = self.answer_to(tag, response::LOGOUT)?;
        match answer.header[2] {
            0 => Ok(()),
            code => bail!("logout answered with response {code}"),
        }
    }

    fn take_tag(&mut self) -> u32 {
        let tag = self.next_tag;
        self.next_tag = if tag >= 0x7fff_ffff { 1 } else { tag + 1 };
        tag
    }

    fn wait_for_window(&mut self) -> Result<()> {
        let end = Instant::now() + self.limit;
        // Serial number arithmetic, RFC 1982: the window is open while MaxCmdSN is not behind CmdSN.
        while self.max_cmd_sn.wrapping_sub(self.cmd_sn) >= 0x8000_0000 {
            self.receive_one(end)?;
        }
        Ok(())
    }

    fn send(&mut self, pdu: &mut Pdu) -> Result<()> {
        pdu.set_word(28, self.exp_stat_sn);
        let bytes = pdu.encode()?;
        self.stream
            .write_all(&bytes)
            .context("the target closed the connection while we sent")
    }

    /// Waits for the PDU with this tag and opcode, handling what comes before it.
    fn answer_to(&mut self, tag: u32, opcode: u8) -> Result<Pdu> {
        let end = Instant::now() + self.limit;
        loop {
            let pdu = self.receive(end)?;
            if pdu.opcode() == opcode && pdu.tag() == tag {
                return Ok(pdu);
            }
            self.dispatch(&pdu)?;
        }
    }

    fn receive_one(&mut self, end: Instant) -> Result<()> {
        let pdu = self.receive(end)?;
        self.dispatch(&pdu)
    }

    /// Reads one PDU and notes its sequence numbers.
    fn receive(&mut self, end: Instant) -> Result<Pdu> {
        loop {
            if let Some(pdu) = self.buffer.take()? {
                self.note_numbers(&pdu);
                return Ok(pdu);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NoAnswer { waited: self.limit }.into());
            }
            self.stream
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.stream.read(self.buffer.room()) {
                Ok(0) => bail!("the target closed the connection"),
                Ok(read) => self.buffer.filled(read),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the connection to the target broke"),
            }
        }
    }

    fn note_numbers(&mut self, pdu: &Pdu) {
        let max = pdu.word(32);
        if max.wrapping_sub(self.max_cmd_sn) < 0x8000_0000 {
            self.max_cmd_sn = max;
        }
        // Data-In carries a StatSN only with status; an R2T and an unsolicited NOP-In do not advance it.
        let counts = match pdu.opcode() {
            response::DATA_IN => pdu.header[1] & 0x01 != 0,
            response::READY_TO_TRANSFER => false,
            response::NOP_IN => pdu.tag() != NO_TAG,
            _ => true,
        };
        if counts {
            self.exp_stat_sn = pdu.word(24).wrapping_add(1);
        }
    }

    fn dispatch(&mut self, pdu: &Pdu) -> Result<()> {
        match pdu.opcode() {
            response::DATA_IN => self.data_in(pdu),
            response::SCSI_RESPONSE => self.scsi_response(pdu),
            response::READY_TO_TRANSFER => self.ready_to_transfer(pdu),
            response::NOP_IN => self.nop_in(pdu),
            // Echoes of requests nobody waits for any more, and messages that only inform.
            response::TASK_MANAGEMENT | response::ASYNC_MESSAGE => Ok(()),
            response::REJECT => bail!("the target rejected a PDU, reason {:#04x}", pdu.header[2]),
            other => bail!("the target sent an unexpected PDU with opcode {other:#04x}"),
        }
    }

    fn nop_in(&mut self, pdu: &Pdu) -> Result<()> {
        let transfer_tag = pdu.word(20);
        if transfer_tag == NO_TAG {
            return Ok(());
        }
        let mut answer = Pdu::new(request::NOP_OUT | 0x40);
        answer.header[1] = 0x80;
        answer.header[8..16].copy_from_slice(&pdu.header[8..16]);
        answer.set_word(16, NO_TAG);
        answer.set_word(20, transfer_tag);
        answer.set_word(24, self.cmd_sn);
        self.send(&mut answer)
    }
}

/// Peripheral or flat addressing of a small LUN, SAM-5.
fn put_lun(pdu: &mut Pdu, lun: u16) {
    let [high, low] = lun.to_be_bytes();
    pdu.header[8] = if lun > 255 { 0x40 | high } else { 0 };
    pdu.header[9] = low;
}
