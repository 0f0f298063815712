//! Commands that need no logical unit: REPORT LUNS to any LUN, and anything to a LUN where there is none.

use alloc::vec::Vec;

use scsi_proto::cdb::Cdb;
use scsi_proto::inquiry::{self, Absent};
use scsi_proto::report_luns::{self, SelectReport};
use scsi_proto::sense::SenseFormat;
use scsi_proto::{Lun, Sense};

use crate::action::Response;
use crate::command::Command;
use crate::lun_map::LunMap;

/// The INQUIRY identity of a LUN without a logical unit.
const VENDOR: [u8; 8] = *b"LINTEL  ";
const PRODUCT: [u8; 16] = *b"NO LOGICAL UNIT ";
const REVISION: [u8; 4] = *b"0001";

/// Is this command answered here whatever is mapped? True for REPORT LUNS.
///
/// The caller also clears [`UnitAttention::ReportedLunsChanged`](crate::UnitAttention::ReportedLunsChanged) on every
/// logical unit of the session: the initiator has just read the list.
#[must_use]
pub fn is_report_luns(cdb: &[u8]) -> bool {
    cdb.first() == Some(&0xA0)
}

/// Answers REPORT LUNS from the map, and every other command as a target answers for a LUN without a logical unit.
/// SPC-4 r37 §6.33 and table 139; SAM-5 r21 §5.11.
#[must_use]
pub fn execute(command: &Command<'_>, map: &LunMap) -> Response {
    let cdb = match Cdb::parse(command.cdb) {
        Ok(cdb) => cdb,
        Err(error) if is_report_luns(command.cdb) || is_inquiry(command.cdb) => {
            return Response::check(error.sense());
        }
        Err(_) => return Response::check(Sense::LUN_NOT_SUPPORTED),
    };
    let mut data = match cdb {
        Cdb::ReportLuns { select, .. } => report_luns::parameter_data(luns(select, map)),
        Cdb::Inquiry { vpd: Some(_), .. } => return Response::check(Sense::INVALID_FIELD_IN_CDB),
        Cdb::Inquiry { vpd: None, .. } => {
            let how = if command.lun == Lun::ZERO {
                Absent::NotConnected
            } else {
                Absent::NotCapable
            };
            inquiry::absent(how, VENDOR, PRODUCT, REVISION)
        }
        Cdb::RequestSense { descriptor, .. } => {
            let format = if descriptor {
                SenseFormat::Descriptor
            } else {
                SenseFormat::Fixed
            };
            Sense::LUN_NOT_SUPPORTED.with_format(format).encode()
        }
        _ => return Response::check(Sense::LUN_NOT_SUPPORTED),
    };
    scsi_proto::truncate(&mut data, cdb.allocation_length().unwrap_or(0));
    Response::data(data)
}

fn is_inquiry(cdb: &[u8]) -> bool {
    cdb.first() == Some(&0x12)
}

/// A session that sees nothing is told of LUN 0, which always answers INQUIRY.
fn luns(select: SelectReport, map: &LunMap) -> Vec<Lun> {
    match select {
        SelectReport::WellKnown => Vec::new(),
        SelectReport::Addressable | SelectReport::All if map.is_empty() => [Lun::ZERO].to_vec(),
        SelectReport::Addressable | SelectReport::All => map.iter().map(|(lun, _)| lun).collect(),
    }
}
