//! Descriptors in an answer: both sides of how the server learns whether the client has room for them.
//!
//! They are sent ahead of the answer, and the answer is published as an *offer*. The client that received them all says so and goes on; its
//! call is not a moment longer for that. One whose table was full turns the offer down, and goes on waiting: the server takes the answer
//! back, and `door_return` fails with EMFILE as if nothing had happened. Meanwhile the server thread waits, but no client can make it wait
//! for long: an offer to which nothing is said stands, and the client that has no room then is told that its call has failed.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Origin;
use super::client::ClientLink;
use super::layout::{Lane, PLACE_HELD, STARVES, Verdict};
use super::link::ServerLink;
use super::pool::Pool;
use super::spin::{SERVER_BUDGET, Spin};
use super::thread::sleep_on;
use super::wait::{Ended, Patience, wait};
use crate::sync::atomic::{Ordering, fence};

/// How long a server thread sleeps before it looks whether the client is still there.
const SLICE: Duration = Duration::from_millis(50);
/// Slices it sleeps for a client that said something the last time. The client runs between two of them, unless it is stopped.
const SLICES: u32 = 40;
/// Threads that wait so patiently for one client.
const PATIENT: usize = 4;

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client has the descriptors, or will have to cope without.
    Taken,
    /// It has no room for them. The answer was taken back.
    TurnedDown,
    /// It waits for no answer any more.
    GivenUp,
}

impl Origin {
    /// Publishes the answer that was put in place, whose descriptors are on their way, and waits for what the client says. `taken` runs
    /// before the client goes on with them.
    pub(crate) fn offer(&mut self, pool: &Arc<Pool>, taken: Option<&mut dyn FnMut()>) -> Outcome {
        self.offers += 1;
        // The client's next request, which may come before this thread is through, need not ring.
        self.lease.attend(pool);
        let (link, index, seq) = (&self.lease.link, self.lease.index, self.seq);
        let lane = link.lane(index);
        if taken.is_some() {
            lane.place().fetch_or(PLACE_HELD, Ordering::Relaxed);
        }
        let offer = Verdict {
            seq,
            offer: self.offers,
        };
        lane.offer().store(self.offers, Ordering::Relaxed);
        link.publish(index, seq);
        link.offering.fetch_add(1, Ordering::Relaxed);
        let verdict = self.hear(offer);
        link.offering.fetch_sub(1, Ordering::Relaxed);
        match verdict {
            Some(true) if taken.is_none() => Outcome::Taken,
            Some(false) if !self.is_over(lane) => {
                // First the answer goes, then the client hears of it: it may not take the old one for the next.
                lane.rep().store(seq.wrapping_sub(1), Ordering::Release);
                self.settle(lane, offer, false);
                Outcome::TurnedDown
            }
            _ if self.is_over(lane) => Outcome::GivenUp,
            _ => {
                if let Some(taken) = taken {
                    taken();
                }
                self.settle(lane, offer, true);
                Outcome::Taken
            }
        }
    }

    fn settle(&self, lane: Lane<'_>, offer: Verdict, stands: bool) {
        lane.settled().swap(offer.word(stands), Ordering::SeqCst);
        self.lease.link.wake(self.lease.index);
    }

    /// True if the client has given the call up, or is gone.
    fn is_over(&self, lane: Lane<'_>) -> bool {
        self.lease.link.is_dead() || lane.cancel().load(Ordering::Acquire) == self.seq
    }

    /// Waits for the client's word. `None`: it says nothing, or not any more.
    fn hear(&self, offer: Verdict) -> Option<bool> {
        let link: &ServerLink = &self.lease.link;
        let lane = link.lane(self.lease.index);
        let said = || offer.in_word(lane.verdict().load(Ordering::Acquire));
        // A client that has gone on to another request has taken what it got.
        let enough =
            || said().is_some() || self.is_over(lane) || lane.req().load(Ordering::Acquire) != self.seq;
        if Spin::default().until(SERVER_BUDGET, lane.client_cpu().load(Ordering::Relaxed), enough) {
            return said();
        }
        let patient =
            !link.slow_to_take.load(Ordering::Relaxed) && link.offering.load(Ordering::Relaxed) <= PATIENT;
        for _ in 0..if patient { SLICES } else { 1 } {
            let feed = lane.feed().load(Ordering::SeqCst);
            lane.stalled().store(STARVES, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if !enough() {
                sleep_on(
                    lane.feed(),
                    feed,
                    if patient { SLICE } else { super::thread::PATIENCE },
                );
            }
            lane.stalled().store(0, Ordering::SeqCst);
            if enough() {
                break;
            }
        }
        link.slow_to_take.store(!enough(), Ordering::Relaxed);
        said()
    }
}

/// In the client: says that the descriptors of the answer to `seq` have arrived. If the answer is `held`, waits for what the server does
/// then; that it does it is no condition for success.
pub(crate) fn accept(
    link: &ClientLink,
    index: usize,
    seq: u32,
    spin: &mut Spin,
    patience: &Patience<'_>,
    held: bool,
) {
    let lane = link.lane(index);
    let offer = say(lane, seq, true);
    if held {
        let settled = || offer.in_word(lane.settled().load(Ordering::Acquire)).is_some();
        let _ = wait(link, index, spin, patience, settled, || {});
    }
}

/// In the client: turns down the answer to `seq`, and waits until the server has taken notice. True if the call goes on; false if the
/// answer stands nevertheless.
pub(crate) fn turn_down(
    link: &ClientLink,
    index: usize,
    seq: u32,
    spin: &mut Spin,
    patience: &Patience<'_>,
) -> Result<bool, Ended> {
    let lane = link.lane(index);
    let offer = say(lane, seq, false);
    let settled = || offer.in_word(lane.settled().load(Ordering::Acquire));
    if let Err(ended) = wait(link, index, spin, patience, || settled().is_some(), || {}) {
        lane.cancel().store(seq, Ordering::SeqCst);
        super::call::feed(lane);
        return Err(ended);
    }
    Ok(settled() == Some(false))
}

fn say(lane: Lane<'_>, seq: u32, stands: bool) -> Verdict {
    let offer = Verdict {
        seq,
        offer: lane.offer().load(Ordering::Relaxed),
    };
    lane.verdict().swap(offer.word(stands), Ordering::SeqCst);
    if lane.stalled().load(Ordering::SeqCst) == STARVES {
        super::call::feed(lane);
    }
    offer
}
