//! What a door says about itself. door_info(3C).

bitflags::bitflags! {
    /// Attributes of a door. Values are those of `<door.h>`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Attributes: u32 {
        /// One unreferenced invocation, the first time only one reference is left.
        const UNREF = 0x01;
        /// The door has a pool of server threads of its own.
        const PRIVATE = 0x02;
        /// The door belongs to the process that asks. Output only.
        const LOCAL = 0x04;
        /// The door was revoked or its server is gone. Output only.
        const REVOKED = 0x08;
        /// An unreferenced invocation each time only one reference is left.
        const UNREF_MULTI = 0x10;
        /// Only one reference is left. Output only.
        const IS_UNREF = 0x20;
        /// Requests may not carry descriptors.
        const REFUSE_DESC = 0x40;
        /// A caller that gives up does not cancel the server thread.
        const NO_CANCEL = 0x80;
        /// The pool does not grow. For doors made by `door_xcreate` only.
        const NO_DEPLETION_CB = 0x100;
        /// The door was made by `door_xcreate`.
        const PRIVCREATE = 0x200;
    }
}

/// Limits on requests; replies have none. door_setparam(3C).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Least number of argument bytes (`DOOR_PARAM_DATA_MIN`).
    pub data_min: u64,
    /// Greatest number of argument bytes (`DOOR_PARAM_DATA_MAX`).
    pub data_max: u64,
    /// Greatest number of descriptors (`DOOR_PARAM_DESC_MAX`).
    pub descriptors_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            data_min: 0,
            data_max: u64::MAX,
            descriptors_max: i32::MAX.unsigned_abs(),
        }
    }
}

impl Limits {
    /// Whether a door can have them. A door that refuses descriptors may leave their greatest number at the default, or say 0.
    pub(crate) fn check(&self, refuses_descriptors: bool) -> std::io::Result<()> {
        let default = Self::default().descriptors_max;
        let errno = if self.data_min > self.data_max {
            libc::EINVAL
        } else if self.descriptors_max > default {
            libc::ERANGE
        } else if refuses_descriptors && self.descriptors_max != 0 && self.descriptors_max != default {
            libc::ENOTSUP
        } else {
            return Ok(());
        };
        Err(std::io::Error::from_raw_os_error(errno))
    }
}

/// What `door_info` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorInfo {
    /// Process that serves the door; `None` once it has gone.
    pub target: Option<u32>,
    /// Address of the server procedure in that process, as it was told at creation.
    pub procedure: u64,
    /// Cookie given at creation.
    pub cookie: u64,
    /// Attributes, with LOCAL, REVOKED and IS_UNREF filled in.
    pub attributes: Attributes,
    /// Number of the door, unique on this system until it is rebooted; never 0 for a door that could be asked.
    pub unique: u64,
    /// Limits on requests at the time of asking.
    pub limits: Limits,
}
