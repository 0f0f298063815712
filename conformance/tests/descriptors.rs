//! A daemon that runs out of descriptors refuses what is new and serves what is there.

use std::io::ErrorKind;
use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use conformance::initiator::{Initiator, Transfer, cdb};
use conformance::node::{DaemonOptions, Node, NodeId, Program};
use conformance::ports::Port;
use conformance::until;
use conformance::wait::PATIENCE;

const LIMIT: u64 = 128;
const CONNECTIONS: usize = 300;
const UNIT_BYTES: u64 = 16 << 20;

#[test]
fn new_connections_are_refused_and_others_do_not_notice() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = DaemonOptions {
        descriptors: Some(LIMIT),
        ..DaemonOptions::default()
    };
    let port = Port::reserve().expect("a port");
    let mut node = Node::lay_out(NodeId::A, dir.path(), port, options).expect("a node");
    node.start(Program::Stmfd).expect("start");
    node.wait_ready().expect("online");
    let file = dir.path().join("disk");
    std::fs::File::create(&file).expect("a data file");
    let text = node
        .stmfadm(&[
            "create-lu",
            "-s",
            &UNIT_BYTES.to_string(),
            &file.display().to_string(),
        ])
        .expect("a logical unit");
    let guid = text.rsplit(':').next().unwrap_or_default().trim().to_owned();
    node.stmfadm(&["add-view", &guid]).expect("a view");
    let mut session = Initiator::login(node.portal(), node.target()).expect("login");
    let works = |session: &mut Initiator| {
        let data = [0xa5; 4096];
        let wrote = session.command_past_attention(0, &cdb::write16(0, 8, true), Transfer::Out(&data));
        assert!(wrote.expect("a status").is_good());
        let read = session
            .command(0, &cdb::read16(0, 8), Transfer::In(4096))
            .expect("a status");
        assert!(read.is_good() && read.data == data);
    };
    works(&mut session);

    let mut open: Vec<TcpStream> = Vec::new();
    for _ in 0..CONNECTIONS {
        // Refused at once, or left in the kernel's queue: both are no service.
        if let Ok(stream) = TcpStream::connect_timeout(&node.portal(), Duration::from_secs(1)) {
            open.push(stream);
        }
        if open.len().is_multiple_of(50) {
            works(&mut session);
        }
    }
    works(&mut session);
    let process = node.process(Program::Stmfd);
    assert!(process.is_running(), "{}", process.tail());
    let refused = open
        .iter_mut()
        .filter_map(closed_by_the_daemon)
        .filter(|closed| *closed)
        .count();
    let log = node.log_text(Program::Stmfd);
    assert!(log.len() < 1 << 20, "{} bytes of log about it", log.len());
    println!(
        "{} connections were made, {refused} of them closed by the daemon",
        open.len()
    );

    drop(open);
    until(PATIENCE, "a new login after the flood", || {
        Ok(Some(Initiator::login(node.portal(), node.target())?))
    })
    .expect("served again");
    node.stmfadm(&["list-lu"]).expect("the control door too");
    works(&mut session);
}

/// Whether the daemon has closed this connection; `None` when it cannot be told.
fn closed_by_the_daemon(stream: &mut TcpStream) -> Option<bool> {
    stream.set_nonblocking(true).ok()?;
    match stream.read(&mut [0; 1]) {
        Ok(read) => Some(read == 0),
        Err(error) => Some(error.kind() != ErrorKind::WouldBlock),
    }
}
