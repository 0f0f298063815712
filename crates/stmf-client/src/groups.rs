//! Requests about host groups and target groups.

use admin_proto::{Group, GroupKind, Reply, Request};

use crate::{
    Client, ClientError,
    client::{expect_reply, stored_name},
};

impl Client {
    /// Creates a group.
    ///
    /// # Errors
    /// Every [`ClientError`]; `Exists`, `InvalidArg` for a bad name.
    pub fn create_group(&self, kind: GroupKind, name: &str) -> Result<(), ClientError> {
        self.request(&Request::CreateGroup {
            kind,
            name: name.to_owned(),
        })
        .map(drop)
    }

    /// Deletes a group, with its members.
    ///
    /// # Errors
    /// Every [`ClientError`]; `NotFound`, `GroupInUse` when a view entry names it.
    pub fn delete_group(&self, kind: GroupKind, name: &str) -> Result<(), ClientError> {
        self.request(&Request::DeleteGroup {
            kind,
            name: name.to_owned(),
        })
        .map(drop)
    }

    /// Adds an initiator to a host group, or a target to a target group.
    ///
    /// # Errors
    /// Every [`ClientError`]; `GroupNotFound`, `Exists` when it is in a group already, `TargetGroupOnline`.
    pub fn add_group_member(&self, kind: GroupKind, group: &str, member: &str) -> Result<(), ClientError> {
        let (group, member) = (group.to_owned(), stored_name(member));
        self.request(&Request::AddGroupMember { kind, group, member })
            .map(drop)
    }

    /// Removes a member from a group.
    ///
    /// # Errors
    /// Every [`ClientError`]; `GroupNotFound`, `MemberNotFound`, `TargetGroupOnline`.
    pub fn remove_group_member(&self, kind: GroupKind, group: &str, member: &str) -> Result<(), ClientError> {
        let (group, member) = (group.to_owned(), stored_name(member));
        self.request(&Request::RemoveGroupMember { kind, group, member })
            .map(drop)
    }

    /// All groups of a kind with their members, sorted by name.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn list_groups(&self, kind: GroupKind) -> Result<Vec<Group>, ClientError> {
        expect_reply!(self, Request::ListGroups { kind }, Reply::Groups { groups } => groups)
    }
}
