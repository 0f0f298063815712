//! The transport against itself on loopback, with a collector where `stmfd` would be.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use stmfproxyd::channel::{Channel, MAX_HANDSHAKES};
use stmfproxyd::connection::{Connection, HANDSHAKE_DEADLINE, Poster, Sent};
use stmfproxyd::frame::MAX_FRAME;
use stmfproxyd::pin::{Credentials, Tls};

const PATIENCE: Duration = Duration::from_secs(60);

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn identity(name: &str) -> Identity {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    Identity {
        certificate: made.cert.der().clone(),
        key,
    }
}

fn tls(own: &Identity, pinned: &Identity) -> Tls {
    Tls::new(&Credentials {
        chain: vec![own.certificate.clone()],
        key: own.key.clone_key(),
        pinned: vec![pinned.certificate.clone()],
    })
    .unwrap()
}

/// What arrives, in order.
struct Collector(Mutex<Sender<Vec<u8>>>);

impl Collector {
    fn new() -> (Arc<Self>, Receiver<Vec<u8>>) {
        let (sender, receiver) = channel();
        (Arc::new(Self(Mutex::new(sender))), receiver)
    }
}

impl Poster for Collector {
    fn post(&self, message: &[u8]) {
        let _ = self.0.lock().unwrap().send(message.to_vec());
    }
}

/// A listening channel and its address.
fn listening(tls: Tls) -> (Arc<Channel>, SocketAddr, Receiver<Vec<u8>>) {
    let channel = Channel::new(tls);
    let (collector, received) = Collector::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    channel.listen(listener, collector).unwrap();
    channel.keep_alive().unwrap();
    (channel, address, received)
}

fn connecting(tls: Tls, address: SocketAddr) -> (Arc<Channel>, Receiver<Vec<u8>>) {
    let channel = Channel::new(tls);
    let (collector, received) = Collector::new();
    channel.connect(address.to_string(), collector).unwrap();
    channel.keep_alive().unwrap();
    (channel, received)
}

/// Tries until the peer takes a message; how often it did not.
fn send_until_taken(channel: &Channel, message: &[u8]) -> usize {
    let begin = Instant::now();
    let mut refused = 0;
    while channel.send(message) != Sent::Yes {
        refused += 1;
        assert!(begin.elapsed() < PATIENCE, "the channel never came up");
        std::thread::yield_now();
    }
    refused
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "{what} never happened");
        std::thread::yield_now();
    }
}

#[test]
fn messages_of_every_size_arrive_whole_and_in_order_both_ways() {
    let (a, b) = (identity("a"), identity("b"));
    let (listener, address, at_a) = listening(tls(&a, &b));
    let (connector, at_b) = connecting(tls(&b, &a), address);
    send_until_taken(&connector, b"first");
    assert_eq!(at_a.recv_timeout(PATIENCE).unwrap(), b"first");
    let messages: Vec<Vec<u8>> = [1, 40, 4096, 16_384, 70_000, 1 << 20, MAX_FRAME]
        .iter()
        .enumerate()
        .map(|(i, n)| vec![u8::try_from(i).unwrap(); *n])
        .collect();
    for message in &messages {
        assert_eq!(connector.send(message), Sent::Yes);
        assert_eq!(listener.send(message), Sent::Yes);
    }
    for received in [&at_a, &at_b] {
        for message in &messages {
            assert!(
                received.recv_timeout(PATIENCE).unwrap() == *message,
                "{} bytes",
                message.len()
            );
        }
    }
    assert_eq!(connector.send(&vec![0; MAX_FRAME + 1]), Sent::TooBig);
    assert!(
        connector.is_connected(),
        "a message too long is refused before anything is sent"
    );
    connector.stop();
    listener.stop();
}

#[test]
fn concurrent_writers_and_full_buffers_both_ways_do_not_deadlock() {
    let (a, b) = (identity("a"), identity("b"));
    let (listener, address, at_a) = listening(tls(&a, &b));
    let (connector, at_b) = connecting(tls(&b, &a), address);
    send_until_taken(&connector, b"x");
    at_a.recv_timeout(PATIENCE).unwrap();
    const THREADS: u8 = 8;
    const EACH: usize = 40;
    std::thread::scope(|scope| {
        for channel in [&listener, &connector] {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    for i in 0..EACH {
                        let size = if i % 4 == 0 { 200_000 } else { 64 + i };
                        assert_eq!(channel.send(&vec![thread; size]), Sent::Yes);
                    }
                });
            }
        }
        for received in [&at_a, &at_b] {
            let mut counts = [0; THREADS as usize];
            for _ in 0..usize::from(THREADS) * EACH {
                let message = received.recv_timeout(PATIENCE).unwrap();
                assert!(
                    message.iter().all(|byte| *byte == message[0]),
                    "messages are not mixed"
                );
                counts[usize::from(message[0])] += 1;
            }
            assert_eq!(counts, [EACH; THREADS as usize]);
        }
    });
    connector.stop();
    listener.stop();
}

#[test]
fn st_114_another_certificate_is_refused_on_either_side() {
    let (a, b, stranger) = (identity("a"), identity("b"), identity("b"));
    let (listener, address, at_a) = listening(tls(&a, &b));
    // The stranger trusts the listener but is not the one it has pinned.
    let attempt = Connection::connect(TcpStream::connect(address).unwrap(), &tls(&stranger, &a));
    assert!(attempt.is_err());
    until("the refusal", || listener.refused() == 1);
    // The right peer does not accept a listener it has not pinned.
    let attempt = Connection::connect(TcpStream::connect(address).unwrap(), &tls(&b, &stranger));
    assert!(attempt.is_err());
    until("the refusal", || listener.refused() == 2);
    assert!(!listener.is_connected());
    assert!(
        at_a.try_recv().is_err(),
        "no byte of theirs was taken for a message"
    );
    listener.stop();
}

#[test]
fn a_certificate_issued_by_a_pinned_authority_is_accepted_and_one_issued_by_another_is_not() {
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        (certificate, rcgen::Issuer::new(params, key))
    };
    let issue = |issuer: &rcgen::Issuer<'static, rcgen::KeyPair>| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["node".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap().der().clone();
        Identity {
            certificate,
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    };
    let (root, issuer) = authority("root");
    let (_, other_issuer) = authority("root");
    let settings = |own: &Identity| {
        Tls::new(&Credentials {
            chain: vec![own.certificate.clone()],
            key: own.key.clone_key(),
            pinned: vec![root.clone()],
        })
        .unwrap()
    };
    let (listener, address, at_a) = listening(settings(&issue(&issuer)));
    let attempt = Connection::connect(
        TcpStream::connect(address).unwrap(),
        &settings(&issue(&other_issuer)),
    );
    assert!(attempt.is_err());
    let (connector, _) = connecting(settings(&issue(&issuer)), address);
    send_until_taken(&connector, b"issued");
    assert_eq!(at_a.recv_timeout(PATIENCE).unwrap(), b"issued");
    connector.stop();
    listener.stop();
}

/// A ClientHello of TLS 1.2: no supported_versions extension.
fn tls_1_2_client_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 2, 0xc0, 0x2f]); // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    body.extend([1, 0]);
    let extensions: [u8; 24] = [
        0, 10, 0, 4, 0, 2, 0, 23, // supported_groups: secp256r1
        0, 13, 0, 4, 0, 2, 4, 3, // signature_algorithms: ecdsa_secp256r1_sha256
        0, 23, 0, 0, // extended_master_secret
        0, 35, 0, 0, // session_ticket
    ];
    body.extend([0, 24]);
    body.extend(extensions);
    let mut handshake = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    handshake.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
    record.extend(handshake);
    record
}

#[test]
fn tls_1_2_is_refused() {
    let (a, b) = (identity("a"), identity("b"));
    let (listener, address, _) = listening(tls(&a, &b));
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(&tls_1_2_client_hello()).unwrap();
    let mut alert = Vec::new();
    tcp.read_to_end(&mut alert).unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 70], "fatal alert protocol_version");
    until("the refusal", || listener.refused() == 1);
    listener.stop();
}

#[test]
fn garbage_and_plain_frames_are_refused_and_the_port_stays_usable() {
    let (a, b) = (identity("a"), identity("b"));
    let (listener, address, at_a) = listening(tls(&a, &b));
    let garbage: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0, 0, 0, 4, 1, 2, 3, 4],
        &[0xff; 70_000],
        &[22, 3, 1, 0xff, 0xff],
    ];
    for (i, bytes) in garbage.iter().enumerate() {
        let mut tcp = TcpStream::connect(address).unwrap();
        // The other end may close while this is still writing.
        let _ = tcp.write_all(bytes);
        let _ = tcp.shutdown(Shutdown::Write);
        until("the refusal", || listener.refused() == i + 1);
    }
    let (connector, _) = connecting(tls(&b, &a), address);
    send_until_taken(&connector, b"real");
    assert_eq!(at_a.recv_timeout(PATIENCE).unwrap(), b"real");
    connector.stop();
    listener.stop();
}

#[test]
fn silent_callers_are_bounded_in_number_and_in_time() {
    let (a, b) = (identity("a"), identity("b"));
    let (listener, address, _) = listening(tls(&a, &b));
    let begin = Instant::now();
    let mut silent: Vec<_> = (0..MAX_HANDSHAKES + 4)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    until("turning away", || listener.refused() >= 4);
    assert!(
        begin.elapsed() < HANDSHAKE_DEADLINE,
        "those beyond the bound are turned away at once"
    );
    for tcp in &mut silent {
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        // End of stream, or a reset: closed either way.
        assert!(!matches!(tcp.read(&mut [0]), Ok(1..)));
    }
    let took = begin.elapsed();
    assert!(
        took < HANDSHAKE_DEADLINE + Duration::from_secs(3),
        "all closed after {took:?}"
    );
    listener.stop();
}

#[test]
fn st_110_the_channel_comes_back_by_itself_and_tells_of_the_loss_once() {
    let (a, b) = (identity("a"), identity("b"));
    let (tls_a, tls_b) = (tls(&a, &b), tls(&b, &a));
    let (first, address, at_first) = listening(tls_a.clone());
    let (connector, _at_b) = connecting(tls_b, address);
    send_until_taken(&connector, b"one");
    assert_eq!(at_first.recv_timeout(PATIENCE).unwrap(), b"one");
    first.stop();
    until("noticing the loss", || !connector.is_connected());
    assert_eq!(connector.send(b"lost"), Sent::Lost);
    let second = Channel::new(tls_a);
    let (collector, at_second) = Collector::new();
    let begin = Instant::now();
    let listener = loop {
        match TcpListener::bind(address) {
            Ok(listener) => break listener,
            Err(e) => assert!(begin.elapsed() < PATIENCE, "{e}"),
        }
        std::thread::yield_now();
    };
    second.listen(listener, collector).unwrap();
    // What is taken by a connection that is just ending is lost, and may be: it is sent again until it arrives.
    let begin = Instant::now();
    let received = loop {
        send_until_taken(&connector, b"two");
        match at_second.recv_timeout(Duration::from_secs(1)) {
            Ok(message) => break message,
            Err(_) => assert!(begin.elapsed() < PATIENCE, "the channel never came back"),
        }
    };
    assert_eq!(received, b"two");
    connector.stop();
    second.stop();
}

#[test]
fn a_loss_is_told_to_the_next_call_even_after_reconnection() {
    let (a, b) = (identity("a"), identity("b"));
    let (listener, address, at_a) = listening(tls(&a, &b));
    let tls_b = tls(&b, &a);
    let (collector, _at_b) = Collector::new();
    let serve = |connection: Connection| {
        let connection = Arc::new(connection);
        let (reading, collector) = (Arc::clone(&connection), collector.clone());
        std::thread::spawn(move || reading.run(&*collector));
        connection
    };
    let old = serve(Connection::connect(TcpStream::connect(address).unwrap(), &tls_b).unwrap());
    assert_eq!(old.send(b"old"), Sent::Yes);
    assert_eq!(at_a.recv_timeout(PATIENCE).unwrap(), b"old");
    // The newest authenticated connection takes over.
    let new = serve(Connection::connect(TcpStream::connect(address).unwrap(), &tls_b).unwrap());
    assert_eq!(new.send(b"new"), Sent::Yes);
    assert_eq!(at_a.recv_timeout(PATIENCE).unwrap(), b"new");
    until("the end of the old one", || old.is_over());
    assert!(listener.is_connected());
    assert_eq!(listener.send(b"first call"), Sent::Lost);
    assert_eq!(listener.send(b"second call"), Sent::Yes);
    new.end();
    listener.stop();
}

#[test]
fn st_113_a_frozen_peer_is_noticed() {
    let (a, b) = (identity("a"), identity("b"));
    let (listener, address, _) = listening(tls(&a, &b));
    // Authenticated, and then neither reads nor writes nor closes.
    let frozen = Connection::connect(TcpStream::connect(address).unwrap(), &tls(&b, &a)).unwrap();
    until("the connection", || listener.is_connected());
    let begin = Instant::now();
    until("noticing", || !listener.is_connected());
    assert!(
        begin.elapsed() < Duration::from_millis(5500),
        "{:?}",
        begin.elapsed()
    );
    drop(frozen);
    listener.stop();
}
