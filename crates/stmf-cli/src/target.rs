//! Commands on target ports.

use std::{thread, time::Duration};

use admin_proto::{StmfStatus, Target, TargetState, canonical_name};

use crate::{args::List, failure::Failure, run::Session, show};

/// How often, and with what pause, a change of state is looked for.
const POLLS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(300);

fn stored(name: &str) -> Result<String, Failure> {
    canonical_name(name).map_err(|error| Failure::new(name, error.to_string()))
}

fn find<'a>(targets: &'a [Target], operand: &str) -> Result<&'a Target, Failure> {
    let name = stored(operand)?;
    let target = targets.iter().find(|target| target.name == name);
    target.ok_or_else(|| Failure::new(operand, StmfStatus::NotFound.message()))
}

pub(crate) fn list(session: &mut Session<'_>, arguments: &List) -> Result<(), Failure> {
    session.note_offline_service()?;
    let targets = session.client.list_targets()?;
    let names = if arguments.names.is_empty() {
        targets.iter().map(|target| target.name.clone()).collect()
    } else {
        arguments.names.clone()
    };
    let mut listed: Vec<&Target> = Vec::new();
    session.each(&names, |session, operand| {
        let target = find(&targets, operand)?;
        if session.json {
            listed.push(target);
            return Ok(());
        }
        session.show(&show::target(target, arguments.verbose))
    });
    if session.json {
        session.show_json(&listed)
    } else {
        Ok(())
    }
}

pub(crate) fn set_online(session: &mut Session<'_>, operand: &str, online: bool) -> Result<(), Failure> {
    let name = stored(operand)?;
    let request = if online {
        session.client.online_target(&name)
    } else {
        session.client.offline_target(&name)
    };
    request.map_err(|error| Failure::of(operand, error))?;
    let wanted = if online {
        TargetState::Online
    } else {
        TargetState::Offline
    };
    for _ in 0..POLLS {
        if find(&session.client.list_targets()?, operand)?.state == wanted {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    Err(Failure::whole(
        "Target state change request submitted. Waiting for completion timed out",
    ))
}
