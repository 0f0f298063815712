//! Random bytes on the iSCSI port and on the proxy port, beside initiators that must not notice.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use conformance::initiator::pdu::Pdu;
use conformance::node::{NodeId, Program};
use conformance::random::Random;
use conformance::wait::PATIENCE;
use conformance::writer::{Slots, Writer};
use conformance::{Pair, until};

const UNIT_BYTES: u64 = 64 << 20;
const SLOTS: Slots = Slots {
    first: 0,
    count: 16_384,
};
const ROUNDS: u64 = 40;
/// Growth of resident memory that a few hundred bad connections may cause at most, bytes.
const MEMORY_BOUND: u64 = 64 << 20;

/// What one bad connection sends.
fn offence(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let length = usize::try_from(1 + random.below(20_000)).expect("small");
    let mut bytes = random.bytes(length);
    match seed % 4 {
        // A login that announces the largest data segment there is and never sends it.
        1 => {
            let mut login = Pdu::new(0x43);
            login.header[1] = 0x87;
            login.header[5..8].copy_from_slice(&[0xff; 3]);
            bytes = login.header.to_vec();
        }
        // A login whose text is garbage.
        2 => {
            let mut login = Pdu::new(0x43);
            login.header[1] = 0x87;
            login.data = random.bytes(500);
            bytes = login.encode().expect("fits");
            bytes.extend(random.bytes(200));
        }
        // A command before any login, then garbage.
        3 => bytes[0] = 0x01,
        _ => {}
    }
    bytes
}

/// Sends `bytes` and waits until the other side closes; after a while this side does, having given it nothing more.
fn send_and_see_it_closed(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("the port listens");
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a limit");
    // Both may fail when the other side has already closed: that is the wish.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = [0; 4096];
    let closed = until(PATIENCE, "the connection to be closed", || {
        match stream.read(&mut answer) {
            Ok(0) => Ok(Some(())),
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(_) => Ok(Some(())),
        }
    });
    closed.expect("garbage must not be answered with silence");
}

/// Resident memory of a process, bytes. proc(5), `VmRSS`.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("VmRSS");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("a number");
    kib * 1024
}

/// Throws garbage at `address` while I/O runs on both portals; `owner` is the process that listens there.
fn others_do_not_notice(pair: &mut Pair, id: NodeId, program: Program, address: SocketAddr) {
    let _unit = pair.create_unit("disk", UNIT_BYTES, 0).expect("a logical unit");
    let mut writers = [
        Writer::start(pair.a(), 0, SLOTS),
        Writer::start(
            pair.b(),
            0,
            Slots {
                first: SLOTS.count - 1000,
                count: 1000,
            },
        ),
    ];
    writers.iter().for_each(|writer| writer.advance(5).expect("I/O"));
    let pid = pair.node_mut(id).process(program).pid();
    let before = resident(pid);
    let lines_before = pair.node(id).log_text(program).lines().count();
    for seed in 0..ROUNDS {
        send_and_see_it_closed(address, &offence(seed));
    }
    writers
        .iter()
        .for_each(|writer| writer.advance(5).expect("I/O goes on"));
    let grown = resident(pid).saturating_sub(before);
    assert!(
        grown < MEMORY_BOUND,
        "{grown} bytes more after {ROUNDS} bad connections"
    );
    let log = pair.node(id).log_text(program);
    let reasons: Vec<&str> = log
        .lines()
        .skip(lines_before)
        .filter(|line| line.contains("127.0.0.1"))
        .collect();
    assert!(
        !reasons.is_empty(),
        "nothing was logged about the bad connections:\n{log}"
    );
    for writer in &mut writers {
        assert_eq!(writer.reconnects(), 0, "an innocent session was dropped");
        assert!(writer.disturbances().is_empty(), "{:?}", writer.disturbances());
        writer.stop().expect("undisturbed");
    }
    assert!(pair.node_mut(id).process(program).is_running());
}

#[test]
fn garbage_on_the_iscsi_port_of_the_active_node() {
    let mut pair = Pair::start().expect("a pair");
    let portal = pair.a().portal();
    others_do_not_notice(&mut pair, NodeId::A, Program::Stmfd, portal);
}

#[test]
fn garbage_on_the_iscsi_port_of_the_standby_node() {
    let mut pair = Pair::start().expect("a pair");
    let portal = pair.b().portal();
    others_do_not_notice(&mut pair, NodeId::B, Program::Stmfd, portal);
}

#[test]
fn st_114_117_garbage_on_the_proxy_port() {
    let mut pair = Pair::start().expect("a pair");
    let channel = pair.channel_address();
    others_do_not_notice(&mut pair, NodeId::A, Program::Transport, channel);
    pair.wait_channel().expect("still up");
}

#[test]
fn st_114_a_peer_with_another_certificate_is_refused() {
    let mut pair = Pair::start().expect("a pair");
    pair.kill9(NodeId::B, Program::Transport);
    until(PATIENCE, "node A to notice", || {
        Ok((pair.a().channel()? != "up").then_some(()))
    })
    .expect("noticed");
    let lines_before = pair.a().log_text(Program::Transport).lines().count();
    let foreign = pair.dir().join("foreign");
    let start = conformance::process::Start::new(
        "generate-identity",
        conformance::binaries::built("stmfproxyd").expect("built"),
    );
    conformance::process::run_ok(start.args(["generate-identity", "--dir"]).arg(&foreign), PATIENCE)
        .expect("another identity");
    let own = pair.b().dir().to_path_buf();
    for name in ["cert.pem", "key.pem"] {
        std::fs::rename(own.join(name), own.join(format!("real-{name}"))).expect("put aside");
        std::fs::copy(foreign.join(name), own.join(name)).expect("another identity in its place");
    }
    pair.node_mut(NodeId::B)
        .start(Program::Transport)
        .expect("starts");
    until(PATIENCE, "the refusal in the log of node A", || {
        let log = pair.a().log_text(Program::Transport);
        let mut new = log.lines().skip(lines_before);
        Ok(new
            .any(|line| line.to_lowercase().contains("certificate"))
            .then_some(()))
    })
    .expect("a logged reason");
    assert_ne!(
        pair.a().channel().expect("list-proxy"),
        "up",
        "a foreign peer must not come in"
    );
    pair.kill9(NodeId::B, Program::Transport);
    for name in ["cert.pem", "key.pem"] {
        std::fs::rename(own.join(format!("real-{name}")), own.join(name)).expect("back");
    }
    pair.restart(NodeId::B, Program::Transport)
        .expect("the real peer comes in");
}
