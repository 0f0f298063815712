//! Hostile peers that do what a string of bytes says: for fuzzers (`fuzz/`), which find such strings, and for tests.
//!
//! A peer writes to the memory of its link, rings, and sends notes and descriptors, while correct calls run. Whatever it does, a correct client of
//! a correct server gets the right answers, and a client of a hostile server gets some answer or error within its deadline.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use door::{Call, Door, DoorHandle, Reply};

use crate::wire::{LANES, LINK_BYTES, LinkMemory, RogueClient, RogueServer, head, note, receive, send};

/// What one step of a program does.
#[derive(Debug)]
enum Step {
    /// A word of a lane.
    Word(usize, usize, u64),
    /// The header: bells, hints.
    Header(usize, u64),
    /// A request with the true handle.
    Post(usize, u32, u64),
    /// An answer as it should be.
    Answer(usize),
    Ring(u64),
    Note(u16, u32, u32, u32, u64, usize),
    Raw(usize, usize),
    Window(usize, u8),
    Punch(usize),
    Yield,
}

/// Reads steps off bytes; the end of them is the end of the program.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn lane(&mut self) -> Option<usize> {
        // Few, so that steps meet.
        Some(usize::from(self.byte()?) % 4)
    }

    /// Numbers around the borders of things, or any.
    fn number(&mut self) -> Option<u64> {
        let small = u64::from(self.byte()?);
        Some(match small {
            0..=63 => small,
            64..=127 => 1 << (small - 64),
            128..=191 => (1 << (small - 128)) - 1,
            192..=207 => (1 << 40) | ((64 << 10) * (small - 192)),
            208..=223 => 7552 + small - 215,
            _ => {
                let mut value = 0;
                for _ in 0..small % 8 + 1 {
                    value = value << 8 | u64::from(self.byte()?);
                }
                value
            }
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any number is as good as another")]
impl Iterator for Program<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        Some(match self.byte()? % 12 {
            0 | 1 => Step::Word(self.lane()?, usize::from(self.byte()?) % 140 * 4, self.number()?),
            2 => Step::Header(usize::from(self.byte()?) % 128 * 8, self.number()?),
            3 | 4 => Step::Post(self.lane()?, self.byte()?.into(), self.number()?),
            5 => Step::Answer(self.lane()?),
            6 => Step::Ring(self.number()?),
            7 => Step::Note(
                u16::from(self.byte()? % 6),
                self.byte()?.into(),
                self.number()? as u32,
                self.byte()?.into(),
                self.number()?,
                usize::from(self.byte()? % 6),
            ),
            8 => Step::Raw(usize::from(self.byte()?) % 48, usize::from(self.byte()?) % 6),
            9 => Step::Window(self.lane()?, self.byte()?),
            10 => Step::Punch(self.number()? as usize % (LINK_BYTES / 4096)),
            _ => Step::Yield,
        })
    }
}

/// Descriptors to send: a file, both ends of a pipe, a socket.
fn things() -> Vec<OwnedFd> {
    let (reader, writer) = std::io::pipe().unwrap();
    let (socket, _) = crate::wire::pair(rustix::net::SocketType::SEQPACKET);
    let file = std::fs::File::open("/proc/self/stat").unwrap();
    vec![file.into(), reader.into(), writer.into(), socket]
}

fn step(step: &Step, memory: LinkMemory, socket: BorrowedFd<'_>, things: &[OwnedFd]) {
    let some: Vec<BorrowedFd<'_>> = things.iter().map(AsFd::as_fd).cycle().take(5).collect();
    match *step {
        Step::Word(lane, offset, value) => {
            let bytes = value.to_le_bytes();
            memory.write(
                LinkMemory::lane(lane) + offset,
                &bytes[..if value > u64::from(u32::MAX) { 8 } else { 4 }],
            );
        }
        Step::Header(offset, value) => memory.write(256 + offset, &value.to_le_bytes()),
        Step::Window(lane, byte) => memory.write(4096 + LANES * (16 << 10) + lane * (256 << 10), &[byte; 64]),
        Step::Punch(page) => memory.punch(page),
        Step::Note(kind, lane, seq, first, len, fds) => {
            send(socket, &note(kind, lane, seq, first, len), &some[..fds]);
        }
        Step::Raw(len, fds) => send(socket, &[0xD0; 48][..len], &some[..fds]),
        Step::Post(..) | Step::Answer(_) | Step::Ring(_) | Step::Yield => std::thread::yield_now(),
    }
}

/// The descriptors of this process's own echoing door, which is attacked over and over.
fn echo() -> &'static (Door, DoorHandle) {
    static ECHO: OnceLock<(Door, DoorHandle)> = OnceLock::new();
    ECHO.get_or_init(|| {
        let door = Door::builder()
            .refuse_descriptors(false)
            .create(|mut call| {
                let reply = Reply::bytes(call.argument());
                call.take_descriptors().into_iter().fold(reply, Reply::give)
            })
            .unwrap();
        let handle = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
        (door, handle)
    })
}

/// A hostile client beside a correct one.
pub(crate) fn client(input: &[u8]) {
    let (door, handle) = echo();
    let rogue = RogueClient::new(DoorHandle::from_fd(door.lend().unwrap()).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let things = things();
            for each in Program(input) {
                match each {
                    Step::Post(lane, seq, len) => {
                        rogue.post(lane, seq, len);
                        rogue.ring(1 << lane);
                    }
                    Step::Ring(lanes) => rogue.ring(lanes),
                    other => step(&other, rogue.memory, rogue.socket.as_fd(), &things),
                }
            }
        });
        for len in [0, 90, 5000, 70_000, input.len()] {
            let sent: Vec<u8> = input.iter().copied().chain(0..=255).cycle().take(len).collect();
            let call = Call::new(&sent).timeout(Duration::from_secs(60));
            let call = if len == 90 {
                call.give(things().remove(0))
            } else {
                call
            };
            let answer = handle.call_with(call).unwrap();
            assert!(answer.data() == sent, "{len} bytes came back as others");
            assert_eq!(answer.into_descriptors().len(), usize::from(len == 90));
        }
    });
}

/// A hostile server and a correct client.
pub(crate) fn server(input: &[u8]) {
    let (door, control) = RogueServer::door();
    let handle = DoorHandle::from_fd(door).unwrap();
    let (first, rest) = input.split_first().unwrap_or((&0, &[]));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if first % 8 == 7 {
                // No proper welcome: anything, with anything.
                if let Some((_, fds)) = receive(control.as_fd()) {
                    let things = things();
                    let some: Vec<_> = things.iter().map(AsFd::as_fd).collect();
                    let mut answer = [0; 104];
                    answer[..8].copy_from_slice(&head(0x8000));
                    answer[96..].copy_from_slice(&(LINK_BYTES as u64).to_le_bytes());
                    let from = rest.len().min(96 - 8);
                    answer[8..8 + from].copy_from_slice(&rest[..from]);
                    send(fds[0].as_fd(), &answer, &some[..usize::from(first / 8) % 4]);
                }
                return;
            }
            let server = RogueServer::serve(control);
            let things = things();
            for each in Program(rest) {
                match each {
                    Step::Answer(lane) => {
                        let seq = server.memory.word(lane, 0).load(Ordering::SeqCst);
                        server.answer(lane, seq, 0);
                    }
                    Step::Post(lane, ..) => {
                        // Whatever the words say is the answer now.
                        let seq = server.memory.word(lane, 0).load(Ordering::SeqCst);
                        server.complete(lane, seq);
                    }
                    other => step(&other, server.memory, server.link.as_fd(), &things),
                }
            }
        });
        for len in [1, 300_000] {
            let sent = vec![7; len];
            let mut call = Call::new(&sent).timeout(Duration::from_millis(3));
            if first & 16 != 0 {
                call = call.give(things().remove(0));
            }
            if let Ok(answer) = handle.call_with(call) {
                assert!(answer.data().len() <= 1 << 30);
            }
        }
        drop(handle);
    });
}
