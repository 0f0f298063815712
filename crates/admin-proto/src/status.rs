//! The status codes of libstmf (3LIB): one table of code, name and text.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares [`StmfStatus`] from one table, so that code, C name and text of a status cannot drift apart.
macro_rules! statuses {
    ($($variant:ident = $code:literal, $name:literal, $message:literal;)+) => {
        /// The outcome of a request: a status code of libstmf (3LIB), with the same numbers.
        ///
        /// [`Success`](Self::Success) is 0 and [`Error`](Self::Error) is 0x8000; every other code is 0x8000 plus the
        /// number of the error. An answer carries it as a JSON number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum StmfStatus {
            $(#[doc = concat!("`", $name, "`: ", $message, ".")] $variant = $code,)+
        }

        impl StmfStatus {
            /// Every status, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The status of this code; `None` when libstmf has no such code.
            pub const fn from_code(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The name of the constant in `libstmf.h`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The text an administrator knows, as `stmfadm` prints it.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)+
                }
            }
        }
    };
}

statuses! {
    Success = 0x0000, "STMF_STATUS_SUCCESS", "success";
    Error = 0x8000, "STMF_STATUS_ERROR", "unknown error";
    Busy = 0x8001, "STMF_ERROR_BUSY", "resource busy";
    NotFound = 0x8002, "STMF_ERROR_NOT_FOUND", "not found";
    MemberNotFound = 0x8003, "STMF_ERROR_MEMBER_NOT_FOUND", "member not found";
    GroupNotFound = 0x8004, "STMF_ERROR_GROUP_NOT_FOUND", "group not found";
    Perm = 0x8005, "STMF_ERROR_PERM", "permission denied";
    NoMem = 0x8006, "STMF_ERROR_NOMEM", "not enough memory";
    InvalidArg = 0x8007, "STMF_ERROR_INVALID_ARG", "invalid argument";
    Exists = 0x8008, "STMF_ERROR_EXISTS", "already exists";
    ServiceNotFound = 0x8009, "STMF_ERROR_SERVICE_NOT_FOUND", "STMF service not found";
    ServiceOnline = 0x800a, "STMF_ERROR_SERVICE_ONLINE", "STMF service is online";
    ServiceOffline = 0x800b, "STMF_ERROR_SERVICE_OFFLINE", "STMF service is offline";
    GroupInUse = 0x800c, "STMF_ERROR_GROUP_IN_USE", "group is in use by existing view entry";
    LunInUse = 0x800d, "STMF_ERROR_LUN_IN_USE", "LUN already in use";
    ViewConflict = 0x800e, "STMF_ERROR_VE_CONFLICT", "view entry exists";
    ConfigNone = 0x800f, "STMF_ERROR_CONFIG_NONE", "STMF service is not initialized";
    ServiceDataVersion = 0x8010, "STMF_ERROR_SERVICE_DATA_VERSION", "STMF service version incorrect";
    InvalidHostGroup = 0x8011, "STMF_ERROR_INVALID_HG", "invalid host group";
    InvalidTargetGroup = 0x8012, "STMF_ERROR_INVALID_TG", "invalid target group";
    ProviderDataStale = 0x8013, "STMF_ERROR_PROV_DATA_STALE", "provider data has changed";
    NoProperty = 0x8014, "STMF_ERROR_NO_PROP", "not set";
    NoPropertyValue = 0x8015, "STMF_ERROR_NO_PROP_VAL", "property has no value";
    MissingPropertyValue = 0x8016, "STMF_ERROR_MISSING_PROP_VAL", "missing property value";
    InvalidBlockSizeOld = 0x8017, "STMF_ERROR_INVALID_BLOCKSIZE", "invalid block size";
    FileAlready = 0x8018, "STMF_ERROR_FILE_ALREADY", "in use";
    InvalidPropertySize = 0x8019, "STMF_ERROR_INVALID_PROPSIZE", "invalid property size";
    InvalidProperty = 0x8020, "STMF_ERROR_INVALID_PROP", "invalid property";
    PersistType = 0x8021, "STMF_ERROR_PERSIST_TYPE", "persistence method cannot be used";
    TargetGroupOnline = 0x8022, "STMF_ERROR_TG_ONLINE", "STMF target must be offline";
    AccessStateSet = 0x8023, "STMF_ERROR_ACCESS_STATE_SET", "not possible in this access state";
    NoPropertyStandby = 0x8024, "STMF_ERROR_NO_PROP_STANDBY", "prop unavailable in standby";
    PostMsgFailed = 0x8025, "STMF_ERROR_POST_MSG_FAILED", "proxy message not accepted";
    DoorInstalled = 0x8026, "STMF_ERROR_DOOR_INSTALLED", "a proxy door is already installed";
    FileInUse = 0x8100, "STMF_ERROR_FILE_IN_USE", "in use";
    InvalidBlockSize = 0x8101, "STMF_ERROR_INVALID_BLKSIZE", "invalid block size";
    GuidInUse = 0x8102, "STMF_ERROR_GUID_IN_USE", "guid in use";
    MetaFileName = 0x8103, "STMF_ERROR_META_FILE_NAME", "meta file error";
    DataFileName = 0x8104, "STMF_ERROR_DATA_FILE_NAME", "data file error";
    SizeOutOfRange = 0x8105, "STMF_ERROR_SIZE_OUT_OF_RANGE", "invalid size";
    LuBusy = 0x8106, "STMF_ERROR_LU_BUSY", "resource busy";
    MetaCreation = 0x8107, "STMF_ERROR_META_CREATION", "could not create meta file";
    FileSizeInvalid = 0x8108, "STMF_ERROR_FILE_SIZE_INVALID", "file size invalid";
    WriteCacheSet = 0x8109, "STMF_ERROR_WRITE_CACHE_SET", "could not set write cache";
}

impl StmfStatus {
    /// The number of the status, as C sees it.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// Whether this is [`StmfStatus::Success`].
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Success)
    }

    /// `Ok` for [`StmfStatus::Success`], the status itself as the error otherwise.
    ///
    /// # Errors
    /// Every status but success.
    pub const fn into_result(self) -> Result<(), Self> {
        match self {
            Self::Success => Ok(()),
            failed => Err(failed),
        }
    }

    /// The 4 bytes a call of the session door is answered with: the code, little-endian.
    pub const fn to_word(self) -> [u8; 4] {
        self.code().to_le_bytes()
    }

    /// The status in the answer of a session door; `None` unless it is 4 bytes holding a known code.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        Self::from_code(u32::from_le_bytes(word.try_into().ok()?))
    }
}

impl fmt::Display for StmfStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for StmfStatus {}

impl Serialize for StmfStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.code())
    }
}

/// A code this version does not know is an error all the same: it becomes [`StmfStatus::Error`].
impl<'de> Deserialize<'de> for StmfStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u32::deserialize(deserializer)?;
        Ok(Self::from_code(code).unwrap_or(Self::Error))
    }
}
