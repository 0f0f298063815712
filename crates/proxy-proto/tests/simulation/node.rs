//! A node as the daemon would be: `Peer`, `Requester`, `Responder`, one logical unit whose store both nodes can reach.

use crate::world::{Random, ms};
use bytes::Bytes;
use proxy_proto::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

pub(crate) const SLOTS: u64 = 16;
pub(crate) const SLOT_BYTES: u32 = 12 * 1024;
pub(crate) const GUID: GuidBytes = *b"\x60a-simulated-lu.";

/// The store both nodes reach: the value that fills each slot.
pub(crate) type Store = Rc<RefCell<Vec<u64>>>;

/// Something a daemon does later.
#[derive(Debug)]
pub(crate) enum Action {
    /// A command has had its time on the medium.
    Executed(TaskKey),
    Drained,
    Activate {
        epoch: u64,
    },
    Reactivate {
        epoch: u64,
    },
    SteppedDown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Io {
    Read { slot: u64 },
    Write { slot: u64, value: u64 },
}

#[derive(Debug)]
struct Job {
    io: Io,
    data: Vec<u8>,
    aborted: bool,
}

pub(crate) struct Node {
    pub(crate) number: u16,
    pub(crate) boot_id: u64,
    pub(crate) peer: Peer,
    pub(crate) requester: Requester,
    responder: Responder,
    sealer: Sealer,
    pub(crate) store: Store,
    /// What is stored on this node's disk: survives a restart.
    pub(crate) epoch: u64,
    pub(crate) access: AccessState,
    /// The store is open here.
    pub(crate) serving: bool,
    jobs: BTreeMap<TaskKey, Job>,
    pub(crate) finished: VecDeque<(u64, Outcome)>,
    pub(crate) failovers: Vec<Result<(), Refusal>>,
    pub(crate) decode_errors: usize,
    tiny: Limits,
    pending: VecDeque<PeerEvent>,
}

impl Node {
    pub(crate) fn new(number: u16, store: Store, owner: bool) -> Self {
        let epoch = next_epoch(0, 0);
        let access = if owner {
            AccessState::Active
        } else {
            AccessState::Standby
        };
        let tiny = Limits {
            max_data_bytes: 4096,
            max_immediate_bytes: 4096,
            max_tasks: 64,
        };
        let mut node = Self::boot(number, 1, store, tiny);
        (node.epoch, node.access, node.serving) = (epoch, access, owner);
        node.start(1);
        node
    }

    fn boot(number: u16, boot: u64, store: Store, tiny: Limits) -> Self {
        let boot_id = boot * 10 + u64::from(number);
        let config = PeerConfig {
            limits: tiny,
            ..PeerConfig::new(number, boot_id)
        };
        let peer = Peer::new(config);
        Self {
            number,
            boot_id,
            sealer: peer.sealer(),
            peer,
            requester: Requester::new(RequesterConfig {
                read_window: 8192,
                ..RequesterConfig::default()
            }),
            responder: Responder::new(ResponderConfig {
                max_tasks: 64,
                ..ResponderConfig::default()
            }),
            store,
            epoch: 0,
            access: AccessState::Standby,
            serving: false,
            jobs: BTreeMap::new(),
            finished: VecDeque::new(),
            failovers: Vec::new(),
            decode_errors: 0,
            tiny,
            pending: VecDeque::new(),
        }
    }

    fn start(&mut self, now: u64) {
        let now = Instant(now);
        self.peer.set_ports(
            now,
            vec![PortRecord {
                name: format!("port-{}", self.number),
                relative_target_port: 1 + 255 * self.number,
                node: self.number,
            }],
        );
        self.peer.set_lus(now, vec![self.record()]);
        self.peer.door_installed(now);
        self.peer.set_alua(now, true, self.number);
    }

    /// The framework dies and starts: what ran has stopped; the epoch is on disk; it comes up standby.
    pub(crate) fn restart(&mut self, now: u64) {
        self.requester.channel_lost();
        while let Some(event) = self.requester.poll_event() {
            if let RequesterEvent::Finished { task, outcome } = event {
                self.finished.push_back((task, outcome));
            }
        }
        let finished = std::mem::take(&mut self.finished);
        let fresh = Self::boot(self.number, self.boot_id / 10 + 1, self.store.clone(), self.tiny);
        let (epoch, failovers) = (self.epoch, std::mem::take(&mut self.failovers));
        *self = Self {
            epoch,
            finished,
            failovers,
            ..fresh
        };
        self.start(now);
    }

    fn record(&self) -> LuRecord {
        LuRecord {
            guid: GUID,
            epoch: self.epoch,
            access: self.access,
            path: "/simulated".into(),
            vendor: *b"LINTEL  ",
            product: *b"SIMULATION      ",
            revision: *b"0001",
            serial: None,
            alias: String::new(),
            block_size: 512,
            blocks: 1 << 20,
            flags: 0,
        }
    }

    fn became(&mut self, now: u64, access: AccessState, epoch: u64) {
        (self.access, self.epoch) = (access, epoch);
        let record = self.record();
        self.peer.lu_changed(Instant(now), record);
    }

    /// Asks the peer; `None` if the channel is not up.
    pub(crate) fn begin(&mut self, now: u64, io: Io) -> Option<u64> {
        if self.peer.channel() != Channel::Up {
            return None;
        }
        let mut cdb = vec![0; 16];
        let (data_out, expected_in, expected_out) = match io {
            Io::Read { slot } => {
                (cdb[0], cdb[1]) = (0x88, slot as u8);
                (vec![], SLOT_BYTES, 0)
            }
            Io::Write { slot, value } => {
                (cdb[0], cdb[1]) = (0x8a, slot as u8);
                (vec![Bytes::from(fill(value))], 0, SLOT_BYTES)
            }
        };
        let new = NewTask {
            guid: GUID,
            lun: [0; 8],
            initiator: "i".into(),
            port: PortRecord {
                name: format!("port-{}", self.number),
                relative_target_port: 1,
                node: self.number,
            },
            session: 1,
            cdb,
            attribute: TaskAttribute::Simple,
            expected_in,
            expected_out,
            data_out,
        };
        self.requester.begin(Instant(now), new).ok()
    }

    pub(crate) fn receive(&mut self, now: u64, bytes: Vec<u8>) {
        let Ok(envelope) = Envelope::decode(Bytes::from(bytes)) else {
            self.decode_errors += 1;
            return;
        };
        let boot_id = envelope.boot_id;
        if let Ok(Route::Data(message)) = self.peer.handle(Instant(now), envelope) {
            self.react(now);
            match message.role() {
                Role::Requester => self.requester.handle(Instant(now), message),
                _ => self.responder.handle(boot_id, message),
            }
        }
        self.react(now);
    }

    pub(crate) fn send_failed(&mut self, now: u64) {
        self.peer.send_failed(Instant(now));
        self.react(now);
    }

    pub(crate) fn timeout(&mut self, now: u64) {
        self.peer.handle_timeout(Instant(now));
        self.requester.handle_timeout(Instant(now));
        self.react(now);
    }

    pub(crate) fn next_timeout(&self) -> Option<u64> {
        [self.peer.poll_timeout(), self.requester.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
            .map(|t| t.0)
    }

    /// What may not wait: the data roles must know of a lost link before anything else is given to them.
    fn react(&mut self, _now: u64) {
        while let Some(event) = self.peer.poll_event() {
            match event {
                PeerEvent::LinkLost(_) => {
                    self.requester.channel_lost();
                    self.responder.channel_lost();
                }
                PeerEvent::ChannelChanged(Channel::Up) => {
                    let limits = self.peer.peer_limits().unwrap();
                    self.requester.set_peer_limits(limits);
                    self.responder.set_peer_limits(limits);
                }
                other => self.pending.push_back(other),
            }
        }
    }

    pub(crate) fn transmit(&mut self, now: u64) -> Option<Vec<u8>> {
        if let Some(bytes) = self.peer.poll_transmit() {
            return Some(bytes);
        }
        loop {
            let from_requester = self.requester.poll_transmit();
            let asked = from_requester.is_some();
            let message = from_requester.or_else(|| self.responder.poll_transmit())?;
            if let Some(bytes) = self.sealer.seal(&message) {
                return Some(bytes);
            }
            if asked && let Message::ScsiCommand(command) = message {
                self.requester.send_failed(command.task);
            }
            let _ = now;
        }
    }

    /// The next event; an action for later if it asks for one.
    pub(crate) fn event(&mut self, now: u64, random: &mut Random) -> Option<(u64, Action)> {
        loop {
            if let Some(event) = self.requester.poll_event() {
                if let RequesterEvent::Finished { task, outcome } = event {
                    self.finished.push_back((task, outcome));
                }
                continue;
            }
            if let Some(event) = self.responder.poll_event() {
                match self.responder_event(event) {
                    None => continue,
                    Some(action) => {
                        let slow = random.chance(50);
                        return Some((random.below(ms(if slow { 4000 } else { 300 })), action));
                    }
                }
            }
            let event = self.pending.pop_front()?;
            if let Some(action) = self.peer_event(now, event) {
                return Some((random.below(ms(500)), action));
            }
        }
    }

    fn responder_event(&mut self, event: ResponderEvent) -> Option<Action> {
        match event {
            ResponderEvent::Execute { key, command } => {
                let slot = u64::from(command.cdb[1]);
                let write = command.cdb[0] == 0x8a;
                let io = if write {
                    Io::Write { slot, value: 0 }
                } else {
                    Io::Read { slot }
                };
                assert!(
                    self.jobs
                        .insert(
                            key,
                            Job {
                                io,
                                data: Vec::new(),
                                aborted: false
                            }
                        )
                        .is_none(),
                    "executed twice"
                );
                if write {
                    // Refused if it has been aborted meanwhile; the event that says so is next.
                    let _ = self.responder.request_data(key, command.expected_out / 2);
                    return None;
                }
                Some(Action::Executed(key))
            }
            ResponderEvent::DataOut { key, data } => {
                let job = self.jobs.get_mut(&key)?;
                job.data.extend(data.concat());
                if job.data.len() < SLOT_BYTES as usize {
                    // Refused if it has been aborted meanwhile; the event that says so is next.
                    let _ = self.responder.request_data(key, SLOT_BYTES / 2);
                    return None;
                }
                Some(Action::Executed(key))
            }
            ResponderEvent::Abort { key } => {
                let job = self.jobs.get_mut(&key)?;
                job.aborted = true;
                // A job that still waits for data has nothing on the medium; others end in their own time.
                if matches!(job.io, Io::Write { .. }) && job.data.len() < SLOT_BYTES as usize {
                    self.jobs.remove(&key);
                    self.responder.aborted(key);
                }
                None
            }
            ResponderEvent::TaskManagement { .. } | ResponderEvent::SessionDestroyed { .. } => None,
        }
    }

    fn peer_event(&mut self, now: u64, event: PeerEvent) -> Option<Action> {
        match event {
            PeerEvent::FailoverRequested { .. } => {
                self.drain(now);
                Some(Action::Drained)
            }
            PeerEvent::Offered { lu, .. } => Some(Action::Activate { epoch: lu.epoch }),
            PeerEvent::HandedOver { epoch, .. } => {
                self.became(now, AccessState::Standby, epoch);
                None
            }
            PeerEvent::RollBack { epoch, .. } => Some(Action::Reactivate { epoch }),
            PeerEvent::StepDown { .. } => {
                self.serving = false;
                Some(Action::SteppedDown)
            }
            PeerEvent::FailoverFinished { result, .. } => {
                self.failovers.push(result);
                None
            }
            _ => None,
        }
    }

    /// Stops serving; what runs has until the drain is over.
    pub(crate) fn drain(&mut self, now: u64) {
        self.became(now, AccessState::ActiveToStandby, self.epoch);
    }

    pub(crate) fn act(&mut self, now: u64, action: Action) {
        match action {
            Action::Executed(key) => self.executed(key),
            Action::Drained => {
                self.serving = false;
                self.peer.drained(Instant(now), GUID, Bytes::new());
            }
            Action::Activate { epoch } => {
                // The epoch is on disk before the store is open.
                self.epoch = epoch;
                self.serving = true;
                self.access = AccessState::Active;
                self.peer.activated(Instant(now), GUID, Ok(()));
                self.became(now, AccessState::Active, epoch);
            }
            Action::Reactivate { epoch } => {
                self.serving = true;
                self.became(now, AccessState::Active, epoch);
            }
            Action::SteppedDown => {
                self.access = AccessState::Standby;
                self.peer.stepped_down(Instant(now), &GUID);
                self.epoch = self.epoch.max(self.peer.peer_lu(&GUID).map_or(0, |l| l.epoch));
                self.became(now, AccessState::Standby, self.epoch);
            }
        }
        self.react(now);
    }

    fn executed(&mut self, key: TaskKey) {
        let Some(job) = self.jobs.remove(&key) else { return };
        let data = match job.io {
            Io::Read { slot } => {
                let value = self.store.borrow()[slot as usize];
                // As a store would give it: in pieces.
                fill(value).chunks(5_000).map(Bytes::copy_from_slice).collect()
            }
            Io::Write { slot, .. } => {
                let value = uniform(&job.data).expect("write data arrived whole and in order");
                // An abort may come too late for the medium.
                if !job.aborted || value.is_multiple_of(2) {
                    self.store.borrow_mut()[slot as usize] = value;
                }
                Vec::new()
            }
        };
        let _ = self.responder.complete(key, 0, Vec::new(), data);
    }

    pub(crate) fn idle(&self) -> bool {
        self.requester.outstanding() == 0 && self.responder.outstanding() == 0 && self.jobs.is_empty()
    }
}

/// A slot full of one value, and its position, so that misplaced data show.
pub(crate) fn fill(value: u64) -> Vec<u8> {
    (0..u64::from(SLOT_BYTES) / 16)
        .flat_map(|i| [value.to_le_bytes(), i.to_le_bytes()].concat())
        .collect()
}

pub(crate) fn uniform(data: &[u8]) -> Option<u64> {
    let value = u64::from_le_bytes(data.get(..8)?.try_into().ok()?);
    (data == fill(value)).then_some(value)
}
