//! What a procedure answers.

use std::borrow::Cow;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::engine::{Claimed, FinishError};
use crate::small::{SMALL_BYTES, SmallBytes};

/// The answer of a procedure.
///
/// It owns what it is made of: everything a procedure has on its stack is dropped before the caller goes on. Up to
/// 96 bytes live in the value itself, so small answers allocate nothing. For data that is elsewhere, or descriptors that are only
/// lent, see [`Invocation::reply`](crate::Invocation::reply); for memory that is used again, [`Invocation::buffer`](crate::Invocation::buffer).
///
/// A reply with more than 1,024 descriptors cannot be sent: its call fails with [`CallError::Interrupted`](crate::CallError::Interrupted).
/// If one of the two processes has no room for them, it fails with [`CallError::OutOfDescriptors`](crate::CallError::OutOfDescriptors).
/// A caller that wants no reply gets none.
#[derive(Default)]
pub struct Reply {
    content: Content,
    descriptors: Vec<OwnedFd>,
}

#[derive(Default)]
enum Content {
    #[default]
    Nothing,
    Owned(ReplyBytes),
    Static(&'static [u8]),
    /// By `Invocation::reply`.
    Sent,
}

/// The bytes of a [`Reply`]: made from arrays, slices, vectors and strings.
#[derive(Debug)]
pub struct ReplyBytes(Bytes);

#[derive(Debug)]
enum Bytes {
    Small(SmallBytes),
    Large(Vec<u8>),
}

impl Reply {
    /// Nothing but the fact that the procedure has run.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// An answer of bytes.
    #[must_use]
    pub fn bytes(data: impl Into<ReplyBytes>) -> Self {
        Self {
            content: Content::Owned(data.into()),
            descriptors: Vec::new(),
        }
    }

    /// An answer that is always the same.
    #[must_use]
    pub fn from_static(data: &'static [u8]) -> Self {
        Self {
            content: Content::Static(data),
            descriptors: Vec::new(),
        }
    }

    /// Gives a descriptor away with the answer; up to 1,024. It is closed here in any case.
    #[must_use]
    pub fn give(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.descriptors.push(fd.into());
        self
    }

    /// What `Invocation::reply` leaves for the procedure to return.
    pub(crate) fn sent() -> Self {
        Self {
            content: Content::Sent,
            descriptors: Vec::new(),
        }
    }

    /// Answers; false if the invocation has to be failed. A vector is kept in `spare` for the next answer.
    pub(crate) fn send(self, claimed: &mut Claimed, spare: &mut Vec<u8>) -> bool {
        let data: &[u8] = match &self.content {
            Content::Sent => return claimed.is_finished(),
            Content::Nothing => &[],
            Content::Static(data) => data,
            Content::Owned(ReplyBytes(Bytes::Small(small))) => small,
            Content::Owned(ReplyBytes(Bytes::Large(vec))) => vec,
        };
        let borrowed: Vec<BorrowedFd<'_>> = self.descriptors.iter().map(AsFd::as_fd).collect();
        let finished = match claimed.finish(data, &borrowed) {
            Ok(()) | Err(FinishError::NoCaller) => true,
            // The caller wanted no results: it learns that the procedure ran.
            Err(FinishError::TooBig) if borrowed.len() <= crate::engine::MAX_DESCRIPTORS => {
                claimed.finish(&[], &[]).is_ok()
            }
            // Whichever of the two has no room for them.
            Err(FinishError::OutOfDescriptors) => {
                claimed.finish_without_descriptors();
                true
            }
            Err(FinishError::TooBig | FinishError::BadDescriptor | FinishError::Os(_)) => false,
        };
        if let Content::Owned(ReplyBytes(Bytes::Large(vec))) = self.content {
            keep(spare, vec);
        }
        finished
    }
}

/// A thread keeps no more memory than this for its next reply.
const KEEP_BYTES: usize = 1 << 20;

/// Keeps the larger vector, if it is not too large to be kept.
fn keep(spare: &mut Vec<u8>, mut used: Vec<u8>) {
    if used.capacity() > spare.capacity() && used.capacity() <= KEEP_BYTES {
        used.clear();
        *spare = used;
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match &self.content {
            Content::Sent => return f.write_str("Reply(sent)"),
            Content::Nothing => 0,
            Content::Static(data) => data.len(),
            Content::Owned(ReplyBytes(Bytes::Small(small))) => small.len(),
            Content::Owned(ReplyBytes(Bytes::Large(vec))) => vec.len(),
        };
        f.debug_struct("Reply")
            .field("bytes", &bytes)
            .field("descriptors", &self.descriptors.len())
            .finish()
    }
}

impl From<&[u8]> for ReplyBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(SmallBytes::new(bytes).map_or_else(|| Bytes::Large(bytes.to_vec()), Bytes::Small))
    }
}

impl From<Vec<u8>> for ReplyBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::Large(bytes))
    }
}

impl<const N: usize> From<[u8; N]> for ReplyBytes {
    fn from(bytes: [u8; N]) -> Self {
        Self::from(&bytes[..])
    }
}

impl<const N: usize> From<&[u8; N]> for ReplyBytes {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(&bytes[..])
    }
}

impl From<&str> for ReplyBytes {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for ReplyBytes {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<Box<[u8]>> for ReplyBytes {
    fn from(bytes: Box<[u8]>) -> Self {
        Self::from(bytes.into_vec())
    }
}

impl From<Cow<'_, [u8]>> for ReplyBytes {
    fn from(bytes: Cow<'_, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(bytes) => Self::from(bytes),
            Cow::Owned(bytes) => Self::from(bytes),
        }
    }
}

const _: () = assert!(SMALL_BYTES == 96, "the documentation of Reply says so");
