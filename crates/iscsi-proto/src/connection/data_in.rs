//! Data for the initiator, and the response. RFC 7143 §11.4, §11.7.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Connection, task::Task};
use crate::{
    ScsiResponse,
    bhs::{self, RESERVED_TAG},
    number::len32,
};

/// SCSI status GOOD.
const GOOD: u8 = 0;

impl Connection {
    /// Sends the end of `task`: Data-In PDUs, and a SCSI Response unless the last Data-In carries the status.
    pub(super) fn respond(&mut self, tag: u32, task: &Task, response: ScsiResponse) {
        let ScsiResponse {
            status,
            sense,
            data_in,
        } = response;
        let available: u64 = data_in.iter().map(|piece| u64::from(len32(piece.len()))).sum();
        let residual = task.residual(available, status == GOOD);
        let length = u32::try_from(available).unwrap_or(u32::MAX).min(task.expected_in);
        let collapse = status == GOOD && sense.is_empty();
        let mut data_pdus = 0;
        if task.read && length > 0 {
            let last = bhs::DataIn {
                overflow: collapse && residual.overflow,
                underflow: collapse && residual.underflow,
                has_status: collapse,
                residual: if collapse { residual.count } else { 0 },
                initiator_task_tag: tag,
                ..bhs::DataIn::default()
            };
            data_pdus = self.send_data(last, data_in, length);
            if collapse {
                return;
            }
        }
        let header = bhs::ScsiResponse {
            overflow: residual.overflow,
            underflow: residual.underflow,
            residual: residual.count,
            response: 0,
            status,
            initiator_task_tag: tag,
            snack_tag: 0,
            stat_sn: self.sequence.next_stat_sn(),
            exp_cmd_sn: self.sequence.exp_cmd_sn(),
            max_cmd_sn: self.sequence.max_cmd_sn(),
            exp_data_sn: if task.write { task.r2t_sn } else { data_pdus },
            bidirectional_residual: 0,
        };
        let sense_length = u16::try_from(sense.len()).unwrap_or(u16::MAX);
        if sense_length == 0 {
            self.transmit.pdu(header.encode(), &[]);
        } else {
            self.transmit
                .begin(header.encode(), usize::from(sense_length) + 2);
            self.transmit.copy(&sense_length.to_be_bytes());
            self.transmit.copy(&sense[..usize::from(sense_length)]);
            self.transmit.end();
        }
    }

    /// Sends the first `length` bytes of `data`, in PDUs the initiator can take and sequences of
    /// MaxBurstLength; `last` is the last header, places and numbers aside. Returns how many PDUs.
    fn send_data(&mut self, last: bhs::DataIn, data: Vec<Bytes>, length: u32) -> u32 {
        let segment = self.parameters.initiator_max_recv_data_segment;
        let burst = self.parameters.max_burst;
        let mut pieces = data.into_iter();
        let mut piece = Bytes::new();
        let (mut offset, mut data_sn) = (0, 0);
        while offset < length {
            let left_of_burst = burst - offset % burst;
            let now = segment.min(left_of_burst).min(length - offset);
            let is_last = offset + now == length;
            let mut header = if is_last {
                bhs::DataIn {
                    stat_sn: if last.has_status {
                        self.sequence.next_stat_sn()
                    } else {
                        0
                    },
                    ..last
                }
            } else {
                bhs::DataIn {
                    initiator_task_tag: last.initiator_task_tag,
                    ..bhs::DataIn::default()
                }
            };
            header.finished = is_last || now == left_of_burst;
            header.target_transfer_tag = RESERVED_TAG;
            header.exp_cmd_sn = self.sequence.exp_cmd_sn();
            header.max_cmd_sn = self.sequence.max_cmd_sn();
            header.data_sn = data_sn;
            header.buffer_offset = offset;
            self.transmit.begin(header.encode(), now as usize);
            let mut wanted = now as usize;
            while wanted > 0 {
                if piece.is_empty() {
                    // There are at least `length` bytes, so the iterator does not run out.
                    let Some(next) = pieces.next() else { break };
                    piece = next;
                    continue;
                }
                let part = piece.split_to(wanted.min(piece.len()));
                wanted -= part.len();
                self.transmit.piece(part);
            }
            self.transmit.end();
            offset += now;
            data_sn += 1;
        }
        data_sn
    }
}
