//! Clients that are there and do nothing: what a server must not notice.

use std::fs::File;
use std::io::{Read as _, Write as _};

use anyhow::{Result, ensure};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::mechanism::{Caller as _, Mechanism, Meeting, ready, until_told};
use crate::sys;

/// Makes `count` processes that connect, call once and stay until [`until_told`] returns.
pub(crate) fn stay<M: Mechanism>(meeting: &Meeting, count: u32) -> Result<()> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut children = Children(Vec::new());
    for index in 0..count {
        let writer = &writer;
        let child = || idle::<M>(meeting, index, &mut File::from(writer.try_clone()?));
        let run = || child().map_or(1, |never: std::convert::Infallible| match never {});
        children.0.push(sys::fork(run)?);
    }
    drop(writer);
    let mut there = Vec::new();
    File::from(reader)
        .take(u64::from(count))
        .read_to_end(&mut there)?;
    ensure!(
        there.len() == count as usize,
        "only {} of {count} clients came",
        there.len()
    );
    ready()?;
    until_told();
    drop(children);
    Ok(())
}

/// Calls once, says so, and waits to be killed.
fn idle<M: Mechanism>(meeting: &Meeting, index: u32, there: &mut File) -> Result<std::convert::Infallible> {
    let mut caller = M::connect(meeting, index)?;
    caller.call()?;
    there.write_all(b".")?;
    loop {
        std::thread::park();
    }
}

/// Processes to be killed when this goes.
struct Children(Vec<Pid>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &self.0 {
            // They are not reaped before the next loop, so the numbers are still theirs.
            let _ = kill_process(*child, Signal::KILL);
        }
        for child in &self.0 {
            let _ = waitpid(Some(*child), WaitOptions::empty());
        }
    }
}
