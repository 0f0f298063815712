//! How calls are measured: one thread's times, many threads' counts, and what is used when nobody calls.

use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::process::Pid;
use rustix::time::ClockId;
use serde_json::{Value, json};

use crate::clock::{Clock, as_ns, to_f64};
use crate::mechanism::{Caller, Mechanism, Meeting};
use crate::sys;

/// Calls that are timed together where reading the clock would count too much.
const BATCH: u32 = 16;
/// Most single times kept of one measurement.
const MOST_TIMES: usize = 1 << 20;
/// Least single times, however long that takes.
const LEAST_TIMES: usize = 16;
/// After the last call, before the idle time begins: longer than anybody may reasonably look for the next call.
const SETTLE: Duration = Duration::from_millis(100);

/// Processor time of both sides, from one look to the next.
#[derive(Debug)]
struct Used {
    processes: [Pid; 2],
    before: [Duration; 2],
}

impl Used {
    fn from_now(server: Pid) -> Result<Self> {
        let processes = [rustix::process::getpid(), server];
        Ok(Self {
            processes,
            before: Self::look(processes)?,
        })
    }

    fn look(processes: [Pid; 2]) -> Result<[Duration; 2]> {
        let mut times = [Duration::ZERO; 2];
        for (time, pid) in times.iter_mut().zip(processes) {
            *time = sys::processor_time(pid).ok_or_else(|| anyhow!("process {pid:?} is gone"))?;
        }
        Ok(times)
    }

    /// Microseconds that the client and the server have used.
    fn until_now(&self) -> Result<[f64; 2]> {
        let now = Self::look(self.processes)?;
        Ok([0, 1].map(|side| as_ns(now[side].saturating_sub(self.before[side])) / 1e3))
    }
}

/// One thread calls again and again for `time`, after a third of that to warm up; before each call it sleeps for `gap`.
///
/// Two thirds of the time every call is timed by itself; the rest, without a gap, goes to batches of 16.
pub(crate) fn latency(
    caller: &mut impl Caller,
    time: Duration,
    gap: Option<Duration>,
    server: Pid,
) -> Result<Value> {
    let start = Instant::now();
    let warm_up = if gap.is_some() { time / 10 } else { time / 3 };
    while start.elapsed() < warm_up {
        caller.call()?;
    }
    let clock = Clock::start();
    let ticks = |time: Duration| as_ns(time) / clock.tick_ns();
    let mut times = Vec::with_capacity(MOST_TIMES);
    let used = Used::from_now(server)?;
    let singles_start = Instant::now();
    let singles_time = if gap.is_some() { time } else { time * 2 / 3 };
    // Asking for the time of day after every call would come between calls: ask by the clock that is read anyway.
    std::thread::sleep(Duration::from_millis(1));
    let end = clock.now() + to_u64(ticks(singles_time));
    loop {
        if let Some(gap) = gap {
            std::thread::sleep(gap);
        }
        let before = clock.now();
        caller.call()?;
        let after = clock.now();
        if times.len() < MOST_TIMES {
            times.push(after.wrapping_sub(before));
        }
        if after >= end && times.len() >= LEAST_TIMES {
            break;
        }
    }
    let [client_us, server_us] = used.until_now()?;
    let calls = to_f64(times.len() as u64);
    let wall_us = as_ns(singles_start.elapsed()) / 1e3;
    times.sort_unstable();
    let overhead = clock.overhead_ticks();
    let at = |per_cent: usize| to_f64(times[times.len() * per_cent / 100].saturating_sub(overhead));
    let (p50, p99) = (at(50) * clock.tick_ns(), at(99) * clock.tick_ns());
    let mut value = json!({
        "p50_ns": p50,
        "p99_ns": p99,
        "calls": times.len(),
        "calls_per_s": calls * 1e6 / wall_us,
    });
    if gap.is_none() {
        let used = Used::from_now(server)?;
        let (batch_ns, batches) = batches(caller, &clock, time / 3)?;
        let [client_us, server_us] = used.until_now()?;
        value["batch_ns"] = batch_ns.into();
        value["client_us"] = (client_us / batches).into();
        value["server_us"] = (server_us / batches).into();
    } else {
        value["client_us"] = (client_us / calls).into();
        value["server_us"] = (server_us / calls).into();
    }
    Ok(value)
}

/// The median time of a call in batches, nanoseconds, and how many calls there were.
fn batches(caller: &mut impl Caller, clock: &Clock, time: Duration) -> Result<(f64, f64)> {
    let mut times = Vec::with_capacity(MOST_TIMES / BATCH as usize);
    let end = clock.now() + to_u64(as_ns(time) / clock.tick_ns());
    loop {
        let before = clock.now();
        for _ in 0..BATCH {
            caller.call()?;
        }
        let after = clock.now();
        if times.len() < times.capacity() {
            times.push(after.wrapping_sub(before));
        }
        if after >= end {
            break;
        }
    }
    times.sort_unstable();
    let median = times[times.len() / 2].saturating_sub(clock.overhead_ticks());
    let calls = to_f64(times.len() as u64) * f64::from(BATCH);
    Ok((to_f64(median) * clock.tick_ns() / f64::from(BATCH), calls))
}

fn to_u64(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ticks of a few seconds"
    )]
    let number = number as u64;
    number
}

/// Clients `first` to `first + threads`, each on a thread of its own, call as fast as they can. `window` gives the begin and
/// the end of the time that counts, on [`monotonic`]; it is the same for the clients of all processes.
pub(crate) fn throughput<M: Mechanism>(
    meeting: &Meeting,
    first: u32,
    threads: u32,
    window: impl FnOnce() -> Result<(Duration, Duration)>,
) -> Result<Value> {
    let lined_up = Barrier::new(threads as usize + 1);
    let told = Barrier::new(threads as usize + 1);
    let window_is: OnceLock<(Duration, Duration)> = OnceLock::new();
    let client = |index: u32| -> Result<u64> {
        let caller = M::connect(meeting, index).and_then(|mut caller| {
            warm_up(&mut caller)?;
            Ok(caller)
        });
        lined_up.wait();
        told.wait();
        let mut caller = caller?;
        let Some((begin, end)) = window_is.get() else {
            return Ok(0);
        };
        std::thread::sleep(begin.saturating_sub(monotonic()));
        let mut calls = 0;
        while monotonic() < *end {
            for _ in 0..BATCH {
                caller.call()?;
            }
            calls += u64::from(BATCH);
        }
        Ok(calls)
    };
    std::thread::scope(|scope| {
        let client = &client;
        let running: Vec<_> = (first..first + threads)
            .map(|index| scope.spawn(move || client(index)))
            .collect();
        lined_up.wait();
        let window = window().map(|window| {
            window_is.get_or_init(|| window);
            window.1 - window.0
        });
        told.wait();
        let counts: Result<Vec<u64>> = running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
            .collect();
        Ok(json!({ "counts": counts?, "seconds": window?.as_secs_f64() }))
    })
}

/// Time since the machine was started: the same for all processes.
pub(crate) fn monotonic() -> Duration {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(
        time.tv_sec.cast_unsigned(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Enough calls that whatever is made on the first ones has been made.
fn warm_up(caller: &mut impl Caller) -> Result<()> {
    (0..100).try_for_each(|_| caller.call())
}

/// What both sides use in `time` without a call, after some calls: microseconds a second. What this thread itself uses to
/// sleep and to look is not the mechanism's.
pub(crate) fn idle(caller: &mut impl Caller, time: Duration, server: Pid) -> Result<Value> {
    warm_up(caller)?;
    std::thread::sleep(SETTLE);
    let start = Instant::now();
    let own_before = read(ClockId::ThreadCPUTime);
    let used = Used::from_now(server)?;
    std::thread::sleep(time);
    let [client_us, server_us] = used.until_now()?;
    let own_us = as_ns(read(ClockId::ThreadCPUTime).saturating_sub(own_before)) / 1e3;
    let seconds = start.elapsed().as_secs_f64();
    let client_us = (client_us - own_us).max(0.0);
    Ok(json!({ "client_us_per_s": client_us / seconds, "server_us_per_s": server_us / seconds }))
}
