//! One connection: bytes, answers and time in; events, bytes and deadlines out.

use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    ConnectionConfig, Event, Instant, LoginVerdict, ProtocolError, RequestDataError, ScsiResponse,
    TargetRecord, TaskManagementResponse, event::Closing,
};

/// The target end of one iSCSI connection, and of its session (one connection a session).
#[derive(Debug)]
pub struct Connection {
    config: ConnectionConfig,
    now: Instant,
    events: VecDeque<Event>,
}

impl Connection {
    /// A connection just accepted.
    #[must_use]
    pub fn new(config: ConnectionConfig, now: Instant) -> Self {
        Self {
            config,
            now,
            events: VecDeque::new(),
        }
    }

    /// Takes every whole PDU out of `input` and leaves a partial one.
    ///
    /// # Errors
    /// The initiator broke a rule; [`Event::Closed`] is queued as well, and further input is dropped.
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), ProtocolError> {
        self.now = now;
        let _ = input;
        Ok(())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        None
    }

    /// Call [`handle_timeout`](Self::handle_timeout) no later than this.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.now.after(self.config.login_timeout))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
    }

    /// Answers [`Event::Login`].
    pub fn login_verdict(&mut self, now: Instant, verdict: LoginVerdict) {
        self.now = now;
        let _ = verdict;
    }

    /// Answers [`Event::SendTargets`].
    pub fn send_targets(&mut self, targets: &[TargetRecord]) {
        let _ = targets;
    }

    /// Collects the next `length` bytes of the data of write command `tag`: immediate data first, then R2T.
    /// [`Event::DataOut`] brings them.
    ///
    /// # Errors
    /// See [`RequestDataError`]; nothing was changed.
    pub fn request_data(&mut self, tag: u32, length: u32) -> Result<(), RequestDataError> {
        let _ = (tag, length);
        Err(RequestDataError::UnknownTask)
    }

    /// Answers [`Event::Command`]. False if there is no such task any more.
    pub fn complete(&mut self, tag: u32, response: ScsiResponse) -> bool {
        let _ = (tag, response);
        false
    }

    /// Forgets the task without a response. False if there is no such task any more.
    pub fn task_aborted(&mut self, tag: u32) -> bool {
        let _ = tag;
        false
    }

    /// Answers [`Event::TaskManagement`]. False if there is no such request any more.
    pub fn complete_task_management(&mut self, tag: u32, response: TaskManagementResponse) -> bool {
        let _ = (tag, response);
        false
    }

    /// Ends the connection from our side.
    pub fn close(&mut self, closing: Closing) {
        let _ = closing;
    }
}
