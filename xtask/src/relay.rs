//! The transport of a pair, by name.

use std::path::Path;

use anyhow::{Context as _, Result};
use conformance::c_program;
use conformance::pair::Transport;

use crate::TransportName;

/// What [`conformance::Pair`] needs for this transport; compiles the C relay into `dir` when it is asked for.
pub(crate) fn transport(name: TransportName, dir: &Path) -> Result<Transport> {
    match name {
        TransportName::Stmfproxyd => Ok(Transport::Stmfproxyd),
        TransportName::Relay => {
            let program = dir.join("proxy_relay");
            c_program::compile("cc", &[Path::new("examples/proxy_relay.c")], &program)
                .context("cannot build examples/proxy_relay.c")?;
            Ok(Transport::Relay(program))
        }
    }
}
