//! A port and a logical unit to talk about.

use proxy_proto::*;

pub(crate) fn port() -> PortRecord {
    PortRecord {
        name: "iqn.2026-11.org.example:b".into(),
        relative_target_port: 256,
        node: 1,
    }
}

pub(crate) fn lu() -> LuRecord {
    LuRecord {
        guid: *b"\x60\x01\x44\xf0abcdefghijkl",
        epoch: 7,
        access: AccessState::Active,
        path: "/data/l1".into(),
        vendor: *b"LINTEL  ",
        product: *b"BLOCK           ",
        revision: *b"0001",
        serial: Some("S1".into()),
        alias: "first".into(),
        block_size: 4096,
        blocks: 262_144,
        flags: lu_flags::WRITE_CACHE | lu_flags::UNMAP,
    }
}
