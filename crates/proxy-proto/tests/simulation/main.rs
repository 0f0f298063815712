//! Two nodes on a bad road: every task is answered exactly once, the data are right, the channel comes back, and the
//! logical unit never has two owners.
#![allow(clippy::cast_possible_truncation, reason = "slots are numbered up to 16")]

mod node;
mod world;

use node::{Io, Node, SLOTS, Store, uniform};
use proxy_proto::{AccessState, Channel, Outcome};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use world::{Faults, World};

fn world(seed: u64, faults: Faults) -> World {
    let store: Store = Rc::new(RefCell::new(vec![0; SLOTS as usize]));
    World::new(
        seed,
        faults,
        [Node::new(0, store.clone(), true), Node::new(1, store, false)],
    )
}

/// What an initiator behind node 1 knows about the slots it reads and writes.
struct Initiator {
    outstanding: BTreeMap<u64, Io>,
    /// Values a slot may have: more than one after a write nobody knows the fate of.
    possible: Vec<BTreeSet<u64>>,
    /// Slots whose last command may still be running somewhere: the initiator has been told nothing certain.
    retired: BTreeSet<u64>,
    next_value: u64,
    good: usize,
    finished: usize,
    begun: usize,
}

impl Initiator {
    fn new() -> Self {
        Self {
            outstanding: BTreeMap::new(),
            possible: vec![BTreeSet::from([0]); SLOTS as usize],
            retired: BTreeSet::new(),
            next_value: 1,
            good: 0,
            finished: 0,
            begun: 0,
        }
    }

    fn step(&mut self, world: &mut World, begin: bool) {
        while let Some((task, outcome)) = world.nodes[1].finished.pop_front() {
            let io = self.outstanding.remove(&task).expect("answered exactly once");
            self.finished += 1;
            self.learn(io, outcome);
        }
        if !begin || self.outstanding.len() >= 8 || !world.random.chance(300) {
            return;
        }
        let slot = world.random.below(SLOTS);
        let busy = self
            .outstanding
            .values()
            .any(|io| matches!(io, Io::Read { slot: s } | Io::Write { slot: s, .. } if *s == slot));
        if busy || self.retired.contains(&slot) {
            return;
        }
        let io = if world.random.chance(500) {
            self.next_value += 1;
            Io::Write {
                slot,
                value: self.next_value,
            }
        } else {
            Io::Read { slot }
        };
        let now = world.now;
        if let Some(task) = world.nodes[1].begin(now, io) {
            assert!(self.outstanding.insert(task, io).is_none());
            self.begun += 1;
        }
    }

    fn learn(&mut self, io: Io, outcome: Outcome) {
        match (io, outcome) {
            (Io::Read { slot }, Outcome::Status { status: 0, data, .. }) => {
                let value = uniform(&data.concat()).expect("read data are whole and in order");
                let possible = &mut self.possible[slot as usize];
                assert!(
                    possible.contains(&value),
                    "slot {slot} reads {value}, can only be {possible:?}"
                );
                *possible = BTreeSet::from([value]);
                self.good += 1;
            }
            (Io::Write { slot, value }, Outcome::Status { status: 0, .. }) => {
                self.possible[slot as usize] = BTreeSet::from([value]);
                self.good += 1;
            }
            (Io::Write { slot, value }, Outcome::ChannelLost) => {
                self.possible[slot as usize].insert(value);
            }
            (Io::Write { slot, value }, Outcome::TimedOut) => {
                self.possible[slot as usize].insert(value);
                self.retired.insert(slot);
            }
            (_, Outcome::Refused(_)) | (Io::Read { .. }, Outcome::ChannelLost | Outcome::TimedOut) => {}
            (io, outcome) => panic!("{io:?} ended with {outcome:?}"),
        }
    }
}

fn tasks_survive(seeds: std::ops::Range<u64>, faults: Faults) {
    let (mut good, mut lost) = (0, 0);
    for seed in seeds {
        let mut world = world(seed, faults);
        let mut initiator = Initiator::new();
        world.run(Duration::from_secs(12), |world| initiator.step(world, true));
        world.heal();
        world.run(Duration::from_secs(30), |world| initiator.step(world, false));
        assert!(
            initiator.outstanding.is_empty(),
            "seed {seed}: every task is answered: {:?}",
            initiator.outstanding
        );
        assert_eq!(initiator.begun, initiator.finished, "seed {seed}");
        for node in &world.nodes {
            assert!(node.idle(), "seed {seed}: node {} is idle", node.number);
            assert_eq!(
                node.peer.channel(),
                Channel::Up,
                "seed {seed}: the channel is back on node {}",
                node.number
            );
            assert_eq!(node.decode_errors, 0);
        }
        lost += initiator.begun - initiator.good;
        good += initiator.good;
        let before = initiator.good;
        // On a good road everything succeeds.
        let begun = initiator.begun;
        world.run(Duration::from_secs(3), |world| initiator.step(world, true));
        world.run(Duration::from_secs(7), |world| initiator.step(world, false));
        assert_eq!(
            initiator.good - before,
            initiator.begun - begun,
            "seed {seed}: nothing fails on a good road"
        );
        assert!(
            initiator.begun > begun,
            "seed {seed}: there were tasks to see that with"
        );
    }
    assert!(good > 0);
    if faults.cut_every_ms > 0 {
        assert!(lost > 0, "the faults did hit something");
    }
}

#[test]
fn on_a_good_road_every_task_succeeds() {
    tasks_survive(0..20, Faults::NONE);
}

#[test]
fn delay_reorder_and_duplication_change_nothing() {
    for seed in 0..60 {
        let faults = Faults {
            duplicate: 100,
            delay_ms: 80,
            ..Faults::NONE
        };
        let mut world = world(seed, faults);
        let mut initiator = Initiator::new();
        world.run(Duration::from_secs(15), |world| initiator.step(world, true));
        world.run(Duration::from_secs(9), |world| initiator.step(world, false));
        assert!(
            initiator.begun > 20 && initiator.good == initiator.begun,
            "seed {seed}: {} of {}",
            initiator.good,
            initiator.begun
        );
    }
}

#[test]
fn st_109_st_110_every_task_is_answered_once_and_no_lost_write_comes_back_when_the_road_is_cut() {
    let faults = Faults {
        drop: 0,
        duplicate: 50,
        delay_ms: 30,
        cut_every_ms: 1500,
        cut_for_ms: 400,
        restart: 0,
    };
    tasks_survive(0..150, faults);
}

#[test]
fn dropped_messages_end_the_link_and_not_the_service() {
    let faults = Faults {
        drop: 3,
        duplicate: 50,
        delay_ms: 30,
        cut_every_ms: 0,
        cut_for_ms: 0,
        restart: 0,
    };
    tasks_survive(1000..1080, faults);
}

/// Random hand-overs under random faults; `restarts` lets frameworks die, too.
fn ownership(seeds: std::ops::Range<u64>, faults: Faults) {
    let mut switches = 0;
    for seed in seeds {
        let mut world = world(seed, faults);
        let mut owner = 0;
        let mut each = |world: &mut World, ask: bool| {
            assert!(
                !(world.nodes[0].serving && world.nodes[1].serving),
                "seed {seed}: two owners"
            );
            if let Some(now) = world.nodes.iter().position(|n| n.serving)
                && now != owner
            {
                owner = now;
                switches += 1;
            }
            if ask && world.random.chance(30) {
                let who = usize::try_from(world.random.below(2)).unwrap();
                let _ = world.nodes[who].peer.request_failover(
                    proxy_proto::Instant(world.now),
                    node::GUID,
                    world.now,
                );
            }
        };
        world.run(Duration::from_secs(25), |world| each(world, true));
        world.heal();
        world.run(Duration::from_secs(45), |world| each(world, false));
        let states: Vec<_> = world
            .nodes
            .iter()
            .map(|n| (n.access, n.epoch, n.serving))
            .collect();
        let serving = world.nodes.iter().filter(|n| n.serving).count();
        if faults.restart == 0 {
            assert_eq!(
                serving, 1,
                "seed {seed}: exactly one owner in the end: {states:?}"
            );
        }
        assert!(serving <= 1);
        for node in &world.nodes {
            assert_ne!(
                node.access,
                AccessState::ActiveToStandby,
                "seed {seed}: nothing stays in transition: {states:?}"
            );
            assert_eq!(
                node.serving,
                node.access == AccessState::Active,
                "seed {seed}: {states:?}"
            );
        }
        if let Some(active) = world.nodes.iter().find(|n| n.serving) {
            assert!(
                world.nodes.iter().all(|n| n.epoch <= active.epoch),
                "seed {seed}: the owner has the highest epoch"
            );
            let told = world.nodes[usize::from(1 - active.number)]
                .peer
                .peer_lu(&node::GUID)
                .unwrap();
            assert_eq!(
                (told.access, told.epoch),
                (AccessState::Active, active.epoch),
                "seed {seed}: the peer knows"
            );
        }
    }
    assert!(switches > 100, "{switches} switches");
}

#[test]
fn a_planned_hand_over_never_makes_two_owners_whatever_the_road_does() {
    ownership(
        0..150,
        Faults {
            drop: 2,
            duplicate: 50,
            delay_ms: 40,
            cut_every_ms: 3000,
            cut_for_ms: 600,
            restart: 0,
        },
    );
}

#[test]
fn hand_overs_with_restarts_never_make_two_owners() {
    ownership(
        0..150,
        Faults {
            drop: 0,
            duplicate: 50,
            delay_ms: 40,
            cut_every_ms: 3000,
            cut_for_ms: 600,
            restart: 300,
        },
    );
}
