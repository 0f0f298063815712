//! Libraries from crates.io that somebody would choose instead of doors, each used as its documentation says is fast.

pub(crate) mod iceoryx2;
pub(crate) mod ipc_channel;
pub(crate) mod tarpc;
pub(crate) mod zbus;
