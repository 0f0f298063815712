//! Typed services between real processes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use door::{Call, CallError, Door, DoorHandle, Reply};
use door_service::{Context, Error, Fd};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Complaint {
    code: u32,
    text: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    label: String,
    files: Vec<Fd>,
}

/// Everything a service can do.
#[door::service(version = 3)]
trait Desk {
    /// Adds.
    fn add(&self, a: i64, b: i64) -> i64;
    fn nothing(&self);
    fn complain(&self, code: u32) -> Result<(), Complaint>;
    fn open(&self, path: &Path) -> Result<OwnedFd, Complaint>;
    fn join(&self, words: &[String], by: &str) -> String;
    fn checksum(&self, data: &[u8]) -> u64;
    fn reverse(&self, data: Vec<u8>) -> Vec<u8>;
    fn read(&self, file: OwnedFd, other: BorrowedFd<'_>) -> String;
    fn pack(&self, label: String, pieces: Vec<OwnedFd>) -> Option<Parcel>;
    fn unpack(&self, parcel: Parcel) -> (u32, Vec<(String, OwnedFd)>);
    fn who(&self, context: &Context<'_>, polite: bool) -> (u32, u32);
    fn call_back(&self, door: DoorHandle, argument: Vec<u8>) -> Option<Vec<u8>>;
    fn counter(&self) -> CounterClient;
    fn wait(&self, context: &Context<'_>);
    fn huge(&self, bytes: u64) -> Vec<u8>;
    fn panic(&self);
    fn not_sendable(&self) -> Refuses;
}

/// An object with a door of its own.
#[door::service]
trait Counter {
    fn next(&self) -> u64;
}

/// Cannot be serialised.
#[derive(Debug, Deserialize)]
struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

struct Clerk {
    counters: Arc<Mutex<Vec<Door>>>,
}

struct FromZero(Mutex<u64>);

impl Counter for FromZero {
    fn next(&self) -> u64 {
        let mut count = self.0.lock().unwrap();
        *count += 1;
        *count
    }
}

fn contents(fd: OwnedFd) -> String {
    let mut text = String::new();
    let mut file = File::from(fd);
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn file_with(text: &str) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.into()
}

impl Desk for Clerk {
    fn add(&self, a: i64, b: i64) -> i64 {
        a + b
    }

    fn nothing(&self) {}

    fn complain(&self, code: u32) -> Result<(), Complaint> {
        let text = "as asked".to_owned();
        if code == 0 {
            Ok(())
        } else {
            Err(Complaint { code, text })
        }
    }

    fn open(&self, path: &Path) -> Result<OwnedFd, Complaint> {
        File::open(path).map(OwnedFd::from).map_err(|error| Complaint {
            code: error.raw_os_error().unwrap_or_default().unsigned_abs(),
            text: error.to_string(),
        })
    }

    fn join(&self, words: &[String], by: &str) -> String {
        words.join(by)
    }

    fn checksum(&self, data: &[u8]) -> u64 {
        data.iter().map(|byte| u64::from(*byte)).sum()
    }

    fn reverse(&self, mut data: Vec<u8>) -> Vec<u8> {
        data.reverse();
        data
    }

    fn read(&self, file: OwnedFd, other: BorrowedFd<'_>) -> String {
        contents(file) + &contents(other.try_clone_to_owned().unwrap())
    }

    fn pack(&self, label: String, pieces: Vec<OwnedFd>) -> Option<Parcel> {
        let files = pieces.into_iter().map(Fd::from).collect();
        (!label.is_empty()).then_some(Parcel { label, files })
    }

    fn unpack(&self, parcel: Parcel) -> (u32, Vec<(String, OwnedFd)>) {
        let label = parcel.label;
        let files: Vec<_> = parcel
            .files
            .into_iter()
            .map(|file| (label.clone(), file.into()))
            .collect();
        (u32::try_from(files.len()).unwrap(), files)
    }

    fn who(&self, context: &Context<'_>, _polite: bool) -> (u32, u32) {
        let caller = context.credentials().unwrap();
        assert!(context.pidfd().is_ok() && !context.is_cancelled());
        (caller.pid, caller.euid)
    }

    fn call_back(&self, door: DoorHandle, argument: Vec<u8>) -> Option<Vec<u8>> {
        door.call(&argument).ok().map(door::Answer::into_data)
    }

    fn counter(&self) -> CounterClient {
        let door = CounterServer::new(FromZero(Mutex::new(0))).create().unwrap();
        let client = CounterClient::over(door.handle().unwrap());
        self.counters.lock().unwrap().push(door);
        client
    }

    fn wait(&self, context: &Context<'_>) {
        assert!(context.wait_cancelled(None));
    }

    fn huge(&self, bytes: u64) -> Vec<u8> {
        vec![1; usize::try_from(bytes).unwrap()]
    }

    fn panic(&self) {
        panic!("as asked");
    }

    fn not_sendable(&self) -> Refuses {
        Refuses
    }
}

/// A clerk in a process of its own: this program, run again.
struct Office {
    process: Child,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Office {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("desk.door");
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role", "--ignored", "--nocapture"])
            .env("DESK", &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while line.trim() != "ready" {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the server ended");
        }
        Self {
            process,
            path,
            _directory: directory,
        }
    }

    fn client(&self) -> DeskClient {
        DeskClient::at(&self.path)
            .unwrap()
            .within(Duration::from_secs(60))
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "not a test: where the server process starts"]
fn role() {
    let Some(path) = std::env::var_os("DESK") else {
        return;
    };
    let clerk = Arc::new(Clerk {
        counters: Arc::default(),
    });
    let door = DeskServer::new(clerk).create().unwrap();
    let _attachment = door.attach(path).unwrap();
    eprintln!("ready");
    // Ends with its parent.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn values_go_there_and_come_back() {
    let office = Office::open();
    let desk = office.client();
    assert_eq!(desk.add(-3, 5).unwrap(), 2);
    desk.nothing().unwrap();
    let words = ["a".to_owned(), "b".to_owned()];
    assert_eq!(desk.join(&words, " and ").unwrap(), "a and b");
    assert_eq!(desk.checksum(&vec![1; 500_000]).unwrap(), 500_000);
    let data: Vec<u8> = (0..=250).cycle().take(200_000).collect();
    let reversed = desk.reverse(data.clone()).unwrap();
    assert!(reversed.into_iter().rev().eq(data));
}

#[test]
fn errors_of_the_method_and_of_the_transport_are_kept_apart() {
    let mut office = Office::open();
    let desk = office.client();
    assert_eq!(desk.complain(0).unwrap(), Ok(()));
    let complaint = desk.complain(7).unwrap().unwrap_err();
    assert_eq!((complaint.code, complaint.text.as_str()), (7, "as asked"));
    assert!(matches!(desk.panic(), Err(Error::Door(CallError::Interrupted))));
    assert!(matches!(desk.not_sendable(), Err(Error::Unanswerable)));
    let oversized = desk.reverse(vec![0; 2 << 20]);
    assert!(matches!(oversized, Err(Error::Door(CallError::TooBig))));
    office.process.kill().unwrap();
    office.process.wait().unwrap();
    assert!(matches!(desk.nothing(), Err(Error::Door(CallError::Revoked))));
}

#[test]
fn descriptors_travel_as_parameters_results_and_fields() {
    let office = Office::open();
    let desk = office.client();
    let lent = file_with("lent");
    assert_eq!(
        desk.read(file_with("given "), lent.as_fd()).unwrap(),
        "given lent"
    );
    assert_eq!(contents(lent), "lent");

    let named = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(named.path(), "by path").unwrap();
    assert_eq!(contents(desk.open(named.path()).unwrap().unwrap()), "by path");
    let refused = desk.open(Path::new("/nowhere")).unwrap().unwrap_err();
    assert_eq!(
        refused.code,
        rustix::io::Errno::NOENT.raw_os_error().unsigned_abs()
    );

    let pieces = || (0..3).map(|n| file_with(&n.to_string())).collect::<Vec<_>>();
    assert!(desk.pack(String::new(), pieces()).unwrap().is_none());
    let parcel = desk.pack("three".to_owned(), pieces()).unwrap().unwrap();
    let (count, files) = desk.unpack(parcel).unwrap();
    assert_eq!(count, 3);
    for (n, (label, file)) in files.into_iter().enumerate() {
        assert_eq!((label.as_str(), contents(file)), ("three", n.to_string()));
    }
}

#[test]
fn a_method_may_ask_who_calls() {
    let office = Office::open();
    let expected = (std::process::id(), rustix::process::geteuid().as_raw());
    assert_eq!(office.client().who(true).unwrap(), expected);
}

#[test]
fn doors_and_clients_travel() {
    let office = Office::open();
    let desk = office.client();
    let own = Door::builder()
        .create(|call| Reply::bytes(call.argument().to_ascii_uppercase()))
        .unwrap();
    let answer = desk
        .call_back(own.handle().unwrap(), b"call me".to_vec())
        .unwrap();
    assert_eq!(answer.unwrap(), b"CALL ME");

    let (one, other) = (desk.counter().unwrap(), desk.counter().unwrap());
    assert_eq!(
        (one.next().unwrap(), one.next().unwrap(), other.next().unwrap()),
        (1, 2, 1)
    );
}

#[test]
fn a_call_ends_at_its_deadline_and_the_method_is_told() {
    let office = Office::open();
    let hurried = office.client().within(Duration::from_millis(10));
    assert!(matches!(hurried.wait(), Err(Error::Door(CallError::TimedOut))));
    office.client().nothing().unwrap();
}

#[test]
fn a_client_bounds_what_it_takes() {
    let office = Office::open();
    let modest = office.client().max_reply_bytes(1000);
    assert_eq!(modest.huge(900).unwrap().len(), 900);
    let refused = modest.huge(1000).unwrap_err();
    // 1000 bytes, their number, and the header.
    assert!(
        matches!(refused, Error::Door(CallError::ReplyTooBig { needed: 1006 })),
        "{refused}"
    );
}

/// What this service was in its last version, and what it may be in its next one.
mod others {
    #[door::service(version = 2)]
    pub(crate) trait Desk {
        fn add(&self, a: i64, b: i64) -> i64;
    }

    pub(crate) mod later {
        #[door::service(version = 3, name = "Desk")]
        pub(crate) trait Counter {
            /// Another signature.
            fn add(&self, a: i32, b: i32) -> i32;
            /// Not there yet.
            fn subtract(&self, a: i64, b: i64) -> i64;
            /// Other names, same types: the same method.
            fn join(&self, parts: &[String], separator: &str) -> String;
        }
    }
}

#[test]
fn another_service_version_or_method_is_a_typed_error() {
    let office = Office::open();
    let open = || DoorHandle::open(&office.path).unwrap();
    let older = others::DeskClient::over(open());
    assert!(matches!(older.add(1, 2), Err(Error::OtherVersion { theirs: 3 })));
    let wrong = CounterClient::over(open());
    assert!(matches!(wrong.next(), Err(Error::OtherService)));
    let later = others::later::CounterClient::over(open());
    assert!(matches!(later.add(1, 2), Err(Error::UnknownMethod)));
    assert!(matches!(later.subtract(1, 2), Err(Error::UnknownMethod)));
    assert_eq!(later.join(&["x".to_owned(), "y".to_owned()], "-").unwrap(), "x-y");
    // A door that is no service at all.
    let plain = Door::builder().create(|_| Reply::bytes("hello")).unwrap();
    let mistaken = CounterClient::over(plain.handle().unwrap());
    assert!(matches!(mistaken.next(), Err(Error::Garbled)));
}

#[test]
fn r9_a_request_and_its_reply_are_these_bytes() {
    let office = Office::open();
    let door = DoorHandle::open(&office.path).unwrap();
    let request = [
        1, 0, 0, 0, // format
        3, 0, 0, 0, // version
        0xF8, 0x28, 0xED, 0x43, 0x73, 0xF8, 0x78, 0xD0, // service
        0xB1, 0x87, 0xD1, 0xF2, // method
        5, 8, // -3 and 4
    ];
    let answer = door.call_with(Call::new(&request)).unwrap();
    assert_eq!(answer.data(), [1, 0, 0, 0, 2]);
}

#[test]
fn descriptors_do_not_travel_outside_of_calls() {
    let fd = Fd::from(file_with(""));
    assert!(postcard::to_stdvec(&fd).is_err());
    assert!(postcard::from_bytes::<Fd>(&[0]).is_err());
}

/// Runs a future on a runtime of one thread, which blocks if the future does.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async {
        let limit = tokio::time::timeout(Duration::from_secs(60), future);
        limit.await.expect("it hangs")
    })
}

#[test]
fn methods_can_be_awaited() {
    let office = Office::open();
    let desk = office.client().awaited();
    run(async {
        assert_eq!(desk.add(-3, 5).await.unwrap(), 2);
        assert_eq!(desk.checksum(&vec![1; 500_000]).await.unwrap(), 500_000);
        // What is sent is taken when the method is called, not when it is awaited.
        let later = {
            let words = ["a".to_owned(), "b".to_owned()];
            desk.join(&words, " and ")
        };
        assert_eq!(later.await.unwrap(), "a and b");
        assert_eq!(desk.complain(7).await.unwrap().unwrap_err().code, 7);
        let (given, lent) = (file_with("given, "), file_with("lent"));
        let read = desk.read(given, lent.as_fd()).await.unwrap();
        assert_eq!(read, "given, lent");
        let opened = desk.open(Path::new("/dev/null")).await.unwrap().unwrap();
        assert_eq!(contents(opened), "");
        let counter = desk.counter().await.unwrap();
        assert_eq!(counter.next().unwrap(), 1);
        assert_eq!(counter.awaited().next().await.unwrap(), 2);
        assert!(matches!(
            desk.panic().await,
            Err(Error::Door(CallError::Interrupted))
        ));
        assert!(matches!(desk.not_sendable().await, Err(Error::Unanswerable)));
    });
}

#[test]
fn an_awaited_method_keeps_nobody_waiting_and_can_be_given_up() {
    let office = Office::open();
    run(async {
        let desk = office.client().awaited();
        tokio::select! {
            outcome = tokio::spawn(desk.wait()) => panic!("nobody gave up: {outcome:?}"),
            sum = desk.add(20, 22) => assert_eq!(sum.unwrap(), 42),
        }
        let impatient = office.client().within(Duration::from_millis(5)).awaited();
        let outcome = impatient.wait().await;
        assert!(
            matches!(outcome, Err(Error::Door(CallError::TimedOut))),
            "{outcome:?}"
        );
    });
}
