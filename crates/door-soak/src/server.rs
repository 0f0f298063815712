//! The Rust server: answers with what follows from each request, and keeps account of what it has carried out.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use door::{Door, Invocation, Reply, ReplyError};

use crate::ledger::Ledger;
use crate::message::{Kind, Request};
use crate::{process, sys, token};

/// An answer of more bytes is sent from where it is: a thread keeps the memory of others for its next one, which would look like a leak.
const KEPT: usize = 32 << 10;

/// Serves at `path` until its parent lets go of its input.
pub(crate) fn run(path: &Path) -> Result<()> {
    process::end_with_parent()?;
    let ledger = Ledger::new();
    let door = Door::builder()
        .refuse_descriptors(false)
        .create(move |mut call| {
            carry_out(&ledger, &mut call).unwrap_or_else(|error| {
                eprintln!("SOAK, process {}: a server: {error:#}", std::process::id());
                std::process::abort()
            })
        })?;
    let _attachment = door.attach(path).context("cannot attach")?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn carry_out(ledger: &Ledger, call: &mut Invocation<'_>) -> Result<Reply> {
    let request = Request::decode(call.argument())?;
    let figures = match request.kind {
        kind if kind == Kind::Count as u32 => ledger.count(request.caller),
        kind if kind == Kind::Allocated as u32 => [sys::allocated(), 0],
        _ => {
            ledger.enter(&request)?;
            [0; 2]
        }
    };
    let given = call.take_descriptors();
    ensure!(
        given.len() == request.given as usize,
        "descriptors of a request are missing"
    );
    for (descriptor, number) in given.into_iter().zip(1..) {
        ensure!(
            token::read(OwnedFd::from(descriptor))? == request.token_there(number),
            "a descriptor is another request's"
        );
    }
    let until = Instant::now() + Duration::from_micros(request.work.into());
    while request.work > 0 && Instant::now() < until {
        std::thread::yield_now();
    }
    let answer = request.answer(figures);
    let wanted: Vec<OwnedFd> = (1..=u64::from(request.wanted))
        .map(|number| token::make(request.token_back(number)))
        .collect::<Result<_, _>>()?;
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
