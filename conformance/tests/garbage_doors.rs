//! Random bytes at every door of a node: the control door, the session door, the transport's door. Through `door_call`,
//! and as raw bytes into the socket behind the descriptor.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use admin_proto::{Answer, Reply as AdminReply, Request, StmfStatus, decode_request, encode_answer};
use conformance::node::{Node, NodeId, Program};
use conformance::random::Random;
use conformance::wait::PATIENCE;
use conformance::{Pair, until};
use door::{Call, Door, DoorHandle, Reply};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use stmf_client::Client;

const ROUNDS: u64 = 300;
const CALL_LIMIT: Duration = Duration::from_secs(20);

fn garbage(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let length = random.below(if seed.is_multiple_of(10) { 200_000 } else { 600 });
    random.bytes(usize::try_from(length).expect("small"))
}

/// Calls a door with garbage, with and without descriptors; whatever comes back, it comes.
fn call_with_garbage(door: &DoorHandle, mut answered: impl FnMut(&[u8])) {
    for seed in 1..=ROUNDS {
        let bytes = garbage(seed);
        let mut call = Call::new(&bytes).timeout(CALL_LIMIT);
        if seed.is_multiple_of(7) {
            call = call.give(OwnedFd::from(
                std::fs::File::open("/dev/null").expect("/dev/null"),
            ));
        }
        if let Ok(answer) = door.call_with(call) {
            answered(answer.data());
        }
    }
}

/// Writes garbage straight into the socket behind a door descriptor.
fn raw_garbage(socket: BorrowedFd<'_>) {
    for seed in 1..=64 {
        let bytes = Random::new(seed).bytes(usize::try_from(seed * 8).expect("small"));
        // EAGAIN when its queue is full, EPIPE when the server has thrown this descriptor out: both are fine.
        let _ = send(socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
}

fn descriptors_of(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process runs")
        .count()
}

/// The daemon still answers, and what the garbage opened is closed again.
fn unharmed(node: &mut Node, descriptors_before: usize) {
    node.stmfadm(&["list-state"])
        .unwrap_or_else(|error| panic!("{error:#}\n{}", node.log_text(Program::Stmfd)));
    let pid = node.process(Program::Stmfd).pid();
    until(PATIENCE, "descriptors to be closed again", || {
        Ok((descriptors_of(pid) <= descriptors_before + 4).then_some(()))
    })
    .unwrap_or_else(|error| {
        panic!(
            "{error}: {} before, {} now",
            descriptors_before,
            descriptors_of(pid)
        )
    });
}

#[test]
fn the_control_door_answers_garbage_with_a_refusal() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut node = Node::alone(NodeId::A, dir.path()).expect("a node");
    let before = descriptors_of(node.process(Program::Stmfd).pid());
    let door = DoorHandle::open(node.control()).expect("the control door");
    call_with_garbage(&door, |data| {
        let answer: serde_json::Value = serde_json::from_slice(data).expect("an answer in JSON");
        assert_ne!(
            answer.get("status"),
            Some(&serde_json::json!(0)),
            "garbage is no success: {answer}"
        );
    });
    drop(door);
    unharmed(&mut node, before);
}

#[test]
fn raw_bytes_into_the_control_door_hurt_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut node = Node::alone(NodeId::A, dir.path()).expect("a node");
    let before = descriptors_of(node.process(Program::Stmfd).pid());
    for _ in 0..8 {
        let door = DoorHandle::open(node.control()).expect("the control door");
        raw_garbage(door.as_fd());
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        );
        let socket = socket.expect("a socket");
        if connect(&socket, &SocketAddrUnix::new(node.control()).expect("a path")).is_ok() {
            raw_garbage(socket.as_fd());
        }
    }
    unharmed(&mut node, before);
}

/// A transport that goes nowhere: answers every up-call with "not connected".
fn deaf_transport() -> Door {
    Door::builder()
        .create(|_| Reply::bytes(11_u32.to_le_bytes()))
        .expect("a door")
}

fn session_door(control: &Path, transport: &Door) -> DoorHandle {
    let request = admin_proto::encode_request(&Request::InitProxyDoor {});
    let door = DoorHandle::open(control).expect("the control door");
    let lent = transport.lend().expect("a descriptor of our door");
    let answer = door
        .call_with(Call::new(&request).give(lent).timeout(CALL_LIMIT))
        .expect("installed");
    let text = String::from_utf8_lossy(answer.data()).into_owned();
    let session = answer.into_descriptors().into_iter().next();
    let session = session.unwrap_or_else(|| panic!("no session door in the answer: {text}"));
    DoorHandle::from_fd(session.into_fd()).expect("a door")
}

#[test]
fn the_session_door_answers_garbage_with_a_refused_post() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut node = Node::alone(NodeId::A, dir.path()).expect("a node");
    let transport = deaf_transport();
    let session = session_door(&node.control(), &transport);
    let before = descriptors_of(node.process(Program::Stmfd).pid());
    call_with_garbage(&session, |data| {
        let word: [u8; 4] = data.try_into().expect("one status word");
        assert_eq!(
            u32::from_ne_bytes(word),
            0x8025,
            "a malformed message is POST_MSG_FAILED"
        );
    });
    unharmed(&mut node, before);
    let posts = node.counter("post_failures").expect("a counter");
    assert!(posts > 0, "refused posts are counted");
}

#[test]
fn raw_bytes_into_the_session_door_end_at_most_that_session() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut node = Node::alone(NodeId::A, dir.path()).expect("a node");
    let before = descriptors_of(node.process(Program::Stmfd).pid());
    let transport = deaf_transport();
    let session = session_door(&node.control(), &transport);
    raw_garbage(session.as_fd());
    drop(session);
    until(PATIENCE, "the service to be free again", || {
        let client = Client::connect(Some(&node.control()))?;
        let second = deaf_transport();
        Ok(client.init_proxy_door(second.lend()?).ok().map(drop))
    })
    .expect("a new transport can be installed");
    unharmed(&mut node, before + 4);
}

/// A control door that only knows how to take a transport's door: what `stmfd` is to `stmfproxyd`.
fn false_daemon(path: &Path, doors: Sender<OwnedFd>) -> (Door, Door) {
    let session = Door::builder()
        .create(|_| Reply::bytes(0_u32.to_ne_bytes()))
        .expect("a session door");
    let session_ends = Arc::new(Mutex::new(session.lend().expect("a descriptor")));
    let doors = Mutex::new(doors);
    let control = Door::builder()
        .refuse_descriptors(false)
        .create(move |mut call| {
            let Ok(request) = decode_request(call.argument()) else {
                return Reply::bytes(encode_answer(&StmfStatus::InvalidArg.into()));
            };
            let reply = match request {
                Request::InitProxyDoor {} => {
                    for descriptor in call.take_descriptors() {
                        let _ = doors.lock().expect("one user").send(descriptor.into_fd());
                    }
                    let end = session_ends
                        .lock()
                        .expect("one user")
                        .try_clone()
                        .expect("a descriptor");
                    let answer = Answer::good(AdminReply::ProxySession { session: 1 });
                    return Reply::bytes(encode_answer(&answer)).give(end);
                }
                Request::GetAluaState {} => Answer::good(AdminReply::Alua {
                    enabled: false,
                    node: 0,
                }),
                _ => Answer::done(),
            };
            Reply::bytes(encode_answer(&reply))
        })
        .expect("a control door");
    let attachment = control.attach(path).expect("attached");
    // The name must live as long as the door; the folder is removed at the end of the test.
    std::mem::forget(attachment);
    (control, session)
}

#[test]
fn the_transports_door_carries_or_refuses_garbage_and_lives() {
    let mut pair = Pair::start().expect("a pair");
    let (to_us, doors) = channel();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("control");
    let _daemon = false_daemon(&path, to_us);
    // Node A's transport, with our daemon in place of its own: it meets node B's real transport and daemon.
    pair.kill9(NodeId::A, Program::Transport);
    pair.node_mut(NodeId::A).use_control_for_transport(&path);
    pair.node_mut(NodeId::A)
        .start(Program::Transport)
        .expect("starts");
    let fd = doors
        .recv_timeout(PATIENCE)
        .expect("the transport installs its door");
    let second = fd.try_clone().expect("a descriptor");
    let door = DoorHandle::from_fd(fd).expect("a door");
    until(PATIENCE, "the transports to meet", || {
        let answer = door.call_with(Call::new(b"not a message").timeout(CALL_LIMIT))?;
        Ok((answer.data() == 0_u32.to_le_bytes()).then_some(()))
    })
    .expect("connected");
    call_with_garbage(&door, |data| assert_eq!(data.len(), 4, "always one result word"));
    raw_garbage(second.as_fd());
    let transport = pair.node_mut(NodeId::A).process(Program::Transport);
    assert!(transport.is_running(), "{}", transport.tail());
    // Node B's daemon was posted all of it, refused it, and lives.
    pair.b().stmfadm(&["list-state"]).expect("answers");
    until(PATIENCE, "node B to have refused the posts", || {
        Ok((pair.b().counter("post_failures")? > 0).then_some(()))
    })
    .expect("counted");
    assert!(pair.node_mut(NodeId::B).process(Program::Transport).is_running());
}
