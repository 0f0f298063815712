//! `examples/proxy_relay.c` between two daemons made of doors: the program a reader of the manual page would write.

mod support;

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use support::{crate_dir, fake::Fake, library_dir, link};

/// A running relay; killed at the end.
struct Relay(Child);

impl Relay {
    fn start(program: &Path, control: &Path, node: &str, role: &str, port: u16) -> Self {
        let mut command = Command::new(program);
        command
            .arg(control)
            .args([node, role, "127.0.0.1", &port.to_string()]);
        Self(
            command
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Looks again and again until it holds, a minute at most.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port nobody uses now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Sends until it is taken, and waits until it has arrived.
fn carries(from: &Fake, to: &Fake, message: &[u8]) {
    until("the door says that the message was sent", || {
        from.send(message) == Some(0)
    });
    let mut arrived = Vec::new();
    until("the message arrives", || {
        arrived.append(&mut to.take_posted());
        arrived.iter().any(|posted| posted == message)
    });
}

#[test]
fn the_relay_carries_messages_and_survives_the_restart_of_either_side() {
    let folder = tempfile::tempdir().unwrap();
    let program = library_dir().join("deps/proxy_relay");
    link(
        &[crate_dir().join("../../examples/proxy_relay.c")],
        &["stmf", "door"],
        &program,
    );
    let (near_path, far_path) = (folder.path().join("near"), folder.path().join("far"));
    let near = Fake::start(&near_path);
    let far = Fake::start(&far_path);
    let port = free_port();

    let near_relay = Relay::start(&program, &near_path, "0", "listen", port);
    until("the near relay installs its door", || near.has_door());
    assert_eq!(
        near.send(b"LNTP nobody is there"),
        Some(11),
        "EAGAIN while the peer is not connected"
    );

    let far_relay = Relay::start(&program, &far_path, "1", "connect", port);
    carries(&near, &far, b"LNTP from near to far");
    carries(&far, &near, &[b"LNTP", [7; 300_000].as_slice()].concat());

    // A relay dies: its daemon is told, and a new one takes its place.
    drop(far_relay);
    until("the far daemon notices", || !far.has_door());
    let _far_relay = Relay::start(&program, &far_path, "1", "connect", port);
    carries(&near, &far, b"LNTP after the far relay came back");

    // A daemon dies: its relay installs the door with the next one.
    drop(near);
    let near = Fake::start(&near_path);
    until("the near relay installs its door again", || near.has_door());
    carries(&near, &far, b"LNTP after the near daemon came back");
    carries(&far, &near, b"LNTP and the other way");
    drop(near_relay);
}
