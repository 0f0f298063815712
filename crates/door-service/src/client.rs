//! The client's side of every service.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use door::{Call, DoorHandle, ReceivedDescriptor};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::descriptors;
use crate::error::Error;
use crate::wire::{Identity, Outcome, RequestHeader};

/// Greatest reply a client takes unless it says otherwise.
const MAX_REPLY_BYTES: usize = 16 << 20;
/// A thread keeps no more memory than this for its next call.
const KEEP_BYTES: usize = 1 << 20;

thread_local! {
    /// Memory of the last call of this thread: request and reply.
    static MEMORY: Cell<(Vec<u8>, Vec<u8>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// A door that is taken for a certain service: what all clients have in common.
#[derive(Debug, Clone)]
pub struct Stub {
    door: Arc<DoorHandle>,
    identity: Identity,
    patience: Option<Duration>,
    max_reply_bytes: usize,
}

impl Stub {
    /// A client of the service behind a door. Whether it is that service comes out at the first call.
    #[must_use]
    pub fn over(door: DoorHandle, identity: Identity) -> Self {
        Self {
            door: Arc::new(door),
            identity,
            patience: None,
            max_reply_bytes: MAX_REPLY_BYTES,
        }
    }

    /// The same client, whose calls are given up after `patience`.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self.clone()
        }
    }

    /// The same client, which takes no reply of more than `bytes`.
    #[must_use]
    pub fn max_reply_bytes(&self, bytes: usize) -> Self {
        Self {
            max_reply_bytes: bytes,
            ..self.clone()
        }
    }

    /// The door behind it.
    #[must_use]
    pub fn door(&self) -> &DoorHandle {
        &self.door
    }

    /// Calls a method.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn call<R: DeserializeOwned>(&self, method: u32, parameters: &impl Serialize) -> Result<R, Error> {
        let (memory, mut reply) = MEMORY.take();
        // A parameter's own code may call a service, too: the memory is not borrowed meanwhile.
        let (request, sent) = self.encode(method, parameters, memory)?;
        let outcome = self.door.call_reusing(self.message(&request, sent), &mut reply);
        let outcome = outcome.map_err(Error::from);
        let result = outcome.and_then(|descriptors| understand(&reply, descriptors));
        if request.capacity() <= KEEP_BYTES && reply.capacity() <= KEEP_BYTES {
            MEMORY.set((request, reply));
        }
        result
    }

    /// Encodes the parameters of a call that is to be awaited.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn prepare(&self, method: u32, parameters: &impl Serialize) -> Prepared {
        Prepared {
            stub: self.clone(),
            encoded: self.encode(method, parameters, Vec::new()),
        }
    }

    /// A request, in `memory`, and the descriptors that travel with it.
    fn encode(
        &self,
        method: u32,
        parameters: &impl Serialize,
        mut memory: Vec<u8>,
    ) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
        memory.clear();
        memory.extend_from_slice(&RequestHeader::new(self.identity, method).encode());
        descriptors::encode(parameters, memory).map_err(|error| Error::Unsendable(error.to_string()))
    }

    /// The call that carries a request; its time begins now.
    fn message<'a>(&self, request: &'a [u8], sent: Vec<OwnedFd>) -> Call<'a> {
        let call = Call::new(request).max_reply_bytes(self.max_reply_bytes);
        let call = sent.into_iter().fold(call, Call::give);
        match self.patience {
            Some(patience) => call.timeout(patience),
            None => call,
        }
    }

    /// Sends the client itself in a message.
    #[doc(hidden)]
    pub fn send<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        descriptors::send(self.door.as_fd(), serializer)
    }

    /// Receives a client in a message.
    #[doc(hidden)]
    pub fn receive<'de, D: Deserializer<'de>>(deserializer: D, identity: Identity) -> Result<Self, D::Error> {
        let door = descriptors::receive(deserializer)?.into_door();
        Ok(Self::over(door.map_err(D::Error::custom)?, identity))
    }
}

/// A call with its parameters, ready to be made. It borrows nothing.
#[cfg(feature = "tokio")]
#[derive(Debug)]
pub struct Prepared {
    stub: Stub,
    encoded: Result<(Vec<u8>, Vec<OwnedFd>), Error>,
}

#[cfg(feature = "tokio")]
impl Prepared {
    /// Makes the call without blocking; see [`DoorHandle::call_async`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call<R: DeserializeOwned>(self) -> Result<R, Error> {
        let (request, sent) = self.encoded?;
        let message = self.stub.message(&request, sent);
        let (reply, descriptors) = self.stub.door.call_async(message).await?.into_parts();
        understand(&reply, descriptors)
    }
}

fn understand<R: DeserializeOwned>(reply: &[u8], descriptors: Vec<ReceivedDescriptor>) -> Result<R, Error> {
    let (outcome, rest) = Outcome::decode(reply).ok_or(Error::Garbled)?;
    Err(match outcome {
        Outcome::Result => return descriptors::decode(rest, descriptors).map_err(|_| Error::Garbled),
        Outcome::OtherService => Error::OtherService,
        Outcome::OtherVersion => match <[u8; 4]>::try_from(rest) {
            Ok(theirs) => Error::OtherVersion {
                theirs: u32::from_le_bytes(theirs),
            },
            Err(_) => Error::Garbled,
        },
        Outcome::UnknownMethod => Error::UnknownMethod,
        Outcome::Malformed => Error::Malformed,
        Outcome::Unencodable => Error::Unanswerable,
    })
}
