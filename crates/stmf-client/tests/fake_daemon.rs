//! The client against a door that answers as a daemon would, or should not.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use admin_proto::{Answer, Guid, Reply, Request, StmfStatus, decode_request, encode_answer};
use door::{Attachment, Door, DoorHandle, Invocation};
use stmf_client::{Client, ClientError};

/// What the fake does with a request: an answer, and a descriptor beside it.
type Script = dyn Fn(Request, Vec<OwnedFd>) -> (Vec<u8>, Option<OwnedFd>) + Send + Sync;

struct Fake {
    path: PathBuf,
    _attachment: Attachment,
    _door: Door,
    _folder: tempfile::TempDir,
}

fn fake(
    script: impl Fn(Request, Vec<OwnedFd>) -> (Vec<u8>, Option<OwnedFd>) + Send + Sync + 'static,
) -> Fake {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let script: Box<Script> = Box::new(script);
    let door = Door::builder()
        .refuse_descriptors(false)
        .create(move |mut call: Invocation<'_>| {
            let request = decode_request(call.argument()).unwrap();
            let descriptors = call.take_descriptors().into_iter().map(OwnedFd::from).collect();
            let (bytes, descriptor) = script(request, descriptors);
            let reply = door::Reply::bytes(bytes);
            match descriptor {
                Some(descriptor) => reply.give(descriptor),
                None => reply,
            }
        })
        .unwrap();
    let attachment = door.attach(&path).unwrap();
    Fake {
        path,
        _attachment: attachment,
        _door: door,
        _folder: folder,
    }
}

/// A fake that answers every request with the same bytes.
fn always(bytes: Vec<u8>) -> Fake {
    fake(move |_, _| (bytes.clone(), None))
}

fn connect(fake: &Fake) -> Client {
    Client::connect(Some(&fake.path)).unwrap()
}

#[test]
fn a_missing_or_deserted_control_door_says_that_the_daemon_is_not_running() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let error = Client::connect(Some(&path)).unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    assert_eq!(error.status(), StmfStatus::Error);
    assert!(error.to_string().contains("Start stmfd"));

    let fake = always(encode_answer(&Answer::done()));
    let client = connect(&fake);
    drop(fake);
    let error = client.state().unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
}

#[test]
fn a_request_arrives_and_its_reply_comes_back() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let fake = fake(move |request, _| {
        log.lock().unwrap().push(request.clone());
        let reply = match request {
            Request::GetAluaState {} => Answer::good(Reply::Alua {
                enabled: true,
                node: 1,
            }),
            Request::ListLus {} => Answer::good(Reply::Lus { lus: Vec::new() }),
            _ => Answer::done(),
        };
        (encode_answer(&reply), None)
    });
    let client = connect(&fake);
    assert_eq!(client.alua_state().unwrap(), (true, 1));
    assert!(client.list_lus().unwrap().is_empty());
    client.set_alua_state(false, 0).unwrap();
    client.online_target("IQN.2026-01.org.example:A").unwrap();
    let expected = [
        Request::GetAluaState {},
        Request::ListLus {},
        Request::SetAluaState {
            enabled: false,
            node: 0,
        },
        Request::OnlineTarget {
            name: "iqn.2026-01.org.example:a".into(),
        },
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_refusal_keeps_its_status_its_text_and_its_reply() {
    let guid = Guid([0x60; 16]);
    let mut answer = Answer::failed(StmfStatus::FileInUse, "active on this node");
    answer.reply = Some(Reply::Lu { guid });
    let fake = always(encode_answer(&answer));
    let error = connect(&fake).import_lu("/s/d").unwrap_err();
    assert_eq!(error.status(), StmfStatus::FileInUse);
    let ClientError::Refused(refusal) = error else {
        panic!("{error}")
    };
    assert_eq!(refusal.to_string(), "in use: active on this node");
    assert_eq!(refusal.reply.as_deref(), Some(&Reply::Lu { guid }));
}

#[test]
fn an_answer_of_another_kind_or_version_or_none_is_an_error() {
    let other = always(encode_answer(&Answer::done()));
    assert!(matches!(
        connect(&other).state(),
        Err(ClientError::UnexpectedReply)
    ));
    let version = always(br#"{"version":9,"status":0}"#.to_vec());
    let error = connect(&version).set_alua_state(true, 0).unwrap_err();
    assert!(error.to_string().contains("version 9"), "{error}");
    let empty = always(Vec::new());
    assert!(matches!(connect(&empty).state(), Err(ClientError::Answer(_))));
}

/// A session door that answers with `word`.
fn session_door(word: Vec<u8>) -> (Door, Arc<Mutex<Vec<Vec<u8>>>>) {
    let posted = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&posted);
    let door = Door::builder()
        .create(move |call: Invocation<'_>| {
            log.lock().unwrap().push(call.argument().to_vec());
            door::Reply::bytes(word.clone())
        })
        .unwrap();
    (door, posted)
}

/// A fake whose sessions answer each post with `word`; what is posted, and the doors that were installed.
#[expect(clippy::type_complexity, reason = "two logs")]
fn fake_with_session(word: Vec<u8>) -> (Fake, Arc<Mutex<Vec<Vec<u8>>>>, Arc<Mutex<Vec<DoorHandle>>>) {
    let (session, posted) = session_door(word);
    let installed = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&installed);
    let fake = fake(move |request, descriptors| match request {
        Request::InitProxyDoor {} => {
            let mut installed = log.lock().unwrap();
            if !installed.is_empty() {
                return (encode_answer(&Answer::from(StmfStatus::DoorInstalled)), None);
            }
            installed.extend(descriptors.into_iter().map(|fd| DoorHandle::from_fd(fd).unwrap()));
            let reply = encode_answer(&Answer::good(Reply::ProxySession { session: 9 }));
            (reply, Some(session.lend().unwrap()))
        }
        Request::DestroyProxyDoor { session: 9 } => {
            log.lock().unwrap().clear();
            (encode_answer(&Answer::done()), None)
        }
        _ => (encode_answer(&Answer::from(StmfStatus::NotFound)), None),
    });
    (fake, posted, installed)
}

#[test]
fn the_door_of_the_transport_arrives_and_posts_go_to_the_session_door() {
    let (fake, posted, installed) = fake_with_session(StmfStatus::Success.to_word().to_vec());
    let transport = Door::builder()
        .create(|call: Invocation<'_>| door::Reply::bytes(call.argument().to_vec()))
        .unwrap();
    let client = connect(&fake);
    let session = client.init_proxy_door(transport.as_fd()).unwrap();
    assert_eq!(session.id(), 9);
    let upcall = installed.lock().unwrap()[0].call(b"to the peer").unwrap();
    assert_eq!(upcall.data(), b"to the peer");

    assert_eq!(session.post(b"from the peer"), Ok(()));
    assert_eq!(session.post(b""), Err(StmfStatus::PostMsgFailed));
    assert_eq!(*posted.lock().unwrap(), [b"from the peer".to_vec()]);

    let second = client.init_proxy_door(transport.as_fd()).unwrap_err();
    assert_eq!(second.status(), StmfStatus::DoorInstalled);
    session.destroy().unwrap();
    assert!(installed.lock().unwrap().is_empty());
}

#[test]
fn a_post_answered_with_something_else_than_a_status_has_failed() {
    for (word, expected) in [
        (StmfStatus::Perm.to_word().to_vec(), StmfStatus::Perm),
        (
            StmfStatus::PostMsgFailed.to_word().to_vec(),
            StmfStatus::PostMsgFailed,
        ),
        (vec![], StmfStatus::PostMsgFailed),
        (vec![0; 3], StmfStatus::PostMsgFailed),
        (vec![0; 8], StmfStatus::PostMsgFailed),
        (vec![9; 4], StmfStatus::PostMsgFailed),
    ] {
        let (fake, ..) = fake_with_session(word.clone());
        let transport = Door::builder()
            .create(|_: Invocation<'_>| door::Reply::empty())
            .unwrap();
        let session = connect(&fake).init_proxy_door(transport.as_fd()).unwrap();
        assert_eq!(session.post(b"x"), Err(expected), "{word:?}");
    }
}

#[test]
fn what_is_no_door_is_refused_before_the_daemon_is_asked() {
    let fake = always(Vec::new());
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let error = connect(&fake).init_proxy_door(file.as_fd()).unwrap_err();
    assert!(matches!(error, ClientError::NotADoor));
    assert_eq!(error.status(), StmfStatus::InvalidArg);
}

#[test]
fn a_session_without_a_session_door_is_an_error() {
    let fake = always(encode_answer(&Answer::good(Reply::ProxySession { session: 1 })));
    let transport = Door::builder()
        .create(|_: Invocation<'_>| door::Reply::empty())
        .unwrap();
    let error = connect(&fake).init_proxy_door(transport.as_fd()).unwrap_err();
    assert!(matches!(error, ClientError::UnexpectedReply));
}
