//! Commands that describe the logical unit and what it can do.

use alloc::vec;
use alloc::vec::Vec;

use scsi_proto::Sense;
use scsi_proto::capacity::{self, Capacity};
use scsi_proto::cdb::{Cdb, IdentifyingInformation, LogSense};
use scsi_proto::opcode::Operation;
use scsi_proto::report_luns::{self, SelectReport};
use scsi_proto::{rsoc, rtpg};

use super::LogicalUnit;
use crate::command::Command;
use crate::target_port_groups::{IMPLICIT_TRANSITION_SECONDS, groups};

/// The longest identifying information, terminator included, in bytes. SPC-4 r37 §6.32.
const MAX_IDENTIFYING_INFORMATION: u16 = 256;

/// 05/24/00, pointing at the REPORTING OPTIONS field. With MAINTENANCE IN, 05/24/00 alone also means that there is no
/// such service action: the pointer tells the two apart.
const WRONG_REPORTING_OPTION: Sense = Sense::INVALID_FIELD_IN_CDB.with_cdb_field(2, 2);

impl LogicalUnit {
    /// Parameter data, not yet cut to the allocation length. Changes nothing.
    pub(super) fn describe(&self, cdb: Cdb, command: &Command<'_>) -> Result<Vec<u8>, Sense> {
        let p = &self.properties;
        match cdb {
            Cdb::Inquiry { vpd, .. } => self.inquiry(vpd, command),
            Cdb::ModeSense(request) => self.mode_sense(request),
            Cdb::LogSense(request) => log_sense(request),
            Cdb::ReadCapacity10 => Ok(capacity::read_capacity_10(p.blocks, self.block_size())),
            Cdb::ReadCapacity16 { .. } => Ok(capacity::read_capacity_16(&Capacity {
                blocks: p.blocks,
                block_size: self.block_size(),
                physical_exponent: self.physical_exponent(),
                unmap: p.unmap,
            })),
            Cdb::GetLbaStatus { lba, .. } => self.lba_status(lba),
            Cdb::ReportLuns { select, .. } => {
                // Only the session knows the other LUNs; `unmapped::execute` answers for it.
                let own = (select != SelectReport::WellKnown).then_some(command.lun);
                Ok(report_luns::parameter_data(own))
            }
            Cdb::ReportTargetPortGroups { extended_header, .. } if command.pair.alua_enabled => {
                let groups = groups(
                    command.pair,
                    self.access,
                    self.access_changed,
                    self.preferred_node,
                );
                let seconds = extended_header.then_some(IMPLICIT_TRANSITION_SECONDS);
                Ok(rtpg::parameter_data(&groups, seconds))
            }
            Cdb::ReportSupportedOperationCodes(request) => {
                let supported = |row: &scsi_proto::opcode::Command| self.supports(row.operation, command);
                rsoc::operation_codes(&request, supported).map_err(|_| WRONG_REPORTING_OPTION)
            }
            Cdb::ReportSupportedTaskManagementFunctions { extended, .. } => {
                Ok(rsoc::task_management_functions(extended))
            }
            Cdb::ReportIdentifyingInformation { kind, .. } => Ok(self.identifying_information(kind)),
            _ => Err(Sense::INVALID_OPCODE),
        }
    }

    /// Does this logical unit carry out the command? It does, but for what its properties rule out.
    fn supports(&self, operation: Operation, command: &Command<'_>) -> bool {
        match operation {
            Operation::Unmap | Operation::GetLbaStatus => self.properties.unmap,
            Operation::ReportTargetPortGroups => command.pair.alua_enabled,
            _ => true,
        }
    }

    /// One extent up to the end: the store does not tell what is mapped, and that status is allowed to say so.
    fn lba_status(&self, lba: u64) -> Result<Vec<u8>, Sense> {
        if !self.properties.unmap {
            return Err(Sense::INVALID_OPCODE);
        }
        match self.properties.blocks.checked_sub(lba) {
            None | Some(0) => Err(Sense::LBA_OUT_OF_RANGE),
            Some(left) => Ok(capacity::lba_status_unknown(
                lba,
                u32::try_from(left).unwrap_or(u32::MAX),
            )),
        }
    }

    fn identifying_information(&self, kind: IdentifyingInformation) -> Vec<u8> {
        let mut information = match kind {
            IdentifyingInformation::Device => Vec::new(),
            IdentifyingInformation::Text => {
                let mut text = self.properties.alias.as_bytes().to_vec();
                text.truncate(usize::from(MAX_IDENTIFYING_INFORMATION) - 1);
                text.push(0);
                text
            }
            IdentifyingInformation::Supported => {
                let [high, low] = MAX_IDENTIFYING_INFORMATION.to_be_bytes();
                vec![0x02 << 1, 0, high, low]
            }
        };
        let [high, low] = u16::try_from(information.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut data = vec![0, 0, high, low];
        data.append(&mut information);
        data
    }
}

/// The list of supported log pages (and subpages), which is all there is. SPC-4 r37 §7.3.
fn log_sense(request: LogSense) -> Result<Vec<u8>, Sense> {
    match (request.page, request.subpage, request.pointer) {
        (0x00, 0x00, 0) => Ok(vec![0x00, 0x00, 0, 1, 0x00]),
        (0x00, 0xFF, 0) => Ok(vec![0x40, 0xFF, 0, 4, 0x00, 0x00, 0x00, 0xFF]),
        _ => Err(Sense::INVALID_FIELD_IN_CDB),
    }
}
