//! Talking to a command: its input, its output, its end, and its caller's.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::Child;
use std::time::{Duration, Instant};

use door::Invocation;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};

/// How often it is looked whether the caller still waits.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

/// What became of a command.
pub(crate) enum Ended {
    /// It has ended, having printed this.
    Printed(Vec<u8>),
    /// Its caller does not wait any more.
    Abandoned,
    /// It printed more than it may.
    TooMuch,
    /// It ran longer than it may.
    TooLate,
}

/// Gives a command the argument, and takes what it prints, until it has closed its output and ended. It is to be killed otherwise.
pub(crate) fn converse(
    child: &mut Child,
    call: &Invocation<'_>,
    max_reply: usize,
    limit: Option<Instant>,
) -> anyhow::Result<Ended> {
    let exit = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut rest = call.argument();
    let mut input = child.stdin.take();
    let mut output = child.stdout.take();
    if let Some(input) = &input {
        rustix::io::ioctl_fionbio(input, true)?;
    }
    if let Some(output) = &output {
        rustix::io::ioctl_fionbio(output, true)?;
    }
    let mut reply = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        if rest.is_empty() {
            // The command sees the end of its input.
            input = None;
        }
        let waits_for_exit = output.is_none();
        let ready = {
            let fds = [
                input.as_ref().map(|input| (input.as_fd(), PollFlags::OUT)),
                output.as_ref().map(|output| (output.as_fd(), PollFlags::IN)),
                waits_for_exit.then(|| (exit.as_fd(), PollFlags::IN)),
            ];
            poll(fds)?
        };
        if call.is_cancelled() {
            return Ok(Ended::Abandoned);
        }
        if limit.is_some_and(|limit| Instant::now() >= limit) {
            return Ok(Ended::TooLate);
        }
        if let (true, Some(pipe)) = (ready[0], &mut input) {
            match pipe.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                // A command need not read its input.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => rest = &[],
                Err(error) => return Err(error.into()),
            }
        }
        if let (true, Some(pipe)) = (ready[1], &mut output) {
            match pipe.read(&mut piece) {
                Ok(0) => output = None,
                Ok(read) if reply.len() + read > max_reply => return Ok(Ended::TooMuch),
                Ok(read) => reply.extend_from_slice(&piece[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if ready[2] {
            return Ok(Ended::Printed(reply));
        }
    }
}

/// Waits until something can be done with one of the descriptors, but not for long; tells with which.
fn poll<const N: usize>(fds: [Option<(BorrowedFd<'_>, PollFlags)>; N]) -> anyhow::Result<[bool; N]> {
    let given: Vec<_> = fds.iter().flatten().collect();
    let mut polled: Vec<PollFd<'_>> = given
        .iter()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    let glance = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: GLANCE.subsec_nanos().into(),
    };
    match rustix::event::poll(&mut polled, Some(&glance)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut ready = polled.iter().map(|fd| !fd.revents().is_empty());
    Ok(fds.map(|fd| fd.is_some() && ready.next().unwrap_or(false)))
}
