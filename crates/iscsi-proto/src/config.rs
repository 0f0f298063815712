//! What the daemon decides before a connection starts.

use core::time::Duration;

/// Settings of one connection. [`Default`] gives the values in parentheses.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Tag of the portal group the connection came in on, declared at login (1).
    pub target_portal_group_tag: u16,
    /// Largest data segment we accept, in bytes, declared at login (262144). During login the limit is the
    /// standard's 8192.
    pub max_recv_data_segment: u32,
    /// Most bytes of one solicited sequence, either direction (1 MiB); the initiator may ask for less.
    pub max_burst: u32,
    /// Most bytes of immediate data of one command (65536); the initiator may ask for less. An initiator that
    /// does not negotiate it may send the standard's 65536 whatever is set here.
    pub first_burst: u32,
    /// Most R2Ts outstanding for one command (16); the initiator may ask for fewer.
    pub max_outstanding_r2t: u16,
    /// Commands the initiator may have outstanding: MaxCmdSN − ExpCmdSN + 1 of an idle session (128).
    pub command_window: u32,
    /// Immediate commands outstanding at once (32); one more is rejected with reason 06h.
    pub max_immediate_commands: u32,
    /// Most bytes one [`Connection::request_data`](crate::Connection::request_data) may ask for (16 MiB).
    pub max_data_out: u32,
    /// Most bytes solicited or collected for all commands of the connection together (64 MiB); a command
    /// that needs more waits for the others. One command alone may always run.
    pub max_data_out_total: u32,
    /// Silence after which the initiator is pinged with a NOP-In (15 s).
    pub nop_interval: Duration,
    /// Further silence after which the connection is given up (15 s).
    pub nop_timeout: Duration,
    /// Time from the first byte to the end of login (15 s).
    pub login_timeout: Duration,
    /// Time the initiator has to send the data it was asked for, counted from the last piece (60 s).
    pub data_out_timeout: Duration,
    /// Time the initiator has to log out once it was asked to (10 s).
    pub logout_timeout: Duration,
    /// Any number; first values of StatSN and of target transfer tags come from it.
    pub seed: u64,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            target_portal_group_tag: 1,
            max_recv_data_segment: 256 * 1024,
            max_burst: 1024 * 1024,
            first_burst: 64 * 1024,
            max_outstanding_r2t: 16,
            command_window: 128,
            max_immediate_commands: 32,
            max_data_out: 16 * 1024 * 1024,
            max_data_out_total: 64 * 1024 * 1024,
            nop_interval: Duration::from_secs(15),
            nop_timeout: Duration::from_secs(15),
            login_timeout: Duration::from_secs(15),
            data_out_timeout: Duration::from_secs(60),
            logout_timeout: Duration::from_secs(10),
            seed: 0,
        }
    }
}
