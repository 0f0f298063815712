//! The relation between the two frameworks of a pair.
//!
//! A *link* is an agreement: each side knows the other's boot id and the message id from which the link counts, and
//! knows that the other knows. Messages of an earlier link are dropped wherever the transport kept them. Within a link
//! message ids have no gaps: duplicates are dropped, control messages are taken strictly in order, and a message that
//! stays missing ends the link. Everything else follows: after each greeting both sides list their whole inventory, and
//! no message is ever repeated.

mod event;
mod failover;
mod inventory;
mod link;
mod sealer;
mod tracker;

pub use event::{Channel, Conflict, FailoverError, LinkLoss, PeerConfig, PeerEvent, PeerStatistics, Route};
pub use sealer::Sealer;

use crate::codec::Envelope;
use crate::error::{Refusal, Rejected};
use crate::handover::{NewOwner, OldOwner};
use crate::message::{GuidBytes, Limits, LuRecord, Message, PortRecord, Role};
use crate::time::Instant;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use inventory::Known;
use link::Link;
use tracker::Arrival;

/// Control messages kept because an earlier one has not arrived.
const MAX_HELD: usize = 4096;

/// One node's side of the relation. Feed it with `handle` and the `set_*` calls, then drain [`Self::poll_transmit`],
/// then [`Self::poll_event`], then wait no longer than [`Self::poll_timeout`].
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    alua: bool,
    door: bool,
    link: Link,
    sealer: Sealer,
    held: BTreeMap<u64, Message>,
    ports: BTreeMap<String, PortRecord>,
    lus: BTreeMap<GuidBytes, LuRecord>,
    /// What the peer has been told on this link about each of `lus`.
    told: BTreeMap<GuidBytes, LuRecord>,
    generation: u64,
    peer_ports: BTreeMap<String, Known<PortRecord>>,
    peer_lus: BTreeMap<GuidBytes, Known<LuRecord>>,
    /// Requests of ours that wait for an answer.
    asked: BTreeMap<u64, Asked>,
    /// Claims of the peer that are answered when the daemon has stepped down: message id and record.
    stepping: BTreeMap<GuidBytes, (u64, LuRecord)>,
    old_owner: BTreeMap<GuidBytes, OldOwner>,
    new_owner: BTreeMap<GuidBytes, NewOwner>,
    /// Message id of the peer's request, to refuse it when draining fails.
    failover_asked: BTreeMap<GuidBytes, u64>,
    out: VecDeque<Vec<u8>>,
    events: VecDeque<PeerEvent>,
    statistics: PeerStatistics,
}

/// What a request of ours was about.
#[derive(Clone, Debug)]
enum Asked {
    Port(String),
    Lun(GuidBytes),
    InventoryEnd,
    Failover(GuidBytes),
}

impl Peer {
    /// No door, ALUA disabled, nothing known.
    #[must_use]
    pub fn new(config: PeerConfig) -> Self {
        let sealer = Sealer::new(config.boot_id);
        Self {
            alua: false,
            door: false,
            link: Link::new(sealer.upcoming()),
            sealer,
            held: BTreeMap::new(),
            ports: BTreeMap::new(),
            lus: BTreeMap::new(),
            told: BTreeMap::new(),
            generation: 0,
            peer_ports: BTreeMap::new(),
            peer_lus: BTreeMap::new(),
            asked: BTreeMap::new(),
            stepping: BTreeMap::new(),
            old_owner: BTreeMap::new(),
            new_owner: BTreeMap::new(),
            failover_asked: BTreeMap::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            statistics: PeerStatistics::default(),
            config,
        }
    }

    /// A proxy door has been installed: greet through it.
    pub fn door_installed(&mut self, now: Instant) {
        if !self.door {
            self.door = true;
            self.greet_at_once(now);
        }
    }

    /// The proxy door is gone: the channel is down at once, the peer's ports are removed; its logical units stay.
    pub fn door_removed(&mut self, now: Instant) {
        if self.door {
            self.door = false;
            self.give_up(now, LinkLoss::DoorRemoved);
            self.forget_ports();
        }
    }

    /// ALUA on or off, and this node's number. Saying "on" again sends the whole inventory again (ST-034). Off forgets
    /// the peer's ports and logical units and sends nothing.
    pub fn set_alua(&mut self, now: Instant, enabled: bool, node: u16) {
        let renumbered = self.config.node != node;
        if self.alua && (!enabled || renumbered) {
            self.give_up(now, LinkLoss::AluaChanged);
            self.forget_ports();
            self.forget_lus();
        }
        self.alua = enabled;
        self.config.node = node;
        if !enabled {
            return;
        }
        if self.link.is_up() {
            self.start_exchange();
        } else {
            self.greet_at_once(now);
        }
    }

    /// One message from the peer.
    ///
    /// # Errors
    /// [`Rejected`] says why a well-formed message was dropped; where the peer must know, it has been told.
    pub fn handle(&mut self, now: Instant, envelope: Envelope) -> Result<Route, Rejected> {
        let result = self.sort(now, envelope);
        match result {
            Ok(_) => self.statistics.received = self.statistics.received.saturating_add(1),
            Err(_) => self.statistics.rejected = self.statistics.rejected.saturating_add(1),
        }
        result
    }

    fn sort(&mut self, now: Instant, envelope: Envelope) -> Result<Route, Rejected> {
        let Envelope {
            boot_id,
            message_id,
            message,
        } = envelope;
        if boot_id == self.config.boot_id {
            return Err(Rejected::Own);
        }
        if !self.door {
            return Err(Rejected::NoDoor);
        }
        if !self.alua {
            return Err(Rejected::AluaDisabled);
        }
        if let Message::Hello(hello) = message {
            return self.handle_hello(now, &hello).map(|()| Route::Consumed);
        }
        // Answers to a greeting are unnumbered, for there is no link to number them in.
        if message_id == 0 {
            return match message {
                Message::Refused { code, .. } => {
                    self.greeting_refused(code);
                    Ok(Route::Consumed)
                }
                _ => Err(Rejected::OldLink),
            };
        }
        match self.link.arrived(now, boot_id, message_id)? {
            Arrival::New => {}
            Arrival::Duplicate => return Err(Rejected::Duplicate),
            Arrival::TooFar => {
                self.lose_link(now, LinkLoss::MessageLost);
                return Err(Rejected::OldLink);
            }
        }
        self.message_proves_link(now);
        let route = match message.role() {
            Role::Requester | Role::Responder => Route::Data(message),
            Role::Control => {
                if self.held.len() >= MAX_HELD {
                    self.lose_link(now, LinkLoss::MessageLost);
                    return Err(Rejected::OldLink);
                }
                self.held.insert(message_id, message);
                Route::Consumed
            }
        };
        while let Some(entry) = self.held.first_entry() {
            let id = *entry.key();
            if id >= self.link.floor() {
                break;
            }
            let message = entry.remove();
            self.control(id, message);
        }
        Ok(route)
    }

    /// A control message, in order.
    fn control(&mut self, id: u64, message: Message) {
        match message {
            Message::Ping => {
                self.send(&Message::Pong { in_reply_to: id });
            }
            Message::Accepted { in_reply_to } => self.answered(in_reply_to, Ok(())),
            Message::Refused {
                in_reply_to,
                code,
                epoch,
                ..
            } => self.answered(in_reply_to, Err((code, epoch))),
            Message::RegisterPort { generation, port } => self.register_port(id, generation, port),
            Message::DeregisterPort { name } => {
                if self.peer_ports.remove(&name).is_some() {
                    self.events.push_back(PeerEvent::PeerPortRemoved(name));
                }
                self.accept(id);
            }
            Message::RegisterLun { generation, lu } => self.register_lun(id, generation, lu),
            Message::DeregisterLun { guid, epoch } => self.deregister_lun(id, guid, epoch),
            Message::LunActive { guid, epoch } => self.lun_active(id, guid, epoch),
            Message::InventoryEnd { generation } => self.inventory_end(id, generation),
            Message::FailoverRequest { guid, token } => self.failover_requested(id, guid, token),
            Message::HandOver { token, lu, state } => self.offered(token, lu, state),
            Message::HandOverDone { guid, epoch, error } => self.hand_over_done(guid, epoch, error),
            // PONG has done its work by arriving; the others never come here.
            _ => {}
        }
    }

    /// The transport did not take a message: it is gone, and with it the link.
    pub fn send_failed(&mut self, now: Instant) {
        self.lose_link(now, LinkLoss::SendFailed);
    }

    /// Does what is due. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.link_timeout(now);
        let overdue = self
            .old_owner
            .values()
            .filter_map(OldOwner::deadline)
            .any(|d| d <= now);
        if overdue {
            self.lose_link(now, LinkLoss::HandOverOverdue);
        }
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let hand_over = self.old_owner.values().filter_map(OldOwner::deadline).min();
        [self.link_deadline(), hand_over].into_iter().flatten().min()
    }

    /// The next message to send, whole. To be sent in this order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// The next thing to know or do.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    /// Whether the peer can be asked.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.link.channel()
    }

    /// What the peer takes; `None` before any greeting.
    #[must_use]
    pub fn peer_limits(&self) -> Option<Limits> {
        self.link.peer_limits()
    }

    /// The peer's node number and boot id; `None` before any greeting.
    #[must_use]
    pub fn peer_identity(&self) -> Option<(u16, u64)> {
        self.link.peer_identity()
    }

    /// Whether ALUA is on, and this node's number.
    #[must_use]
    pub fn alua(&self) -> (bool, u16) {
        (self.alua, self.config.node)
    }

    /// For threads that send data messages.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        self.sealer.clone()
    }

    /// Counts since the start.
    #[must_use]
    pub fn statistics(&self) -> &PeerStatistics {
        &self.statistics
    }

    /// Queues a numbered message of this link; its id, or `None` while there is no link.
    fn send(&mut self, message: &Message) -> Option<u64> {
        if !self.link.is_up() {
            return None;
        }
        let id = self.sealer.take();
        self.out.push_back(message.encode(self.sealer.boot_id(), id));
        self.statistics.sent = self.statistics.sent.saturating_add(1);
        Some(id)
    }

    fn accept(&mut self, in_reply_to: u64) {
        self.send(&Message::Accepted { in_reply_to });
    }

    fn refuse(&mut self, in_reply_to: u64, code: Refusal, epoch: u64) {
        self.send(&Message::Refused {
            in_reply_to,
            task: 0,
            code,
            epoch,
        });
    }
}
