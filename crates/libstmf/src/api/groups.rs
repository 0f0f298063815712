//! Host groups and target groups.

use std::ffi::{c_int, c_void};

use admin_proto::{Group, GroupKind, StmfStatus, check_group_name};

use super::connect;
use crate::{
    convert::{devid_of, devid_text, name_of, status_of, text_of},
    memory::{Out, copy_in, export, list_out},
    types::{Name, StmfDevid},
};

/// The group name a caller points at.
///
/// # Safety
/// `name` is NULL or points at a `stmfGroupName`.
unsafe fn name_in(name: *const Name) -> Result<String, StmfStatus> {
    // SAFETY: promised by the caller of this function.
    let name = text_of(&unsafe { copy_in(name) }?)?;
    check_group_name(&name).map_err(|_| StmfStatus::InvalidArg)?;
    Ok(name)
}

/// # Safety
/// `name` is NULL or points at a `stmfGroupName`.
unsafe fn create(kind: GroupKind, name: *const Name) -> c_int {
    export(|| {
        // SAFETY: promised by the caller of this function.
        let name = unsafe { name_in(name) }?;
        connect()?.create_group(kind, &name).map_err(status_of)
    })
}

/// # Safety
/// `name` is NULL or points at a `stmfGroupName`.
unsafe fn delete(kind: GroupKind, name: *const Name) -> c_int {
    export(|| {
        // SAFETY: promised by the caller of this function.
        let name = unsafe { name_in(name) }?;
        connect()?.delete_group(kind, &name).map_err(status_of)
    })
}

/// # Safety
/// `name` is NULL or points at a `stmfGroupName`, `member` at a `stmfDevid`.
unsafe fn add(kind: GroupKind, name: *const Name, member: *const StmfDevid) -> c_int {
    export(|| {
        // SAFETY: promised by the caller of this function.
        let name = unsafe { name_in(name) }?;
        // SAFETY: promised by the caller of this function.
        let member = devid_text(&unsafe { copy_in(member) }?)?;
        connect()?
            .add_group_member(kind, &name, &member)
            .map_err(status_of)
    })
}

/// # Safety
/// `name` is NULL or points at a `stmfGroupName`, `member` at a `stmfDevid`.
unsafe fn remove(kind: GroupKind, name: *const Name, member: *const StmfDevid) -> c_int {
    export(|| {
        // SAFETY: promised by the caller of this function.
        let name = unsafe { name_in(name) }?;
        // SAFETY: promised by the caller of this function.
        let member = devid_text(&unsafe { copy_in(member) }?)?;
        connect()?
            .remove_group_member(kind, &name, &member)
            .map_err(status_of)
    })
}

/// # Safety
/// `list` is NULL or may be written.
unsafe fn list(kind: GroupKind, list: *mut *mut c_void) -> c_int {
    export(|| {
        // SAFETY: promised by the caller of this function.
        let out = unsafe { Out::new(list) }?;
        let groups = connect()?.list_groups(kind).map_err(status_of)?;
        let names: Vec<Name> = groups.iter().map(|group| name_of(&group.name)).collect();
        list_out(&names, out)
    })
}

/// # Safety
/// `name` is NULL or points at a `stmfGroupName`; `members` is NULL or may be written.
unsafe fn members(kind: GroupKind, name: *const Name, members: *mut *mut c_void) -> c_int {
    export(|| {
        // SAFETY: promised by the caller of this function.
        let name = unsafe { name_in(name) }?;
        // SAFETY: promised by the caller of this function.
        let out = unsafe { Out::new(members) }?;
        let groups = connect()?.list_groups(kind).map_err(status_of)?;
        let group: Option<&Group> = groups.iter().find(|group| group.name == name);
        let members = &group.ok_or(StmfStatus::NotFound)?.members;
        let devids: Vec<_> = members
            .iter()
            .map(|member| devid_of(member))
            .collect::<Result<_, _>>()?;
        list_out(&devids, out)
    })
}

/// Exports the six functions of one kind of group.
macro_rules! exports {
    ($kind:expr, $create:ident, $delete:ident, $add:ident, $remove:ident, $list:ident, $members:ident) => {
        /// Creates a group.
        ///
        /// # Safety
        /// `name` is NULL or points at a `stmfGroupName`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $create(name: *const Name) -> c_int {
            // SAFETY: promised by the caller.
            unsafe { create($kind, name) }
        }

        /// Deletes a group, with its members.
        ///
        /// # Safety
        /// `name` is NULL or points at a `stmfGroupName`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $delete(name: *const Name) -> c_int {
            // SAFETY: promised by the caller.
            unsafe { delete($kind, name) }
        }

        /// Adds a member, which need not exist.
        ///
        /// # Safety
        /// `name` is NULL or points at a `stmfGroupName`, `member` at a `stmfDevid`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $add(name: *const Name, member: *const StmfDevid) -> c_int {
            // SAFETY: promised by the caller.
            unsafe { add($kind, name, member) }
        }

        /// Removes a member.
        ///
        /// # Safety
        /// `name` is NULL or points at a `stmfGroupName`, `member` at a `stmfDevid`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $remove(name: *const Name, member: *const StmfDevid) -> c_int {
            // SAFETY: promised by the caller.
            unsafe { remove($kind, name, member) }
        }

        /// Lists the names of all groups of the kind.
        ///
        /// # Safety
        /// `groups` is NULL or may be written.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $list(groups: *mut *mut c_void) -> c_int {
            // SAFETY: promised by the caller.
            unsafe { list($kind, groups) }
        }

        /// Lists the members of a group.
        ///
        /// # Safety
        /// `name` is NULL or points at a `stmfGroupName`; `list` is NULL or may be written.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $members(name: *const Name, list: *mut *mut c_void) -> c_int {
            // SAFETY: promised by the caller.
            unsafe { members($kind, name, list) }
        }
    };
}

exports!(
    GroupKind::Host,
    stmfCreateHostGroup,
    stmfDeleteHostGroup,
    stmfAddToHostGroup,
    stmfRemoveFromHostGroup,
    stmfGetHostGroupList,
    stmfGetHostGroupMembers
);
exports!(
    GroupKind::Target,
    stmfCreateTargetGroup,
    stmfDeleteTargetGroup,
    stmfAddToTargetGroup,
    stmfRemoveFromTargetGroup,
    stmfGetTargetGroupList,
    stmfGetTargetGroupMembers
);
