//! The server's side of every service.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use door::{Builder, Door, Invocation, ReceivedDescriptor, Reply};
use serde::de::Deserialize;
use serde::ser::Serialize;

use crate::context::Context;
use crate::descriptors;
use crate::wire::{Identity, Outcome, RequestHeader};

/// Greatest argument of a door made by [`create`].
const MAX_ARGUMENT_BYTES: u64 = 1 << 20;
/// Most descriptors with a request to a door made by [`create`].
const MAX_DESCRIPTORS: u32 = 64;

/// Something that answers the requests of a service; the servers [`service`](crate::service) writes do.
pub trait Serve: Send + Sync + 'static {
    /// Which service.
    const IDENTITY: Identity;
    /// Requests may carry descriptors.
    const TAKES_DESCRIPTORS: bool;

    /// Answers a request.
    ///
    /// # Errors
    /// What the client is told instead of a result.
    fn dispatch(&self, request: Request<'_>, context: &Context<'_>) -> Served;
}

/// A request has been answered, or refused.
pub type Served = Result<Answered, Refused>;

/// A message to be sent, and what travels with it.
pub struct Answered {
    message: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// Why a request gets no result, and the memory it would have stood in.
pub struct Refused {
    outcome: Outcome,
    memory: Vec<u8>,
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered")
            .field("bytes", &self.message.len())
            .field("descriptors", &self.descriptors.len())
            .finish()
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refused").field(&self.outcome).finish()
    }
}

/// A request whose header was understood.
pub struct Request<'a> {
    method: u32,
    parameters: &'a [u8],
    descriptors: Vec<ReceivedDescriptor>,
    /// Where the answer will stand.
    memory: Vec<u8>,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// Number of the method.
    #[must_use]
    pub fn method(&self) -> u32 {
        self.method
    }

    /// Takes the parameters out.
    ///
    /// # Errors
    /// If they are something else.
    pub fn parameters<T: Deserialize<'a>>(mut self) -> Result<(Self, T), Refused> {
        let descriptors = std::mem::take(&mut self.descriptors);
        match descriptors::decode(self.parameters, descriptors) {
            Ok(parameters) => Ok((self, parameters)),
            Err(_) => Err(self.refused(Outcome::Malformed)),
        }
    }

    /// Answers with a result.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn answer(self, result: &impl Serialize) -> Served {
        let mut message = self.memory;
        message.extend_from_slice(&Outcome::Result.encode());
        match descriptors::encode(result, message) {
            Ok((message, descriptors)) => Ok(Answered { message, descriptors }),
            Err(_) => Err(Refused {
                outcome: Outcome::Unencodable,
                memory: Vec::new(),
            }),
        }
    }

    /// There is no such method.
    ///
    /// # Errors
    /// Always.
    pub fn unknown_method(self) -> Served {
        Err(self.refused(Outcome::UnknownMethod))
    }

    fn refused(self, outcome: Outcome) -> Refused {
        Refused {
            outcome,
            memory: self.memory,
        }
    }
}

/// Makes the door of a service: arguments of at most 1 MiB, and at most 64 descriptors if the service takes any.
///
/// # Errors
/// Those of making a door.
pub fn create<S: Serve>(server: S) -> io::Result<Door> {
    let builder = Door::builder()
        .max_argument_bytes(MAX_ARGUMENT_BYTES)
        .refuse_descriptors(!S::TAKES_DESCRIPTORS);
    let builder = if S::TAKES_DESCRIPTORS {
        builder.max_descriptors(MAX_DESCRIPTORS)
    } else {
        builder
    };
    create_with(server, builder)
}

/// Makes the door of a service as `builder` says.
///
/// # Errors
/// Those of making a door.
pub fn create_with<S: Serve>(server: S, builder: Builder) -> io::Result<Door> {
    builder.create(move |call| serve(&server, call))
}

fn serve<S: Serve>(server: &S, mut call: Invocation<'_>) -> Reply {
    let (descriptors, memory) = (call.take_descriptors(), call.buffer());
    let served = answer(server, &call, descriptors, memory);
    match served {
        Ok(Answered { message, descriptors }) if descriptors.is_empty() => Reply::bytes(message),
        Ok(Answered { message, descriptors }) => {
            let lent: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            match call.reply(&message, &lent) {
                Ok(reply) => reply,
                Err(_) => refusal::<S>(Outcome::Unencodable, message),
            }
        }
        Err(Refused { outcome, memory }) => refusal::<S>(outcome, memory),
    }
}

fn answer<S: Serve>(
    server: &S,
    call: &Invocation<'_>,
    descriptors: Vec<ReceivedDescriptor>,
    memory: Vec<u8>,
) -> Served {
    let refused = |outcome, memory| Err(Refused { outcome, memory });
    let Some((header, parameters)) = RequestHeader::decode(call.argument()) else {
        return refused(Outcome::Malformed, memory);
    };
    if !header.is_for(S::IDENTITY) {
        return refused(Outcome::OtherService, memory);
    }
    if header.version != S::IDENTITY.version {
        return refused(Outcome::OtherVersion, memory);
    }
    let request = Request {
        method: header.method,
        parameters,
        descriptors,
        memory,
    };
    server.dispatch(request, &Context::new(call))
}

fn refusal<S: Serve>(outcome: Outcome, mut memory: Vec<u8>) -> Reply {
    memory.clear();
    memory.extend_from_slice(&outcome.encode());
    if outcome == Outcome::OtherVersion {
        memory.extend_from_slice(&S::IDENTITY.version.to_le_bytes());
    }
    Reply::bytes(memory)
}
