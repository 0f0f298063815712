//! Peers that do not keep to the rules. What they do must not reach anybody else.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use door::DoorHandle;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::support::{Server, call, call_with, file_with, pattern, text_of};

/// Size of the memory of a link: header, 64 lanes and 64 windows.
const LINK_BYTES: usize = 4096 + 64 * (16 + 256) * 1024;

fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    // A full queue is as good as a sent record here.
    let _ = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    );
}

fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// A well-formed HELLO, as the wire wants it.
fn hello() -> [u8; 32] {
    let mut record = [0; 32];
    record[..8].copy_from_slice(b"DRLN\x01\x00\x01\x00");
    record
}

/// A client made by hand: its socket, the link's memory, the bell, and the handle of the door.
struct Rogue {
    /// As long as it is held the handle is good.
    _door: DoorHandle,
    socket: OwnedFd,
    memory: &'static [AtomicU8],
    bell: OwnedFd,
    handle: u64,
}

fn rogue(door: DoorHandle) -> Rogue {
    let (ours, theirs) = pair(SocketType::SEQPACKET);
    send(door.as_fd(), &hello(), &[theirs.as_fd()]);
    drop(theirs);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut answer = [0; 256];
    let mut iov = [std::io::IoSliceMut::new(&mut answer)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    assert!(
        rustix::net::recvmsg(&ours, &mut iov, &mut control, flags)
            .unwrap()
            .bytes
            > 32
    );
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let bell = fds.pop().unwrap();
    let memory = fds.pop().unwrap();
    // SAFETY: a fresh mapping of a file that cannot shrink; it is never unmapped, and only accessed atomically.
    let base = unsafe {
        let protection = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
        rustix::mm::mmap(
            std::ptr::null_mut(),
            LINK_BYTES,
            protection,
            rustix::mm::MapFlags::SHARED,
            &memory,
            0,
        )
        .unwrap()
    };
    // SAFETY: as above.
    let memory = unsafe { std::slice::from_raw_parts(base.cast::<AtomicU8>(), LINK_BYTES) };
    let handle = u64::from_le_bytes(answer[16..24].try_into().unwrap());
    Rogue {
        _door: door,
        socket: ours,
        memory,
        bell,
        handle,
    }
}

impl Rogue {
    fn write(&self, offset: usize, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            self.memory[offset + at].store(*byte, Ordering::SeqCst);
        }
    }

    fn lane(index: usize) -> usize {
        4096 + index * (16 << 10)
    }

    /// Rings for these lanes, a bit each.
    fn ring(&self, lanes: u64) {
        self.write(256, &lanes.to_le_bytes());
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }
}

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
    let rogue = rogue(server.open("text"));
    let file = file_with("stray");
    for round in 0..300u64 {
        send(rogue.socket.as_fd(), &pattern(32, round), &[file.as_fd(); 4]);
        let mut note = hello();
        note[8] = (round % 80) as u8;
        send(rogue.socket.as_fd(), &note, &[file.as_fd(); 8]);
        // A request that announces descriptors makes a server thread look at the socket.
        let lane = Rogue::lane(round as usize % 64);
        rogue.write(lane + 8, &3u32.to_le_bytes());
        rogue.write(lane + 16, &rogue.handle.to_le_bytes());
        rogue.write(lane, &(round as u32 + 1).to_le_bytes());
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
    let rogue = rogue(server.open("echo"));
    let lane = Rogue::lane(0);
    for (seq, handle) in [rogue.handle ^ 1, rogue.handle + (1 << 32), 0, u64::MAX]
        .into_iter()
        .enumerate()
    {
        let seq = seq as u32 + 1;
        rogue.write(lane + 16, &handle.to_le_bytes());
        rogue.write(lane, &seq.to_le_bytes());
        rogue.ring(1);
        let word = |offset: usize| {
            let bytes = [0, 1, 2, 3].map(|at| rogue.memory[lane + offset + at].load(Ordering::SeqCst));
            u32::from_le_bytes(bytes)
        };
        while word(128) != seq {
            std::thread::yield_now();
        }
        assert_eq!(word(132), 2, "handle {handle:x} is stale");
    }
}

#[test]
fn a_transfer_that_stops_half_way_holds_no_thread() {
    let server = Server::start();
    let rogue = rogue(server.open("echo"));
    // On every lane: a megabyte announced, a few bytes supplied, then silence.
    for index in 0..64 {
        let lane = Rogue::lane(index);
        rogue.write(lane + 16, &rogue.handle.to_le_bytes());
        rogue.write(lane + 24, &(1u64 << 20).to_le_bytes());
        rogue.write(lane + 520, &(1u64 << 40 | 100).to_le_bytes());
        rogue.write(lane, &1u32.to_le_bytes());
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
    let rogue = rogue(server.open("big"));
    for index in 0..8 {
        let lane = Rogue::lane(index);
        rogue.write(lane + 16, &rogue.handle.to_le_bytes());
        rogue.write(lane + 24, &8u64.to_le_bytes());
        rogue.write(lane + 32, &(1u64 << 20).to_le_bytes());
        rogue.write(lane, &1u32.to_le_bytes());
    }
    rogue.ring(0xFF);
    // The rest came as files: every lane says so without a byte having been taken.
    for index in 0..8 {
        while rogue.memory[Rogue::lane(index) + 416].load(Ordering::SeqCst) != 1 {
            std::thread::yield_now();
        }
    }
    assert_eq!(call(&server.open("echo"), b"free").unwrap().data(), b"free");
}

#[test]
fn descriptors_nobody_says_a_word_about_hold_no_thread() {
    let server = Server::start();
    let rogue = rogue(server.open("refuse"));
    for index in 0..8 {
        let lane = Rogue::lane(index);
        rogue.write(lane + 16, &rogue.handle.to_le_bytes());
        rogue.write(lane, &1u32.to_le_bytes());
    }
    rogue.ring(0xFF);
    // Every offer stands in the end, by the server's own decision.
    for index in 0..8 {
        while rogue.memory[Rogue::lane(index) + 424].load(Ordering::SeqCst) != 3 {
            std::thread::yield_now();
        }
    }
    assert_eq!(call(&server.open("echo"), b"free").unwrap().data(), b"free");
}

#[test]
fn scribbling_on_link_memory_does_not_disturb_a_correct_client() {
    let server = Server::start();
    let rogue = Arc::new(rogue(server.open("echo")));
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

fn scribble(rogue: &Rogue, seed: u64, stop: &AtomicBool, scribbled: &AtomicU64) {
    let mut random = pattern(1 << 16, seed + 1).into_iter().cycle();
    let mut next = || random.next().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let index = usize::from(next() % 64);
        let lane = Rogue::lane(index);
        // The words of both sides, the bells' bits, or the valid handle, so that some requests get further.
        match next() % 8 {
            0 => rogue.write(
                256 + usize::from(next() % 64) * 8,
                &[next(), next(), next(), next()],
            ),
            1 => rogue.write(lane + 16, &rogue.handle.to_le_bytes()),
            2 => rogue.write(lane + 24, &[next(), next(), 0, 0, 0, 0, 0, 0]),
            3 => rogue.write(lane + 1024 % (usize::from(next()) + 1) * 4, &[next(), next()]),
            4 => rogue.write(1024 + index * 4, &[next() % 3]),
            5 => rogue.write(lane + 512, &[next() % 3]),
            _ => rogue.write(lane + usize::from(next()) * 4 % 560, &[next(), next() % 2]),
        }
        if next() % 16 == 0 {
            rogue.ring(1 << index);
        }
        if next() == 0 {
            // Holes read as zeros; they must not be faults.
            let page = 4096 * usize::from(next());
            // SAFETY: only the content of the mapping changes, which is accessed atomically.
            let base = rogue.memory[page..].as_ptr().cast_mut().cast();
            // SAFETY: inside the mapping.
            let _ = unsafe { rustix::mm::madvise(base, 4096, rustix::mm::Advice::LinuxRemove) };
        }
        scribbled.fetch_add(1, Ordering::Relaxed);
    }
}
