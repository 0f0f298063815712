//! The Rust server: answers with what follows from each request, and keeps account of what it has carried out.

use std::collections::HashMap;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use door::{Builder, Call, CallError, Door, DoorHandle, Invocation, Reply, ReplyError};

use crate::ledger::Ledger;
use crate::message::{Kind, Request};
use crate::peer::PATIENCE;
use crate::{process, sys, token};

/// An answer of more bytes is sent from where it is: a thread keeps the memory of others for its next one, which would look like a leak.
const KEPT: usize = 4 << 10;

/// What the server keeps.
struct Server {
    ledger: Ledger,
    /// Doors made for callers, until nobody else holds them.
    offspring: Mutex<HashMap<u64, Door>>,
    born: AtomicU64,
}

/// Serves at `path` until its parent lets go of its input.
pub(crate) fn run(path: &Path) -> Result<()> {
    process::end_with_parent()?;
    let server = Arc::new(Server {
        ledger: Ledger::new(),
        offspring: Mutex::default(),
        born: AtomicU64::new(0),
    });
    let door = server.serve(Door::builder())?;
    let _attachment = door.attach(path).context("cannot attach")?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

impl Server {
    /// A door at which everything is served.
    fn serve(self: &Arc<Self>, builder: Builder) -> Result<Door> {
        let server = Arc::clone(self);
        let door = builder.refuse_descriptors(false).create(move |mut call| {
            server.carry_out(&mut call).unwrap_or_else(|error| {
                eprintln!("SOAK, process {}: a server: {error:#}", std::process::id());
                std::process::abort()
            })
        });
        Ok(door?)
    }

    fn offspring(&self) -> MutexGuard<'_, HashMap<u64, Door>> {
        self.offspring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A door for one caller, which ends when nobody holds it any more.
    fn spawn(self: &Arc<Self>) -> Result<OwnedFd> {
        let number = self.born.fetch_add(1, Ordering::Relaxed);
        let server = Arc::clone(self);
        let door = self.serve(Door::builder().on_first_unreferenced(move || {
            let ended = server.offspring().remove(&number);
            drop(ended);
        }))?;
        let lent = door.lend()?;
        self.offspring().insert(number, door);
        Ok(lent)
    }

    fn carry_out(self: &Arc<Self>, call: &mut Invocation<'_>) -> Result<Reply> {
        let request = Request::decode(call.argument())?;
        let mut figures = if request.is(Kind::Count) {
            self.ledger.count(request.caller)
        } else if request.is(Kind::Allocated) {
            [sys::allocated(), self.offspring().len() as u64]
        } else {
            self.ledger.enter(&request)?;
            [0; 2]
        };
        let mut given = call.take_descriptors();
        ensure!(
            given.len() == request.given as usize + usize::from(request.is(Kind::CallBack)),
            "descriptors of a request are missing"
        );
        let caller = given.split_off(request.given as usize).pop();
        for (descriptor, number) in given.into_iter().zip(1..) {
            ensure!(
                token::read(OwnedFd::from(descriptor))? == request.token_there(number),
                "a descriptor is another request's"
            );
        }
        if let Some(door) = caller {
            let door = DoorHandle::try_from(OwnedFd::from(door))?;
            figures[0] = call_back(&door, &request)?.into();
        }
        let until = Instant::now() + Duration::from_micros(request.work.into());
        while request.work > 0 && Instant::now() < until {
            std::thread::yield_now();
        }
        let answer = request.answer(figures);
        let mut wanted: Vec<OwnedFd> = (1..=u64::from(request.wanted))
            .map(|number| token::make(request.token_back(number)))
            .collect::<Result<_, _>>()?;
        if request.is(Kind::Spawn) {
            wanted.push(self.spawn()?);
        }
        if answer.len() <= KEPT {
            return Ok(wanted.into_iter().fold(Reply::bytes(answer), Reply::give));
        }
        let lent: Vec<_> = wanted.iter().map(|fd| fd.as_fd()).collect();
        match call.reply(&answer, &lent) {
            Ok(reply) => Ok(reply),
            Err(ReplyError::CallerGone) => Ok(Reply::empty()),
            Err(error) => bail!("cannot answer: {error}"),
        }
    }
}

/// Calls the caller; false if that is dead.
fn call_back(door: &DoorHandle, request: &Request) -> Result<bool> {
    let nonce = request.nonce.to_le_bytes();
    match door
        .call_with(Call::new(&nonce).timeout(PATIENCE))
        .map_err(CallError::from)
    {
        Ok(answer) => {
            ensure!(
                answer.data() == (!request.nonce).to_le_bytes(),
                "a caller's own answer is another's"
            );
            Ok(true)
        }
        Err(CallError::Revoked | CallError::Interrupted) => Ok(false),
        Err(error) => Err(error).context("a caller cannot be called"),
    }
}
