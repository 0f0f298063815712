//! `doorctl bench`.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use door::{Call, DoorHandle};

use crate::cli::seconds;
use crate::open;
use crate::output::{self, Table};

/// Measure a door: how long calls take, and how many a second it answers.
///
/// The door is really called: with an argument of zeros, as often as it answers. In the same run, in turns, as many bytes are sent to a
/// process of its own over a Unix stream socket and back, to compare with.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the door is attached.
    path: PathBuf,
    /// Size of the argument in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    size: usize,
    /// Threads that call at the same time.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// How long each of the two is measured.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "3")]
    seconds: Duration,
    /// Give up if the first call takes longer than this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    deadline: Duration,
}

/// The hidden command that answers the socket.
pub(crate) const ECHO: &str = "echo-records";
/// Turns each of the two has.
const TURNS: u32 = 6;
/// Calls of which one is timed: the clock takes longer than a part of a call.
const TIMED: u64 = 8;

/// What was measured of one of the two.
#[derive(Default)]
struct Measured {
    calls: u64,
    time: Duration,
    /// Nanoseconds of the calls that were timed, in order of size at the end.
    samples: Vec<u64>,
}

impl Measured {
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    fn rate(&self) -> f64 {
        self.calls as f64 / self.time.as_secs_f64()
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position among fewer than 2^52 samples"
    )]
    fn quantile(&self, share: f64) -> Duration {
        let last = self.samples.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        Duration::from_nanos(self.samples.get(at).copied().unwrap_or(0))
    }
}

pub(crate) fn run(options: &Options, json: bool) -> anyhow::Result<()> {
    let door = open::door(&options.path)?;
    let argument = vec![0; options.size];
    let first = door
        .call_with(Call::new(&argument).timeout(options.deadline))
        .map_err(anyhow::Error::from)
        .with_context(|| options.path.display().to_string())?;
    let reply_bytes = first.data().len();
    let threads = usize::from(options.threads);
    let mut echoes = (0..threads)
        .map(|_| Echo::start(options.size, reply_bytes))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut callers: Vec<Caller<'_>> = (0..threads)
        .map(|_| Caller::new(&door, &argument, reply_bytes))
        .collect();
    let turn = options.seconds / TURNS;
    let (mut of_door, mut of_socket) = (Measured::default(), Measured::default());
    for _ in 0..TURNS {
        measure(&mut callers, turn, &mut of_door, Caller::call)?;
        measure(&mut echoes, turn, &mut of_socket, Echo::round_trip)?;
    }
    for measured in [&mut of_door, &mut of_socket] {
        measured.samples.sort_unstable();
    }
    report(options, reply_bytes, &of_door, &of_socket, json)
}

/// Lets all `callers` do `once` over and over, each on a thread of its own.
fn measure<T: Send>(
    callers: &mut [T],
    turn: Duration,
    total: &mut Measured,
    once: fn(&mut T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let end = start + turn;
    let measured: Vec<anyhow::Result<Measured>> = std::thread::scope(|scope| {
        let threads: Vec<_> = callers
            .iter_mut()
            .map(|caller| {
                scope.spawn(move || {
                    let mut measured = Measured::default();
                    loop {
                        let start = Instant::now();
                        once(caller)?;
                        let now = Instant::now();
                        let ns = u64::try_from((now - start).as_nanos()).unwrap_or(u64::MAX);
                        measured.samples.push(ns);
                        measured.calls += 1;
                        if now >= end {
                            return Ok(measured);
                        }
                        // A slow door is timed at each call, and asked to stop in time.
                        if ns < 100_000 {
                            for _ in 1..TIMED {
                                once(caller)?;
                            }
                            measured.calls += TIMED - 1;
                        }
                    }
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<Measured>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a thread that measured failed")))
        };
        threads.into_iter().map(join).collect()
    });
    total.time += start.elapsed();
    for one in measured {
        let one = one?;
        total.calls += one.calls;
        total.samples.extend(one.samples);
    }
    Ok(())
}

fn report(
    options: &Options,
    reply_bytes: usize,
    of_door: &Measured,
    of_socket: &Measured,
    json: bool,
) -> anyhow::Result<()> {
    const SHARES: [(&str, f64); 5] = [
        (">P50", 0.5),
        (">P90", 0.9),
        (">P99", 0.99),
        (">P99.9", 0.999),
        (">MAX", 1.0),
    ];
    let ratio = of_door.rate() / of_socket.rate();
    if json {
        let one = |measured: &Measured| {
            let ns = |share| u64::try_from(measured.quantile(share).as_nanos()).unwrap_or(u64::MAX);
            serde_json::json!({
                "calls": measured.calls,
                "calls_per_second": measured.rate(),
                "p50_ns": ns(0.5), "p90_ns": ns(0.9), "p99_ns": ns(0.99), "p999_ns": ns(0.999), "max_ns": ns(1.0),
            })
        };
        return output::print_json(&serde_json::json!({
            "argument_bytes": options.size,
            "reply_bytes": reply_bytes,
            "threads": options.threads,
            "door": one(of_door),
            "socket": one(of_socket),
            "door_calls_per_socket_round_trip": ratio,
        }));
    }
    let headings = ["", ">CALLS/S"].into_iter().chain(SHARES.map(|(name, _)| name));
    let mut table = Table::new(&headings.collect::<Vec<_>>());
    for (name, measured) in [("door", of_door), ("Unix socket", of_socket)] {
        let mut row = vec![name.to_owned(), output::number(measured.rate())];
        row.extend(SHARES.map(|(_, share)| output::duration(measured.quantile(share))));
        table.row(row);
    }
    let text = format!(
        "{} bytes to the door, {reply_bytes} back, {} thread{}\n{}{ratio:.2} door calls in the time of one round trip over a socket\n",
        options.size,
        options.threads,
        if options.threads == 1 { "" } else { "s" },
        table.text(output::colours()),
    );
    output::print(text)
}

/// One thread's way to call the door.
struct Caller<'a> {
    door: &'a DoorHandle,
    argument: &'a [u8],
    reply: Vec<u8>,
}

impl<'a> Caller<'a> {
    fn new(door: &'a DoorHandle, argument: &'a [u8], reply_bytes: usize) -> Self {
        Self {
            door,
            argument,
            // A door may answer a little more another time.
            reply: vec![0; reply_bytes * 2 + 4096],
        }
    }

    fn call(&mut self) -> anyhow::Result<()> {
        self.door.call_into(self.argument, &mut self.reply)?;
        Ok(())
    }
}

/// A process that answers over a socket, and this end of it.
struct Echo {
    socket: UnixStream,
    child: Child,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Echo {
    /// Of nothing no message can be made: one byte at least goes each way.
    fn start(request: usize, reply: usize) -> anyhow::Result<Self> {
        let (request, reply) = (request.max(1), reply.max(1));
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .args([ECHO, &request.to_string(), &reply.to_string()])
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a process to compare with")?;
        Ok(Self {
            socket: ours,
            child,
            request: vec![0; request],
            reply: vec![0; reply],
        })
    }

    fn round_trip(&mut self) -> anyhow::Result<()> {
        self.socket.write_all(&self.request)?;
        Ok(self.socket.read_exact(&mut self.reply)?)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process at the other end: answers until the socket is closed.
pub(crate) fn echo(request: usize, reply: usize) -> anyhow::Result<()> {
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let (mut request, reply) = (vec![0; request], vec![0; reply]);
    while socket.read_exact(&mut request).is_ok() {
        socket.write_all(&reply)?;
    }
    Ok(())
}
