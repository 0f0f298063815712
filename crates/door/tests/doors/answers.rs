//! The forms a reply and its receipt can take, and what becomes of descriptors.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use door::{Call, CallError, CredentialError, Door, Limits, Reply, ReplyError};

use crate::support::{PATIENCE, Process, Server, call, file_with, listen, number, pattern, say, text_of};

#[test]
fn a_reply_can_come_from_anywhere() {
    let table = pattern(300_000, 1);
    let expected = table.clone();
    let shared = file_with("the server's");
    let door = Door::builder()
        .create(move |mut call| match call.argument() {
            b"static" => Reply::from_static(b"always the same"),
            b"text" => Reply::bytes("text"),
            b"array" => Reply::bytes([1, 2, 3]),
            b"borrowed" => call.reply(&table, &[]).unwrap(),
            b"lent" => call.reply(b"", &[shared.as_fd(), shared.as_fd()]).unwrap(),
            b"buffer" => {
                let mut buffer = call.buffer();
                assert!(buffer.is_empty());
                buffer.extend_from_slice(&[9; 5000]);
                Reply::bytes(buffer)
            }
            _ => {
                let len = call.argument().len();
                call.argument_mut().reverse();
                call.reply_in_place(1..len).unwrap()
            }
        })
        .unwrap();
    let handle = door.handle().unwrap();
    let data = |argument: &[u8]| call(&handle, argument).unwrap().into_data();
    for _ in 0..3 {
        assert_eq!(data(b"static"), b"always the same");
        assert_eq!(data(b"text"), b"text");
        assert_eq!(data(b"array"), [1, 2, 3]);
        assert_eq!(data(b"borrowed"), expected);
        assert_eq!(data(b"buffer"), [9; 5000]);
        assert_eq!(data(b"in place"), b"calp ni");
        let mut large = vec![5; 700_000];
        large[0] = 1;
        let answered = data(&large);
        assert_eq!((answered.len(), answered[699_998]), (699_999, 1));
        let lent = call(&handle, b"lent").unwrap().into_descriptors();
        for descriptor in lent {
            assert_eq!(text_of(descriptor.into_fd()), "the server's");
        }
    }
}

#[test]
fn the_first_answer_counts() {
    let (second, errors) = channel();
    let door = Door::builder()
        .create(move |mut call| {
            let _ = call.reply(b"first", &[]).unwrap();
            second.send(call.reply(b"second", &[]).unwrap_err()).unwrap();
            second.send(call.reply_in_place(0..1).unwrap_err()).unwrap();
            Reply::bytes("third")
        })
        .unwrap();
    assert_eq!(call(&door.handle().unwrap(), b"x").unwrap().data(), b"first");
    for _ in 0..2 {
        let error = errors.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(error, ReplyError::Answered), "{error}");
    }
}

#[test]
fn a_part_outside_of_the_argument_fails_the_call_only() {
    let door = Door::builder()
        .create(|mut call| call.reply_in_place(0..2).unwrap())
        .unwrap();
    let handle = door.handle().unwrap();
    assert!(matches!(call(&handle, b"x"), Err(CallError::Interrupted)));
    assert_eq!(call(&handle, b"xy").unwrap().data(), b"xy");
}

#[test]
fn dr_021_a_reply_beyond_what_the_client_takes_is_lost_and_tells_its_size() {
    let server = Server::start();
    let big = server.open("big");
    for bytes in [95_u64, 97, 3 << 20] {
        let argument = bytes.to_le_bytes();
        let limit = usize::try_from(bytes).unwrap();
        let refused = big.call_with(Call::new(&argument).max_reply_bytes(limit - 1));
        assert!(
            matches!(refused.unwrap_err().error, CallError::ReplyTooBig { needed } if needed == limit),
            "{bytes}"
        );
        let taken = big.call_with(Call::new(&argument).max_reply_bytes(limit));
        assert_eq!(taken.unwrap().data().len(), limit);
    }
}

#[test]
fn memory_is_used_again_for_the_next_answer() {
    let server = Server::start();
    let big = server.open("big");
    let mut memory = vec![1, 2, 3];
    for bytes in [2_000_000_u64, 10, 0, 2_000_000] {
        let fds = big.call_reusing(&bytes.to_le_bytes(), &mut memory).unwrap();
        assert!(fds.is_empty());
        assert!(memory == pattern(usize::try_from(bytes).unwrap(), bytes));
    }
    assert!(memory.capacity() >= 2_000_000);
    let before = memory.as_ptr();
    big.call_reusing(&1_999_999_u64.to_le_bytes(), &mut memory)
        .unwrap();
    assert_eq!(memory.as_ptr(), before);
    // A failed call leaves nothing of the answer before it.
    let refused = server.open("limits").call_reusing(b"", &mut memory);
    assert!(matches!(refused.unwrap_err().error, CallError::TooBig));
    assert!(memory.is_empty() && memory.capacity() >= 2_000_000);
}

#[test]
fn an_001_given_descriptors_come_back_exactly_if_the_server_has_not_taken_them() {
    let server = Server::start();
    let lent = file_with("lent");
    let attempt = |name: &str, argument: &[u8], given: usize| {
        let call = (0..given).fold(
            Call::new(argument).timeout(PATIENCE).lend(lent.as_fd()),
            |call, n| call.give(file_with(&n.to_string())),
        );
        server.open(name).call_with(call)
    };
    // ENOTSUP, ENFILE, ENOBUFS: nothing was taken.
    for (name, argument, given) in [
        ("refuse", &b""[..], 2),
        ("limits", b"12345678", 2),
        ("limits", b"", 1),
    ] {
        let failed = attempt(name, argument, given).unwrap_err();
        assert!(failed.error.has_not_run(), "{failed}");
        let texts: Vec<String> = failed.returned.into_iter().map(text_of).collect();
        let expected: Vec<String> = (0..given).map(|n| n.to_string()).collect();
        assert_eq!(texts, expected, "{name}");
    }
    // EINTR: the procedure had them.
    let failed = attempt("panic", b"", 2).unwrap_err();
    assert!(matches!(failed.error, CallError::Interrupted) && failed.returned.is_empty());
    assert!(!failed.error.has_not_run());
    // Success: given and lent ones arrive in order, and the lent one is still ours.
    assert_eq!(attempt("text", b"", 2).unwrap().data(), b"lent,0,1");
    assert_eq!(text_of(lent), "lent");
}

#[test]
fn an_001_a_dead_server_takes_nothing() {
    let mut server = Server::start();
    let echo = server.open("echo");
    call(&echo, b"x").unwrap();
    server.process.kill();
    let failed = echo
        .call_with(Call::new(b"").give(file_with("mine")))
        .unwrap_err();
    assert!(matches!(failed.error, CallError::Revoked));
    let returned: Vec<String> = failed.returned.into_iter().map(text_of).collect();
    assert_eq!(returned, ["mine"]);
}

#[test]
fn a_door_can_be_lent_without_being_attached() {
    let server = Server::start();
    let own = Door::builder().create(|_| Reply::bytes("here")).unwrap();
    let answer = server
        .open("echo")
        .call_with(Call::new(b"").timeout(PATIENCE).lend(own.as_fd()))
        .unwrap();
    let back = answer.into_descriptors().remove(0).into_door().unwrap();
    assert_eq!(call(&back, b"").unwrap().data(), b"here");
    assert!(!own.is_unreferenced().unwrap());
}

#[test]
fn a_caller_that_wants_no_reply_gets_none() {
    let server = Server::start();
    let big = server.open("big");
    let answer = big
        .call_with(Call::new(&1_000_u64.to_le_bytes()).without_reply())
        .unwrap();
    assert!(answer.data().is_empty());
    let (kinds, seen) = channel();
    let door = Door::builder()
        .create(move |mut call| {
            kinds.send(call.reply(b"x", &[]).unwrap_err()).unwrap();
            Reply::empty()
        })
        .unwrap();
    let handle = door.handle().unwrap();
    handle.call_with(Call::new(b"").without_reply()).unwrap();
    assert!(matches!(seen.recv_timeout(PATIENCE).unwrap(), ReplyError::TooBig));
}

#[test]
fn dr_090_limits_are_read_and_changed_as_a_whole() {
    let door = Door::builder().create(|_| Reply::empty()).unwrap();
    let handle = door.handle().unwrap();
    assert_eq!(door.limits().unwrap(), Limits::default());
    let limits = Limits {
        data_min: 2,
        data_max: 3,
        ..Limits::default()
    };
    door.set_limits(limits).unwrap();
    assert_eq!(handle.info().unwrap().limits, limits);
    for (argument, fits) in [
        (&b"1"[..], false),
        (b"12", true),
        (b"123", true),
        (b"1234", false),
    ] {
        assert_eq!(call(&handle, argument).is_ok(), fits);
    }
    let errno = |limits: Limits| {
        let refused = door.set_limits(limits).unwrap_err().raw_os_error().unwrap();
        rustix::io::Errno::from_raw_os_error(refused)
    };
    let default = Limits::default();
    let (data_min, descriptors_max) = (4, 1 << 31);
    assert_eq!(errno(Limits { data_min, ..limits }), rustix::io::Errno::INVAL);
    assert_eq!(
        errno(Limits {
            descriptors_max,
            ..default
        }),
        rustix::io::Errno::RANGE
    );
    let descriptors_max = 1;
    assert_eq!(
        errno(Limits {
            descriptors_max,
            ..default
        }),
        rustix::io::Errno::NOTSUP
    );
    assert_eq!(door.limits().unwrap(), limits);
    door.revoke();
    assert_eq!(errno(default), rustix::io::Errno::BADF);
}

#[test]
fn closing_a_door_waits_for_its_procedures() {
    let (entered, entries) = channel();
    let (leave, left) = channel::<()>();
    let left = std::sync::Mutex::new(left);
    let door = Door::builder()
        .create(move |_| {
            entered.send(()).unwrap();
            left.lock().unwrap().recv().unwrap();
            Reply::bytes("finished")
        })
        .unwrap();
    let handle = Arc::new(door.handle().unwrap());
    let caller = {
        let handle = Arc::clone(&handle);
        std::thread::spawn(move || call(&handle, b"").unwrap())
    };
    entries.recv_timeout(PATIENCE).unwrap();
    let door = door.close_within(Duration::from_millis(1)).unwrap_err();
    // Revoked already, though the invocation goes on.
    assert!(matches!(call(&handle, b""), Err(CallError::Revoked)));
    let closer = std::thread::spawn(move || door.close());
    leave.send(()).unwrap();
    closer.join().unwrap();
    assert_eq!(caller.join().unwrap().data(), b"finished");
}

#[test]
fn a_procedure_can_sleep_until_its_caller_gives_up() {
    let (told, tell) = channel();
    let door = Door::builder()
        .create(move |call| {
            assert!(!call.wait_cancelled(Duration::ZERO));
            told.send(call.wait_cancelled(PATIENCE)).unwrap();
            assert!(matches!(call.credentials(), Err(CredentialError::CallerGone)));
            assert!(matches!(call.pidfd(), Err(CredentialError::CallerGone)));
            Reply::empty()
        })
        .unwrap();
    let handle = door.handle().unwrap();
    // A call that no thread has taken in time is not worth anything here.
    let heard = loop {
        let call = Call::new(b"").timeout(Duration::from_millis(20));
        let failed = handle.call_with(call).unwrap_err();
        assert!(matches!(failed.error, CallError::TimedOut));
        if let Ok(heard) = tell.recv_timeout(Duration::from_secs(1)) {
            break heard;
        }
    };
    assert!(heard);
}

#[test]
fn a_procedure_that_sleeps_notices_that_its_caller_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let (began, begins) = channel();
    let (told, tell) = channel();
    let door = Door::builder()
        .create(move |call| {
            began.send(call.pidfd().unwrap()).unwrap();
            told.send(call.wait_cancelled(None)).unwrap();
            Reply::empty()
        })
        .unwrap();
    let _attachment = door.attach(directory.path().join("door")).unwrap();
    let mut client = Process::start("call_once", directory.path());
    let pidfd = begins.recv_timeout(PATIENCE).unwrap();
    // The descriptor means this very process: it can be signalled and waited for with it.
    let info = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let info = std::fs::read_to_string(info).unwrap();
    let pid = format!("Pid:\t{}\n", client.child.id());
    assert!(info.contains(&pid), "{info}");
    rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).unwrap();
    assert!(tell.recv_timeout(PATIENCE).unwrap());
    client.child.wait().unwrap();
}

/// Role: calls the door and tells that it was answered.
pub(crate) fn call_once(directory: &std::path::Path) {
    let door = door::DoorHandle::open(directory.join("door")).unwrap();
    drop(door.call(b""));
    say("answered");
    listen();
}

#[test]
fn a_call_with_an_absolute_deadline_ends_then() {
    let server = Server::start();
    let hang = server.open("hang");
    let failed = hang
        .call_with(Call::new(b"").deadline(Instant::now()))
        .unwrap_err();
    assert!(matches!(failed.error, CallError::TimedOut));
    assert_eq!(failed.error.errno(), rustix::io::Errno::TIMEDOUT.raw_os_error());
    assert_eq!(
        number(&call(&server.open("length"), b"next").unwrap()),
        4,
        "the next call is not disturbed"
    );
}

/// Counts when it is dropped.
struct Held(Arc<AtomicU32>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn what_a_procedure_holds_is_dropped_before_its_caller_goes_on() {
    let dropped = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&dropped);
    let door = Door::builder()
        .create(move |call| {
            let held = Held(Arc::clone(&count));
            // Longer than what lives in the reply itself.
            let reply = Reply::bytes(vec![held.0.load(Ordering::SeqCst) as u8; call.argument().len()]);
            std::hint::black_box(&held);
            reply
        })
        .unwrap();
    let handle = door.handle().unwrap();
    for round in 0..100 {
        assert_eq!(call(&handle, &[0; 500]).unwrap().data(), [round as u8; 500]);
        assert_eq!(dropped.load(Ordering::SeqCst), round + 1);
    }
}
