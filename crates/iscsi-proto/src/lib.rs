//! iSCSI (RFC 7143) as a state machine: PDUs, text keys, login, full feature phase. Pure.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod connection;
mod error;
mod event;
mod time;

pub use config::ConnectionConfig;
pub use connection::Connection;
pub use error::{CloseReason, LoginStatus, ProtocolError, RequestDataError, TextError};
pub use event::{
    Cdb, Closing, Event, LoginGrant, LoginRequest, LoginVerdict, ScsiCommand, ScsiResponse, SendTargets,
    SessionOpened, TargetRecord, TaskAttribute, TaskManagement, TaskManagementFunction,
    TaskManagementResponse,
};
pub use time::Instant;
