//! `doorctl serve`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use door::{AttachError, Door, Invocation, Reply, Threads};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::seconds;
use crate::serve_io::{self, Ended};
use crate::{output, program, sys};

/// Make a door of a command: each call runs it with the argument on its standard input; what it prints is the answer.
///
/// The command's environment has DOOR_PATH, DOOR_CALLER_PID, DOOR_CALLER_UID, DOOR_CALLER_GID, DOOR_CALLER_EUID,
/// DOOR_CALLER_EGID, and DOOR_FDS, the number of descriptors the caller sent, which are 3, 4 and so on. Its standard error is
/// that of doorctl. If it exits with anything but 0, is killed, or prints too much, the call fails (EINTR), and doorctl says why
/// on its standard error. If the caller gives up or dies, the command and its process group are killed. Each command has a session
/// and a process group of its own, without a terminal.
///
/// Ends, and detaches the door, at SIGINT, SIGTERM or SIGHUP, and when the door is detached and nobody holds it any more. Commands
/// that run then are killed with their process groups.
///
/// Not killed is what has left the process group of its command, and what a command leaves running that has ended and whose output
/// is closed. If doorctl itself is killed with SIGKILL, so are the commands, but not what they have started, nor a command with a
/// set-user-ID or set-group-ID bit or file capabilities; and the path keeps a dead door, which 'doorctl detach' cleans up.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to attach the door. Made, for this user alone, if it does not exist.
    path: PathBuf,
    /// Take descriptors of the caller, up to 64, and pass them on.
    #[arg(long)]
    accept_fds: bool,
    /// Commands that run at the same time; further calls wait.
    #[arg(long, value_name = "N", default_value = "32", value_parser = clap::value_parser!(u16).range(1..))]
    max_concurrent: u16,
    /// Greatest argument taken, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_argument: u64,
    /// Greatest answer, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_reply: usize,
    /// Kill a command that runs longer than this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    time_limit: Option<Duration>,
    /// The command and its arguments, after --. It must exist when doorctl starts.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Descriptors of one call.
const MOST_FDS: usize = 64;

struct Service {
    options: Options,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    /// Leaders of process groups that must be killed at the end.
    leaders: HashSet<Pid>,
    over: bool,
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let path = std::path::absolute(&options.path)?;
    program::check(&options.command[0])?;
    // Before there is anything to clean up.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let _reserved = if options.accept_fds {
        sys::reserve(MOST_FDS)?
    } else {
        Vec::new()
    };
    let builder = Door::builder()
        .refuse_descriptors(!options.accept_fds)
        .max_argument_bytes(options.max_argument)
        .threads(Threads::up_to(options.max_concurrent.into()))
        .on_unreferenced(|| {
            // To the process: this thread takes no signals.
            let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::TERM);
        });
    let builder = if options.accept_fds {
        builder.max_descriptors(64)
    } else {
        builder
    };
    let service = Arc::new(Service {
        options,
        running: Mutex::default(),
    });
    let answering = Arc::clone(&service);
    let door = builder.create(move |call| answering.answer(call))?;
    let attachment = door
        .attach(&path)
        .map_err(|error| match error {
            AttachError::Busy => {
                anyhow::anyhow!("another door, or another socket, is there; choose another path")
            }
            error => error.into(),
        })
        .with_context(|| path.display().to_string())?;
    output::say(format_args!("serving {}", path.display()));
    signals.forever().next();
    drop(attachment);
    door.revoke();
    service.end();
    Ok(())
}

impl Service {
    fn answer(&self, mut call: Invocation<'_>) -> Reply {
        match self.run(&mut call) {
            Ok(reply) => Reply::bytes(reply),
            Err(why) => {
                let who = call
                    .credentials()
                    .map_or_else(|_| "?".to_owned(), |who| who.pid.to_string());
                output::say(format_args!("call of process {who}: {why:#}"));
                // A door has no other way to answer with an error: its caller gets EINTR.
                std::panic::resume_unwind(Box::new(()))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, call: &mut Invocation<'_>) -> anyhow::Result<Vec<u8>> {
        let who = call.credentials()?;
        let fds: Vec<OwnedFd> = call
            .take_descriptors()
            .into_iter()
            .map(door::ReceivedDescriptor::into_fd)
            .collect();
        let name = &self.options.command[0];
        let mut command = Command::new(name);
        command
            .args(&self.options.command[1..])
            .env("DOOR_PATH", &self.options.path)
            .env("DOOR_CALLER_PID", who.pid.to_string())
            .env("DOOR_CALLER_UID", who.uid.to_string())
            .env("DOOR_CALLER_GID", who.gid.to_string())
            .env("DOOR_CALLER_EUID", who.euid.to_string())
            .env("DOOR_CALLER_EGID", who.egid.to_string())
            .env("DOOR_FDS", fds.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        sys::prepare(&mut command, fds)?;
        let mut child = Group::spawn(self, &mut command)
            .with_context(|| format!("cannot run {}", name.to_string_lossy()))?;
        drop(command);
        let limit = self.options.time_limit.map(|limit| Instant::now() + limit);
        let outcome = serve_io::converse(&mut child.child, call, self.options.max_reply, limit)?;
        match outcome {
            Ended::Printed(reply) => {
                let status = child.wait()?;
                anyhow::ensure!(
                    status.success(),
                    "{} {}",
                    name.to_string_lossy(),
                    describe(status)
                );
                Ok(reply)
            }
            Ended::Abandoned => {
                anyhow::bail!("the caller has given up; {} is killed", name.to_string_lossy())
            }
            Ended::TooMuch => anyhow::bail!(
                "{} printed more than {} bytes (--max-reply) and is killed",
                name.to_string_lossy(),
                self.options.max_reply
            ),
            Ended::TooLate => anyhow::bail!(
                "{} ran longer than --time-limit and is killed",
                name.to_string_lossy()
            ),
        }
    }

    /// Kills what runs; nothing is started any more.
    fn end(&self) {
        let mut running = self.lock();
        running.over = true;
        for leader in &running.leaders {
            let _ = rustix::process::kill_process_group(*leader, Signal::KILL);
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// A command and the process group it leads, which it cannot leave. Dropped before it has ended, both are killed.
struct Group<'a> {
    service: &'a Service,
    child: Child,
    leader: Pid,
    waited: bool,
}

impl<'a> Group<'a> {
    fn spawn(service: &'a Service, command: &mut Command) -> anyhow::Result<Self> {
        // Held while it starts, so that the end misses no command.
        let mut running = service.lock();
        anyhow::ensure!(!running.over, "doorctl ends");
        let child = command.spawn()?;
        let leader = Pid::from_child(&child);
        running.leaders.insert(leader);
        drop(running);
        Ok(Self {
            service,
            child,
            leader,
            waited: false,
        })
    }

    fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        // Until it is reaped its number stays its own. Reaped, it may be another's, which nobody may kill.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(self.leader), options))?;
        let mut running = self.service.lock();
        running.leaders.remove(&self.leader);
        let status = self.child.wait()?;
        self.waited = true;
        Ok(status)
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if !self.waited {
            let _ = rustix::process::kill_process_group(self.leader, Signal::KILL);
            let _ = self.wait();
        }
    }
}
