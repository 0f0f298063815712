//! What happens between fork and exec of a command.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Number of the first descriptor a command is given.
pub(crate) const FIRST: i32 = 3;

/// Gives `command` descriptors from [`FIRST`] on and a session of its own, and makes it end when the thread that starts it does.
/// `fds` must lie beyond the numbers given.
///
/// # Errors
/// `InvalidInput` if one of `fds` lies among the numbers given.
pub(crate) fn prepare(command: &mut Command, fds: Vec<OwnedFd>) -> io::Result<()> {
    let parent = std::process::id().cast_signed();
    let mut places = Vec::with_capacity(fds.len());
    for (to, fd) in (FIRST..).zip(&fds) {
        places.push((fd.as_raw_fd(), to));
    }
    let end = FIRST + i32::try_from(fds.len()).unwrap_or(i32::MAX - FIRST);
    if places.iter().any(|(from, _)| *from < end) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let between = move || {
        // Kept alive until here by the move.
        let _ = &fds;
        // Signals of the terminal are for doorctl, which kills what has to be killed. Who leads a session cannot leave its group.
        // SAFETY: no arguments.
        let session = unsafe { libc::setsid() };
        // SAFETY: sets an attribute of this process, which has one thread.
        let status = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: no arguments.
        let orphaned = unsafe { libc::getppid() } != parent;
        // Server threads block all signals, and a new process inherits that.
        let mut none = std::mem::MaybeUninit::uninit();
        // SAFETY: fills the set it is given.
        unsafe { libc::sigemptyset(none.as_mut_ptr()) };
        // SAFETY: the set was filled just above.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
        if session < 0 || status != 0 || orphaned {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        for (from, to) in &places {
            // SAFETY: both are numbers; `to` is one that `reserve` keeps free of anything this program uses.
            if unsafe { libc::dup2(*from, *to) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure only makes system calls that are safe after fork: it neither allocates nor locks. `io::Error` of a number
    // does not allocate.
    unsafe { command.pre_exec(between) };
    Ok(())
}

/// Occupies the `count` numbers from [`FIRST`] on, so that nothing this program opens later gets one of them.
///
/// # Errors
/// Those of open(2).
pub(crate) fn reserve(count: usize) -> io::Result<Vec<OwnedFd>> {
    let end = FIRST + i32::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut reserved = Vec::new();
    loop {
        let fd: OwnedFd = std::fs::File::open("/dev/null")?.into();
        if fd.as_raw_fd() >= end {
            return Ok(reserved);
        }
        reserved.push(fd);
    }
}
