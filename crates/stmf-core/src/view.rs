//! Host groups, target groups and view entries: which initiator sees which logical unit where.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::fmt;

use scsi_proto::Lun;

use crate::guid::Guid;
use crate::lun_map::LunMap;

/// The longest name of a group or member, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Why a group could not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupError {
    /// Empty, longer than 255 bytes, or (a group) beginning with `*`.
    InvalidName,
    /// The group is there already, or the member is in this or another group.
    Exists,
    /// No such group, or no such member in it.
    NotFound,
    /// A view entry uses the group.
    InUse,
    /// The target is online; its groups may only change while it is not.
    TargetOnline,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidName => "a name has 1 to 255 bytes, and a group's does not begin with '*'",
            Self::Exists => "it exists already",
            Self::NotFound => "there is no such group or member",
            Self::InUse => "a view entry uses the group",
            Self::TargetOnline => "the target must be offline",
        })
    }
}

impl core::error::Error for GroupError {}

/// Why a view entry could not be added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewError {
    /// There is no such host group.
    InvalidHostGroup,
    /// There is no such target group.
    InvalidTargetGroup,
    /// The logical unit is visible there already.
    Conflict,
    /// Another logical unit has this LUN in an overlapping map.
    LunInUse,
    /// Every LUN is taken, or the wanted one is above 16383.
    NoLun,
    /// The logical unit has no such entry.
    NotFound,
    /// The index is taken (when loading a stored configuration).
    IndexInUse,
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidHostGroup => "there is no such host group",
            Self::InvalidTargetGroup => "there is no such target group",
            Self::Conflict => "the logical unit is visible there already",
            Self::LunInUse => "the LUN is in use",
            Self::NoLun => "no LUN is free, or it is above 16383",
            Self::NotFound => "there is no such view entry",
            Self::IndexInUse => "the index is in use",
        })
    }
}

impl core::error::Error for ViewError {}

/// A group of initiators or of targets: canonical member names.
pub type Group = BTreeSet<String>;

/// A view entry that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ViewEntry {
    /// `None`: all hosts.
    pub host_group: Option<String>,
    /// `None`: all targets.
    pub target_group: Option<String>,
    /// `None`: the lowest that is free.
    pub lun: Option<Lun>,
}

/// A view entry that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// `None`: all hosts.
    pub host_group: Option<String>,
    /// `None`: all targets.
    pub target_group: Option<String>,
    /// Where the logical unit is seen.
    pub lun: Lun,
}

impl View {
    /// Can one session be subject to both? Equal groups or *all* in both dimensions: a member is in one group only.
    fn overlaps(&self, host_group: Option<&str>, target_group: Option<&str>) -> bool {
        let meet = |a: Option<&str>, b: Option<&str>| a.is_none() || b.is_none() || a == b;
        meet(self.host_group.as_deref(), host_group) && meet(self.target_group.as_deref(), target_group)
    }
}

/// A stored configuration, to be handed to [`Views::restore`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Host groups by name.
    pub host_groups: BTreeMap<String, Group>,
    /// Target groups by name.
    pub target_groups: BTreeMap<String, Group>,
    /// View entries by logical unit and index.
    pub views: BTreeMap<(Guid, u32), View>,
}

/// All groups and view entries of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Views {
    host_groups: BTreeMap<String, Group>,
    target_groups: BTreeMap<String, Group>,
    views: BTreeMap<(Guid, u32), View>,
}

/// The form in which names are compared: iSCSI `iqn.` names in lower case; `eui.`, `naa.` and `wwn.` with upper-case
/// digits; everything else as it is.
#[must_use]
pub fn canonical_name(name: &str) -> String {
    let (prefix, rest) = name.split_at_checked(4).unwrap_or((name, ""));
    let prefix = prefix.to_ascii_lowercase();
    match prefix.as_str() {
        "iqn." => name.to_lowercase(),
        "eui." | "naa." | "wwn." => prefix + &rest.to_ascii_uppercase(),
        _ => name.to_owned(),
    }
}

impl Views {
    /// No groups, no views.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads a stored configuration through the same checks as every change.
    ///
    /// # Errors
    /// The first entry that breaks a rule; nothing is loaded then.
    pub fn restore(stored: Restored) -> Result<Self, RestoreError> {
        let mut views = Self::new();
        for (name, members) in &stored.host_groups {
            views.create_host_group(name).map_err(RestoreError::Group)?;
            for member in members {
                views
                    .add_host_group_member(name, member)
                    .map_err(RestoreError::Group)?;
            }
        }
        for (name, members) in &stored.target_groups {
            views.create_target_group(name).map_err(RestoreError::Group)?;
            for member in members {
                views
                    .add_target_group_member(name, member, false)
                    .map_err(RestoreError::Group)?;
            }
        }
        for ((guid, index), view) in stored.views {
            let View {
                host_group,
                target_group,
                lun,
            } = view;
            let entry = ViewEntry {
                host_group,
                target_group,
                lun: Some(lun),
            };
            views
                .insert_view(guid, Some(index), entry)
                .map_err(|error| RestoreError::View(guid, index, error))?;
        }
        Ok(views)
    }

    /// Host groups in order of name.
    pub fn host_groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.host_groups
            .iter()
            .map(|(name, members)| (name.as_str(), members))
    }

    /// Target groups in order of name.
    pub fn target_groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.target_groups
            .iter()
            .map(|(name, members)| (name.as_str(), members))
    }

    /// Every view entry, by logical unit and index.
    pub fn views(&self) -> impl Iterator<Item = (Guid, u32, &View)> {
        self.views
            .iter()
            .map(|((guid, index), view)| (*guid, *index, view))
    }

    /// The view entries of one logical unit, by index.
    pub fn views_of(&self, guid: Guid) -> impl Iterator<Item = (u32, &View)> {
        self.views
            .range((guid, 0)..=(guid, u32::MAX))
            .map(|((_, index), view)| (*index, view))
    }

    /// Creates an empty host group.
    ///
    /// # Errors
    /// `InvalidName`, `Exists`.
    pub fn create_host_group(&mut self, name: &str) -> Result<(), GroupError> {
        create_group(&mut self.host_groups, name)
    }

    /// Creates an empty target group.
    ///
    /// # Errors
    /// `InvalidName`, `Exists`.
    pub fn create_target_group(&mut self, name: &str) -> Result<(), GroupError> {
        create_group(&mut self.target_groups, name)
    }

    /// Deletes a host group, members or not.
    ///
    /// # Errors
    /// `NotFound`, `InUse`.
    pub fn delete_host_group(&mut self, name: &str) -> Result<(), GroupError> {
        let used = self
            .views
            .values()
            .any(|view| view.host_group.as_deref() == Some(name));
        delete_group(&mut self.host_groups, name, used)
    }

    /// Deletes a target group, members or not.
    ///
    /// # Errors
    /// `NotFound`, `InUse`.
    pub fn delete_target_group(&mut self, name: &str) -> Result<(), GroupError> {
        let used = self
            .views
            .values()
            .any(|view| view.target_group.as_deref() == Some(name));
        delete_group(&mut self.target_groups, name, used)
    }

    /// Adds an initiator to a host group.
    ///
    /// # Errors
    /// `InvalidName`, `NotFound`, `Exists`.
    pub fn add_host_group_member(&mut self, group: &str, initiator: &str) -> Result<(), GroupError> {
        add_member(&mut self.host_groups, group, initiator)
    }

    /// Removes an initiator from a host group.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_host_group_member(&mut self, group: &str, initiator: &str) -> Result<(), GroupError> {
        remove_member(&mut self.host_groups, group, initiator)
    }

    /// Adds a target, known or not, to a target group. `online`: the target is there and online.
    ///
    /// # Errors
    /// `TargetOnline`, `InvalidName`, `NotFound`, `Exists`.
    pub fn add_target_group_member(
        &mut self,
        group: &str,
        target: &str,
        online: bool,
    ) -> Result<(), GroupError> {
        if online {
            return Err(GroupError::TargetOnline);
        }
        add_member(&mut self.target_groups, group, target)
    }

    /// Removes a target from a target group.
    ///
    /// # Errors
    /// `TargetOnline`, `NotFound`.
    pub fn remove_target_group_member(
        &mut self,
        group: &str,
        target: &str,
        online: bool,
    ) -> Result<(), GroupError> {
        if online {
            return Err(GroupError::TargetOnline);
        }
        remove_member(&mut self.target_groups, group, target)
    }

    /// The host group an initiator is in.
    #[must_use]
    pub fn host_group_of(&self, initiator: &str) -> Option<&str> {
        group_of(&self.host_groups, initiator)
    }

    /// The target group a target is in.
    #[must_use]
    pub fn target_group_of(&self, target: &str) -> Option<&str> {
        group_of(&self.target_groups, target)
    }

    /// Adds a view entry of a logical unit, registered or not, at the lowest free index.
    ///
    /// # Errors
    /// [`ViewError`], and nothing has changed.
    pub fn add_view(&mut self, guid: Guid, entry: ViewEntry) -> Result<(u32, Lun), ViewError> {
        self.insert_view(guid, None, entry)
    }

    /// The LUN that [`Views::add_view`] would assign, or the error it would return. Creates nothing.
    ///
    /// # Errors
    /// As `add_view`. Without a `guid` only the groups and the LUN are checked.
    pub fn validate_view(&self, guid: Option<Guid>, entry: &ViewEntry) -> Result<Lun, ViewError> {
        let host_group = entry.host_group.as_deref();
        let target_group = entry.target_group.as_deref();
        if host_group.is_some_and(|name| !self.host_groups.contains_key(name)) {
            return Err(ViewError::InvalidHostGroup);
        }
        if target_group.is_some_and(|name| !self.target_groups.contains_key(name)) {
            return Err(ViewError::InvalidTargetGroup);
        }
        let overlapping = || {
            self.views()
                .filter(|(_, _, view)| view.overlaps(host_group, target_group))
        };
        if overlapping().any(|(other, _, _)| Some(other) == guid) {
            return Err(ViewError::Conflict);
        }
        let taken: BTreeSet<Lun> = overlapping().map(|(_, _, view)| view.lun).collect();
        match entry.lun {
            Some(lun) if lun > Lun::MAX => Err(ViewError::NoLun),
            Some(lun) if taken.contains(&lun) => Err(ViewError::LunInUse),
            Some(lun) => Ok(lun),
            None => (0..=Lun::MAX.number())
                .filter_map(Lun::new)
                .find(|lun| !taken.contains(lun))
                .ok_or(ViewError::NoLun),
        }
    }

    /// Removes a view entry.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_view(&mut self, guid: Guid, index: u32) -> Result<View, ViewError> {
        self.views.remove(&(guid, index)).ok_or(ViewError::NotFound)
    }

    /// Removes every view entry of a logical unit; returns how many there were.
    pub fn remove_all_views(&mut self, guid: Guid) -> usize {
        let before = self.views.len();
        self.views.retain(|(other, _), _| *other != guid);
        before - self.views.len()
    }

    /// What a session of `initiator` on `target` sees: of the logical units `online`, those with a view entry for
    /// its host group or all hosts and for its target group or all targets.
    #[must_use]
    pub fn lun_map(&self, initiator: &str, target: &str, online: &BTreeSet<Guid>) -> LunMap {
        let host_group = self.host_group_of(initiator);
        let target_group = self.target_group_of(target);
        let applies = |wanted: Option<&str>, own: Option<&str>| wanted.is_none() || wanted == own;
        self.views()
            .filter(|(guid, _, view)| {
                online.contains(guid)
                    && applies(view.host_group.as_deref(), host_group)
                    && applies(view.target_group.as_deref(), target_group)
            })
            .map(|(guid, _, view)| (view.lun, guid))
            .collect()
    }

    fn insert_view(
        &mut self,
        guid: Guid,
        index: Option<u32>,
        entry: ViewEntry,
    ) -> Result<(u32, Lun), ViewError> {
        let lun = self.validate_view(Some(guid), &entry)?;
        let index = match index {
            Some(index) if self.views.contains_key(&(guid, index)) => return Err(ViewError::IndexInUse),
            Some(index) => index,
            None => (0..=u32::MAX)
                .find(|index| !self.views.contains_key(&(guid, *index)))
                .ok_or(ViewError::NoLun)?,
        };
        let ViewEntry {
            host_group,
            target_group,
            ..
        } = entry;
        self.views.insert(
            (guid, index),
            View {
                host_group,
                target_group,
                lun,
            },
        );
        Ok((index, lun))
    }
}

/// Why a stored configuration was not loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreError {
    /// A group breaks a rule.
    Group(GroupError),
    /// A view entry breaks a rule.
    View(Guid, u32, ViewError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(error) => write!(f, "stored group: {error}"),
            Self::View(guid, index, error) => write!(f, "stored view entry {index} of {guid}: {error}"),
        }
    }
}

impl core::error::Error for RestoreError {}

type Groups = BTreeMap<String, Group>;

fn create_group(groups: &mut Groups, name: &str) -> Result<(), GroupError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.starts_with('*') {
        return Err(GroupError::InvalidName);
    }
    if groups.contains_key(name) {
        return Err(GroupError::Exists);
    }
    groups.insert(name.to_owned(), Group::new());
    Ok(())
}

fn delete_group(groups: &mut Groups, name: &str, used: bool) -> Result<(), GroupError> {
    if !groups.contains_key(name) {
        return Err(GroupError::NotFound);
    }
    if used {
        return Err(GroupError::InUse);
    }
    groups.remove(name);
    Ok(())
}

fn add_member(groups: &mut Groups, group: &str, member: &str) -> Result<(), GroupError> {
    if member.is_empty() || member.len() > MAX_NAME_BYTES {
        return Err(GroupError::InvalidName);
    }
    let taken = group_of(groups, member).is_some();
    let members = groups.get_mut(group).ok_or(GroupError::NotFound)?;
    if taken {
        return Err(GroupError::Exists);
    }
    members.insert(canonical_name(member));
    Ok(())
}

fn remove_member(groups: &mut Groups, group: &str, member: &str) -> Result<(), GroupError> {
    let members = groups.get_mut(group).ok_or(GroupError::NotFound)?;
    if members.remove(&canonical_name(member)) {
        Ok(())
    } else {
        Err(GroupError::NotFound)
    }
}

fn group_of<'a>(groups: &'a Groups, member: &str) -> Option<&'a str> {
    let member = canonical_name(member);
    groups
        .iter()
        .find(|(_, members)| members.contains(&member))
        .map(|(name, _)| name.as_str())
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
