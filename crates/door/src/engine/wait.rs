//! How a client waits for its server: looking, then sleeping, and never longer than the server lives.
//!
//! The first milliseconds are slept on a word the server changes. After that one thread of each link, the leader, sleeps on the link's socket, where the
//! kernel reports the server's death; the others sleep on their words and rely on it. Whoever stops leading wakes another.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use super::abort::Abort;
use super::client::ClientLink;
use super::layout::{LANES, POLLS, SLEEPS};
use super::spin::{CLIENT_BUDGET, Spin};
use crate::error::CallError;
use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sys::{futex, socket};

/// How long a sleeper trusts that its server lives.
const TRUST: Duration = Duration::from_millis(5);
/// Any limit makes a futex wait end at a signal, even one whose handler asks for system calls to be restarted.
const LONG: Duration = Duration::from_secs(3600);

/// Why a wait ended without its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The server is gone.
    Dead,
    /// A signal was handled.
    Interrupted,
    /// The deadline has passed.
    TimedOut,
}

/// Why a call whose procedure has run fails.
impl From<Ended> for CallError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::TimedOut => Self::TimedOut,
            Ended::Dead | Ended::Interrupted => Self::Interrupted,
        }
    }
}

/// What a call lets end its waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience<'a> {
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Whether a signal handler that ran ends them.
    pub interruptible: bool,
    /// Lets another thread end them as a handled signal would, whether or not those do.
    pub abort: Option<&'a Abort>,
}

impl Patience<'_> {
    /// Waits until it is answered, or nobody can answer any more.
    pub const ENDLESS: Self = Self {
        deadline: None,
        interruptible: false,
        abort: None,
    };

    /// For questions that may be given up.
    #[must_use]
    pub fn until(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            interruptible: false,
            abort: None,
        }
    }

    /// True if another thread wants the call to end.
    pub(crate) fn is_aborted(&self) -> bool {
        self.abort.is_some_and(Abort::is_fired)
    }
}

/// Waits until `ready`. `before_sleep` runs once, before the thread sleeps for the first time.
#[inline]
pub(crate) fn wait(
    link: &ClientLink,
    index: usize,
    spin: &mut Spin,
    patience: &Patience<'_>,
    ready: impl Fn() -> bool,
    before_sleep: impl FnMut(),
) -> Result<(), Ended> {
    let peer = link.lane(index).server_cpu().load(Ordering::Relaxed);
    if spin.until(CLIENT_BUDGET, peer, &ready) {
        return Ok(());
    }
    sleep(link, index, patience, &ready, before_sleep)
}

/// The same without looking first.
pub(super) fn sleep(
    link: &ClientLink,
    index: usize,
    patience: &Patience<'_>,
    ready: &dyn Fn() -> bool,
    mut before_sleep: impl FnMut(),
) -> Result<(), Ended> {
    let lane = link.lane(index);
    before_sleep();
    // Until a nap has lasted as long as it may, the server is trusted to live, and nobody asks for the time without need.
    let mut young = true;
    let mut noticed = lane.notice().load(Ordering::Acquire);
    if noticed != 0 {
        // There may have been a question before we came here.
        link.drain();
    }
    let outcome = loop {
        let left = match patience.deadline {
            None => LONG,
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => left,
                _ => break if ready() { Ok(()) } else { Err(Ended::TimedOut) },
            },
        };
        if !young {
            link.followers.fetch_or(1 << index, Ordering::SeqCst);
        }
        let tick = lane.tick().load(Ordering::SeqCst);
        lane.sleep().store(SLEEPS, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if ready() {
            break Ok(());
        }
        if link.is_dead() {
            // The answer may have come, and the server's end after it, since the look before.
            break if ready() { Ok(()) } else { Err(Ended::Dead) };
        }
        if patience.is_aborted() {
            break Err(Ended::Interrupted);
        }
        let notice = lane.notice().load(Ordering::Acquire);
        if notice != noticed {
            noticed = notice;
            link.drain();
            continue;
        }
        let slept = if young {
            let slept = nap(lane.tick(), tick, left.min(TRUST));
            young = slept != Err(Errno::TIMEDOUT);
            slept
        } else if !link.leader.swap(true, Ordering::SeqCst) {
            lead(link, index, left, &|| ready() || patience.is_aborted())
        } else {
            nap(lane.tick(), tick, left.min(LONG))
        };
        if slept == Err(Errno::INTR) && patience.interruptible {
            break if ready() { Ok(()) } else { Err(Ended::Interrupted) };
        }
    };
    lane.sleep().store(0, Ordering::Release);
    if link.followers.load(Ordering::Relaxed) != 0 {
        link.followers.fetch_and(!(1 << index), Ordering::SeqCst);
        appoint(link);
    }
    outcome
}

fn nap(word: &AtomicU32, value: u32, time: Duration) -> Result<(), Errno> {
    match futex::wait(word, value, Some(&timespec(time))) {
        Err(Errno::AGAIN) => Ok(()),
        other => other,
    }
}

/// Watches the link's socket for everybody.
fn lead(link: &ClientLink, index: usize, time: Duration, ready: &dyn Fn() -> bool) -> Result<(), Errno> {
    let lane = link.lane(index);
    // There before anything is looked at: who wants to wake this thread changes that first, and then writes to this if it is there.
    let bell = link.nudge();
    lane.sleep().store(POLLS, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    let slept = if ready() {
        Ok(())
    } else {
        let on_socket = PollFd::new(&link.socket, PollFlags::IN | PollFlags::RDHUP);
        // Another thread may read the note that was to wake this one, and says so.
        let time = if bell.is_some() { time } else { time.min(TRUST) };
        let mut polled = [
            on_socket,
            PollFd::new(bell.unwrap_or(&link.socket), PollFlags::IN),
        ];
        let slept = socket::poll(&mut polled, Some(&timespec(time)));
        let events = polled[0].revents();
        if let Some(bell) = bell {
            // Non-blocking.
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
        if slept.is_ok() && !events.is_empty() {
            link.receive();
        }
        if events.intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR | PollFlags::NVAL) {
            link.set_dead();
        }
        slept.map(drop)
    };
    link.leader.store(false, Ordering::SeqCst);
    if link.is_dead() {
        (0..LANES).for_each(|index| nudge(link, index));
    }
    slept
}

/// Sees to it that somebody leads as long as somebody follows.
fn appoint(link: &ClientLink) {
    fence(Ordering::SeqCst);
    let followers = link.followers.load(Ordering::SeqCst);
    if followers != 0 && !link.leader.load(Ordering::SeqCst) {
        nudge(link, followers.trailing_zeros() as usize);
    }
}

/// Wakes whoever waits on a lane to look around, also if it is the leader.
pub(super) fn rouse(link: &ClientLink, index: usize) {
    nudge(link, index);
    link.wake_leader();
}

/// Wakes the sleeper of a lane to look around.
fn nudge(link: &ClientLink, index: usize) {
    let tick = link.lane(index).tick();
    tick.fetch_add(1, Ordering::SeqCst);
    futex::wake(tick, 1);
}

pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    }
}
