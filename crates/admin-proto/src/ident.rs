//! Identities: GUIDs of logical units, names of initiators, targets and groups.

use alloc::string::String;
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name of a group, in bytes.
pub const MAX_GROUP_NAME_BYTES: usize = 255;

/// The longest iSCSI name, in bytes. RFC 7143 §4.2.7.
const MAX_ISCSI_NAME_BYTES: usize = 223;

/// GUID of a logical unit: 16 bytes, NAA type 6. Text form: 32 hexadecimal digits, written in upper case, read in any.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

/// A text that is not a GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuidError {
    /// Not exactly 32 characters.
    Length,
    /// 32 characters, some of which are not hexadecimal digits.
    Digits,
}

impl fmt::Display for GuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be 32 hexadecimal digits long")
    }
}

impl core::error::Error for GuidError {}

impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        let digits = <&[u8; 32]>::try_from(text.as_bytes()).map_err(|_| GuidError::Length)?;
        let mut guid = [0; 16];
        for (byte, pair) in guid.iter_mut().zip(digits.chunks_exact(2)) {
            for &digit in pair {
                *byte = *byte << 4 | hex_digit(digit).ok_or(GuidError::Digits)?;
            }
        }
        Ok(Self(guid))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A name that is none of the known forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Not an `iqn.`, `eui.`, `naa.` or `wwn.` name of the right length.
    UnrecognizedDevice,
    /// A group name that is empty, longer than [`MAX_GROUP_NAME_BYTES`], or begins with `*`.
    GroupName,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnrecognizedDevice => "unrecognized device id",
            Self::GroupName => "invalid name: 1 to 255 bytes, not beginning with *",
        })
    }
}

impl core::error::Error for NameError {}

/// The stored form of the name of an initiator or a target.
///
/// `iqn.` names become lower case; the digits of `wwn.` (16), `eui.` (16, 24 or 32) and `naa.` (16 or 32) become upper
/// case. The prefix is read in any case and written in lower case.
///
/// # Errors
/// [`NameError::UnrecognizedDevice`] for anything else.
///
/// ```
/// assert_eq!(admin_proto::canonical_name("IQN.1993-08.org.debian:01:ABC").unwrap(), "iqn.1993-08.org.debian:01:abc");
/// assert_eq!(admin_proto::canonical_name("eui.02004567a425678d").unwrap(), "eui.02004567A425678D");
/// ```
pub fn canonical_name(name: &str) -> Result<String, NameError> {
    let (prefix, rest) = name.split_at_checked(4).ok_or(NameError::UnrecognizedDevice)?;
    let prefix = prefix.to_ascii_lowercase();
    let digits = match prefix.as_str() {
        "iqn." => {
            let printable = rest.chars().all(|c| !c.is_control() && c != ' ');
            if rest.is_empty() || !printable || name.len() > MAX_ISCSI_NAME_BYTES {
                return Err(NameError::UnrecognizedDevice);
            }
            return Ok(prefix + &rest.to_lowercase());
        }
        "wwn." => &[16][..],
        "eui." => &[16, 24, 32],
        "naa." => &[16, 32],
        _ => return Err(NameError::UnrecognizedDevice),
    };
    if digits.contains(&rest.len()) && rest.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(prefix + &rest.to_ascii_uppercase())
    } else {
        Err(NameError::UnrecognizedDevice)
    }
}

/// Checks the name of a host or target group: 1 to [`MAX_GROUP_NAME_BYTES`] bytes without NUL; a leading `*` is reserved.
///
/// # Errors
/// [`NameError::GroupName`].
pub fn check_group_name(name: &str) -> Result<(), NameError> {
    let good = !name.is_empty()
        && name.len() <= MAX_GROUP_NAME_BYTES
        && !name.starts_with('*')
        && !name.contains('\0');
    if good { Ok(()) } else { Err(NameError::GroupName) }
}

/// The value of one hexadecimal digit.
pub(crate) const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
