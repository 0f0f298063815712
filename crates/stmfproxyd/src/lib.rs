//! Carries the messages of the proxy service between the two nodes of a pair, over TCP with mutually authenticated
//! TLS 1.3.
//!
//! It uses only the public interface of the service: it makes a door, installs it with `stmfInitProxyDoor`, and hands what
//! comes from the peer to `stmfPostProxyMsg`. It never looks into a message, keeps no state of the pair and repeats
//! nothing: the frameworks on both sides recover by themselves. Anybody may replace it; see `docs` of [`channel`] for what a
//! replacement must do.
//!
//! | Module | Subject |
//! |---|---|
//! | [`config`] | command line and TOML file |
//! | [`identity`] | a node's certificate and key |
//! | [`pin`] | which peer is accepted |
//! | [`frame`] | 4-byte length and message |
//! | [`connection`] | one authenticated connection: writers and a reader that never wait for each other |
//! | [`channel`] | which connection is in use; listening, connecting, coming back |
//! | [`session`] | the door, its installation, posting; coming back when `stmfd` restarts |
#![forbid(unsafe_code)]

pub mod app;
pub mod channel;
pub mod config;
pub mod connection;
pub mod frame;
pub mod identity;
pub mod pin;
pub mod session;
