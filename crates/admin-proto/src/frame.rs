//! The envelope of requests and answers: version, bounds and the two JSON documents.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Answer, Reply, Request, StmfStatus};

/// Version of the vocabulary of this crate.
pub const VERSION: u32 = 1;

/// The longest request, in bytes. The longest property texts together stay far below.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// The longest answer, in bytes: some ten thousand logical units.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Why bytes are not a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Longer than the bound.
    TooLong {
        /// Length in bytes.
        length: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// Of another version.
    Version {
        /// The version found.
        found: u32,
    },
    /// Not the JSON it should be: the text says where.
    Malformed(String),
}

impl DecodeError {
    /// The status a request that cannot be decoded is answered with.
    pub const fn status(&self) -> StmfStatus {
        match self {
            Self::TooLong { .. } | Self::Malformed(_) => StmfStatus::InvalidArg,
            Self::Version { .. } => StmfStatus::Error,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, limit } => write!(f, "{length} bytes, at most {limit} are allowed"),
            Self::Version { found } => write!(
                f,
                "version {found} of the control door, this program speaks {VERSION}: stmfd and its tools must be of the same release"
            ),
            Self::Malformed(place) => f.write_str(place),
        }
    }
}

impl core::error::Error for DecodeError {}

impl From<DecodeError> for Answer {
    fn from(error: DecodeError) -> Self {
        Self::failed(error.status(), format!("{error}"))
    }
}

/// Looked at first, so that another version is not reported as a malformed document.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFrame {
    #[serde(rename = "version")]
    _version: u32,
    request: Request,
}

#[derive(Serialize)]
struct RequestFrameRef<'a> {
    version: u32,
    request: &'a Request,
}

#[derive(Deserialize)]
struct AnswerFrame {
    status: StmfStatus,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    reply: Option<Reply>,
}

#[derive(Serialize)]
struct AnswerFrameRef<'a> {
    version: u32,
    status: StmfStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'a Reply>,
}

/// The bytes of a request.
///
/// They may exceed [`MAX_REQUEST_BYTES`] when a text in it is absurdly long; the daemon refuses such a request.
pub fn encode_request(request: &Request) -> Vec<u8> {
    to_json(&RequestFrameRef {
        version: VERSION,
        request,
    })
}

/// The request in `bytes`.
///
/// # Errors
/// [`DecodeError`]: too long, of another version, or not a request of this version. `Answer::from` makes the answer.
pub fn decode_request(bytes: &[u8]) -> Result<Request, DecodeError> {
    let frame: RequestFrame = from_json(bytes, MAX_REQUEST_BYTES)?;
    Ok(frame.request)
}

/// The bytes of an answer; one that would exceed [`MAX_ANSWER_BYTES`] becomes a failure that says so.
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    let Answer {
        status,
        message,
        reply,
    } = answer;
    let bytes = to_json(&AnswerFrameRef {
        version: VERSION,
        status: *status,
        message: message.as_deref(),
        reply: reply.as_ref(),
    });
    if bytes.len() <= MAX_ANSWER_BYTES {
        return bytes;
    }
    let message = format!(
        "the answer has {} bytes, more than {MAX_ANSWER_BYTES}: ask for less at a time",
        bytes.len()
    );
    to_json(&AnswerFrameRef {
        version: VERSION,
        status: StmfStatus::Error,
        message: Some(&message),
        reply: None,
    })
}

/// The answer in `bytes`.
///
/// # Errors
/// [`DecodeError`]: too long, of another version, or not an answer of this version.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, DecodeError> {
    let AnswerFrame {
        status,
        message,
        reply,
    } = from_json(bytes, MAX_ANSWER_BYTES)?;
    Ok(Answer {
        status,
        message,
        reply,
    })
}

#[expect(
    clippy::expect_used,
    reason = "no map with keys other than text, no failing Serialize in these types"
)]
fn to_json<T: Serialize>(frame: &T) -> Vec<u8> {
    serde_json::to_vec(frame).expect("these types have only text keys")
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong {
            length: bytes.len(),
            limit,
        });
    }
    let malformed = |error: serde_json::Error| DecodeError::Malformed(format!("{error}"));
    let VersionOnly { version } = serde_json::from_slice(bytes).map_err(malformed)?;
    if version != VERSION {
        return Err(DecodeError::Version { found: version });
    }
    serde_json::from_slice(bytes).map_err(malformed)
}
