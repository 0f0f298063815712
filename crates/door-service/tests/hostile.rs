//! Whatever bytes arrive, on either side: a typed error or a value, never a panic.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use door::{Call, CallError, Door, DoorHandle, Reply};
use door_service::{Error, Fd};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Shape {
    Dot,
    Line(i16, u64),
    Named {
        name: String,
        sides: Vec<f64>,
        colour: Option<char>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Tray {
    label: String,
    files: Vec<Fd>,
    table: BTreeMap<String, (bool, Shape)>,
}

#[door::service]
trait Target {
    fn plain(&self, number: u64, text: &str, bytes: &[u8]) -> u64;
    fn shapes(&self, shapes: Vec<Shape>, by_name: BTreeMap<String, u128>) -> Vec<Shape>;
    fn tray(&self, tray: Tray, spare: Option<OwnedFd>) -> Result<Tray, String>;
    fn other(&self, other: TargetClient) -> bool;
}

struct Careless;

impl Target for Careless {
    fn plain(&self, number: u64, text: &str, bytes: &[u8]) -> u64 {
        number ^ (text.len() + bytes.len()) as u64
    }

    fn shapes(&self, shapes: Vec<Shape>, _by_name: BTreeMap<String, u128>) -> Vec<Shape> {
        shapes
    }

    fn tray(&self, tray: Tray, _spare: Option<OwnedFd>) -> Result<Tray, String> {
        Ok(tray)
    }

    fn other(&self, _other: TargetClient) -> bool {
        true
    }
}

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

/// What the four methods' requests begin with, as a client sends them.
fn headers() -> Vec<Vec<u8>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let door = Door::builder()
        .refuse_descriptors(false)
        .create(move |call| {
            record.lock().unwrap().push(call.argument()[..20].to_vec());
            Reply::empty()
        })
        .unwrap();
    let client = TargetClient::over(door.handle().unwrap());
    let tray = Tray {
        label: String::new(),
        files: Vec::new(),
        table: BTreeMap::new(),
    };
    assert!(matches!(client.plain(1, "", b""), Err(Error::Garbled)));
    assert!(client.shapes(vec![Shape::Dot], BTreeMap::new()).is_err());
    assert!(client.tray(tray, None).is_err());
    assert!(client.other(client.clone()).is_err());
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 4);
    seen
}

#[test]
fn a_server_survives_any_parameters() {
    let door = TargetServer::new(Careless).create().unwrap();
    let handle = door.handle().unwrap();
    let headers = headers();
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    proptest!(ProptestConfig::with_cases(2000), |(bytes in bytes, which in 0_usize..5, fds in 0_usize..4)| {
        let mut request = headers.get(which).cloned().unwrap_or_default();
        request.extend_from_slice(&bytes);
        let call = (0..fds).fold(Call::new(&request), |call, _| call.give(null()));
        let answer = handle.call_with(call);
        // A panic would be `Interrupted`.
        let answer = answer.unwrap_or_else(|failed| panic!("{failed}"));
        prop_assert!(answer.data()[1] == 0 || answer.data() == [1, 4, 0, 0] || which == 4);
    });
    let client = TargetClient::over(handle);
    assert_eq!(client.plain(1, "ab", b"").unwrap(), 3);
}

#[test]
fn lengths_beyond_the_message_reserve_nothing_for_them() {
    let door = TargetServer::new(Careless).create().unwrap();
    let handle = door.handle().unwrap();
    for header in headers() {
        // A length of 2^63 elements, as postcard writes it.
        let mut request = header;
        request.extend_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
        request.extend_from_slice(&[0xFF; 9]);
        let answer = handle.call(&request).unwrap();
        assert_eq!(answer.data(), [1, 4, 0, 0]);
    }
}

#[test]
fn a_descriptor_can_be_named_once_and_only_if_it_came() {
    let door = TargetServer::new(Careless).create().unwrap();
    let handle = door.handle().unwrap();
    let tray = &headers()[2];
    let attempt = |places: &[u8], fds: usize| {
        let mut request = tray.clone();
        request.extend_from_slice(&[0, u8::try_from(places.len()).unwrap()]);
        request.extend_from_slice(places);
        request.extend_from_slice(&[0, 0]);
        let call = (0..fds).fold(Call::new(&request), |call, _| call.give(null()));
        handle.call_with(call).unwrap().data()[1]
    };
    assert_eq!(attempt(&[1, 0], 2), 0);
    assert_eq!(attempt(&[0, 0], 2), 4);
    assert_eq!(attempt(&[2], 2), 4);
    assert_eq!(attempt(&[0], 0), 4);
}

#[test]
fn a_client_survives_any_reply() {
    let next = Arc::new(Mutex::new((Vec::new(), 0)));
    let script = Arc::clone(&next);
    let door = Door::builder()
        .refuse_descriptors(false)
        .create(move |_| {
            let (bytes, fds): (Vec<u8>, usize) = script.lock().unwrap().clone();
            (0..fds).fold(Reply::bytes(bytes), |reply, _| reply.give(null()))
        })
        .unwrap();
    let client = TargetClient::over(DoorHandle::from_fd(door.lend().unwrap()).unwrap());
    let bytes = proptest::collection::vec(any::<u8>(), 0..100);
    proptest!(ProptestConfig::with_cases(2000), |(bytes in bytes, sound in any::<bool>(), fds in 0_usize..3)| {
        let mut reply = if sound { vec![1, 0, 0, 0] } else { Vec::new() };
        reply.extend_from_slice(&bytes);
        *next.lock().unwrap() = (reply, fds);
        let tray = Tray { label: String::new(), files: vec![null().into()], table: BTreeMap::new() };
        for outcome in [
            client.plain(1, "x", b"y").map(drop),
            client.shapes(Vec::new(), BTreeMap::new()).map(drop),
            client.tray(tray, None).map(drop),
        ] {
            prop_assert!(!matches!(outcome, Err(Error::Door(CallError::Interrupted))));
        }
    });
}
