//! Servers that do not keep to the rules, and what a client can be made to believe, to do, or to lose by them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use door::{Answer, Call, CallError, DoorHandle};

use crate::fork::in_child;
use crate::support::{PATIENCE, Process, Server, call, file_with, is_root, listen, say, text_of, wait_until};
use crate::wire::{LANES, LinkMemory, RogueClient, RogueServer, note, progress, receive, send, word};

/// A door of a server made by hand, which has welcomed this process.
fn rogue() -> (Arc<DoorHandle>, RogueServer) {
    let (door, control) = RogueServer::door();
    let door = Arc::new(DoorHandle::from_fd(door).unwrap());
    let first = {
        let door = Arc::clone(&door);
        std::thread::spawn(move || call(&door, b"first"))
    };
    let server = RogueServer::serve(control);
    let (lane, seq) = server.request();
    server.answer(lane, seq, 0);
    first.join().unwrap().unwrap();
    (door, server)
}

type Caller = std::thread::JoinHandle<Result<Answer, CallError>>;

fn begin(door: &Arc<DoorHandle>, patience: Duration) -> Caller {
    let door = Arc::clone(door);
    std::thread::spawn(move || Ok(door.call_with(Call::new(b"x").timeout(patience))?))
}

#[test]
fn an_answer_whose_descriptors_were_sent_twice_has_the_last_ones() {
    let (door, server) = rogue();
    let caller = begin(&door, PATIENCE);
    let (lane, seq) = server.request();
    let number = u32::try_from(lane).unwrap();
    let (old, new) = (file_with("of an answer that failed half-way"), file_with("new"));
    send(
        server.link.as_fd(),
        &note(1, number, seq, 0, 300),
        &[old.as_fd(), old.as_fd()],
    );
    send(server.link.as_fd(), &note(1, number, seq, 0, 1), &[new.as_fd()]);
    server.answer(lane, seq, 1);
    let descriptors = caller.join().unwrap().unwrap().into_descriptors();
    assert_eq!(descriptors.len(), 1);
    assert_eq!(text_of(descriptors.into_iter().next().unwrap().into_fd()), "new");
}

#[test]
fn a_bell_that_is_no_bell_is_not_rung() {
    // A signal of a broken pipe would end this process, and a full pipe would hold it: Rust programs ignore the one, C programs do not.
    let refused = |make: fn() -> (OwnedFd, Option<OwnedFd>)| {
        in_child(|| {
            // SAFETY: the default action, in a process of its own.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let (door, control) = RogueServer::door();
            let serving = std::thread::spawn(move || {
                let (bell, other) = make();
                (RogueServer::welcome(control, bell), other)
            });
            let outcome = call(&DoorHandle::from_fd(door).unwrap(), b"x");
            drop(serving.join().unwrap());
            matches!(outcome, Err(CallError::Os(error)) if error.kind() == std::io::ErrorKind::InvalidData)
        })
    };
    assert!(refused(|| {
        let (_, writer) = std::io::pipe().unwrap();
        (writer.into(), None)
    }));
    assert!(refused(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        let full = rustix::pipe::fcntl_getpipe_size(&writer).unwrap();
        assert_eq!(rustix::io::write(&writer, &vec![0; full]).unwrap(), full);
        (writer.into(), Some(reader.into()))
    }));
    assert!(refused(|| {
        let (socket, _) = crate::wire::pair(rustix::net::SocketType::STREAM);
        (socket, None)
    }));
}

#[test]
fn a_lane_is_not_used_while_the_server_still_writes_a_long_reply_to_it() {
    let (door, server) = rogue();
    let short = Duration::from_millis(2);
    let timed_out = |outcome| assert!(matches!(outcome, Err(CallError::TimedOut)), "{outcome:?}");
    let seqs = |server: &RogueServer| -> Vec<u32> {
        (0..LANES)
            .map(|lane| server.memory.word(lane, word::REQ).load(Ordering::SeqCst))
            .collect()
    };
    // Every lane has a call that was given up.
    for _ in 0..LANES {
        timed_out(begin(&door, short).join().unwrap());
        server.request();
    }
    let given_up = seqs(&server);
    assert!(given_up.iter().all(|seq| *seq != 0));
    let answer_with_stream = |lane: usize, seq: u32, made: u64| {
        let memory = server.memory;
        memory.word(lane, word::PLACE).store(1, Ordering::SeqCst);
        memory.word(lane, word::STATUS).store(0, Ordering::SeqCst);
        memory
            .word(lane, word::REPLY_DESCRIPTORS)
            .store(0, Ordering::SeqCst);
        memory
            .double_word(lane, word::REPLY_LEN)
            .store(1 << 20, Ordering::SeqCst);
        memory
            .double_word(lane, word::MADE)
            .store(progress(seq, made), Ordering::SeqCst);
        server.complete(lane, seq);
    };
    // The answer of lane 5 has begun, that of lane 7 is done.
    answer_with_stream(5, given_up[5], 64 << 10);
    answer_with_stream(7, given_up[7], 1 << 20);
    let caller = begin(&door, PATIENCE);
    let (lane, seq) = server.request();
    assert_eq!(lane, 7);
    server.answer(lane, seq, 0);
    caller.join().unwrap().unwrap();
}

#[test]
fn a_server_that_answers_by_halves_blocks_no_task() {
    let (door, server) = rogue();
    // Whatever the next request is, the answer is there before it, and says that it is long: nothing of that ever comes.
    for lane in 0..LANES {
        server.memory.word(lane, word::PLACE).store(1, Ordering::SeqCst);
        let len = server.memory.double_word(lane, word::REPLY_LEN);
        len.store(1 << 20, Ordering::SeqCst);
        let next = server.memory.word(lane, word::REQ).load(Ordering::SeqCst) + 1;
        server.complete(lane, next);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            let others_run = async {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                answer = door.call_async(b"x") => panic!("there was none: {answer:?}"),
                () = others_run => {}
            }
        }
    });
}

#[test]
fn a_lane_whose_caller_gave_up_in_a_long_reply_comes_back() {
    let (door, server) = rogue();
    let memory = server.memory;
    let short = Duration::from_millis(2);
    // Every lane has a call that was given up, and one of them was being answered at length.
    let mut answered = None;
    for round in 0..LANES {
        let caller = begin(&door, if round == 9 { Duration::from_secs(1) } else { short });
        let (lane, seq) = server.request();
        if round == 9 {
            memory.word(lane, word::PLACE).store(1, Ordering::SeqCst);
            memory
                .double_word(lane, word::REPLY_LEN)
                .store(1 << 20, Ordering::SeqCst);
            memory
                .double_word(lane, word::MADE)
                .store(progress(seq, 64 << 10), Ordering::SeqCst);
            server.complete(lane, seq);
            answered = Some((lane, seq));
        }
        let outcome = caller.join().unwrap();
        assert!(matches!(outcome, Err(CallError::TimedOut)), "{outcome:?}");
    }
    let (lane, seq) = answered.unwrap();
    memory.word(lane, word::SPILLED).store(seq, Ordering::SeqCst);
    let caller = begin(&door, PATIENCE);
    let (next_lane, seq) = server.request();
    assert_eq!(next_lane, lane);
    memory.word(lane, word::PLACE).store(0, Ordering::SeqCst);
    server.answer(lane, seq, 0);
    caller.join().unwrap().unwrap();
}

#[test]
fn a_wake_that_another_thread_reads_is_not_lost() {
    let (door, server) = rogue();
    let sleep = |lane| server.memory.word(lane, word::SLEEP).load(Ordering::SeqCst);
    let leader = {
        let door = Arc::clone(&door);
        std::thread::spawn(move || {
            only_when_idle();
            let began = Instant::now();
            call(&door, b"leads").map(|_| began.elapsed())
        })
    };
    let (leads, led) = server.request();
    wait_until(|| sleep(leads) == 2);
    let follower = begin(&door, PATIENCE);
    let (follows, followed) = server.request();
    wait_until(|| sleep(follows) == 1);
    // The leader is woken, but cannot run before the other has read everything.
    let over = Arc::new(AtomicBool::new(false));
    let hog = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            on_first_processor();
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        })
    };
    server.answer(leads, led, 0);
    let file = file_with("for the follower");
    let number = u32::try_from(follows).unwrap();
    send(
        server.link.as_fd(),
        &note(1, number, followed, 0, 1),
        &[file.as_fd()],
    );
    server.answer(follows, followed, 1);
    assert_eq!(follower.join().unwrap().unwrap().into_descriptors().len(), 1);
    over.store(true, Ordering::Relaxed);
    hog.join().unwrap();
    assert!(leader.join().unwrap().unwrap() < PATIENCE);
}

fn on_first_processor() {
    let mut first = rustix::thread::CpuSet::new();
    let all = rustix::thread::sched_getaffinity(None).unwrap();
    first.set((0..64).find(|cpu| all.is_set(*cpu)).unwrap());
    rustix::thread::sched_setaffinity(None, &first).unwrap();
}

/// From now on this thread runs only if nobody else wants its processor.
fn only_when_idle() {
    on_first_processor();
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: changes how this thread is scheduled, and nothing else.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    assert_eq!(done, 0);
}

#[test]
fn a_deadline_holds_while_descriptors_wait_for_room() {
    let (door, server) = rogue();
    let file = Arc::new(file_with("x"));
    // More than a socket's queue holds, and nobody takes any.
    let callers: Vec<_> = (0..LANES)
        .map(|_| {
            let (door, file) = (Arc::clone(&door), Arc::clone(&file));
            std::thread::spawn(move || {
                let descriptors = vec![file.as_fd(); 1024];
                let request = door::engine::CallRequest {
                    data: (&b""[..]).into(),
                    descriptors: &descriptors,
                    patience: door::engine::Patience::until(
                        Instant::now().checked_add(Duration::from_secs(1)),
                    ),
                    results: true,
                };
                let mut sink = door::engine::VecSink::default();
                door::engine::call(door.as_fd(), &request, &mut sink)
                    .unwrap_err()
                    .error
            })
        })
        .collect();
    for caller in callers {
        let error = caller.join().unwrap();
        // Unprivileged users may have few descriptors on their way.
        assert!(
            matches!(error, CallError::TimedOut | CallError::OutOfDescriptors),
            "{error:?}"
        );
    }
    drop(server);
}

#[test]
fn the_proof_of_one_link_does_not_serve_another() {
    if !is_root("others are taken at the kernel's word, without a proof") {
        return;
    }
    let server = Server::start();
    // This process calls by hand, and would have somebody else answer for it: a client of a server that is in league with it. Here that
    // one is this very process, so that even the process number is right.
    let attacker = RogueClient::new(DoorHandle::open(server.path("proven")).unwrap());
    let (door, league) = rogue();
    let victim = begin(&door, PATIENCE);
    let (lane, seq) = league.request();
    attacker.post(0, 1, 0);
    attacker.ring(1);
    let (question, sockets) = receive(attacker.socket.as_fd()).unwrap();
    assert_eq!(question[6..8], 4u16.to_le_bytes());
    send(
        league.link.as_fd(),
        &note(4, u32::try_from(lane).unwrap(), seq, 0, 0),
        &[sockets[0].as_fd()],
    );
    league
        .memory
        .word(lane, word::NOTICE)
        .fetch_add(1, Ordering::SeqCst);
    league.wake(lane);
    wait_until(|| attacker.memory.word(0, word::REP).load(Ordering::SeqCst) == 1);
    let told = attacker.memory.byte(LinkMemory::lane(0) + word::RESULT_INLINE);
    assert_eq!(
        char::from(told),
        'n',
        "the server believes what another link proved"
    );
    league.answer(lane, seq, 0);
    victim.join().unwrap().unwrap();
}

#[test]
fn servers_that_come_and_go_leave_nothing_open() {
    let server = Server::start();
    let mut client = Process::start("visit", server.directory.path());
    let mut counts = Vec::new();
    for _ in 0..12 {
        let mut passing = Server::start();
        client.tell(passing.directory.path().to_str().unwrap());
        counts.push(client.wait_for("visited").parse::<usize>().unwrap());
        passing.process.kill();
    }
    client.tell("");
    assert!(client.finished_well());
    // Those of the server that died last may still be there.
    assert!(counts[11] <= counts[2] + 3, "{counts:?}");
}

/// Role: calls one server after the other, and counts its open descriptors.
pub(crate) fn visit(_directory: &Path) {
    loop {
        let directory = listen();
        if directory.is_empty() {
            return;
        }
        let echo = DoorHandle::open(Path::new(&directory).join("echo")).unwrap();
        assert_eq!(call(&echo, b"x").unwrap().data(), b"x");
        drop(echo);
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
        say(&format!("visited {open}"));
    }
}
