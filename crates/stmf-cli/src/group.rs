//! Commands on host groups and target groups.

use admin_proto::{Group, GroupKind, StmfStatus, canonical_name, check_group_name};

use crate::{
    args::{List, Members},
    failure::Failure,
    run::Session,
    show,
};

pub(crate) fn create(session: &mut Session<'_>, kind: GroupKind, name: &str) -> Result<(), Failure> {
    check_group_name(name).map_err(|error| Failure::new(name, error.to_string()))?;
    session
        .client
        .create_group(kind, name)
        .map_err(|error| Failure::of(name, error))
}

pub(crate) fn delete(session: &mut Session<'_>, kind: GroupKind, name: &str) -> Result<(), Failure> {
    session
        .client
        .delete_group(kind, name)
        .map_err(|error| Failure::of(name, error))
}

pub(crate) fn add(session: &mut Session<'_>, kind: GroupKind, arguments: &Members) -> Result<(), Failure> {
    session.each(&arguments.members, |session, member| {
        let name = canonical_name(member).map_err(|error| Failure::new(member, error.to_string()))?;
        let added = session
            .client
            .add_group_member(kind, &arguments.group_name, &name);
        added.map_err(|error| Failure::of(object(&error, arguments, member), error))
    });
    Ok(())
}

pub(crate) fn remove(session: &mut Session<'_>, kind: GroupKind, arguments: &Members) -> Result<(), Failure> {
    session.each(&arguments.members, |session, member| {
        let name = canonical_name(member).map_err(|error| Failure::new(member, error.to_string()))?;
        let removed = session
            .client
            .remove_group_member(kind, &arguments.group_name, &name);
        removed.map_err(|error| Failure::of(object(&error, arguments, member), error))
    });
    Ok(())
}

/// What an error is about: the group when that is what is missing, else the member.
fn object(error: &stmf_client::ClientError, arguments: &Members, member: &str) -> String {
    match error.status() {
        StmfStatus::GroupNotFound => arguments.group_name.clone(),
        _ => member.to_owned(),
    }
}

pub(crate) fn list(session: &mut Session<'_>, kind: GroupKind, arguments: &List) -> Result<(), Failure> {
    session.note_offline_service()?;
    let groups = session.client.list_groups(kind)?;
    let names = if arguments.names.is_empty() {
        groups.iter().map(|group| group.name.clone()).collect()
    } else {
        arguments.names.clone()
    };
    let mut listed: Vec<&Group> = Vec::new();
    session.each(&names, |session, name| {
        let group = groups.iter().find(|group| group.name == name);
        let group = group.ok_or_else(|| Failure::new(name, StmfStatus::NotFound.message()))?;
        if session.json {
            listed.push(group);
            return Ok(());
        }
        session.show(&show::group(kind, group, arguments.verbose))
    });
    if session.json {
        session.show_json(&listed)
    } else {
        Ok(())
    }
}
