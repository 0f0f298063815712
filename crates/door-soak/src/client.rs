//! The Rust callers: each thread keeps account of what became of its calls. `c/client.c` does the same.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use door::{Answer, Call, CallError, Door, DoorHandle, Reply};

use crate::ledger::PEERS;
use crate::message::{Kind, Request};
use crate::peer::{NAMES, PATIENCE, Peer, ask};
use crate::random::Random;
use crate::shared::{CHILD, Number, Phase, Seat, Shared};
use crate::{process, sys, token};

/// Calls a forked child makes.
const CHILD_CALLS: u32 = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder of the run.
    folder: PathBuf,
    /// Where its random numbers come from.
    seed: u64,
    /// Seat of its first thread; those that call sit behind it.
    seat: usize,
    /// Calling threads.
    threads: usize,
}

/// One thread that calls.
#[derive(Debug)]
struct Caller {
    shared: Shared,
    seat: usize,
    random: Random,
    peers: Vec<Peer>,
    /// The bytes of a request.
    bytes: Vec<u8>,
    /// A door of this process for servers to call.
    own: Arc<Door>,
}

/// What is special about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It has to be answered.
    Patient,
    /// A signal may end it.
    Interruptible,
    /// It is given up soon.
    Hurried,
}

impl Caller {
    fn new(folder: &Path, shared: Shared, seat: usize, random: Random, own: Arc<Door>) -> Result<Self> {
        let life = shared.add(Number::Lives, 1) + 1;
        let peers = NAMES.iter().zip(seat * PEERS..).map(|(name, caller)| {
            let caller = u32::try_from(caller).context("no such seat")?;
            Ok(Peer::new(folder, name, caller, life))
        });
        Ok(Self {
            shared,
            seat,
            random,
            peers: peers.collect::<Result<_>>()?,
            bytes: Vec::new(),
            own,
        })
    }

    /// Calls until the run ends, and rests in between.
    fn run(mut self) -> Result<()> {
        self.shared.sits(self.seat);
        loop {
            match self.shared.phase() {
                Phase::Calling => self.call_and_fork()?,
                Phase::Rest(rest) => {
                    self.settle()?;
                    // The room of a large request would look like a leak.
                    self.bytes = Vec::new();
                    self.shared.rest(self.seat, rest);
                }
                Phase::End => return self.settle(),
            }
        }
    }

    fn call_and_fork(&mut self) -> Result<()> {
        self.call()?;
        if self.random.one_in(4000) {
            self.fork()?;
        }
        Ok(())
    }

    /// One call of some server.
    fn call(&mut self) -> Result<()> {
        let index = self.random.below(5) as usize;
        let mood = match self.random.below(200) {
            0..2 => Mood::Interruptible,
            2..4 => Mood::Hurried,
            _ => Mood::Patient,
        };
        let Some(request) = self.request(index, mood)? else {
            std::thread::yield_now();
            return Ok(());
        };
        let random = &mut self.random;
        request.encode(random.size(), &mut self.bytes);
        let mut call = Call::new(&self.bytes).timeout(match mood {
            Mood::Hurried => Duration::from_micros(random.below(1500).into()),
            // The run notices first, and tells who waits where.
            _ => 2 * PATIENCE,
        });
        if mood == Mood::Interruptible {
            call = call.interruptible();
        }
        for number in 1..=request.given.into() {
            call = call.give(token::make(request.token_there(number))?);
        }
        if request.is(Kind::CallBack) {
            call = call.lend(self.own.as_fd());
        }
        let shared = self.shared;
        shared.calls(self.seat, index, request.serial);
        let peer = &mut self.peers[index];
        let outcome = peer
            .door
            .as_ref()
            .context("a request is made for an open door")?
            .call_with(call);
        shared.set_seat(self.seat, Seat::Since, 0);
        let number = match outcome {
            Ok(answer) => {
                let sent = self.bytes.len();
                answered(shared, peer, &request, sent, answer)
                    .with_context(|| format!("an answer of {}", peer.path.display()))?
            }
            Err(failed) => account(peer, mood, failed.into())?,
        };
        shared.add_call(number);
        Ok(())
    }

    /// The next request for a server; none if it is dead.
    fn request(&mut self, index: usize, mood: Mood) -> Result<Option<Request>> {
        let Self { random, peers, .. } = self;
        let peer = &mut peers[index];
        if peer.door()?.is_none() {
            return Ok(None);
        }
        peer.serial += 1;
        let mut some_descriptors = || {
            if random.one_in(20) { random.below(4) } else { 0 }
        };
        let (given, wanted) = (some_descriptors(), some_descriptors());
        let slow = mood != Mood::Patient || random.one_in(200);
        Ok(Some(Request {
            nonce: random.next() << 16 ^ u64::from(peer.caller),
            life: peer.life,
            serial: peer.serial,
            caller: peer.caller,
            kind: match random.below(100) {
                0 => Kind::Spawn,
                1 => Kind::CallBack,
                _ => Kind::Call,
            } as u32,
            reply: random.size(),
            given,
            wanted,
            work: if slow { random.below(2000) } else { 0 },
        }))
    }

    /// A child that calls, by a descriptor it inherits and by its own.
    fn fork(&mut self) -> Result<()> {
        let (shared, seat, seed) = (self.shared, self.seat + CHILD, self.random.next());
        let folder = self.peers[0].path.parent().context("a folder")?.to_path_buf();
        let (inherited, own) = (self.peers[0].door.as_ref(), Arc::clone(&self.own));
        let well = sys::in_child(|| {
            let called = child(shared, seat, Random::new(seed, 0), &folder, inherited, own);
            if let Err(error) = &called {
                eprintln!("SOAK, process {}: a forked child: {error:#}", std::process::id());
            }
            called.is_ok()
        })?;
        ensure!(well, "a forked child failed");
        self.shared.add(Number::Children, 1);
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.peers.iter().try_for_each(Peer::settle)
    }
}

/// What a forked child does.
fn child(
    shared: Shared,
    seat: usize,
    random: Random,
    folder: &Path,
    inherited: Option<&DoorHandle>,
    parents: Arc<Door>,
) -> Result<()> {
    shared.sits(seat);
    if let Some(door) = inherited {
        ask(door, Kind::Count, 0).context("the inherited descriptor")?;
    }
    let mut own = Caller::new(folder, shared, seat, random, parents)?;
    (0..CHILD_CALLS).try_for_each(|_| own.call())?;
    own.settle()
}

/// Checks and counts an answer to `sent` bytes.
fn answered(
    shared: Shared,
    peer: &mut Peer,
    request: &Request,
    sent: usize,
    answer: Answer,
) -> Result<Number> {
    let offspring = check(request, answer)?;
    peer.answered += 1;
    shared.add(Number::There, request.given.into());
    shared.add(Number::Back, request.wanted.into());
    shared.add(Number::Bytes, sent as u64 + u64::from(request.reply));
    shared.add(Number::CalledBack, request.is(Kind::CallBack).into());
    if let Some(door) = offspring {
        try_out(&door, peer.mortal)?;
        shared.add(Number::Offspring, 1);
    }
    Ok(Number::Answered)
}

/// Looks at every byte and every descriptor of an answer; gives the door that came with it.
fn check(request: &Request, answer: Answer) -> Result<Option<DoorHandle>> {
    let (data, mut descriptors) = answer.into_parts();
    let [called_back, _] = request.figures(&data)?;
    // Its process lives; that of a forked child's door may not.
    ensure!(
        !request.is(Kind::CallBack) || called_back == 1 || request.caller as usize >= CHILD * PEERS,
        "this process was taken for dead"
    );
    let spawned = u32::from(request.is(Kind::Spawn));
    ensure!(
        descriptors.len() == (request.wanted + spawned) as usize,
        "descriptors of an answer are missing"
    );
    let offspring = descriptors.split_off(request.wanted as usize).pop();
    for (descriptor, number) in descriptors.into_iter().zip(1..) {
        ensure!(
            token::read(OwnedFd::from(descriptor))? == request.token_back(number),
            "a descriptor is another answer's"
        );
    }
    let offspring = offspring.map(|descriptor| DoorHandle::try_from(OwnedFd::from(descriptor)));
    Ok(offspring.transpose()?)
}

/// Calls a door that came with an answer.
fn try_out(door: &DoorHandle, mortal: bool) -> Result<()> {
    match ask(door, Kind::Count, 0) {
        Err(error) if !mortal => Err(error.context("a door that came with an answer")),
        _ => Ok(()),
    }
}

/// Where a failed call is counted; fails if it was none that may fail so.
fn account(peer: &mut Peer, mood: Mood, error: CallError) -> Result<Number> {
    let number = match error {
        CallError::TimedOut if mood == Mood::Hurried => Number::TimedOut,
        CallError::Interrupted if peer.mortal || mood == Mood::Interruptible => Number::Interrupted,
        CallError::Again if mood == Mood::Interruptible => Number::Again,
        CallError::Revoked if peer.mortal => Number::Revoked,
        other => bail!(
            "call {} of {} ({mood:?}) failed: {other}",
            peer.serial,
            peer.path.display()
        ),
    };
    match number {
        Number::TimedOut | Number::Interrupted => peer.uncertain += 1,
        Number::Revoked => peer.door = None,
        _ => {}
    }
    Ok(number)
}

/// Calls from some threads until the run ends.
pub(crate) fn run(options: &Options) -> Result<()> {
    process::end_with_parent()?;
    let shared = Shared::open(&options.folder)?;
    // A signal that nothing but calls notice.
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::new(AtomicBool::new(false)))?;
    let own = Arc::new(Door::builder().create(|call| {
        let nonce = call.argument().try_into().map_or(0, u64::from_le_bytes);
        Reply::bytes((!nonce).to_le_bytes())
    })?);
    let threads = (1..=options.threads).map(|number| {
        let (random, own) = (Random::new(options.seed, number as u64), Arc::clone(&own));
        let caller = Caller::new(&options.folder, shared, options.seat + number, random, own)?;
        Ok(std::thread::spawn(move || caller.run()))
    });
    let mut threads = threads.collect::<Result<Vec<_>>>()?;
    shared.sits(options.seat);
    let mut random = Random::new(options.seed, 0);
    while shared.phase() != Phase::End {
        if let Some(ended) = threads.iter().position(JoinHandle::is_finished)
            && shared.phase() != Phase::End
        {
            return join(threads.swap_remove(ended));
        }
        if let Phase::Rest(rest) = shared.phase() {
            let at_rest = |number| shared.seat(options.seat + number, Seat::Rest) == rest;
            if (1..=options.threads).all(at_rest) {
                shared.set_seat(options.seat, Seat::Allocated, sys::allocated());
                shared.rest(options.seat, rest);
            }
        } else if let Some(thread) = threads.get(random.below(4) as usize) {
            sys::interrupt(thread);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    threads.into_iter().try_for_each(join)
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow!("a calling thread panicked"))?
}
