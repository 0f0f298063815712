//! Peers that do not keep to the rules. What they do must not reach anybody else.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use door::{Door, Reply, ReplyError};
use rustix::event::{PollFd, PollFlags};
use rustix::net::SocketType;

use crate::exhaustion::order;
use crate::support::{Server, call, call_with, file_with, pattern, text_of, wait_until};
use crate::watch::Watched;
use crate::wire::{
    CHUNK_BYTES, DOZES, LinkMemory, RogueClient, WINDOW_BYTES, head, hello, note, pair, progress, receive,
    send, word,
};

#[test]
fn garbage_on_a_door_descriptor_reaches_nobody() {
    let server = Server::start();
    let abused = server.open("echo");
    let file = file_with("not a socket");
    let (reader, _writer) = std::io::pipe().unwrap();
    let (stream, _other) = pair(SocketType::STREAM);
    let (record, _end) = pair(SocketType::SEQPACKET);
    for round in 0..200u64 {
        let garbage = pattern((round * 7 % 90) as usize, round);
        send(abused.as_fd(), &garbage, &[]);
        send(abused.as_fd(), &garbage, &[file.as_fd(), reader.as_fd()]);
        send(abused.as_fd(), &hello(), &[]);
        send(abused.as_fd(), &hello(), &[file.as_fd()]);
        send(abused.as_fd(), &hello(), &[reader.as_fd()]);
        send(abused.as_fd(), &hello(), &[stream.as_fd()]);
        send(abused.as_fd(), &hello(), &[record.as_fd(), record.as_fd()]);
        let mut strange = hello();
        strange[round as usize % 8] ^= 1 << (round % 8);
        send(abused.as_fd(), &strange, &[record.as_fd()]);
        send(abused.as_fd(), &[], &[]);
    }
    assert_eq!(call(&abused, b"same").unwrap().data(), b"same");
    assert_eq!(call(&server.open("echo"), b"other").unwrap().data(), b"other");
}

#[test]
fn a_shut_down_descriptor_hurts_only_its_holder() {
    let server = Server::start();
    let (abused, other) = (server.open("echo"), server.open("echo"));
    rustix::net::shutdown(&abused, rustix::net::Shutdown::Both).unwrap();
    assert!(call(&abused, b"x").is_err());
    assert_eq!(call(&other, b"x").unwrap().data(), b"x");
}

#[test]
fn garbage_on_a_link_reaches_nobody() {
    let server = Server::start();
    let echo = server.open("echo");
    let rogue = RogueClient::new(server.open("text"));
    let file = file_with("stray");
    for round in 0..300u64 {
        send(rogue.socket.as_fd(), &pattern(32, round), &[file.as_fd(); 4]);
        let mut note = [0; 32];
        note[..8].copy_from_slice(&head(1));
        note[8] = (round % 80) as u8;
        send(rogue.socket.as_fd(), &note, &[file.as_fd(); 8]);
        // A request that announces descriptors makes a server thread look at the socket.
        let lane = LinkMemory::lane(round as usize % 64);
        rogue.memory.write(lane + 8, &3u32.to_le_bytes());
        rogue.memory.write(lane + 16, &rogue.handle.to_le_bytes());
        rogue.memory.write(lane, &(round as u32 + 1).to_le_bytes());
        rogue.ring(1 << (round % 64));
        assert_eq!(
            call(&echo, &round.to_le_bytes()).unwrap().data(),
            round.to_le_bytes()
        );
    }
    let answer = call_with(&echo, b"", vec![file_with("mine")]).unwrap();
    assert_eq!(text_of(answer.into_descriptors().remove(0).into_fd()), "mine");
}

#[test]
fn a_handle_that_was_not_given_opens_no_door() {
    let server = Server::start();
    let rogue = RogueClient::new(server.open("echo"));
    let lane = LinkMemory::lane(0);
    for (seq, handle) in [rogue.handle ^ 1, rogue.handle + (1 << 32), 0, u64::MAX]
        .into_iter()
        .enumerate()
    {
        let seq = seq as u32 + 1;
        rogue.memory.write(lane + 16, &handle.to_le_bytes());
        rogue.memory.write(lane, &seq.to_le_bytes());
        rogue.ring(1);
        let read = |offset| rogue.memory.word(0, offset).load(Ordering::SeqCst);
        while read(word::REP) != seq {
            std::thread::yield_now();
        }
        assert_eq!(read(word::STATUS), 2, "handle {handle:x} is stale");
    }
}

#[test]
fn a_transfer_that_stops_half_way_holds_no_thread() {
    let server = Server::start();
    let rogue = RogueClient::new(server.open("echo"));
    // On every lane: a megabyte announced, a few bytes supplied, then silence.
    for index in 0..64 {
        let lane = LinkMemory::lane(index);
        rogue.memory.write(lane + 16, &rogue.handle.to_le_bytes());
        rogue.memory.write(lane + 24, &(1u64 << 20).to_le_bytes());
        rogue.memory.write(lane + 520, &(1u64 << 40 | 100).to_le_bytes());
        rogue.memory.write(lane, &1u32.to_le_bytes());
    }
    rogue.ring(u64::MAX);
    let echo = server.open("echo");
    for round in 0..200u32 {
        assert_eq!(
            call(&echo, &round.to_le_bytes()).unwrap().data(),
            round.to_le_bytes()
        );
    }
}

#[test]
fn a_long_reply_nobody_takes_holds_no_thread() {
    let server = Server::start();
    let rogue = RogueClient::new(server.open("big"));
    for index in 0..8 {
        let lane = LinkMemory::lane(index);
        rogue.memory.write(lane + 16, &rogue.handle.to_le_bytes());
        rogue.memory.write(lane + 24, &8u64.to_le_bytes());
        rogue.memory.write(lane + 32, &(1u64 << 20).to_le_bytes());
        rogue.memory.write(lane, &1u32.to_le_bytes());
    }
    rogue.ring(0xFF);
    // The rest came as files: every lane says so without a byte having been taken.
    for index in 0..8 {
        while rogue.memory.word(index, word::SPILLED).load(Ordering::SeqCst) != 1 {
            std::thread::yield_now();
        }
    }
    assert_eq!(call(&server.open("echo"), b"free").unwrap().data(), b"free");
}

#[test]
fn descriptors_nobody_says_a_word_about_hold_no_thread() {
    let server = Server::start();
    let rogue = RogueClient::new(server.open("refuse"));
    for index in 0..8 {
        rogue.post(index, 1, 0);
    }
    rogue.ring(0xFF);
    // Every offer stands in the end, by the server's own decision.
    for index in 0..8 {
        while rogue.memory.word(index, word::SETTLED).load(Ordering::SeqCst) != 3 {
            std::thread::yield_now();
        }
    }
    assert_eq!(call(&server.open("echo"), b"free").unwrap().data(), b"free");
}

#[test]
fn descriptors_for_a_client_that_takes_none_any_more_are_for_nobody() {
    let (tell, told) = std::sync::mpsc::channel();
    let door = Door::builder()
        .create(move |mut call| {
            let outcome = call.reply(b"text", &[file_with("mine").as_fd()]);
            tell.send(outcome.err()).unwrap();
            Reply::empty()
        })
        .unwrap();
    let rogue = RogueClient::new(door.handle().unwrap());
    // As if it had been killed, and nobody had noticed yet.
    rustix::net::shutdown(&rogue.socket, rustix::net::Shutdown::Read).unwrap();
    rogue.post(0, 1, 0);
    rogue.ring(1);
    let error = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(matches!(error, Some(ReplyError::CallerGone)), "{error:?}");
}

#[test]
fn a_transfer_that_dribbles_holds_no_thread() {
    const LEN: u64 = 32 << 20;
    let server = Server::start();
    let rogue = RogueClient::new(server.open("echo"));
    let supplied = rogue.memory.double_word(0, word::WR);
    supplied.store(progress(1, 1), Ordering::SeqCst);
    rogue.post(0, 1, LEN);
    rogue.ring(1);
    // Byte by byte, so that there is always something to wait for: until the server has put the transfer aside.
    let taken = rogue.memory.double_word(0, word::RD);
    let consumed = || taken.load(Ordering::SeqCst) & progress(0, u64::MAX >> 24);
    let mut bytes = 1;
    while rogue.memory.word(0, word::STALLED).load(Ordering::SeqCst) != 2 {
        assert_ne!(bytes, LEN, "a thread has taken everything byte by byte");
        assert_eq!(consumed() % CHUNK_BYTES, 0, "a thread was kept busy with crumbs");
        if bytes < consumed() + WINDOW_BYTES as u64 {
            bytes += 1;
            supplied.store(progress(1, bytes), Ordering::SeqCst);
        }
        std::thread::yield_now();
    }
    assert_eq!(consumed() % CHUNK_BYTES, 0, "a thread was kept busy with crumbs");
}

#[test]
fn a_long_reply_that_is_taken_in_crumbs_holds_no_thread() {
    const LEN: u64 = 32 << 20;
    let server = Server::start();
    let rogue = RogueClient::new(server.open("big"));
    rogue
        .memory
        .write(LinkMemory::lane(0) + word::ARGUMENT_INLINE, &LEN.to_le_bytes());
    rogue.post(0, 1, 8);
    rogue.ring(1);
    let (made, eaten) = (
        rogue.memory.double_word(0, word::MADE),
        rogue.memory.double_word(0, word::EATEN),
    );
    let mut bytes = 0;
    // The rest comes as a file.
    while rogue.memory.word(0, word::SPILLED).load(Ordering::SeqCst) != 1 {
        assert_ne!(bytes, LEN, "a thread has given away everything byte by byte");
        let made = made.load(Ordering::SeqCst);
        assert_eq!(made % CHUNK_BYTES, 0, "a thread was kept busy with crumbs");
        if made > progress(1, bytes) {
            bytes += 1;
            eaten.store(progress(1, bytes), Ordering::SeqCst);
            std::thread::yield_now();
        }
    }
}

#[test]
fn scribbling_on_link_memory_does_not_disturb_a_correct_client() {
    let server = Server::start();
    let rogue = Arc::new(RogueClient::new(server.open("echo")));
    let stop = Arc::new(AtomicBool::new(false));
    let scribbled = Arc::new(AtomicU64::new(0));
    let scribblers: Vec<_> = (0..2u64)
        .map(|seed| {
            let (rogue, stop, scribbled) = (Arc::clone(&rogue), Arc::clone(&stop), Arc::clone(&scribbled));
            std::thread::spawn(move || scribble(&rogue, seed, &stop, &scribbled))
        })
        .collect();
    let echo = server.open("echo");
    let mut round = 0u64;
    // Enough of both, whatever the machine is doing.
    while round < 3000 || scribbled.load(Ordering::Relaxed) < 300_000 {
        let sent = pattern((round % 40 * 250) as usize, round);
        assert!(call(&echo, &sent).unwrap().data() == sent, "round {round}");
        round += 1;
    }
    stop.store(true, Ordering::Relaxed);
    for scribbler in scribblers {
        scribbler.join().unwrap();
    }
    assert_eq!(call(&server.open("echo"), b"alive").unwrap().data(), b"alive");
}

fn scribble(rogue: &RogueClient, seed: u64, stop: &AtomicBool, scribbled: &AtomicU64) {
    let mut random = pattern(1 << 16, seed + 1).into_iter().cycle();
    let mut next = || random.next().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let index = usize::from(next() % 64);
        let lane = LinkMemory::lane(index);
        // The words of both sides, the bells' bits, or the valid handle, so that some requests get further.
        match next() % 8 {
            0 => rogue.memory.write(
                256 + usize::from(next() % 64) * 8,
                &[next(), next(), next(), next()],
            ),
            1 => rogue.memory.write(lane + 16, &rogue.handle.to_le_bytes()),
            2 => rogue.memory.write(lane + 24, &[next(), next(), 0, 0, 0, 0, 0, 0]),
            3 => rogue
                .memory
                .write(lane + 1024 % (usize::from(next()) + 1) * 4, &[next(), next()]),
            4 => rogue.memory.write(1024 + index * 4, &[next() % 3]),
            5 => rogue.memory.write(lane + 512, &[next() % 3]),
            _ => rogue
                .memory
                .write(lane + usize::from(next()) * 4 % 560, &[next(), next() % 2]),
        }
        if next() % 16 == 0 {
            rogue.ring(1 << index);
        }
        if next() == 0 {
            // Holes read as zeros; they must not be faults.
            rogue.memory.punch(usize::from(next()));
        }
        scribbled.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn descriptors_no_request_takes_leave_room_in_the_server() {
    let mut server = Server::start();
    let (echo, sizes) = (server.open("echo"), server.open("sizes"));
    call(&echo, b"warm").unwrap();
    call(&sizes, b"").unwrap();
    order(&mut server, "descriptors 300");
    let file = file_with("stray");
    let rogues: Vec<_> = (0..2).map(|_| RogueClient::new(server.open("echo"))).collect();
    for rogue in &rogues {
        for index in 0..60 {
            let number = u32::try_from(index).unwrap();
            send(
                rogue.socket.as_fd(),
                &note(1, number, 77, 0, 8),
                &[file.as_fd(); 8],
            );
        }
        // A request with descriptors makes a server thread take them all in.
        rogue
            .memory
            .word(63, word::REQUEST_DESCRIPTORS)
            .store(1, Ordering::SeqCst);
        rogue.post(63, 1, 0);
        rogue.ring(1 << 63);
        wait_until(|| rogue.memory.word(63, word::REP).load(Ordering::SeqCst) == 1);
    }
    let (application, _) = Watched::of(&server.process).descriptors();
    assert!(application < 230, "{application} descriptors");
    // The server can still open what it needs, and others are served.
    assert!(call(&sizes, b"").is_ok());
    assert_eq!(call(&echo, b"free").unwrap().data(), b"free");
}

#[test]
fn a_client_that_is_slow_to_take_descriptors_keeps_its_link() {
    let server = Server::start();
    let rogue = RogueClient::new(server.open("many"));
    let answered = |index, seq| {
        wait_until(|| {
            rogue.memory.word(index, word::SETTLED).load(Ordering::SeqCst) & 1 == 1
                || rogue.memory.word(index, word::REP).load(Ordering::SeqCst) == seq
        });
    };
    // More than a client may leave lying about: what does not fit fails the call, nothing else.
    for index in 0..12 {
        rogue.post(index, 1, 0);
        rogue.ring(1 << index);
        answered(index, 1);
    }
    let status = |index| rogue.memory.word(index, word::STATUS).load(Ordering::SeqCst);
    let refused = (0..12).filter(|index| status(*index) != 0).count();
    assert!((1..8).contains(&refused), "{refused} of 12");
    assert!(is_linked(&rogue));
    let mut received = 0;
    while !drained(&rogue) {
        received += receive(rogue.socket.as_fd()).unwrap().1.len();
    }
    assert!(received > 1000, "{received} descriptors");
    rogue.post(0, 2, 0);
    rogue.ring(1);
    assert_eq!(receive(rogue.socket.as_fd()).unwrap().1.len(), 200);
}

fn polled(rogue: &RogueClient, events: PollFlags) -> bool {
    let zero = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut [PollFd::new(&rogue.socket, events)], Some(&zero)).unwrap() > 0
}

fn is_linked(rogue: &RogueClient) -> bool {
    !polled(rogue, PollFlags::RDHUP)
}

fn drained(rogue: &RogueClient) -> bool {
    !polled(rogue, PollFlags::IN)
}

#[test]
fn a_thread_that_dozes_on_a_lane_gets_up_by_itself() {
    // A client that writes to the word a thread sleeps on at the wrong moment could make it miss that it is called.
    let server = Server::start();
    let rogue = RogueClient::new(server.open("echo"));
    let dozes = || rogue.memory.attending(0).load(Ordering::SeqCst) & DOZES != 0;
    let mut seq = 0;
    wait_until(|| {
        seq += 1;
        rogue.post(0, seq, 0);
        rogue.ring(1);
        wait_until(|| rogue.memory.word(0, word::REP).load(Ordering::SeqCst) == seq);
        // Whether it is worth while is the thread's own decision: after some calls in a row, if others hear the bells.
        (0..10_000).any(|_| dozes())
    });
    wait_until(|| !dozes());
}
