//! Descriptors that arrive with a call or a reply.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::engine;
use crate::handle::DoorHandle;

/// A descriptor received with a call or a reply: close-on-exec, and closed when dropped.
#[derive(Debug)]
pub struct ReceivedDescriptor(OwnedFd);

impl ReceivedDescriptor {
    pub(crate) fn all(fds: Vec<OwnedFd>) -> Vec<Self> {
        fds.into_iter().map(Self).collect()
    }

    /// True if it refers to a door.
    #[must_use]
    pub fn is_door(&self) -> bool {
        engine::is_door(self.0.as_fd())
    }

    /// The plain descriptor.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// A handle to call the door it refers to.
    ///
    /// # Errors
    /// Gives the descriptor back if it is not a door.
    pub fn into_door(self) -> Result<DoorHandle, crate::NotADoor> {
        DoorHandle::from_fd(self.0)
    }
}

impl AsFd for ReceivedDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<ReceivedDescriptor> for OwnedFd {
    fn from(descriptor: ReceivedDescriptor) -> Self {
        descriptor.0
    }
}
