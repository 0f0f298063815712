//! Commands on logical units.

use std::{path::Path, thread, time::Duration};

use admin_proto::{
    AccessState, CreateLu, Guid, LuDetails, LuName, LuProperty, LuState, ModifyLu, StmfStatus, parse_size,
};

use crate::{
    args,
    failure::{Failure, guid},
    run::Session,
    show,
};

/// How often, and with what pause, a change of state is looked for.
const POLLS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(300);

/// What is said when the state did not change in that time.
pub(crate) const STILL_WAITING: &str =
    "Logical Unit state change request submitted. Waiting for completion timed out";

/// Sets `property=value` texts one by one.
fn set_properties(
    specifiers: &[String],
    mut set: impl FnMut(LuProperty, &str) -> Result<(), StmfStatus>,
) -> Result<(), Failure> {
    for specifier in specifiers {
        let malformed = || Failure::whole(format!("invalid property specifier - {specifier}"));
        let (name, value) = specifier.split_once('=').ok_or_else(malformed)?;
        let property = LuProperty::from_name(name).ok_or_else(malformed)?;
        set(property, value).map_err(|status| Failure::new(specifier, status.message()))?;
    }
    Ok(())
}

fn size(text: &str) -> Result<u64, Failure> {
    parse_size(text).ok_or_else(|| Failure::new(text, "invalid size"))
}

/// The daemon has another working directory: a path is made absolute here.
fn absolute(path: &Path) -> Result<String, Failure> {
    let shown = path.display().to_string();
    let absolute = std::path::absolute(path).map_err(|error| Failure::new(&shown, error.to_string()))?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|_| Failure::new(shown, "the path is not UTF-8"))
}

fn show_guid(session: &mut Session<'_>, what: &str, guid: Guid) -> Result<(), Failure> {
    if session.json {
        session.show_json(&serde_json::json!({ "guid": guid }))
    } else {
        session.show(&format!("{what}: {guid}\n"))
    }
}

pub(crate) fn create(session: &mut Session<'_>, arguments: &args::CreateLu) -> Result<(), Failure> {
    let mut create = CreateLu {
        data_file: Some(absolute(&arguments.file)?),
        ..CreateLu::default()
    };
    set_properties(&arguments.properties, |property, value| {
        create.set(property, value)
    })?;
    if let Some(meta) = create.meta_file.take() {
        create.meta_file = Some(absolute(Path::new(&meta))?);
    }
    create.size = arguments.size.as_deref().map(size).transpose()?;
    let file = arguments.file.display().to_string();
    let guid = session
        .client
        .create_lu(create)
        .map_err(|error| Failure::of(file, error))?;
    show_guid(session, "Logical unit created", guid)
}

pub(crate) fn modify(session: &mut Session<'_>, arguments: &args::ModifyLu) -> Result<(), Failure> {
    let operand = arguments.lu.as_str();
    let lu = if arguments.file {
        LuName::File(absolute(Path::new(operand))?)
    } else {
        LuName::Guid(guid(operand)?)
    };
    let mut modify = ModifyLu::new(lu);
    set_properties(&arguments.properties, |property, value| {
        modify.set(property, value)
    })?;
    modify.size = arguments.size.as_deref().map(size).transpose()?;
    if arguments.properties.is_empty() && modify.size.is_none() {
        return Err(Failure::new(
            operand,
            "nothing to change: give --lu-prop or --size",
        ));
    }
    session
        .client
        .modify_lu(modify)
        .map_err(|error| Failure::of_modify(operand, error))
}

pub(crate) fn import(session: &mut Session<'_>, file: &Path) -> Result<(), Failure> {
    let path = absolute(file)?;
    let imported = session.client.import_lu(&path);
    let guid = imported.map_err(|error| Failure::of(file.display().to_string(), error))?;
    show_guid(session, "Logical unit imported", guid)
}

pub(crate) fn delete(session: &mut Session<'_>, operand: &str, keep_views: bool) -> Result<(), Failure> {
    session
        .client
        .delete_lu(guid(operand)?, keep_views)
        .map_err(|error| Failure::of(operand, error))
}

pub(crate) fn standby(session: &mut Session<'_>, operand: &str) -> Result<(), Failure> {
    session
        .client
        .lu_standby(guid(operand)?)
        .map_err(|error| Failure::of(operand, error))
}

pub(crate) fn failover(session: &mut Session<'_>, arguments: &args::Failover) -> Result<(), Failure> {
    let operands = if arguments.all {
        let lus = session.client.list_lus()?;
        let elsewhere =
            |access: Option<AccessState>| access.is_some_and(|access| access != AccessState::Active);
        lus.iter()
            .filter(|lu| elsewhere(lu.access))
            .map(|lu| lu.guid.to_string())
            .collect()
    } else {
        arguments.guids.clone()
    };
    session.each(&operands, |session, operand| {
        let guid = guid(operand)?;
        session
            .client
            .failover(guid, arguments.force)
            .map_err(|error| Failure::of(operand, error))?;
        show_guid(session, "Logical unit active on this node", guid)
    });
    Ok(())
}

pub(crate) fn set_online(session: &mut Session<'_>, operand: &str, online: bool) -> Result<(), Failure> {
    let guid = guid(operand)?;
    let request = if online {
        session.client.online_lu(guid)
    } else {
        session.client.offline_lu(guid)
    };
    request.map_err(|error| Failure::of(operand, error))?;
    let wanted = if online { LuState::Online } else { LuState::Offline };
    for _ in 0..POLLS {
        let details = session
            .client
            .lu_properties(guid)
            .map_err(|error| Failure::of(operand, error))?;
        if details.summary.state == wanted {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    Err(Failure::whole(STILL_WAITING))
}

pub(crate) fn list(session: &mut Session<'_>, arguments: &args::List) -> Result<(), Failure> {
    session.note_offline_service()?;
    let summaries = session.client.list_lus()?;
    let names = if arguments.names.is_empty() {
        summaries.iter().map(|lu| lu.guid.to_string()).collect()
    } else {
        arguments.names.clone()
    };
    let mut listed: Vec<serde_json::Value> = Vec::new();
    session.each(&names, |session, operand| {
        let guid = guid(operand)?;
        let Some(summary) = summaries.iter().find(|lu| lu.guid == guid) else {
            return Err(Failure::new(operand, StmfStatus::NotFound.message()));
        };
        if !arguments.verbose {
            if session.json {
                listed.push(to_json(summary)?);
                return Ok(());
            }
            return session.show(&format!("LU Name: {guid}\n"));
        }
        let details: LuDetails = session
            .client
            .lu_properties(guid)
            .map_err(|error| Failure::of(operand, error))?;
        if session.json {
            listed.push(to_json(&details)?);
            return Ok(());
        }
        session.show(&show::logical_unit(&details))
    });
    if session.json {
        session.show_json(&listed)
    } else {
        Ok(())
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::whole(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specifiers(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn property_specifiers_set_properties_in_any_case() {
        let mut create = CreateLu::default();
        let texts = specifiers(&["ALIAS=a=b", "wp=True", "blk=4096", "vid="]);
        set_properties(&texts, |property, value| create.set(property, value)).unwrap();
        assert_eq!(
            (create.alias.as_deref(), create.write_protect),
            (Some("a=b"), Some(true))
        );
        assert_eq!(
            (create.block_size, create.vendor.as_deref()),
            (Some(4096), Some(""))
        );
    }

    #[test]
    fn malformed_and_unknown_specifiers_are_refused_in_the_known_words() {
        for text in ["alias", "size=1g", "=x"] {
            let refused = set_properties(&specifiers(&[text]), |_, _| Ok(())).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("stmfadm: invalid property specifier - {text}")
            );
        }
        let mut modify = ModifyLu::new(LuName::File("/d".into()));
        let refused = set_properties(&specifiers(&["blk=512"]), |property, value| {
            modify.set(property, value)
        });
        assert_eq!(
            refused.unwrap_err().to_string(),
            "stmfadm: blk=512: invalid property"
        );
        assert_eq!(size("1x").unwrap_err().to_string(), "stmfadm: 1x: invalid size");
    }

    #[test]
    fn a_relative_path_is_sent_absolute() {
        let here = std::env::current_dir().unwrap().join("disk");
        assert_eq!(absolute(Path::new("disk")).unwrap(), here.to_str().unwrap());
        assert_eq!(absolute(Path::new("/s/d")).unwrap(), "/s/d");
    }
}
