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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{PairView, PortIdentity, StandbyIo};
    use crate::command::NexusId;
    use crate::guid::Guid;
    use alloc::string::ToString;
    use proptest::prelude::*;
    use scsi_proto::Status;

    const GUID: Guid = Guid([0x60; 16]);

    fn send(lun: Lun, cdb: &[u8], map: &LunMap) -> Response {
        let port = PortIdentity {
            name: "iqn.x:a".to_string(),
            relative_target_port: 1,
            node: 0,
        };
        let pair = PairView {
            alua_enabled: true,
            local_node: 0,
            channel_up: false,
            standby_io: StandbyIo::Full,
            local_ports: Vec::new(),
            peer_ports: Vec::new(),
        };
        let command = Command {
            nexus: NexusId(1),
            lun,
            cdb,
            expected_data_out: 0,
            expected_data_in: u32::MAX,
            port: &port,
            pair: &pair,
            through_proxy: false,
        };
        execute(&command, map)
    }

    fn report_luns(select: u8, allocation: u8) -> [u8; 12] {
        [0xA0, 0, select, 0, 0, 0, 0, 0, 0, allocation, 0, 0]
    }

    #[test]
    fn st_121_an_initiator_without_a_view() {
        let none = LunMap::default();
        let lun_9 = Lun::new(9).unwrap();
        let list = send(Lun::ZERO, &report_luns(0, 255), &none);
        assert_eq!(list.data, [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let inquiry = [0x12, 0, 0, 0, 255, 0];
        assert_eq!(send(Lun::ZERO, &inquiry, &none).data[0], 0x3F);
        assert_eq!(send(lun_9, &inquiry, &none).data[0], 0x7F);
        assert_eq!(send(Lun::UNADDRESSABLE, &inquiry, &none).data[0], 0x7F);
        assert_eq!(send(lun_9, &inquiry, &none).data.len(), 36);
        let read = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(
            send(lun_9, &read, &none),
            Response::check(Sense::LUN_NOT_SUPPORTED)
        );
        assert_eq!(
            send(lun_9, &[0xC5; 16], &none),
            Response::check(Sense::LUN_NOT_SUPPORTED)
        );
    }

    #[test]
    fn st_065_report_luns_lists_the_map_on_any_lun() {
        let map: LunMap = [(Lun::new(300).unwrap(), GUID), (Lun::new(2).unwrap(), GUID)]
            .into_iter()
            .collect();
        for lun in [Lun::ZERO, Lun::new(2).unwrap(), Lun::UNADDRESSABLE] {
            let data = send(lun, &report_luns(2, 255), &map).data;
            assert_eq!(data[..10], [0, 0, 0, 16, 0, 0, 0, 0, 0, 2]);
            assert_eq!(data[16..18], [0x41, 0x2C]);
        }
        let cut = send(Lun::ZERO, &report_luns(0, 16), &map).data;
        assert_eq!(
            (cut.len(), cut[3]),
            (16, 16),
            "the length counts what was cut off"
        );
        assert_eq!(send(Lun::ZERO, &report_luns(1, 255), &map).data, [0; 8]);
    }

    #[test]
    fn fields_of_what_is_answered_are_checked() {
        let refused = Response::check(Sense::INVALID_FIELD_IN_CDB);
        let none = LunMap::default();
        for cdb in [
            &report_luns(0, 15)[..],
            &report_luns(3, 255),
            &[0x12, 1, 0, 0, 255, 0],
            &[0x12, 0, 0x80, 0, 255, 0],
        ] {
            assert_eq!(send(Lun::ZERO, cdb, &none), refused, "{cdb:02X?}");
        }
    }

    #[test]
    fn request_sense_says_that_there_is_no_logical_unit() {
        let response = send(Lun::ZERO, &[0x03, 0, 0, 0, 252, 0], &LunMap::default());
        assert_eq!(response.status, Status::Good);
        assert_eq!((response.data[2], response.data[12]), (5, 0x25));
    }

    proptest! {
        #[test]
        fn any_command_is_answered(cdb: Vec<u8>, number in 0u16..20000) {
            let lun = Lun::new(number).unwrap_or(Lun::UNADDRESSABLE);
            let response = send(lun, &cdb, &LunMap::default());
            prop_assert_eq!(response.sense.is_some(), response.status == Status::CheckCondition);
        }
    }
}
