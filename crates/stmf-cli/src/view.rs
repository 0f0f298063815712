//! Commands on view entries.

use admin_proto::{StmfStatus, View, ViewEntry};

use crate::{
    args::AddView,
    failure::{Failure, guid},
    run::Session,
    show,
};

/// The largest LUN of single-level addressing.
const MAX_LUN: u16 = 16383;

pub(crate) fn add(session: &mut Session<'_>, arguments: &AddView) -> Result<(), Failure> {
    let guid = guid(&arguments.guid)?;
    let lun = arguments.lun.as_deref().map(lun).transpose()?;
    session.note_offline_service()?;
    let view = View {
        host_group: arguments.host_group.clone(),
        target_group: arguments.target_group.clone(),
        lun,
    };
    let entry = session.client.add_view(guid, view).map_err(|error| {
        let object = match error.status() {
            StmfStatus::InvalidHostGroup => arguments.host_group.as_deref(),
            StmfStatus::InvalidTargetGroup => arguments.target_group.as_deref(),
            StmfStatus::LunInUse => arguments.lun.as_deref(),
            _ => None,
        };
        Failure::of(object.unwrap_or(&arguments.guid), error)
    })?;
    if session.json {
        session.show_json(&entry)
    } else {
        Ok(())
    }
}

pub(crate) fn remove(
    session: &mut Session<'_>,
    lu_name: &str,
    all: bool,
    entries: &[String],
) -> Result<(), Failure> {
    let guid = guid(lu_name)?;
    let views = if all {
        let views = session
            .client
            .list_views(guid)
            .map_err(|error| Failure::of(lu_name, error))?;
        views.iter().map(|entry| entry.index.to_string()).collect()
    } else {
        entries.to_vec()
    };
    if views.is_empty() {
        let reason = if all {
            "no views found"
        } else {
            "no view entries specified"
        };
        return Err(Failure::new(lu_name, reason));
    }
    session.each(&views, |session, operand| {
        session
            .client
            .remove_view(guid, index(operand)?)
            .map_err(|error| Failure::of(operand, error))
    });
    Ok(())
}

pub(crate) fn list(session: &mut Session<'_>, lu_name: &str, entries: &[String]) -> Result<(), Failure> {
    let guid = guid(lu_name)?;
    session.note_offline_service()?;
    let views = session
        .client
        .list_views(guid)
        .map_err(|error| Failure::of(lu_name, error))?;
    if views.is_empty() {
        return Err(Failure::new(lu_name, "no views found"));
    }
    let names = if entries.is_empty() {
        views.iter().map(|entry| entry.index.to_string()).collect()
    } else {
        entries.to_vec()
    };
    let mut listed: Vec<&ViewEntry> = Vec::new();
    session.each(&names, |session, operand| {
        let index = index(operand)?;
        let entry = views.iter().find(|entry| entry.index == index);
        let entry = entry.ok_or_else(|| Failure::new(operand, StmfStatus::NotFound.message()))?;
        if session.json {
            listed.push(entry);
            return Ok(());
        }
        session.show(&show::view(entry))
    });
    if session.json {
        session.show_json(&listed)
    } else {
        Ok(())
    }
}

/// A logical unit number: decimal, or hexadecimal after `0x`.
fn lun(text: &str) -> Result<u16, Failure> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let number = number.ok().filter(|number| *number <= MAX_LUN);
    number.ok_or_else(|| Failure::new(text, "invalid logical unit number: 0 to 16383"))
}

fn index(text: &str) -> Result<u32, Failure> {
    text.parse()
        .map_err(|_| Failure::new(text, "invalid view entry number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lun_is_a_number_up_to_16383() {
        for (text, number) in [("0", 0), ("16383", 16383), ("0x10", 16)] {
            assert_eq!(lun(text).unwrap(), number);
        }
        for text in ["", "-1", "16384", "0x4000", "a"] {
            assert!(lun(text).is_err(), "{text}");
        }
    }
}
