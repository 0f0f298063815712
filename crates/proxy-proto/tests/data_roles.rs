//! Requester and Responder, one rule at a time.

mod common;

use bytes::Bytes;
use proxy_proto::*;
use std::time::Duration;

const T0: Instant = Instant(0);
const BOOT: u64 = 5;

fn key(task: u64) -> TaskKey {
    TaskKey { boot_id: BOOT, task }
}

fn limits(data: u32, immediate: u32) -> Limits {
    Limits {
        max_data_bytes: data,
        max_immediate_bytes: immediate,
        max_tasks: 4,
    }
}

fn task(expected_in: u32, data_out: &[&'static [u8]], expected_out: u32) -> NewTask {
    NewTask {
        guid: common::lu().guid,
        lun: [0; 8],
        initiator: "i".into(),
        port: common::port(),
        session: 1,
        cdb: vec![0x28; 10],
        attribute: TaskAttribute::Simple,
        expected_in,
        expected_out,
        data_out: data_out.iter().map(|d| Bytes::from_static(d)).collect(),
    }
}

fn requester() -> Requester {
    let mut r = Requester::new(RequesterConfig {
        read_window: 8192,
        ..RequesterConfig::default()
    });
    r.set_peer_limits(limits(4096, 4));
    r
}

fn responder() -> Responder {
    let mut r = Responder::new(ResponderConfig {
        max_tasks: 2,
        max_write_bytes: 10_000,
    });
    r.set_peer_limits(limits(4096, 4));
    r
}

fn command(
    task: u64,
    expected_in: u32,
    expected_out: u32,
    read_credit: u32,
    immediate: &'static [u8],
) -> Message {
    Message::ScsiCommand(ScsiCommand {
        task,
        guid: common::lu().guid,
        lun: [0; 8],
        initiator: "i".into(),
        port: common::port(),
        session: 1,
        cdb: vec![0x28; 10],
        attribute: TaskAttribute::Simple,
        expected_in,
        expected_out,
        read_credit,
        immediate: Bytes::from_static(immediate),
    })
}

fn sent(poll: impl FnMut() -> Option<Message>) -> Vec<Message> {
    std::iter::from_fn(poll).collect()
}

fn outcome(r: &mut Requester) -> Option<Outcome> {
    match r.poll_event() {
        Some(RequesterEvent::Finished { outcome, .. }) => Some(outcome),
        _ => None,
    }
}

fn status(task: u64, total: u64, offset: u64, data: &'static [u8]) -> Message {
    let data = Bytes::from_static(data);
    Message::Status {
        task,
        status: 0,
        sense: vec![],
        data_in_total: total,
        data_offset: offset,
        data,
    }
}

#[test]
fn a_small_read_is_one_message_each_way() {
    let (mut q, mut s) = (requester(), responder());
    let n = q.begin(T0, task(4096, &[], 0)).unwrap();
    let asked = sent(|| q.poll_transmit());
    assert_eq!(asked.len(), 1);
    s.handle(BOOT, asked[0].clone());
    assert!(matches!(s.poll_event(), Some(ResponderEvent::Execute { .. })));
    s.complete(key(n), 0, vec![], vec![Bytes::from(vec![3; 4096])])
        .unwrap();
    let answered = sent(|| s.poll_transmit());
    assert_eq!(answered.len(), 1);
    q.handle(T0, answered[0].clone());
    let data = vec![Bytes::from(vec![3; 4096])];
    assert_eq!(
        outcome(&mut q),
        Some(Outcome::Status {
            status: 0,
            sense: vec![],
            data
        })
    );
    assert_eq!((q.outstanding(), s.outstanding()), (0, 0));
}

#[test]
fn read_data_never_goes_beyond_credit_and_is_topped_up_as_it_arrives() {
    let (mut q, mut s) = (requester(), responder());
    let n = q.begin(T0, task(40_960, &[], 0)).unwrap();
    s.handle(BOOT, sent(|| q.poll_transmit()).remove(0));
    s.complete(key(n), 0, vec![], vec![Bytes::from(vec![1; 40_960])])
        .unwrap();
    let mut in_flight = sent(|| s.poll_transmit());
    assert_eq!(in_flight.len(), 2, "8192 bytes of credit in pieces of 4096");
    let mut rounds = 0;
    while let Some(message) = (!in_flight.is_empty()).then(|| in_flight.remove(0)) {
        q.handle(T0, message);
        for credit in sent(|| q.poll_transmit()) {
            assert!(matches!(credit, Message::Credit { .. }));
            s.handle(BOOT, credit);
        }
        in_flight.extend(sent(|| s.poll_transmit()));
        assert!(in_flight.len() <= 3, "never more than the window");
        rounds += 1;
    }
    assert_eq!(rounds, 10);
    let Some(Outcome::Status { data, .. }) = outcome(&mut q) else {
        panic!("not finished")
    };
    assert_eq!(data.concat(), vec![1; 40_960]);
}

#[test]
fn status_waits_for_data_it_overtook_and_duplicates_change_nothing() {
    let mut q = requester();
    let n = q.begin(T0, task(8, &[], 0)).unwrap();
    let early = Message::DataIn {
        task: n,
        offset: 4,
        data: Bytes::from_static(b"efgh"),
    };
    for message in [status(n, 8, 8, b""), early.clone(), early.clone()] {
        q.handle(T0, message);
        assert_eq!(outcome(&mut q), None);
    }
    q.handle(
        T0,
        Message::DataIn {
            task: n,
            offset: 0,
            data: Bytes::from_static(b"abcd"),
        },
    );
    let Some(Outcome::Status { data, .. }) = outcome(&mut q) else {
        panic!("not finished")
    };
    assert_eq!(data.concat(), b"abcdefgh");
    q.handle(T0, early);
    q.handle(T0, status(n, 8, 8, b""));
    assert_eq!(outcome(&mut q), None, "answered once");
}

#[test]
fn data_nobody_granted_is_a_fault_of_the_peer() {
    let mut q = requester();
    let n = q.begin(T0, task(8, &[], 0)).unwrap();
    q.handle(
        T0,
        Message::DataIn {
            task: n,
            offset: 0,
            data: Bytes::from_static(b"abcdefghi"),
        },
    );
    assert_eq!(outcome(&mut q), Some(Outcome::PeerFault));
    assert!(sent(|| q.poll_transmit()).contains(&Message::AbortTask { task: n }));
}

#[test]
fn write_data_beyond_the_immediate_limit_waits_for_r2t() {
    let (mut q, mut s) = (requester(), responder());
    let n = q.begin(T0, task(0, &[b"abc", b"defgh"], 10)).unwrap();
    let first = sent(|| q.poll_transmit());
    assert!(matches!(&first[..], [Message::ScsiCommand(c)] if c.immediate == "abcd"));
    s.handle(BOOT, first[0].clone());
    s.request_data(key(n), 10).unwrap();
    let r2t = sent(|| s.poll_transmit());
    assert_eq!(
        r2t,
        [Message::R2t {
            task: n,
            offset: 4,
            length: 6
        }]
    );
    q.handle(T0, r2t[0].clone());
    q.handle(T0, r2t[0].clone());
    assert_eq!(
        q.poll_event(),
        Some(RequesterEvent::DataWanted {
            task: n,
            have: 8,
            end: 10
        })
    );
    assert!(q.supply(T0, n, Bytes::from_static(b"ij")));
    assert!(
        !q.supply(T0, n, Bytes::from_static(b"k")),
        "more than the initiator announced"
    );
    let out = sent(|| q.poll_transmit());
    assert_eq!(
        out.len(),
        2,
        "each byte is sent once although R2T came twice: {out:?}"
    );
    // In the wrong order and twice.
    for message in [&out[1], &out[0], &out[1]] {
        s.handle(BOOT, message.clone());
    }
    assert!(matches!(s.poll_event(), Some(ResponderEvent::Execute { .. })));
    let Some(ResponderEvent::DataOut { data, .. }) = s.poll_event() else {
        panic!("no data")
    };
    assert_eq!(data.concat(), b"abcdefghij");
    assert_eq!(s.poll_event(), None, "given out once");
}

#[test]
fn write_data_can_be_taken_in_steps() {
    let mut s = responder();
    s.handle(BOOT, command(1, 0, 4, 0, b"abcd"));
    s.poll_event();
    for expected in [b"ab", b"cd"] {
        s.request_data(key(1), 2).unwrap();
        let Some(ResponderEvent::DataOut { data, .. }) = s.poll_event() else {
            panic!("no data")
        };
        assert_eq!(data.concat(), expected);
    }
    assert_eq!(
        s.request_data(key(1), 1),
        Err(UnknownTask),
        "the initiator has announced no more"
    );
    assert_eq!(s.poll_transmit(), None, "all of it was immediate");
}

#[test]
fn a_command_is_executed_once_however_often_it_arrives() {
    let mut s = responder();
    s.handle(BOOT, command(1, 0, 0, 0, b""));
    s.handle(BOOT, command(1, 0, 0, 0, b""));
    assert!(s.poll_event().is_some() && s.poll_event().is_none());
    s.complete(key(1), 0, vec![], vec![]).unwrap();
    s.handle(BOOT, command(1, 0, 0, 0, b""));
    assert_eq!(s.poll_event(), None, "not after it has ended either");
    assert_eq!(s.complete(key(1), 0, vec![], vec![]), Err(UnknownTask));
    // The same number from another instance of the peer is another task.
    s.handle(BOOT + 1, command(1, 0, 0, 0, b""));
    assert!(matches!(s.poll_event(), Some(ResponderEvent::Execute { key, .. }) if key.boot_id == BOOT + 1));
}

#[test]
fn a_command_that_comes_after_its_abort_is_not_executed() {
    let mut s = responder();
    s.handle(BOOT, Message::AbortTask { task: 7 });
    assert_eq!(s.poll_transmit(), Some(Message::TaskAborted { task: 7 }));
    s.handle(BOOT, command(7, 0, 0, 0, b""));
    assert_eq!(s.poll_event(), None);
}

#[test]
fn an_abort_is_confirmed_when_nothing_runs_any_more_and_no_status_follows() {
    let (mut q, mut s) = (requester(), responder());
    let n = q.begin(T0, task(0, &[], 0)).unwrap();
    s.handle(BOOT, q.poll_transmit().unwrap());
    s.poll_event();
    q.abort(T0, n);
    s.handle(BOOT, q.poll_transmit().unwrap());
    assert_eq!(s.poll_event(), Some(ResponderEvent::Abort { key: key(n) }));
    assert_eq!(s.poll_transmit(), None, "it still runs");
    s.complete(key(n), 0, vec![], vec![]).unwrap();
    assert_eq!(sent(|| s.poll_transmit()), [Message::TaskAborted { task: n }]);
    q.handle(T0, Message::TaskAborted { task: n });
    assert_eq!(outcome(&mut q), Some(Outcome::Aborted));
}

#[test]
fn over_its_limits_the_owner_refuses_without_executing() {
    let mut s = responder();
    s.handle(BOOT, command(1, 0, 9000, 0, b""));
    s.handle(BOOT, command(2, 0, 2000, 0, b""));
    let full = |task| Message::Refused {
        in_reply_to: 0,
        task,
        code: Refusal::QueueFull,
        epoch: 0,
    };
    assert_eq!(
        s.poll_transmit(),
        Some(full(2)),
        "write data of all tasks together"
    );
    s.handle(BOOT, command(3, 0, 0, 0, b""));
    s.handle(BOOT, command(4, 0, 0, 0, b""));
    assert_eq!(s.poll_transmit(), Some(full(4)), "number of tasks");
    s.complete(key(1), 0, vec![], vec![]).unwrap();
    s.handle(BOOT, command(5, 0, 2000, 0, b""));
    assert_eq!(
        sent(|| s.poll_transmit()).len(),
        1,
        "only the status of task 1: there is room again"
    );
}

#[test]
fn after_a_lost_link_new_commands_wait_for_the_old_ones_of_the_same_unit() {
    let mut s = responder();
    s.handle(BOOT, command(1, 0, 0, 0, b""));
    s.poll_event();
    s.channel_lost();
    assert_eq!(s.poll_event(), Some(ResponderEvent::Abort { key: key(1) }));
    s.handle(BOOT, command(2, 0, 0, 0, b""));
    assert_eq!(s.poll_event(), None, "task 1 may still write");
    s.aborted(key(1));
    assert!(matches!(s.poll_event(), Some(ResponderEvent::Execute { key, .. }) if key.task == 2));
    assert_eq!(s.poll_transmit(), None, "nobody waits for an answer to task 1");
}

#[test]
fn a_lost_channel_ends_every_task_once() {
    let mut q = requester();
    for _ in 0..4 {
        q.begin(T0, task(0, &[], 0)).unwrap();
    }
    assert_eq!(
        q.begin(T0, task(0, &[], 0)),
        Err(TaskRefused::Full),
        "the peer takes four"
    );
    q.channel_lost();
    let outcomes: Vec<_> = std::iter::from_fn(|| outcome(&mut q)).collect();
    assert_eq!(outcomes, vec![Outcome::ChannelLost; 4]);
    assert_eq!(q.poll_transmit(), None);
}

#[test]
fn a_task_nothing_is_heard_of_ends_at_its_deadline_and_the_owner_is_told() {
    let mut q = requester();
    let n = q.begin(T0, task(8, &[], 0)).unwrap();
    q.poll_transmit();
    let half = T0.after(Duration::from_secs(10));
    q.handle(
        half,
        Message::DataIn {
            task: n,
            offset: 0,
            data: Bytes::from_static(b"abcd"),
        },
    );
    let deadline = q.poll_timeout().unwrap();
    assert_eq!(
        deadline,
        T0.after(Duration::from_secs(30)),
        "progress moves the deadline"
    );
    q.handle_timeout(Instant(deadline.0 - 1));
    assert_eq!(outcome(&mut q), None);
    q.handle_timeout(deadline);
    assert_eq!(outcome(&mut q), Some(Outcome::TimedOut));
    assert_eq!(q.poll_transmit(), Some(Message::AbortTask { task: n }));
}

#[test]
fn a_session_that_ends_takes_its_tasks_along() {
    let mut s = responder();
    s.handle(BOOT, command(1, 0, 0, 0, b""));
    s.poll_event();
    s.handle(BOOT, Message::SessionDestroy { session: 1 });
    let heard: Vec<_> = std::iter::from_fn(|| s.poll_event()).collect();
    let ended = ResponderEvent::SessionDestroyed {
        boot_id: BOOT,
        session: 1,
    };
    assert_eq!(heard, [ResponderEvent::Abort { key: key(1) }, ended]);
}

#[test]
fn task_management_is_carried_out_once_and_answered_or_given_up() {
    let (mut q, mut s) = (requester(), responder());
    let nexus = ("i".to_owned(), common::port(), 1);
    let guid = common::lu().guid;
    let n = q.begin_task_management(
        T0,
        TaskManagementFunction::LogicalUnitReset,
        guid,
        [0; 8],
        nexus.clone(),
    );
    let request = q.poll_transmit().unwrap();
    s.handle(BOOT, request.clone());
    s.handle(BOOT, request);
    assert!(matches!(
        s.poll_event(),
        Some(ResponderEvent::TaskManagement { .. })
    ));
    assert_eq!(s.poll_event(), None);
    s.task_management_done(key(n), 0);
    q.handle(T0, s.poll_transmit().unwrap());
    assert_eq!(
        q.poll_event(),
        Some(RequesterEvent::TaskManagementDone {
            task: n,
            response: Some(0)
        })
    );
    let n = q.begin_task_management(T0, TaskManagementFunction::AbortTaskSet, guid, [0; 8], nexus);
    q.handle_timeout(T0.after(Duration::from_secs(5)));
    assert_eq!(
        q.poll_event(),
        Some(RequesterEvent::TaskManagementDone {
            task: n,
            response: None
        })
    );
}
