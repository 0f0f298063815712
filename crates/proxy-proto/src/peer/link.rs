//! Greeting, heartbeat and loss of a link.

use super::tracker::{Arrival, Tracker};
use super::{Channel, LinkLoss, Peer, PeerEvent};
use crate::error::{Refusal, Rejected};
use crate::message::{Hello, HelloStage, Limits, Message};
use crate::time::Instant;
use alloc::collections::VecDeque;

/// Boot ids of instances that are gone; a late greeting of theirs must not bring them back.
const RETIRED: usize = 16;

#[derive(Debug)]
pub(super) struct Link {
    /// Message id from which our side of the present link counts.
    first: u64,
    stage: HelloStage,
    channel: Channel,
    grace_until: Option<Instant>,
    remote: Option<Remote>,
    retired: VecDeque<u64>,
    next_hello: Option<Instant>,
    next_ping: Instant,
    heard: Instant,
    refused: Option<Refusal>,
    refused_by_peer: Option<Refusal>,
}

#[derive(Debug)]
struct Remote {
    boot_id: u64,
    node: u16,
    first: u64,
    limits: Limits,
    tracker: Tracker,
}

impl Link {
    pub(super) fn new(first: u64) -> Self {
        Self {
            first,
            stage: HelloStage::Greeting,
            channel: Channel::Down,
            grace_until: None,
            remote: None,
            retired: VecDeque::new(),
            next_hello: None,
            next_ping: Instant(0),
            heard: Instant(0),
            refused: None,
            refused_by_peer: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.stage == HelloStage::Up
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    pub(super) fn peer_limits(&self) -> Option<Limits> {
        self.remote.as_ref().map(|r| r.limits)
    }

    pub(super) fn peer_identity(&self) -> Option<(u16, u64)> {
        self.remote.as_ref().map(|r| (r.node, r.boot_id))
    }

    /// Every message below this id has arrived.
    pub(super) fn floor(&self) -> u64 {
        self.remote.as_ref().map_or(0, |r| r.tracker.floor())
    }

    /// Notes a numbered message; it must be of the present link.
    pub(super) fn arrived(&mut self, now: Instant, boot_id: u64, id: u64) -> Result<Arrival, Rejected> {
        let Some(remote) = self.remote.as_mut().filter(|r| r.boot_id == boot_id) else {
            return Err(Rejected::UnknownSender { boot_id });
        };
        if id < remote.first || self.stage == HelloStage::Greeting {
            return Err(Rejected::OldLink);
        }
        self.heard = now;
        Ok(remote.tracker.arrived(now, id))
    }
}

impl Peer {
    pub(super) fn greet_at_once(&mut self, now: Instant) {
        if self.door && self.alua && !self.link.is_up() {
            self.send_hello();
            self.link.next_hello = Some(now.after(self.config.hello_interval));
        }
    }

    fn send_hello(&mut self) {
        let remote = self.link.remote.as_ref();
        let hello = Hello {
            min_version: self.config.versions.0,
            max_version: self.config.versions.1,
            node: self.config.node,
            cluster: self.config.cluster,
            boot_id: self.config.boot_id,
            peer_boot_id: remote.map_or(0, |r| r.boot_id),
            peer_first_message_id: remote.map_or(0, |r| r.first),
            stage: self.link.stage,
            first_message_id: self.link.first,
            features: 0,
            limits: self.config.limits,
        };
        self.out
            .push_back(Message::Hello(hello).encode(self.config.boot_id, 0));
        self.statistics.sent = self.statistics.sent.saturating_add(1);
    }

    pub(super) fn handle_hello(&mut self, now: Instant, hello: &Hello) -> Result<(), Rejected> {
        let boot_id = hello.boot_id;
        if self.link.retired.contains(&boot_id) {
            return Err(Rejected::UnknownSender { boot_id });
        }
        if let Some(why) = self.objection(hello) {
            let refusal = Message::Refused {
                in_reply_to: 0,
                task: 0,
                code: why,
                epoch: 0,
            };
            self.out.push_back(refusal.encode(self.config.boot_id, 0));
            if self.link.refused.replace(why) != Some(why) {
                self.events.push_back(PeerEvent::PeerRefused(why));
            }
            return Err(Rejected::Refused(why));
        }
        self.link.refused = None;
        self.link.refused_by_peer = None;
        match self.link.remote.as_ref().map(|r| (r.boot_id, r.first)) {
            Some((known, first)) if known == boot_id => {
                if hello.first_message_id < first {
                    return Err(Rejected::OldLink);
                }
                if hello.first_message_id > first {
                    self.lose_link(now, LinkLoss::PeerRenewed);
                    self.set_remote(hello);
                }
            }
            Some((old, _)) => {
                self.lose_link(now, LinkLoss::PeerRestarted);
                if self.link.retired.len() >= RETIRED {
                    self.link.retired.pop_front();
                }
                self.link.retired.push_back(old);
                self.events
                    .push_back(PeerEvent::PeerRestarted { old, new: boot_id });
                self.age_inventory();
                self.set_remote(hello);
            }
            None => self.set_remote(hello),
        }
        self.link.heard = now;
        let names_us =
            hello.peer_boot_id == self.config.boot_id && hello.peer_first_message_id == self.link.first;
        let was_up = self.link.is_up();
        if names_us {
            let stage = if hello.stage >= HelloStage::Confirmed {
                HelloStage::Up
            } else {
                HelloStage::Confirmed
            };
            self.link.stage = self.link.stage.max(stage);
        }
        // The answer goes before the inventory, so that the other side is ready for it.
        if hello.stage < HelloStage::Up {
            self.send_hello();
        }
        if !was_up && self.link.is_up() {
            self.link_is_up(now);
        }
        Ok(())
    }

    fn objection(&self, hello: &Hello) -> Option<Refusal> {
        let (min, max) = self.config.versions;
        if hello.max_version < min || hello.min_version > max {
            Some(Refusal::VersionUnsupported)
        } else if hello.node == self.config.node {
            Some(Refusal::SameNode)
        } else if hello.cluster != 0 && self.config.cluster != 0 && hello.cluster != self.config.cluster {
            Some(Refusal::ClusterMismatch)
        } else {
            None
        }
    }

    pub(super) fn greeting_refused(&mut self, why: Refusal) {
        if !self.link.is_up() && self.link.refused_by_peer.replace(why) != Some(why) {
            self.events.push_back(PeerEvent::RefusedByPeer(why));
        }
    }

    fn set_remote(&mut self, hello: &Hello) {
        self.link.remote = Some(Remote {
            boot_id: hello.boot_id,
            node: hello.node,
            first: hello.first_message_id,
            limits: hello.limits,
            tracker: Tracker::new(hello.first_message_id),
        });
        self.held.clear();
    }

    /// A message of the present link has arrived: the peer only numbers messages when it is up, which it is only when it
    /// has seen that this side is confirmed.
    pub(super) fn message_proves_link(&mut self, now: Instant) {
        if self.link.stage == HelloStage::Confirmed {
            self.link.stage = HelloStage::Up;
            self.link_is_up(now);
        }
    }

    fn link_is_up(&mut self, now: Instant) {
        self.link.next_ping = now.after(self.config.ping_interval);
        self.link.next_hello = None;
        self.link.grace_until = None;
        self.sealer.set_up(true);
        self.statistics.links = self.statistics.links.saturating_add(1);
        self.set_channel(Channel::Up);
        self.start_exchange();
    }

    /// The link is over; the peer may come back.
    pub(super) fn lose_link(&mut self, now: Instant, why: LinkLoss) {
        if self.link.stage == HelloStage::Greeting {
            return;
        }
        let was_up = self.link.channel == Channel::Up;
        self.end_link();
        if was_up {
            self.link.grace_until = Some(now.after(self.config.grace));
            self.statistics.losses = self.statistics.losses.saturating_add(1);
            self.events.push_back(PeerEvent::LinkLost(why));
            self.hand_overs_lost_link();
            self.set_channel(Channel::Grace);
        }
        self.link.next_hello = Some(now.after(self.config.hello_interval));
    }

    /// The link is over and no other is wanted for now: down at once.
    pub(super) fn give_up(&mut self, now: Instant, why: LinkLoss) {
        self.lose_link(now, why);
        self.out.clear();
        self.link.next_hello = None;
        self.link.grace_until = None;
        self.set_channel(Channel::Down);
    }

    fn end_link(&mut self) {
        self.sealer.set_up(false);
        self.link.stage = HelloStage::Greeting;
        self.link.first = self.sealer.upcoming();
        self.out.clear();
        self.held.clear();
        self.asked.clear();
        self.told.clear();
        self.stepping.clear();
        self.failover_asked.clear();
    }

    fn set_channel(&mut self, channel: Channel) {
        if self.link.channel != channel {
            self.link.channel = channel;
            self.events.push_back(PeerEvent::ChannelChanged(channel));
        }
    }

    pub(super) fn link_timeout(&mut self, now: Instant) {
        if self.link.grace_until.is_some_and(|t| t <= now) {
            self.link.grace_until = None;
            self.set_channel(Channel::Down);
        }
        if self.link.channel == Channel::Up {
            if self.link.heard.after(self.config.lost_after) <= now {
                self.lose_link(now, LinkLoss::Silence);
            } else if self.gap_deadline().is_some_and(|t| t <= now) {
                self.lose_link(now, LinkLoss::MessageLost);
            } else if self.link.next_ping <= now {
                self.send(&Message::Ping);
                self.link.next_ping = now.after(self.config.ping_interval);
            }
        }
        if self.door
            && self.alua
            && self.link.channel != Channel::Up
            && self.link.next_hello.is_some_and(|t| t <= now)
        {
            self.send_hello();
            self.link.next_hello = Some(now.after(self.config.hello_interval));
        }
    }

    pub(super) fn link_deadline(&self) -> Option<Instant> {
        let up = self.link.channel == Channel::Up;
        let heartbeat = up.then(|| {
            self.link
                .next_ping
                .min(self.link.heard.after(self.config.lost_after))
        });
        let gap = if up { self.gap_deadline() } else { None };
        [heartbeat, gap, self.link.grace_until, self.link.next_hello]
            .into_iter()
            .flatten()
            .min()
    }

    fn gap_deadline(&self) -> Option<Instant> {
        self.link
            .remote
            .as_ref()
            .and_then(|r| r.tracker.gap_deadline(self.config.gap_tolerance))
    }
}
