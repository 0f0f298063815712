//! Requests about groups and view entries. A change is kept in the state file first and takes effect then.

use super::{Admin, core_guid};
use admin_proto::{Answer, Group, GroupKind, Guid, Reply, StmfStatus, View};
use std::sync::PoisonError;
use stmf_core::{GroupError, Lun, ViewEntry, ViewError, Views};

impl Admin {
    pub(super) fn create_group(&self, kind: GroupKind, name: &str) -> Answer {
        self.change_groups(|views| match kind {
            GroupKind::Host => views.create_host_group(name),
            GroupKind::Target => views.create_target_group(name),
        })
    }

    pub(super) fn delete_group(&self, kind: GroupKind, name: &str) -> Answer {
        self.change_groups(|views| match kind {
            GroupKind::Host => views.delete_host_group(name),
            GroupKind::Target => views.delete_target_group(name),
        })
    }

    pub(super) fn add_group_member(&self, kind: GroupKind, group: &str, member: &str) -> Answer {
        if !self.group_exists(kind, group) {
            return Answer::from(StmfStatus::GroupNotFound);
        }
        let online = self.target.port().name == stmf_core::canonical_name(member);
        self.change_groups(|views| match kind {
            GroupKind::Host => views.add_host_group_member(group, member),
            GroupKind::Target => views.add_target_group_member(group, member, online),
        })
    }

    pub(super) fn remove_group_member(&self, kind: GroupKind, group: &str, member: &str) -> Answer {
        if !self.group_exists(kind, group) {
            return Answer::from(StmfStatus::GroupNotFound);
        }
        let online = self.target.port().name == stmf_core::canonical_name(member);
        let answer = self.change_groups(|views| match kind {
            GroupKind::Host => views.remove_host_group_member(group, member),
            GroupKind::Target => views.remove_target_group_member(group, member, online),
        });
        if answer.status == StmfStatus::NotFound {
            Answer::from(StmfStatus::MemberNotFound)
        } else {
            answer
        }
    }

    pub(super) fn list_groups(&self, kind: GroupKind) -> Answer {
        let views = self.target.views.read().unwrap_or_else(PoisonError::into_inner);
        let group = |(name, members): (&str, &stmf_core::Group)| Group {
            name: name.to_owned(),
            members: members.iter().cloned().collect(),
        };
        let groups = match kind {
            GroupKind::Host => views.host_groups().map(group).collect(),
            GroupKind::Target => views.target_groups().map(group).collect(),
        };
        Answer::good(Reply::Groups { groups })
    }

    pub(super) fn add_view(&self, guid: Guid, view: View) -> Answer {
        let entry = match entry(&view) {
            Ok(entry) => entry,
            Err((status, message)) => return Answer::failed(status, message),
        };
        let added = self.change_views(|views| views.add_view(core_guid(guid), entry.clone()));
        match added {
            Ok((index, lun)) => Answer::good(Reply::View(admin_proto::ViewEntry {
                index,
                host_group: view.host_group,
                target_group: view.target_group,
                lun: lun.number(),
            })),
            Err((status, message)) => Answer::failed(status, message),
        }
    }

    pub(super) fn remove_view(&self, guid: Guid, index: u32) -> Answer {
        match self.change_views(|views| views.remove_view(core_guid(guid), index)) {
            Ok(_) => Answer::done(),
            Err((status, message)) => Answer::failed(status, message),
        }
    }

    pub(super) fn list_views(&self, guid: Guid) -> Answer {
        let views = self.target.views.read().unwrap_or_else(PoisonError::into_inner);
        let entries = views
            .views_of(core_guid(guid))
            .map(|(index, view)| admin_proto::ViewEntry {
                index,
                host_group: view.host_group.clone(),
                target_group: view.target_group.clone(),
                lun: view.lun.number(),
            });
        Answer::good(Reply::Views {
            views: entries.collect(),
        })
    }

    pub(super) fn validate_view(&self, view: View) -> Answer {
        let entry = match entry(&view) {
            Ok(entry) => entry,
            Err((status, message)) => return Answer::failed(status, message),
        };
        let views = self.target.views.read().unwrap_or_else(PoisonError::into_inner);
        match views.validate_view(None, &entry) {
            Ok(lun) => Answer::good(Reply::View(admin_proto::ViewEntry {
                index: 0,
                host_group: view.host_group,
                target_group: view.target_group,
                lun: lun.number(),
            })),
            Err(error) => Answer::failed(view_status(error), error.to_string()),
        }
    }

    fn group_exists(&self, kind: GroupKind, name: &str) -> bool {
        let views = self.target.views.read().unwrap_or_else(PoisonError::into_inner);
        match kind {
            GroupKind::Host => views.host_groups().any(|(known, _)| known == name),
            GroupKind::Target => views.target_groups().any(|(known, _)| known == name),
        }
    }

    fn change_groups(&self, change: impl FnOnce(&mut Views) -> Result<(), GroupError>) -> Answer {
        let mut status = StmfStatus::Error;
        let changed = self.replace_views(|views| {
            change(views).map_err(|error| {
                status = group_status(error);
                error.to_string()
            })
        });
        match changed {
            Ok(()) => Answer::done(),
            Err(message) => Answer::failed(status, message),
        }
    }

    fn change_views<T>(
        &self,
        change: impl FnOnce(&mut Views) -> Result<T, ViewError>,
    ) -> Result<T, (StmfStatus, String)> {
        let mut status = StmfStatus::Error;
        self.replace_views(|views| {
            change(views).map_err(|error| {
                status = view_status(error);
                error.to_string()
            })
        })
        .map_err(|message| (status, message))
    }

    /// Changes a copy, keeps it, and puts it in force.
    fn replace_views<T>(&self, change: impl FnOnce(&mut Views) -> Result<T, String>) -> Result<T, String> {
        let mut next = self
            .target
            .views
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let result = change(&mut next)?;
        self.target
            .state()
            .put_views(&next)
            .map_err(|error| format!("the state file could not be written: {error}; nothing was changed"))?;
        *self.target.views.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.target.refresh_luns();
        Ok(result)
    }
}

fn entry(view: &View) -> Result<ViewEntry, (StmfStatus, String)> {
    let lun = match view.lun.map(Lun::new) {
        Some(None) => {
            return Err((
                StmfStatus::InvalidArg,
                "Logical unit number must be less than 16384".to_owned(),
            ));
        }
        Some(lun) => lun,
        None => None,
    };
    Ok(ViewEntry {
        host_group: view.host_group.clone(),
        target_group: view.target_group.clone(),
        lun,
    })
}

fn group_status(error: GroupError) -> StmfStatus {
    match error {
        GroupError::InvalidName => StmfStatus::InvalidArg,
        GroupError::Exists => StmfStatus::Exists,
        GroupError::NotFound => StmfStatus::NotFound,
        GroupError::InUse => StmfStatus::GroupInUse,
        GroupError::TargetOnline => StmfStatus::TargetGroupOnline,
    }
}

fn view_status(error: ViewError) -> StmfStatus {
    match error {
        ViewError::InvalidHostGroup => StmfStatus::InvalidHostGroup,
        ViewError::InvalidTargetGroup => StmfStatus::InvalidTargetGroup,
        ViewError::Conflict => StmfStatus::ViewConflict,
        ViewError::LunInUse => StmfStatus::LunInUse,
        ViewError::NoLun | ViewError::IndexInUse => StmfStatus::Error,
        ViewError::NotFound => StmfStatus::NotFound,
    }
}
