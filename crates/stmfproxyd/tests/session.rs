//! The door side: installing, posting, and coming back, against a control door that answers as `stmfd` would.

use admin_proto::{Answer, Reply, Request, StmfStatus, decode_request, encode_answer};
use door::{Attachment, Door, DoorHandle, Invocation};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use stmfproxyd::channel::Channel;
use stmfproxyd::connection::Poster;
use stmfproxyd::identity;
use stmfproxyd::pin::{Credentials, Tls};
use stmfproxyd::session::{Session, proxy_door};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Log {
    /// The door of the transport, while a session exists.
    installed: Option<DoorHandle>,
    session: Option<Door>,
    posted: Vec<Vec<u8>>,
    alua: Vec<(bool, u32)>,
    installations: usize,
}

/// The control door of an `stmfd` that was started as node 1.
struct Daemon {
    log: Arc<Mutex<Log>>,
    path: PathBuf,
    control: Option<(Door, Attachment)>,
    _folder: tempfile::TempDir,
}

impl Daemon {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        Self {
            log: Arc::default(),
            path,
            control: None,
            _folder: folder,
        }
    }

    fn start(&mut self) {
        let log = Arc::clone(&self.log);
        let control = Door::builder()
            .refuse_descriptors(false)
            .create(move |mut call: Invocation<'_>| {
                let request = decode_request(call.argument()).unwrap();
                let descriptors = call.take_descriptors().into_iter().map(OwnedFd::from).collect();
                answer(&log, &request, descriptors)
            })
            .unwrap();
        let attachment = control.attach(&self.path).unwrap();
        self.control = Some((control, attachment));
    }

    /// As when the process ends: the control door and the session door are gone.
    fn stop(&mut self) {
        if let Some((control, attachment)) = self.control.take() {
            drop(attachment);
            control.revoke();
        }
        let mut log = self.log();
        log.installed = None;
        if let Some(session) = log.session.take() {
            session.revoke();
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// The up-call of the proxy service; its result word.
    fn upcall(&self, message: &[u8]) -> u32 {
        let door = self.log().installed.as_ref().unwrap().try_clone().unwrap();
        let answer = door.call(message).unwrap();
        u32::from_ne_bytes(answer.data().try_into().expect("ST-009: the result is 4 bytes"))
    }
}

fn answer(log: &Arc<Mutex<Log>>, request: &Request, mut descriptors: Vec<OwnedFd>) -> door::Reply {
    let mut log_now = log.lock().unwrap();
    match request {
        Request::InitProxyDoor {} => {
            let posts = Arc::clone(log);
            let session = Door::builder()
                .create(move |call: Invocation<'_>| {
                    posts.lock().unwrap().posted.push(call.argument().to_vec());
                    door::Reply::bytes(StmfStatus::Success.to_word().to_vec())
                })
                .unwrap();
            log_now.installed = Some(DoorHandle::from_fd(descriptors.remove(0)).unwrap());
            log_now.installations += 1;
            let lent = session.lend().unwrap();
            log_now.session = Some(session);
            door::Reply::bytes(encode_answer(&Answer::good(Reply::ProxySession { session: 9 }))).give(lent)
        }
        Request::DestroyProxyDoor { session: 9 } => {
            log_now.installed = None;
            door::Reply::bytes(encode_answer(&Answer::done()))
        }
        Request::GetAluaState {} => door::Reply::bytes(encode_answer(&Answer::good(Reply::Alua {
            enabled: false,
            node: 1,
        }))),
        Request::SetAluaState { enabled, node } => {
            log_now.alua.push((*enabled, *node));
            door::Reply::bytes(encode_answer(&Answer::done()))
        }
        _ => door::Reply::bytes(encode_answer(&Answer::from(StmfStatus::NotFound))),
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "{what} never happened");
        std::thread::yield_now();
    }
}

/// TLS settings of two nodes, by way of files as in the field.
fn pair_of_tls() -> [Tls; 2] {
    let folder = tempfile::tempdir().unwrap();
    let made = ["a", "b"].map(|name| identity::generate(&folder.path().join(name), name, false).unwrap());
    [(0, 1), (1, 0)].map(|(own, peer): (usize, usize)| {
        Tls::new(&Credentials {
            chain: identity::certificates(&made[own].0).unwrap(),
            key: identity::key(&made[own].1).unwrap(),
            pinned: identity::certificates(&made[peer].0).unwrap(),
        })
        .unwrap()
    })
}

#[test]
fn the_door_is_installed_before_alua_is_enabled_and_again_after_stmfd_restarts() {
    let [tls, _] = pair_of_tls();
    let mut daemon = Daemon::new();
    let session = Session::new(Some(daemon.path.clone()), None);
    // stmfd comes later than the transport.
    let kept = session.keep(proxy_door(Channel::new(tls)).unwrap()).unwrap();
    daemon.start();
    until("enabling", || daemon.log().alua == [(true, 1)]);
    assert_eq!(daemon.upcall(b"message"), 11, "the peer is not connected");
    assert_eq!(daemon.upcall(b""), 5, "nothing is no message");
    until("posting", || {
        session.post(b"from the peer");
        daemon.log().posted.contains(&b"from the peer".to_vec())
    });
    daemon.stop();
    session.post(b"into the void");
    daemon.start();
    until("coming back", || daemon.log().alua.len() == 2);
    until("posting again", || {
        session.post(b"after the restart");
        daemon.log().posted.contains(&b"after the restart".to_vec())
    });
    assert_eq!(daemon.log().installations, 2);
    session.stop();
    kept.join().unwrap();
    assert!(
        daemon.log().installed.is_none(),
        "the session was destroyed at the end"
    );
}

#[test]
fn st_010_a_message_given_to_one_door_is_posted_on_the_other_node() {
    let [tls_a, tls_b] = pair_of_tls();
    let (mut a, mut b) = (Daemon::new(), Daemon::new());
    a.start();
    b.start();
    let (channel_a, channel_b) = (Channel::new(tls_a), Channel::new(tls_b));
    let (session_a, session_b) = (
        Session::new(Some(a.path.clone()), Some(0)),
        Session::new(Some(b.path.clone()), Some(1)),
    );
    let kept = [
        session_a
            .keep(proxy_door(Arc::clone(&channel_a)).unwrap())
            .unwrap(),
        session_b
            .keep(proxy_door(Arc::clone(&channel_b)).unwrap())
            .unwrap(),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    channel_a.listen(listener, session_a.clone()).unwrap();
    channel_b.connect(address, session_b.clone()).unwrap();
    until("both nodes", || {
        a.log().alua == [(true, 0)] && b.log().alua == [(true, 1)]
    });
    until("the road", || {
        channel_a.is_connected() && channel_b.is_connected()
    });
    let big = vec![7; 1 << 20];
    for (from, to) in [(&a, &b), (&b, &a)] {
        // Posts before the session thread has taken the session into use are dropped, as when stmfd is away.
        until("arriving", || {
            assert_eq!(from.upcall(b"small"), 0);
            to.log().posted.contains(&b"small".to_vec())
        });
        assert_eq!(from.upcall(&big), 0);
        until("arriving", || to.log().posted.contains(&big));
    }
    for session in [&session_a, &session_b] {
        session.stop();
    }
    channel_a.stop();
    channel_b.stop();
    for thread in kept {
        thread.join().unwrap();
    }
}
