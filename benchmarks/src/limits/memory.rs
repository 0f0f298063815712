//! Bare shared memory: a slot per client, two words and what is sent. The least that a call between two processes can do.

use std::fs::{File, OpenOptions};
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::thread::futex;

use crate::mechanism::{Caller, Mechanism, Meeting, ready, until_told};
use crate::shape::{Argument, Kind, Shape, TOKEN_BYTES};
use crate::sys::Shared;

/// How a side waits for the other.
pub(crate) trait Wait {
    /// Returns once `word` is no longer `old`.
    fn until_changed(word: &AtomicU32, old: u32);
    /// After a change of `word`.
    fn changed(word: &AtomicU32);
}

/// Looking all the time.
#[derive(Debug)]
pub(crate) struct Spinning;

impl Wait for Spinning {
    #[inline]
    fn until_changed(word: &AtomicU32, old: u32) {
        while word.load(Ordering::Acquire) == old {
            std::hint::spin_loop();
        }
    }

    #[inline]
    fn changed(_: &AtomicU32) {}
}

/// Sleeping at once.
#[derive(Debug)]
pub(crate) struct Sleeping;

impl Wait for Sleeping {
    #[inline]
    fn until_changed(word: &AtomicU32, old: u32) {
        while word.load(Ordering::Acquire) == old {
            match futex::wait(word, futex::Flags::empty(), old, None) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => panic!("a futex cannot be waited for: {errno}"),
            }
        }
    }

    #[inline]
    fn changed(word: &AtomicU32) {
        // It can only fail for a bad address.
        let _ = futex::wake(word, futex::Flags::empty(), 1);
    }
}

const REQUEST: usize = 0;
const REPLY: usize = 128;
const ARGUMENT: usize = 4096;

/// Where things are in a slot.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start: usize,
    shape: Shape,
}

impl Slot {
    fn new(index: u32, shape: Shape) -> Self {
        Self {
            start: index as usize * Self::bytes(shape),
            shape,
        }
    }

    /// Bytes of a slot: whole pages.
    fn bytes(shape: Shape) -> usize {
        (ARGUMENT + shape.argument() + shape.result()).next_multiple_of(4096)
    }

    fn argument(self) -> usize {
        self.start + ARGUMENT
    }

    fn result(self) -> usize {
        self.argument() + self.shape.argument()
    }
}

/// The mechanism.
#[derive(Debug)]
pub(crate) struct SharedMemory<W>(PhantomData<W>);

impl<W: Wait> Mechanism for SharedMemory<W> {
    type Caller = Client<W>;

    fn serve(meeting: &Meeting) -> Result<()> {
        let shape = meeting.shape;
        let len = meeting.clients as usize * Slot::bytes(shape);
        let file = File::from(rustix::fs::memfd_create("call-bench", MemfdFlags::CLOEXEC)?);
        file.set_len(len as u64)?;
        let shared = Arc::new(Shared::map(file.as_fd(), len)?);
        for index in 0..meeting.clients {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || answer::<W>(&shared, Slot::new(index, shape)));
        }
        let name = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        std::fs::write(meeting.path("memory"), name)?;
        ready()?;
        until_told();
        Ok(())
    }

    fn connect(meeting: &Meeting, index: u32) -> Result<Client<W>> {
        let shape = meeting.shape;
        let name = std::fs::read_to_string(meeting.path("memory"))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&name)
            .with_context(|| format!("cannot open {name}"))?;
        let len = meeting.clients as usize * Slot::bytes(shape);
        Ok(Client {
            shared: Shared::map(file.as_fd(), len)?,
            slot: Slot::new(index, shape),
            argument: Argument::new(shape, 0),
            result: vec![0; shape.result()],
            round: 0,
            wait: PhantomData,
        })
    }
}

/// Serves one client for ever.
fn answer<W: Wait>(shared: &Shared, slot: Slot) {
    let shape = slot.shape;
    let mut argument = vec![0; shape.argument()];
    let result = vec![0; shape.result()];
    let request = shared.word(slot.start + REQUEST);
    let reply = shared.word(slot.start + REPLY);
    let mut last = 0;
    loop {
        W::until_changed(request, last);
        last = last.wrapping_add(1);
        shared.read(slot.argument(), &mut argument);
        let sum = shape.look(&argument);
        if shape.kind == Kind::Use {
            shared.write(slot.result(), &sum.to_ne_bytes());
        } else {
            shared.write(slot.result(), &result);
        }
        reply.store(last, Ordering::Release);
        W::changed(reply);
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client<W> {
    shared: Shared,
    slot: Slot,
    argument: Argument,
    result: Vec<u8>,
    round: u32,
    wait: PhantomData<W>,
}

impl<W: Wait> Caller for Client<W> {
    #[inline]
    fn call(&mut self) -> Result<()> {
        self.shared.write(self.slot.argument(), self.argument.next());
        let request = self.shared.word(self.slot.start + REQUEST);
        let reply = self.shared.word(self.slot.start + REPLY);
        let old = self.round;
        self.round = old.wrapping_add(1);
        request.store(self.round, Ordering::Release);
        W::changed(request);
        W::until_changed(reply, old);
        self.shared.read(self.slot.result(), &mut self.result);
        self.argument.check(&self.result)
    }
}

const _: () = assert!(TOKEN_BYTES == size_of::<u64>());
