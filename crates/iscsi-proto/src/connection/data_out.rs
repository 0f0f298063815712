//! Data from the initiator: immediate data first, the rest by R2T. RFC 7143 §11.7, §11.8.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::{
    Connection,
    task::{Collecting, Pieces, Sequence, Task},
};
use crate::{Event, ProtocolError, RequestDataError, bhs, number::len32};

/// Bytes of data that may be under way for the connection, and the tasks that wait for their share.
#[derive(Debug)]
pub(super) struct Budget {
    total: u64,
    used: u64,
    waiting: VecDeque<u32>,
    /// R2Ts out and not answered in full.
    outstanding: usize,
}

impl Budget {
    pub(super) fn new(total: u32) -> Self {
        Self {
            total: u64::from(total),
            used: 0,
            waiting: VecDeque::new(),
            outstanding: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.waiting.clear();
        self.outstanding = 0;
    }

    /// Some R2T waits for data.
    pub(super) fn is_waiting_for_data(&self) -> bool {
        self.outstanding > 0
    }

    fn fits(&self, bytes: u64) -> bool {
        self.used == 0 || self.used + bytes <= self.total
    }
}

impl Connection {
    /// Collects the next `length` bytes of the data of write command `tag`: immediate data first, then R2T.
    /// [`Event::DataOut`] brings them, fewer when the command's expected length ends before. Memory is
    /// counted until the task ends or asks again, at most `max_data_out_total` for the connection; a request
    /// over that waits until others have ended.
    ///
    /// # Errors
    /// See [`RequestDataError`]; nothing was changed.
    pub fn request_data(&mut self, tag: u32, length: u32) -> Result<(), RequestDataError> {
        let task = self.tasks.get_mut(&tag).ok_or(RequestDataError::UnknownTask)?;
        if !task.write {
            return Err(RequestDataError::NotAWrite);
        }
        if task.collecting.is_some() {
            return Err(RequestDataError::AlreadyCollecting);
        }
        if length > self.config.max_data_out {
            return Err(RequestDataError::TooLong {
                limit: self.config.max_data_out,
            });
        }
        self.budget.used -= core::mem::take(&mut task.reserved);
        task.requested += u64::from(length);
        let end = task.expected_out.min(task.collected.saturating_add(length));
        let mut pieces = Pieces::default();
        pieces.push(task.take_immediate(end - task.collected));
        task.collecting = Some(Collecting {
            end,
            next: task.collected,
            sequences: VecDeque::new(),
            pieces,
        });
        if task.collected == end {
            self.deliver(tag);
        } else {
            self.budget.waiting.push_back(tag);
        }
        self.start_waiting();
        Ok(())
    }

    /// Says how many bytes command `tag` is about, for the residual count. Without it, for a write, that is what
    /// has been asked for, which is the same unless the daemon asks for less because the initiator has less. For
    /// a read it is what [`Connection::complete`] is given, which is the same unless that was cut to the expected
    /// length before; `bytes` counts only when status is GOOD and everything expected is there.
    pub fn set_transfer_length(&mut self, tag: u32, bytes: u64) {
        if let Some(task) = self.tasks.get_mut(&tag) {
            task.transfer_length = Some(bytes);
        }
    }

    /// Starts the collections that fit in the budget, in order of arrival.
    pub(super) fn start_waiting(&mut self) {
        while let Some(&tag) = self.budget.waiting.front() {
            if let Some(task) = self.tasks.get_mut(&tag)
                && let Some(collecting) = &task.collecting
            {
                let bytes = u64::from(collecting.end - collecting.next);
                if !self.budget.fits(bytes) {
                    return;
                }
                task.reserved = bytes;
                self.budget.used += bytes;
            }
            self.budget.waiting.pop_front();
            self.send_r2ts(tag);
        }
    }

    /// Gives back what a task that is over had taken.
    pub(super) fn stop_collecting(&mut self, tag: u32, task: &Task) {
        self.budget.used -= task.reserved;
        if let Some(collecting) = &task.collecting {
            self.budget.outstanding -= collecting.outstanding();
            self.budget.waiting.retain(|&waiting| waiting != tag);
        }
    }

    pub(super) fn receive_data_out(
        &mut self,
        header: &bhs::DataOut,
        data: Bytes,
    ) -> Result<(), ProtocolError> {
        let tag = header.initiator_task_tag;
        let Some(task) = self.tasks.get_mut(&tag) else {
            // Of a task that ended early or was aborted: the initiator did not know yet.
            self.counters.discarded_data += 1;
            return Ok(());
        };
        let unknown = ProtocolError::UnknownTransferTag {
            tag: header.target_transfer_tag,
        };
        let collecting = task.collecting.as_mut().ok_or(unknown)?;
        let at = collecting
            .sequences
            .iter()
            .position(|sequence| {
                sequence.transfer_tag == header.target_transfer_tag && !sequence.is_complete()
            })
            .ok_or(unknown)?;
        if at > 0 && self.parameters.data_sequence_in_order {
            return Err(ProtocolError::DataSequenceOutOfOrder);
        }
        let Some(sequence) = collecting.sequences.get_mut(at) else {
            return Err(unknown);
        };
        let complete = sequence.receive(header, data)?;
        self.timers.data_progress(self.now);
        if complete {
            self.budget.outstanding -= 1;
            while collecting.sequences.front().is_some_and(Sequence::is_complete)
                && let Some(first) = collecting.sequences.pop_front()
            {
                task.collected += first.length;
                collecting.pieces.append(first.pieces);
            }
            if task.collected == collecting.end {
                self.deliver(tag);
            } else {
                self.send_r2ts(tag);
            }
        }
        Ok(())
    }

    /// Asks for as much as may be asked for at once.
    fn send_r2ts(&mut self, tag: u32) {
        let most = self.parameters.max_outstanding_r2t as usize;
        let burst = self.parameters.max_burst;
        loop {
            let transfer_tag = self.next_transfer_tag();
            let Some(task) = self.tasks.get_mut(&tag) else {
                return;
            };
            let Some(collecting) = &mut task.collecting else {
                return;
            };
            if collecting.next == collecting.end || collecting.outstanding() >= most {
                return;
            }
            let (offset, length) = (collecting.next, burst.min(collecting.end - collecting.next));
            let header = bhs::ReadyToTransfer {
                lun: task.lun,
                initiator_task_tag: tag,
                target_transfer_tag: transfer_tag,
                stat_sn: self.sequence.stat_sn(),
                exp_cmd_sn: self.sequence.exp_cmd_sn(),
                max_cmd_sn: self.sequence.max_cmd_sn(),
                r2t_sn: task.r2t_sn,
                buffer_offset: offset,
                desired_data_transfer_length: length,
            };
            task.r2t_sn += 1;
            collecting.next += length;
            collecting.sequences.push_back(Sequence {
                transfer_tag,
                offset,
                length,
                received: 0,
                data_sn: 0,
                pieces: Pieces::default(),
            });
            if self.budget.outstanding == 0 {
                self.timers.data_progress(self.now);
            }
            self.budget.outstanding += 1;
            self.transmit.pdu(header.encode(), &[]);
        }
    }

    /// Hands the collected data to the daemon.
    fn deliver(&mut self, tag: u32) {
        if let Some(collecting) = self.tasks.get_mut(&tag).and_then(|task| task.collecting.take()) {
            self.events.push_back(Event::DataOut {
                tag,
                data: collecting.pieces.into_vec(),
            });
        }
    }
}

impl Sequence {
    /// Takes one Data-Out; true when it was the last of the sequence.
    fn receive(&mut self, header: &bhs::DataOut, data: Bytes) -> Result<bool, ProtocolError> {
        let length = len32(data.len());
        let due = self.offset + self.received;
        if header.data_sn != self.data_sn {
            return Err(ProtocolError::DataSequenceHole {
                expected: self.data_sn,
                received: header.data_sn,
            });
        }
        if header.buffer_offset != due {
            return Err(ProtocolError::DataOffsetMismatch {
                expected: due,
                received: header.buffer_offset,
            });
        }
        if length > self.length - self.received {
            return Err(ProtocolError::DataOutTooLong);
        }
        let complete = self.received + length == self.length;
        if length == 0 || header.finished != complete {
            return Err(ProtocolError::DataOutUnfinished);
        }
        self.received += length;
        self.data_sn = self.data_sn.wrapping_add(1);
        self.pieces.push(data);
        Ok(complete)
    }
}
