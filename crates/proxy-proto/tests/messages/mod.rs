//! One message of every kind.

use crate::common::{lu, port};
use bytes::Bytes;
use proxy_proto::*;

pub(crate) fn every_message() -> Vec<Message> {
    let guid = lu().guid;
    vec![
        Message::Hello(Hello {
            min_version: 1,
            max_version: 1,
            node: 1,
            cluster: 0x11,
            boot_id: 0xb007,
            peer_boot_id: 0xa007,
            peer_first_message_id: 9,
            stage: HelloStage::Confirmed,
            first_message_id: 3,
            features: 0,
            limits: Limits {
                max_data_bytes: 1 << 20,
                max_immediate_bytes: 65_536,
                max_tasks: 4096,
            },
        }),
        Message::Ping,
        Message::Pong { in_reply_to: 5 },
        Message::Accepted { in_reply_to: 6 },
        Message::Refused {
            in_reply_to: 6,
            task: 2,
            code: Refusal::StaleEpoch,
            epoch: 8,
        },
        Message::RegisterPort {
            generation: 4,
            port: port(),
        },
        Message::DeregisterPort { name: port().name },
        Message::RegisterLun {
            generation: 4,
            lu: lu(),
        },
        Message::DeregisterLun { guid, epoch: 7 },
        Message::LunActive { guid, epoch: 9 },
        Message::InventoryEnd { generation: 4 },
        Message::ScsiCommand(ScsiCommand {
            task: 77,
            guid,
            lun: [0, 1, 0, 0, 0, 0, 0, 0],
            initiator: "iqn.2026-11.org.example:i1".into(),
            port: port(),
            session: 12,
            cdb: vec![0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0],
            attribute: TaskAttribute::Simple,
            expected_in: 0,
            expected_out: 4096,
            read_credit: 0,
            immediate: Bytes::from_static(b"data"),
        }),
        Message::DataIn {
            task: 77,
            offset: 4096,
            data: Bytes::from_static(b"read"),
        },
        Message::Credit {
            task: 77,
            bytes: 65_536,
        },
        Message::R2t {
            task: 77,
            offset: 4,
            length: 4092,
        },
        Message::DataOut {
            task: 77,
            offset: 4,
            data: Bytes::from_static(b"write"),
        },
        Message::Status {
            task: 77,
            status: 2,
            sense: vec![0x70, 0, 6],
            data_in_total: 8,
            data_offset: 4,
            data: Bytes::from_static(b"tail"),
        },
        Message::AbortTask { task: 77 },
        Message::TaskAborted { task: 77 },
        Message::TaskManagement(TaskManagement {
            task: 78,
            function: TaskManagementFunction::LogicalUnitReset,
            guid,
            lun: [0; 8],
            initiator: "iqn.2026-11.org.example:i1".into(),
            port: port(),
            session: 12,
        }),
        Message::TaskManagementDone {
            task: 78,
            response: 0,
        },
        Message::SessionDestroy { session: 12 },
        Message::FailoverRequest { guid, token: 3 },
        Message::HandOver {
            token: 3,
            lu: lu(),
            state: Bytes::from_static(b"reservations"),
        },
        Message::HandOverDone {
            guid,
            epoch: 9,
            error: Some(Refusal::ActivationFailed),
        },
    ]
}
