//! Requests and replies on the control door of `stmfd`.
//!
//! The control door is called with one JSON document and answers with one; descriptors travel beside it as door
//! descriptors. This crate is the types, the rules and the bytes, and nothing else: it opens nothing and knows no
//! door, so the daemon, the client and the tests share it.
//!
//! ```text
//! {"version":1,"request":{"type":"set_alua_state","enabled":true,"node":1}}
//! {"version":1,"status":0,"reply":{"type":"alua","enabled":true,"node":1}}
//! {"version":1,"status":32776,"message":"a host group of this name exists"}
//! ```
//!
//! # Rules
//!
//! - **Version.** [`VERSION`] is the version of the whole vocabulary. A request or an answer of another version is
//!   refused before anything else of it is looked at.
//! - **Unknown fields.** In a *request* an unknown field or type is refused ([`DecodeError::Malformed`]): doing less
//!   than was asked is worse than not doing it. In an *answer* unknown fields are skipped, so a newer daemon can say
//!   more within the same version. A new optional field of a request needs no new version; a changed meaning does.
//! - **Bounds.** A request has at most [`MAX_REQUEST_BYTES`], an answer at most [`MAX_ANSWER_BYTES`].
//! - **Status.** The outcome is a code of libstmf (3LIB), see [`StmfStatus`]. The message beside it is for people and is
//!   never compared.
//!
//! ```
//! use admin_proto::{Answer, Reply, Request, decode_answer, decode_request, encode_answer, encode_request};
//!
//! let bytes = encode_request(&Request::GetAluaState {});
//! assert_eq!(decode_request(&bytes), Ok(Request::GetAluaState {}));
//!
//! let bytes = encode_answer(&Answer::good(Reply::Alua { enabled: false, node: 0 }));
//! assert!(decode_answer(&bytes).unwrap().status.is_success());
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod frame;
mod ident;
mod property;
mod reply;
mod request;
mod state;
mod status;

pub use frame::{
    DecodeError, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, VERSION, decode_answer, decode_request, encode_answer,
    encode_request,
};
pub use ident::{Guid, GuidError, MAX_GROUP_NAME_BYTES, NameError, canonical_name, check_group_name};
pub use property::{LuProperty, parse_size};
pub use reply::{
    Answer, DiskProperties, Group, LastFailover, LuCounters, LuDetails, LuSummary, ProxyCounters,
    ProxyStatus, Reply, ServiceStatus, Session, Statistics, Target, TargetCounters, ViewEntry,
};
pub use request::{CreateLu, GroupKind, LuName, ModifyLu, Request, View};
pub use state::{AccessState, Channel, ConfigurationState, FailoverKind, LuState, ServiceState, TargetState};
pub use status::StmfStatus;
