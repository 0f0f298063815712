//! What a logical unit answers, row by row.

mod alua;
mod discovery;
mod media;
mod mode;
mod nexus;
mod properties;

use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::access::{PairView, PortIdentity, StandbyIo};
use scsi_proto::Lun;

const I1: NexusId = NexusId(1);
const I2: NexusId = NexusId(2);
const TEST_UNIT_READY: [u8; 6] = [0x00, 0, 0, 0, 0, 0];
const READ_CAPACITY_10: [u8; 10] = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const READ_10: [u8; 10] = [0x28, 0, 0, 0, 0, 16, 0, 0, 8, 0];
const WRITE_10: [u8; 10] = [0x2A, 0, 0, 0, 0, 16, 0, 0, 8, 0];
const INQUIRY: [u8; 6] = [0x12, 0, 0, 0, 255, 0];
const REQUEST_SENSE: [u8; 6] = [0x03, 0, 0, 0, 252, 0];
const RTPG: [u8; 12] = [0xA3, 0x0A, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];

fn properties() -> LuProperties {
    LuProperties {
        guid: "600144F0C73AB8000000549B00010001".parse().unwrap(),
        alias: "/srv/disk0".to_string(),
        vendor: *b"LINTEL  ",
        product: *b"DISK            ",
        revision: *b"0001",
        serial: None,
        block_size: 512,
        blocks: 1 << 20,
        write_protected: false,
        write_cache: true,
        rotational: false,
        unmap: true,
    }
}

/// A bench: one logical unit, one pair as a node sees it, and a way to send commands.
struct Bench {
    lu: LogicalUnit,
    pair: PairView,
    port: PortIdentity,
    expected_data_out: u32,
    through_proxy: bool,
}

impl Bench {
    fn new(properties: LuProperties, access: AccessState) -> Self {
        let mut lu = LogicalUnit::new(properties, access);
        for nexus in [I1, I2] {
            lu.nexus_added(nexus);
            lu.clear_on(nexus, UnitAttention::PowerOnOrReset);
        }
        Self {
            lu,
            pair: PairView {
                alua_enabled: true,
                local_node: 0,
                channel_up: true,
                standby_io: StandbyIo::Full,
                local_ports: Vec::from([1, 2]),
                peer_ports: Vec::from([256]),
            },
            port: PortIdentity {
                name: "iqn.2026-01.org.x:a".to_string(),
                relative_target_port: 1,
                node: 0,
            },
            expected_data_out: u32::MAX,
            through_proxy: false,
        }
    }

    /// Active on node 0, power on already reported.
    fn active() -> Self {
        Self::new(properties(), AccessState::Active)
    }

    fn standby(standby_io: StandbyIo) -> Self {
        let mut bench = Self::new(properties(), AccessState::Standby);
        bench.pair.standby_io = standby_io;
        bench
    }

    fn send(&mut self, nexus: NexusId, cdb: &[u8]) -> Action {
        let (port, pair) = (self.port.clone(), self.pair.clone());
        self.lu.execute(&self.command(nexus, cdb, &port, &pair))
    }

    fn command<'a>(
        &self,
        nexus: NexusId,
        cdb: &'a [u8],
        port: &'a PortIdentity,
        pair: &'a PairView,
    ) -> Command<'a> {
        Command {
            nexus,
            lun: Lun::ZERO,
            cdb,
            expected_data_out: self.expected_data_out,
            expected_data_in: u32::MAX,
            port,
            pair,
            through_proxy: self.through_proxy,
        }
    }

    /// Sends a command of I1 that takes data, and the data.
    fn send_with(&mut self, cdb: &[u8], data: &[u8]) -> Action {
        self.expected_data_out = u32::try_from(data.len()).unwrap();
        match self.send(I1, cdb) {
            Action::DataOut { length, then } => {
                let (port, pair) = (self.port.clone(), self.pair.clone());
                let command = self.command(I1, cdb, &port, &pair);
                let data = &data[..usize::try_from(length).unwrap()];
                self.lu.resume(then, data, &command)
            }
            other => other,
        }
    }

    /// The data of a command of I1 that must end GOOD.
    fn data(&mut self, cdb: &[u8]) -> Vec<u8> {
        match self.send(I1, cdb) {
            Action::Respond(Response {
                status: Status::Good,
                sense: None,
                data,
                ..
            }) => data,
            other => panic!("{cdb:02X?}: {other:?}"),
        }
    }
}

fn good() -> Action {
    Action::Respond(Response::good())
}

fn check(sense: Sense) -> Action {
    Action::Respond(Response::check(sense))
}

fn attention(attention: UnitAttention) -> Action {
    check(attention.sense())
}
