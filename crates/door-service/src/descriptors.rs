//! Descriptors inside of messages: the message has their place among those that travel beside it.
//!
//! serde has no way to hand something along to the types it visits, so what travels is kept beside the thread for as long as a
//! message is encoded or decoded, and no longer: the methods of a service run outside of that.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use door::{DoorHandle, ReceivedDescriptor};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

/// What travels with the message that is encoded or decoded on this thread.
#[derive(Default)]
enum Baggage {
    #[default]
    None,
    Outgoing(Vec<OwnedFd>),
    Incoming(Vec<Option<ReceivedDescriptor>>),
}

thread_local! {
    static BAGGAGE: RefCell<Baggage> = const { RefCell::new(Baggage::None) };
}

/// Puts back what was there before, whatever happens.
struct Restore(Baggage);

impl Restore {
    fn with(baggage: Baggage) -> Self {
        Self(BAGGAGE.replace(baggage))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        BAGGAGE.set(std::mem::take(&mut self.0));
    }
}

/// Appends `value` to `message`; returns that, and copies of the descriptors in it.
pub(crate) fn encode(
    value: &impl Serialize,
    message: Vec<u8>,
) -> Result<(Vec<u8>, Vec<OwnedFd>), postcard::Error> {
    let _restore = Restore::with(Baggage::Outgoing(Vec::new()));
    let message = postcard::to_extend(value, message)?;
    match BAGGAGE.take() {
        Baggage::Outgoing(sent) => Ok((message, sent)),
        Baggage::None | Baggage::Incoming(_) => Ok((message, Vec::new())),
    }
}

/// Reads a value that takes up all of `bytes`. Descriptors it does not name are closed.
pub(crate) fn decode<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    descriptors: Vec<ReceivedDescriptor>,
) -> Result<T, postcard::Error> {
    let incoming = descriptors.into_iter().map(Some).collect();
    let _restore = Restore::with(Baggage::Incoming(incoming));
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        (_, [..]) => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// Encodes a descriptor: as its place among those that travel.
pub(crate) fn send<S: Serializer>(fd: BorrowedFd<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let place = BAGGAGE.with_borrow_mut(|baggage| match baggage {
        Baggage::Outgoing(all) => {
            all.push(fd.try_clone_to_owned().map_err(S::Error::custom)?);
            Ok(all.len() - 1)
        }
        Baggage::None | Baggage::Incoming(_) => {
            Err(S::Error::custom("a descriptor travels in door calls only"))
        }
    });
    u32::try_from(place?)
        .map_err(S::Error::custom)?
        .serialize(serializer)
}

/// Decodes a descriptor. Each can be named once.
pub(crate) fn receive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ReceivedDescriptor, D::Error> {
    let place = u32::deserialize(deserializer)?;
    BAGGAGE
        .with_borrow_mut(|baggage| match baggage {
            Baggage::Incoming(all) => all.get_mut(usize::try_from(place).ok()?)?.take(),
            Baggage::None | Baggage::Outgoing(_) => None,
        })
        .ok_or_else(|| D::Error::custom("no such descriptor came with the message"))
}

/// A descriptor as a field of a message.
///
/// It can be serialised only as part of a parameter or a result of a service. The message then has a small number, and a copy of the
/// descriptor travels beside it.
#[derive(Debug)]
pub struct Fd(OwnedFd);

impl From<OwnedFd> for Fd {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<std::fs::File> for Fd {
    fn from(file: std::fs::File) -> Self {
        Self(file.into())
    }
}

impl From<Fd> for OwnedFd {
    fn from(fd: Fd) -> Self {
        fd.0
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Serialize for Fd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        send(self.0.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for Fd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        receive(deserializer).map(|fd| Self(fd.into_fd()))
    }
}

/// A borrowed descriptor on its way.
#[doc(hidden)]
#[derive(Debug)]
pub struct Lent<'a>(pub BorrowedFd<'a>);

impl Serialize for Lent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        send(self.0, serializer)
    }
}

/// A door on its way.
#[doc(hidden)]
#[derive(Debug)]
pub struct DoorFd(DoorHandle);

impl From<DoorHandle> for DoorFd {
    fn from(door: DoorHandle) -> Self {
        Self(door)
    }
}

impl From<DoorFd> for DoorHandle {
    fn from(door: DoorFd) -> Self {
        door.0
    }
}

impl Serialize for DoorFd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        send(self.0.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for DoorFd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        receive(deserializer)?
            .into_door()
            .map(Self)
            .map_err(D::Error::custom)
    }
}
