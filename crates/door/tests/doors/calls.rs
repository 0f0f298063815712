//! Arguments, results, limits, and calls within calls.

use std::path::Path;
use std::sync::Arc;

use door::{CallError, Door, DoorHandle, Reply};

use crate::support::{Process, Server, call, call_with, file_with, listen, number, pattern, say};

#[test]
fn dr_015_any_size_is_echoed_whole() {
    let server = Server::start();
    let echo = server.open("echo");
    for len in [
        0,
        1,
        88,
        96,
        97,
        4095,
        7552,
        7553,
        8192,
        8193,
        16384,
        16385,
        262_144,
        262_145,
        1 << 20,
        8 << 20,
    ] {
        let sent = pattern(len, len as u64);
        let answer = call(&echo, &sent).unwrap();
        assert!(answer.data() == sent, "{len} bytes");
    }
}

#[test]
fn sizes_may_alternate_on_one_lane() {
    let server = Server::start();
    let (echo, length) = (server.open("echo"), server.open("length"));
    for round in 0..40u64 {
        let len = [1 << 20, 3, 300_000, 0, 9000][round as usize % 5] + round as usize;
        let sent = pattern(len, round);
        assert_eq!(number(&call(&length, &sent).unwrap()), len as u64);
        assert!(call(&echo, &sent).unwrap().data() == sent);
    }
}

#[test]
fn dr_164_a_reply_of_nothing_is_a_reply() {
    let server = Server::start();
    let answer = call(&server.open("empty"), b"").unwrap();
    assert!(answer.data().is_empty() && answer.into_descriptors().is_empty());
}

#[test]
fn dr_026_the_argument_is_aligned() {
    let server = Server::start();
    assert_eq!(number(&call(&server.open("aligned"), b"x").unwrap()), 0);
}

#[test]
fn dr_021_a_reply_that_does_not_fit_tells_what_it_needs() {
    let server = Server::start();
    let big = server.open("big");
    let mut buffer = [0xAA; 100];
    let error = big
        .call_into(&101u64.to_le_bytes(), &mut buffer)
        .unwrap_err()
        .error;
    assert!(matches!(error, CallError::ReplyTooBig { needed: 101 }));
    assert_eq!(buffer, [0xAA; 100]);
    assert_eq!(big.call_into(&100u64.to_le_bytes(), &mut buffer).unwrap(), 100);
    assert_eq!(buffer[..], pattern(100, 100));
}

#[test]
fn a_long_reply_that_does_not_fit_leaves_the_lane_usable() {
    let server = Server::start();
    let (big, echo) = (server.open("big"), server.open("echo"));
    let mut buffer = vec![0; 300_000];
    for _ in 0..5 {
        let error = big
            .call_into(&(3u64 << 20).to_le_bytes(), &mut buffer)
            .unwrap_err()
            .error;
        assert!(matches!(error, CallError::ReplyTooBig { needed } if needed == 3 << 20));
        let sent = pattern(290_000, 3);
        assert_eq!(echo.call_into(&sent, &mut buffer).unwrap(), sent.len());
        assert!(buffer[..sent.len()] == sent);
    }
}

#[test]
fn dr_033_data_min_is_enforced() {
    let server = Server::start();
    let limits = server.open("limits");
    assert!(matches!(call(&limits, &[0; 7]), Err(CallError::TooBig)));
    assert_eq!(call(&limits, &[0; 8]).unwrap().data().len(), 8000);
}

#[test]
fn dr_034_data_max_is_enforced_and_dr_036_not_for_results() {
    let server = Server::start();
    let limits = server.open("limits");
    assert!(matches!(call(&limits, &[0; 17]), Err(CallError::TooBig)));
    assert_eq!(call(&limits, &[0; 16]).unwrap().data().len(), 16_000);
    assert!(matches!(call(&limits, &vec![0; 1 << 20]), Err(CallError::TooBig)));
}

#[test]
fn dr_035_data_max_of_nothing_takes_nothing() {
    let server = Server::start();
    let empty = server.open("empty");
    assert!(matches!(call(&empty, &[0; 1]), Err(CallError::TooBig)));
    assert!(call(&empty, &[]).is_ok());
}

#[test]
fn dr_037_refused_descriptors_and_dr_038_but_not_in_replies() {
    let server = Server::start();
    let refuse = server.open("refuse");
    assert!(matches!(
        call_with(&refuse, b"", vec![file_with("x")]),
        Err(CallError::DescriptorsRefused)
    ));
    assert_eq!(call(&refuse, b"").unwrap().into_descriptors().len(), 1);
}

#[test]
fn dr_039_desc_max_is_enforced() {
    let server = Server::start();
    let limits = server.open("limits");
    let files = |count| (0..count).map(|_| file_with("x")).collect();
    assert!(matches!(
        call_with(&limits, &[0; 8], files(3)),
        Err(CallError::TooManyDescriptors)
    ));
    assert!(call_with(&limits, &[0; 8], files(2)).is_ok());
}

#[test]
fn dr_040_data_limits_come_before_descriptors() {
    let server = Server::start();
    let files = (0..3).map(|_| file_with("x")).collect();
    assert!(matches!(
        call_with(&server.open("limits"), &[0; 17], files),
        Err(CallError::TooBig)
    ));
}

#[test]
fn a_procedure_that_panics_fails_its_call_and_no_other() {
    let server = Server::start();
    let (panic, echo) = (server.open("panic"), server.open("echo"));
    for _ in 0..8 {
        assert!(matches!(call(&panic, b""), Err(CallError::Interrupted)));
    }
    assert_eq!(call(&echo, b"well").unwrap().data(), b"well");
}

#[test]
fn dr_008_every_door_has_its_own_number_and_dr_009_tells_who_it_is() {
    let (one, two) = (
        Door::builder().create(|_| Reply::empty()).unwrap(),
        Door::builder().create(|_| Reply::empty()).unwrap(),
    );
    let (one, two) = (one.info().unwrap(), two.info().unwrap());
    assert!(one.unique != two.unique && one.unique != 0 && two.unique != 0);
    assert_eq!(one.target, Some(std::process::id()));
    assert!(
        one.attributes
            .contains(door::Attributes::LOCAL | door::Attributes::IS_UNREF)
    );
}

#[test]
fn a_client_is_told_about_a_door_of_another_process() {
    let server = Server::start();
    let info = server.open("refuse").info().unwrap();
    assert_eq!(info.target, Some(server.process.child.id()));
    assert!(info.attributes.contains(door::Attributes::REFUSE_DESC));
    assert!(
        !info
            .attributes
            .intersects(door::Attributes::LOCAL | door::Attributes::REVOKED | door::Attributes::IS_UNREF)
    );
    let limits = server.open("limits").info().unwrap().limits;
    assert_eq!(
        (limits.data_min, limits.data_max, limits.descriptors_max),
        (8, 16, 2)
    );
}

#[test]
fn dr_121_a_process_may_call_its_own_door() {
    let caller = std::thread::current().id();
    let door = Door::builder()
        .create(move |call| {
            assert_ne!(std::thread::current().id(), caller);
            assert_eq!(call.credentials().unwrap().pid, std::process::id());
            Reply::bytes(call.argument())
        })
        .unwrap();
    let handle = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    let sent = pattern(100_000, 1);
    assert!(call(&handle, &sent).unwrap().data() == sent);
}

#[test]
fn dr_122_a_procedure_may_call_its_own_door() {
    let slot = Arc::new(std::sync::OnceLock::<DoorHandle>::new());
    let own = Arc::clone(&slot);
    let door = Door::builder()
        .create(move |invocation| {
            let depth = invocation.argument()[0];
            if depth == 0 {
                return Reply::bytes([0]);
            }
            let below = call(own.get().unwrap(), &[depth - 1]).unwrap();
            Reply::bytes([below.data()[0] + 1])
        })
        .unwrap();
    slot.set(DoorHandle::from_fd(door.lend().unwrap()).unwrap())
        .unwrap();
    assert_eq!(call(slot.get().unwrap(), &[20]).unwrap().data(), [20]);
}

#[test]
fn dr_119_the_middle_of_a_chain_is_the_caller_of_its_end() {
    let server = Server::start();
    let mut middle = Process::start("chain", server.directory.path());
    middle.wait_for("ready");
    let answer = call(&server.open("middle"), b"").unwrap();
    let said = String::from_utf8(answer.into_data()).unwrap();
    assert_eq!(said.split(' ').nth(4).unwrap(), middle.child.id().to_string());
}

/// Role: a server whose procedure calls another server.
pub(crate) fn chain(directory: &Path) {
    let end = DoorHandle::open(directory.join("who")).unwrap();
    let door = Door::builder()
        .create(move |_| Reply::bytes(call(&end, b"").unwrap().into_data()))
        .unwrap();
    let _attachment = door.attach(directory.join("middle")).unwrap();
    say("ready");
    listen();
}

#[test]
fn dr_077_callers_are_served_at_the_same_time() {
    let together = Arc::new(std::sync::Barrier::new(6));
    let waiting = Arc::clone(&together);
    let door = Door::builder()
        .create(move |_| {
            waiting.wait();
            Reply::empty()
        })
        .unwrap();
    let handle = Arc::new(DoorHandle::from_fd(door.lend().unwrap()).unwrap());
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let handle = Arc::clone(&handle);
            std::thread::spawn(move || call(&handle, b"").map(drop))
        })
        .collect();
    for caller in callers {
        caller.join().unwrap().unwrap();
    }
}

#[test]
fn more_calls_at_once_than_a_link_has_lanes() {
    let server = Server::start();
    let hang = Arc::new(server.open("hang"));
    let (reader, writer) = std::io::pipe().unwrap();
    let hung: Vec<_> = (0..100)
        .map(|_| {
            let (hang, writer) = (Arc::clone(&hang), writer.try_clone().unwrap());
            std::thread::spawn(move || call_with(&hang, b"", vec![writer.into()]).map(drop))
        })
        .collect();
    drop(writer);
    let mut begun = vec![0; hung.len()];
    std::io::Read::read_exact(&mut &reader, &mut begun).unwrap();
    assert_eq!(
        call(&server.open("echo"), b"still there").unwrap().data(),
        b"still there"
    );
    drop(server);
    for caller in hung {
        assert!(matches!(caller.join().unwrap(), Err(CallError::Interrupted)));
    }
}
