//! Properties of a logical unit by number, name and text, and the rules for their values (libstmf(3LIB), stmfSetLuProp).

use alloc::string::String;

use crate::{CreateLu, GuidError, ModifyLu, StmfStatus, ident::hex_digit};

/// A property of a logical unit (`STMF_LU_PROP_*`), with its number in `libstmf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LuProperty {
    /// Alias.
    Alias = 1,
    /// Block size in bytes.
    BlockSize = 2,
    /// Company id of a generated GUID.
    CompanyId = 3,
    /// Data file.
    DataFile = 4,
    /// GUID.
    Guid = 5,
    /// Separate metadata file.
    MetaFile = 6,
    /// Management URL.
    MgmtUrl = 7,
    /// Reserved; never had a meaning.
    New = 8,
    /// Size in bytes.
    Size = 9,
    /// Refuse writes.
    WriteProtect = 10,
    /// Switch the write-back cache off.
    WriteCacheDisable = 11,
    /// Vendor.
    Vendor = 12,
    /// Product.
    Product = 13,
    /// Serial number.
    Serial = 14,
    /// Access state, read only.
    AccessState = 15,
    /// Host id of a generated GUID.
    HostId = 16,
}

impl LuProperty {
    /// Every property, in the order of the numbers.
    pub const ALL: [Self; 16] = [
        Self::Alias,
        Self::BlockSize,
        Self::CompanyId,
        Self::DataFile,
        Self::Guid,
        Self::MetaFile,
        Self::MgmtUrl,
        Self::New,
        Self::Size,
        Self::WriteProtect,
        Self::WriteCacheDisable,
        Self::Vendor,
        Self::Product,
        Self::Serial,
        Self::AccessState,
        Self::HostId,
    ];

    /// The property of this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|property| *property as u32 == number)
    }

    /// The property `stmfadm -p` knows by this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        const NAMES: [(&str, LuProperty); 12] = [
            ("alias", LuProperty::Alias),
            ("blk", LuProperty::BlockSize),
            ("guid", LuProperty::Guid),
            ("host-id", LuProperty::HostId),
            ("meta", LuProperty::MetaFile),
            ("mgmt-url", LuProperty::MgmtUrl),
            ("oui", LuProperty::CompanyId),
            ("pid", LuProperty::Product),
            ("serial", LuProperty::Serial),
            ("vid", LuProperty::Vendor),
            ("wcd", LuProperty::WriteCacheDisable),
            ("wp", LuProperty::WriteProtect),
        ];
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, property)| *property)
    }
}

impl CreateLu {
    /// Sets a property from its text.
    ///
    /// # Errors
    /// `InvalidProperty` for one that cannot be set, `InvalidPropertySize` for a text of the wrong length, `InvalidArg`
    /// for one that is not what it should be.
    pub fn set(&mut self, property: LuProperty, value: &str) -> Result<(), StmfStatus> {
        match property {
            LuProperty::Alias => self.alias = Some(text(value, 255)?),
            LuProperty::BlockSize => self.block_size = Some(block_size(value)?),
            LuProperty::CompanyId => self.company_id = Some(hex_number(value, 6)?),
            LuProperty::DataFile => self.data_file = Some(text(value, 1023)?),
            LuProperty::Guid => {
                self.guid = Some(value.parse().map_err(|error| match error {
                    GuidError::Length => StmfStatus::InvalidPropertySize,
                    GuidError::Digits => StmfStatus::InvalidArg,
                })?);
            }
            LuProperty::MetaFile => self.meta_file = Some(text(value, 1023)?),
            LuProperty::MgmtUrl => self.mgmt_url = Some(text(value, 1023)?),
            LuProperty::Size => self.size = Some(parse_size(value).ok_or(StmfStatus::InvalidArg)?),
            LuProperty::WriteProtect => self.write_protect = Some(boolean(value)?),
            LuProperty::WriteCacheDisable => self.write_cache_disable = Some(boolean(value)?),
            LuProperty::Vendor => self.vendor = Some(text(value, 8)?),
            LuProperty::Product => self.product = Some(text(value, 16)?),
            LuProperty::Serial => self.serial = Some(text(value, 252)?),
            LuProperty::HostId => self.host_id = Some(hex_number(value, 8)?),
            LuProperty::New | LuProperty::AccessState => return Err(StmfStatus::InvalidProperty),
        }
        Ok(())
    }
}

impl ModifyLu {
    /// Sets a property from its text.
    ///
    /// # Errors
    /// `InvalidProperty` for one that cannot be changed; otherwise as [`CreateLu::set`].
    pub fn set(&mut self, property: LuProperty, value: &str) -> Result<(), StmfStatus> {
        match property {
            LuProperty::Alias => self.alias = Some(text(value, 255)?),
            LuProperty::MgmtUrl => self.mgmt_url = Some(text(value, 1023)?),
            LuProperty::Size => self.size = Some(parse_size(value).ok_or(StmfStatus::InvalidArg)?),
            LuProperty::WriteProtect => self.write_protect = Some(boolean(value)?),
            LuProperty::WriteCacheDisable => self.write_cache_disable = Some(boolean(value)?),
            LuProperty::BlockSize
            | LuProperty::CompanyId
            | LuProperty::DataFile
            | LuProperty::Guid
            | LuProperty::MetaFile
            | LuProperty::New
            | LuProperty::Vendor
            | LuProperty::Product
            | LuProperty::Serial
            | LuProperty::AccessState
            | LuProperty::HostId => return Err(StmfStatus::InvalidProperty),
        }
        Ok(())
    }
}

/// The number of bytes of a size: decimal digits and one of `k m g t p e` (powers of 1024), in any case.
///
/// `None` when it is not that, or exceeds 64 bits.
///
/// ```
/// assert_eq!(admin_proto::parse_size("10G"), Some(10 << 30));
/// assert_eq!(admin_proto::parse_size("10 G"), None);
/// ```
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        "e" => 60,
        _ => return None,
    };
    decimal(digits)?.checked_mul(1 << shift)
}

/// A number of digits alone: no sign, unlike `str::parse`.
fn decimal(digits: &str) -> Option<u64> {
    if digits.bytes().all(|digit| digit.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

fn text(value: &str, longest: usize) -> Result<String, StmfStatus> {
    if value.len() > longest {
        Err(StmfStatus::InvalidPropertySize)
    } else if value.contains('\0') {
        Err(StmfStatus::InvalidArg)
    } else {
        Ok(value.into())
    }
}

/// Whether it is a power of two within the limits is found out at creation, which has its own status for it.
fn block_size(value: &str) -> Result<u32, StmfStatus> {
    if value.is_empty() || !value.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(StmfStatus::InvalidArg);
    }
    value
        .parse()
        .ok()
        .filter(|size| *size <= 65535)
        .ok_or(StmfStatus::InvalidPropertySize)
}

fn boolean(value: &str) -> Result<bool, StmfStatus> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(StmfStatus::InvalidArg)
    }
}

/// A non-zero number of exactly `length` hexadecimal digits, at most 8.
fn hex_number(value: &str, length: usize) -> Result<u32, StmfStatus> {
    if value.len() != length {
        return Err(StmfStatus::InvalidPropertySize);
    }
    let mut number: u32 = 0;
    for digit in value.bytes() {
        number = number << 4 | u32::from(hex_digit(digit).ok_or(StmfStatus::InvalidArg)?);
    }
    if number == 0 {
        Err(StmfStatus::InvalidArg)
    } else {
        Ok(number)
    }
}
