//! Two nodes, the road between them, and a clock that only moves when nothing else can happen.

use crate::node::{Action, Node};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// SplitMix64: the same seed, the same run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// What the road does to messages, per mille and milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) drop: u64,
    pub(crate) duplicate: u64,
    pub(crate) delay_ms: u64,
    /// Mean time between cuts; zero for none.
    pub(crate) cut_every_ms: u64,
    pub(crate) cut_for_ms: u64,
    /// A node's framework starts anew, per mille of cuts.
    pub(crate) restart: u64,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        drop: 0,
        duplicate: 0,
        delay_ms: 2,
        cut_every_ms: 0,
        cut_for_ms: 0,
        restart: 0,
    };
}

enum Happening {
    /// Bytes arrive at a node if the road has not been cut since.
    Arrive {
        at: usize,
        bytes: Vec<u8>,
        road: u64,
    },
    Do {
        at: usize,
        boot: u64,
        action: Action,
    },
    Cut,
    Join,
    /// Nothing but a chance for the initiator to begin something.
    Tick,
}

const TICK_MS: u64 = 40;

/// Everything that exists.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) nodes: [Node; 2],
    pub(crate) faults: Faults,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    road: u64,
    cut: bool,
    /// The transport tells of a loss once to each side.
    loss_untold: [bool; 2],
}

pub(crate) fn ms(n: u64) -> u64 {
    n * 1_000_000
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults, nodes: [Node; 2]) -> Self {
        let mut world = Self {
            now: 1,
            random: Random::new(seed),
            nodes,
            faults,
            queue: BinaryHeap::new(),
            happenings: Vec::new(),
            road: 0,
            cut: false,
            loss_untold: [false; 2],
        };
        world.schedule_cut();
        world.at(ms(TICK_MS), Happening::Tick);
        world
    }

    fn schedule_cut(&mut self) {
        if self.faults.cut_every_ms > 0 {
            let wait = 1 + self.random.below(2 * self.faults.cut_every_ms);
            self.at(ms(wait), Happening::Cut);
        }
    }

    fn at(&mut self, after: u64, happening: Happening) {
        self.happenings.push(Some(happening));
        self.queue.push(Reverse((
            self.now + after,
            self.happenings.len() as u64,
            self.happenings.len() - 1,
        )));
    }

    /// Ends all faults; the road is whole again.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::NONE;
        self.cut = false;
    }

    /// Runs for this long, calling `each` after every step.
    pub(crate) fn run(&mut self, time: Duration, mut each: impl FnMut(&mut Self)) {
        let end = self.now + u64::try_from(time.as_nanos()).unwrap();
        loop {
            for i in 0..2 {
                self.settle(i);
            }
            each(self);
            let timers = self.nodes.iter().filter_map(Node::next_timeout).min();
            let event = self.queue.peek().map(|Reverse((t, ..))| *t);
            let Some(next) = [timers, event].into_iter().flatten().min().filter(|t| *t <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if event == Some(next) {
                let Reverse((_, _, index)) = self.queue.pop().unwrap();
                let happening = self.happenings[index].take().unwrap();
                self.happen(happening);
            }
            for i in 0..2 {
                self.nodes[i].timeout(self.now);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { at, bytes, road } => {
                if road == self.road {
                    self.nodes[at].receive(self.now, bytes);
                }
            }
            Happening::Do { at, boot, action } => {
                if boot == self.nodes[at].boot_id {
                    self.nodes[at].act(self.now, action);
                }
            }
            Happening::Cut => {
                if self.faults.cut_every_ms == 0 {
                    return;
                }
                // Half of the cuts lose what is under way; the others deliver it late, on a later link.
                self.road += self.random.below(2);
                self.cut = true;
                self.loss_untold = [true; 2];
                if self.random.chance(self.faults.restart) {
                    let which = usize::try_from(self.random.below(2)).unwrap();
                    self.nodes[which].restart(self.now);
                }
                let wait = 1 + self.random.below(2 * self.faults.cut_for_ms);
                self.at(ms(wait), Happening::Join);
            }
            Happening::Tick => self.at(ms(TICK_MS), Happening::Tick),
            Happening::Join => {
                self.cut = false;
                self.schedule_cut();
            }
        }
    }

    /// Carries out everything a node wants now.
    fn settle(&mut self, i: usize) {
        loop {
            if let Some(bytes) = self.nodes[i].transmit(self.now) {
                self.send(i, bytes);
                continue;
            }
            let Some((after, action)) = self.nodes[i].event(self.now, &mut self.random) else {
                return;
            };
            let boot = self.nodes[i].boot_id;
            self.at(after, Happening::Do { at: i, boot, action });
        }
    }

    fn send(&mut self, from: usize, bytes: Vec<u8>) {
        if self.cut || std::mem::take(&mut self.loss_untold[from]) {
            return self.nodes[from].send_failed(self.now);
        }
        if self.random.chance(self.faults.drop) {
            return;
        }
        let copies = if self.random.chance(self.faults.duplicate) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            // A few are very late, on a road that is bad at all.
            let very_late = self.faults.duplicate > 0 && self.random.chance(10);
            let delay = self
                .random
                .below(ms(if very_late { 3000 } else { self.faults.delay_ms }));
            self.at(
                delay,
                Happening::Arrive {
                    at: 1 - from,
                    bytes: bytes.clone(),
                    road: self.road,
                },
            );
        }
    }
}
