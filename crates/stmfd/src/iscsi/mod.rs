//! The iSCSI front end: sockets around the pure connection state machine of `iscsi-proto`.

mod commands;
mod connection;
mod listener;
mod sessions;
mod shards;

pub(crate) use connection::ConnectionMessage;
pub(crate) use listener::serve;
pub(crate) use sessions::Sessions;
pub(crate) use shards::Shards;
