//! Numbering and encoding of messages, shared by all threads that send.

use crate::codec::DataFrame;
use crate::message::Message;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Turns messages of the data roles into bytes under this node's boot id and message count, without the lock around
/// [`super::Peer`]. Clones share the count.
#[derive(Clone, Debug)]
pub struct Sealer {
    boot_id: u64,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    next: AtomicU64,
    up: AtomicBool,
}

impl Sealer {
    pub(super) fn new(boot_id: u64) -> Self {
        Self {
            boot_id,
            shared: Arc::new(Shared {
                next: AtomicU64::new(1),
                up: AtomicBool::new(false),
            }),
        }
    }

    /// The message's bytes; `None` while the channel is not up. What is sealed must be sent, or `Peer::send_failed`
    /// called: a number that never arrives counts as a lost message.
    #[must_use]
    pub fn seal(&self, message: &Message) -> Option<Vec<u8>> {
        self.is_up().then(|| message.encode(self.boot_id, self.take()))
    }

    /// A data message to be filled in place; `None` while the channel is not up. The same duty as with `seal`.
    #[must_use]
    pub fn data_in_frame(&self, task: u64, offset: u64, length: u32) -> Option<DataFrame> {
        self.is_up()
            .then(|| DataFrame::data_in(self.boot_id, self.take(), task, offset, length))
    }

    /// Whether the channel is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.shared.up.load(Ordering::Acquire)
    }

    pub(super) fn set_up(&self, up: bool) {
        self.shared.up.store(up, Ordering::Release);
    }

    pub(super) fn boot_id(&self) -> u64 {
        self.boot_id
    }

    pub(super) fn take(&self) -> u64 {
        self.shared.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn upcoming(&self) -> u64 {
        self.shared.next.load(Ordering::Relaxed)
    }
}
