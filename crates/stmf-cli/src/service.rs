//! Commands on the service, on ALUA and on the proxy service.

use crate::{args::Switch, failure::Failure, run::Session, show};

pub(crate) fn list_state(session: &mut Session<'_>) -> Result<(), Failure> {
    let status = session.client.state()?;
    if session.json {
        session.show_json(&status)
    } else {
        session.show(&show::service(&status))
    }
}

pub(crate) fn set_alua(session: &mut Session<'_>, state: Switch, node: Option<u32>) -> Result<(), Failure> {
    let node = match node {
        Some(node @ 0..=1) => node,
        Some(node) => return Err(Failure::new(node.to_string(), "the node number is 0 or 1")),
        None => session.client.alua_state()?.1,
    };
    Ok(session.client.set_alua_state(state == Switch::Enable, node)?)
}

pub(crate) fn list_proxy(session: &mut Session<'_>, verbose: bool) -> Result<(), Failure> {
    let status = session.client.list_proxy()?;
    if session.json {
        session.show_json(&status)
    } else {
        session.show(&show::proxy(&status, verbose))
    }
}
