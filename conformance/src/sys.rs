//! The only `unsafe` of this crate: what a child does between fork and exec.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What the kernel shall hold against a child before it runs its program.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ChildLimits {
    /// `RLIMIT_NOFILE`, soft and hard.
    pub(crate) descriptors: Option<u64>,
    /// Real, effective and saved user and group id; drops all privilege.
    pub(crate) uid: Option<u32>,
}

/// Makes the kernel kill the child (SIGKILL) when the thread that starts it ends, and applies `limits`.
///
/// prctl(2), `PR_SET_PDEATHSIG`: the "parent" is the *thread*, which is why [`crate::process`] starts everything from
/// one thread that lives as long as the process.
pub(crate) fn tie_to_parent(command: &mut Command, limits: ChildLimits) {
    let parent = std::process::id();
    let prepare = move || -> io::Result<()> {
        if let Some(uid) = limits.uid {
            drop_privilege(uid)?;
        }
        // After the change of ids: setresuid(2) clears the setting.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        let still_ours = rustix::process::getppid()
            .is_some_and(|ppid| ppid.as_raw_nonzero().get().cast_unsigned() == parent);
        if !still_ours {
            return Err(io::Error::other("the parent died before exec"));
        }
        if let Some(descriptors) = limits.descriptors {
            let limit = rustix::process::Rlimit {
                current: Some(descriptors),
                maximum: Some(descriptors),
            };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?;
        }
        Ok(())
    };
    // SAFETY: `prepare` makes only system calls; it takes no lock and allocates only on the error path that ends the
    // child at once.
    unsafe { command.pre_exec(prepare) };
}

fn drop_privilege(uid: u32) -> io::Result<()> {
    // SAFETY: an empty list (length 0) needs no memory.
    let rc = unsafe { libc::setgroups(0, std::ptr::null()) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers; setresgid(2) touches no memory of ours.
    let rc = unsafe { libc::setresgid(uid, uid, uid) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers; setresuid(2) touches no memory of ours. The child has a single thread.
    let rc = unsafe { libc::setresuid(uid, uid, uid) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
