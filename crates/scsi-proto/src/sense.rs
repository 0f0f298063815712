//! Sense data: keys, additional sense codes, fixed and descriptor format. SPC-4 r37 §4.5.

use alloc::vec::Vec;
use core::fmt;

use crate::fields::Fields;

/// Sense keys. SPC-4 r37 table 43.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the standard's own")]
pub enum SenseKey {
    NoSense = 0x0,
    RecoveredError = 0x1,
    NotReady = 0x2,
    MediumError = 0x3,
    HardwareError = 0x4,
    IllegalRequest = 0x5,
    UnitAttention = 0x6,
    DataProtect = 0x7,
    BlankCheck = 0x8,
    VendorSpecific = 0x9,
    CopyAborted = 0xA,
    AbortedCommand = 0xB,
    VolumeOverflow = 0xD,
    Miscompare = 0xE,
    Completed = 0xF,
}

impl SenseKey {
    /// The key of the low four bits of `code`; `None` for the reserved value Ch.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code & 0x0F {
            0x0 => Self::NoSense,
            0x1 => Self::RecoveredError,
            0x2 => Self::NotReady,
            0x3 => Self::MediumError,
            0x4 => Self::HardwareError,
            0x5 => Self::IllegalRequest,
            0x6 => Self::UnitAttention,
            0x7 => Self::DataProtect,
            0x8 => Self::BlankCheck,
            0x9 => Self::VendorSpecific,
            0xA => Self::CopyAborted,
            0xB => Self::AbortedCommand,
            0xD => Self::VolumeOverflow,
            0xE => Self::Miscompare,
            0xF => Self::Completed,
            _ => return None,
        })
    }
}

/// ADDITIONAL SENSE CODE and its qualifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AdditionalSense {
    /// ADDITIONAL SENSE CODE.
    pub asc: u8,
    /// ADDITIONAL SENSE CODE QUALIFIER.
    pub ascq: u8,
}

macro_rules! additional_sense {
    ($($name:ident = $asc:literal / $ascq:literal $text:literal)*) => {
        impl AdditionalSense {
            $(#[doc = $text] pub const $name: Self = Self { asc: $asc, ascq: $ascq };)*
            /// The codes this workspace uses, each with the standard's own text.
            pub const TABLE: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];
        }
    };
}

additional_sense! {
    NONE = 0x00/0x00 "NO ADDITIONAL SENSE INFORMATION"
    LUN_TRANSITION = 0x04/0x0A "LOGICAL UNIT NOT ACCESSIBLE, ASYMMETRIC ACCESS STATE TRANSITION"
    LUN_STANDBY = 0x04/0x0B "LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE"
    LUN_UNAVAILABLE = 0x04/0x0C "LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN UNAVAILABLE STATE"
    WRITE_ERROR = 0x0C/0x00 "WRITE ERROR"
    INVALID_FIELD_IN_INFORMATION_UNIT = 0x0E/0x03 "INVALID FIELD IN COMMAND INFORMATION UNIT"
    UNRECOVERED_READ_ERROR = 0x11/0x00 "UNRECOVERED READ ERROR"
    PARAMETER_LIST_LENGTH_ERROR = 0x1A/0x00 "PARAMETER LIST LENGTH ERROR"
    MISCOMPARE = 0x1D/0x00 "MISCOMPARE DURING VERIFY OPERATION"
    INVALID_OPERATION_CODE = 0x20/0x00 "INVALID COMMAND OPERATION CODE"
    LBA_OUT_OF_RANGE = 0x21/0x00 "LOGICAL BLOCK ADDRESS OUT OF RANGE"
    INVALID_FIELD_IN_CDB = 0x24/0x00 "INVALID FIELD IN CDB"
    LUN_NOT_SUPPORTED = 0x25/0x00 "LOGICAL UNIT NOT SUPPORTED"
    INVALID_FIELD_IN_PARAMETER_LIST = 0x26/0x00 "INVALID FIELD IN PARAMETER LIST"
    INVALID_RELEASE = 0x26/0x04 "INVALID RELEASE OF PERSISTENT RESERVATION"
    WRITE_PROTECTED = 0x27/0x00 "WRITE PROTECTED"
    SPACE_ALLOCATION_FAILED = 0x27/0x07 "SPACE ALLOCATION FAILED WRITE PROTECT"
    POWER_ON_OR_RESET = 0x29/0x00 "POWER ON, RESET, OR BUS DEVICE RESET OCCURRED"
    BUS_DEVICE_RESET = 0x29/0x03 "BUS DEVICE RESET FUNCTION OCCURRED"
    I_T_NEXUS_LOSS = 0x29/0x07 "I_T NEXUS LOSS OCCURRED"
    MODE_PARAMETERS_CHANGED = 0x2A/0x01 "MODE PARAMETERS CHANGED"
    RESERVATIONS_PREEMPTED = 0x2A/0x03 "RESERVATIONS PREEMPTED"
    RESERVATIONS_RELEASED = 0x2A/0x04 "RESERVATIONS RELEASED"
    REGISTRATIONS_PREEMPTED = 0x2A/0x05 "REGISTRATIONS PREEMPTED"
    ASYMMETRIC_ACCESS_STATE_CHANGED = 0x2A/0x06 "ASYMMETRIC ACCESS STATE CHANGED"
    CAPACITY_DATA_CHANGED = 0x2A/0x09 "CAPACITY DATA HAS CHANGED"
    COMMANDS_CLEARED = 0x2F/0x00 "COMMANDS CLEARED BY ANOTHER INITIATOR"
    INQUIRY_DATA_CHANGED = 0x3F/0x03 "INQUIRY DATA HAS CHANGED"
    REPORTED_LUNS_DATA_CHANGED = 0x3F/0x0E "REPORTED LUNS DATA HAS CHANGED"
    INTERNAL_TARGET_FAILURE = 0x44/0x00 "INTERNAL TARGET FAILURE"
    INSUFFICIENT_REGISTRATION_RESOURCES = 0x55/0x04 "INSUFFICIENT REGISTRATION RESOURCES"
}

impl AdditionalSense {
    /// The standard's text, when the code is one of [`AdditionalSense::TABLE`].
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        Self::TABLE
            .iter()
            .find(|(code, _)| *code == self)
            .map(|(_, text)| *text)
    }
}

/// How sense data is laid out; chosen by the D_SENSE bit of the control mode page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SenseFormat {
    /// Response code 70h, 18 bytes.
    #[default]
    Fixed,
    /// Response code 72h, 8 bytes and descriptors.
    Descriptor,
}

/// A field of the CDB, by its most significant bit: the field pointer of ILLEGAL REQUEST. SPC-4 r37 §4.5.2.4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CdbField {
    /// FIELD POINTER: the byte of the CDB.
    pub byte: u16,
    /// BIT POINTER: the bit of that byte, 0 to 7.
    pub bit: u8,
}

impl CdbField {
    /// SKSV, C/D (it is a field of the CDB, not of parameter data) and BPV.
    const FLAGS: u8 = 0xC8;

    fn encode(self) -> [u8; 3] {
        let [high, low] = self.byte.to_be_bytes();
        [Self::FLAGS | (self.bit & 0x07), high, low]
    }

    /// `f`: the three sense key specific bytes at `at`.
    fn decode(f: Fields<'_>, at: usize) -> Option<Self> {
        (f.u8(at) & Self::FLAGS == Self::FLAGS).then(|| Self {
            byte: f.u16(at + 1),
            bit: f.u8(at) & 0x07,
        })
    }
}

/// Why a command did not end well, or what a unit attention announces. Always current, never deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sense {
    /// SENSE KEY.
    pub key: SenseKey,
    /// ADDITIONAL SENSE CODE and qualifier.
    pub additional: AdditionalSense,
    /// INFORMATION field, present with VALID=1.
    pub information: Option<u64>,
    /// SENSE KEY SPECIFIC field with SKSV=1, of ILLEGAL REQUEST: the field of the CDB that is wrong.
    pub cdb_field: Option<CdbField>,
    /// The layout [`Sense::encode`] uses.
    pub format: SenseFormat,
}

impl Sense {
    /// 00/00/00.
    pub const NO_SENSE: Self = Self::new(SenseKey::NoSense, AdditionalSense::NONE);
    /// 02/04/0A: a hand-over is running; try again.
    pub const TRANSITION: Self = Self::new(SenseKey::NotReady, AdditionalSense::LUN_TRANSITION);
    /// 02/04/0B: this port is standby for the logical unit.
    pub const STANDBY: Self = Self::new(SenseKey::NotReady, AdditionalSense::LUN_STANDBY);
    /// 02/04/0C: no way to the owner of the logical unit.
    pub const UNAVAILABLE: Self = Self::new(SenseKey::NotReady, AdditionalSense::LUN_UNAVAILABLE);
    /// 03/0C/00.
    pub const WRITE_ERROR: Self = Self::new(SenseKey::MediumError, AdditionalSense::WRITE_ERROR);
    /// 03/11/00.
    pub const READ_ERROR: Self = Self::new(SenseKey::MediumError, AdditionalSense::UNRECOVERED_READ_ERROR);
    /// 04/44/00.
    pub const INTERNAL_TARGET_FAILURE: Self =
        Self::new(SenseKey::HardwareError, AdditionalSense::INTERNAL_TARGET_FAILURE);
    /// 05/0E/03: the transport announced less data than the CDB needs.
    pub const INVALID_FIELD_IN_INFORMATION_UNIT: Self = Self::new(
        SenseKey::IllegalRequest,
        AdditionalSense::INVALID_FIELD_IN_INFORMATION_UNIT,
    );
    /// 05/1A/00.
    pub const PARAMETER_LIST_LENGTH_ERROR: Self = Self::new(
        SenseKey::IllegalRequest,
        AdditionalSense::PARAMETER_LIST_LENGTH_ERROR,
    );
    /// 05/20/00.
    pub const INVALID_OPCODE: Self =
        Self::new(SenseKey::IllegalRequest, AdditionalSense::INVALID_OPERATION_CODE);
    /// 05/21/00.
    pub const LBA_OUT_OF_RANGE: Self = Self::new(SenseKey::IllegalRequest, AdditionalSense::LBA_OUT_OF_RANGE);
    /// 05/24/00.
    pub const INVALID_FIELD_IN_CDB: Self =
        Self::new(SenseKey::IllegalRequest, AdditionalSense::INVALID_FIELD_IN_CDB);
    /// 05/25/00.
    pub const LUN_NOT_SUPPORTED: Self =
        Self::new(SenseKey::IllegalRequest, AdditionalSense::LUN_NOT_SUPPORTED);
    /// 05/26/00.
    pub const INVALID_FIELD_IN_PARAMETER_LIST: Self = Self::new(
        SenseKey::IllegalRequest,
        AdditionalSense::INVALID_FIELD_IN_PARAMETER_LIST,
    );
    /// 07/27/00.
    pub const WRITE_PROTECTED: Self = Self::new(SenseKey::DataProtect, AdditionalSense::WRITE_PROTECTED);
    /// 07/27/07: the backing store is full.
    pub const SPACE_ALLOCATION_FAILED: Self =
        Self::new(SenseKey::DataProtect, AdditionalSense::SPACE_ALLOCATION_FAILED);
    /// 0E/1D/00.
    pub const MISCOMPARE: Self = Self::new(SenseKey::Miscompare, AdditionalSense::MISCOMPARE);

    /// Sense data without an INFORMATION field, in fixed format.
    #[must_use]
    pub const fn new(key: SenseKey, additional: AdditionalSense) -> Self {
        Self {
            key,
            additional,
            information: None,
            cdb_field: None,
            format: SenseFormat::Fixed,
        }
    }

    /// The same with an INFORMATION field.
    #[must_use]
    pub const fn with_information(self, information: u64) -> Self {
        Self {
            information: Some(information),
            ..self
        }
    }

    /// The same, pointing at the field of the CDB that starts (most significant bit first) at `bit` of `byte`.
    #[must_use]
    pub const fn with_cdb_field(self, byte: u16, bit: u8) -> Self {
        Self {
            cdb_field: Some(CdbField { byte, bit }),
            ..self
        }
    }

    /// The same, to be laid out as `format`.
    #[must_use]
    pub const fn with_format(self, format: SenseFormat) -> Self {
        Self { format, ..self }
    }

    /// The bytes in the format this value asks for: what belongs in a SCSI response.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.format {
            SenseFormat::Fixed => self.encode_fixed(),
            SenseFormat::Descriptor => self.encode_descriptor(),
        }
    }

    /// Fixed format, 18 bytes. SPC-4 r37 §4.5.3. Information above 32 bits cannot be shown and is left out.
    #[must_use]
    pub fn encode_fixed(&self) -> Vec<u8> {
        let information = self.information.and_then(|i| u32::try_from(i).ok());
        let code = if information.is_some() { 0xF0 } else { 0x70 };
        let [i0, i1, i2, i3] = information.unwrap_or(0).to_be_bytes();
        let AdditionalSense { asc, ascq } = self.additional;
        let [s0, s1, s2] = self.cdb_field.map_or([0; 3], CdbField::encode);
        [
            code,
            0,
            self.key as u8,
            i0,
            i1,
            i2,
            i3,
            10,
            0,
            0,
            0,
            0,
            asc,
            ascq,
            0,
            s0,
            s1,
            s2,
        ]
        .to_vec()
    }

    /// Descriptor format, 8 bytes, 12 more with information and 8 more with a field of the CDB. SPC-4 r37 §4.5.2.
    #[must_use]
    pub fn encode_descriptor(&self) -> Vec<u8> {
        let AdditionalSense { asc, ascq } = self.additional;
        let information = if self.information.is_some() { 12 } else { 0 };
        let field = if self.cdb_field.is_some() { 8 } else { 0 };
        let mut data = [0x72, self.key as u8, asc, ascq, 0, 0, 0, information + field].to_vec();
        if let Some(information) = self.information {
            data.extend_from_slice(&[0x00, 0x0A, 0x80, 0x00]);
            data.extend_from_slice(&information.to_be_bytes());
        }
        if let Some(field) = self.cdb_field {
            let [s0, s1, s2] = field.encode();
            data.extend_from_slice(&[0x02, 0x06, 0, 0, s0, s1, s2, 0]);
        }
        data
    }

    /// Reads current or deferred sense data of either format; `None` when it is neither or too short.
    #[must_use]
    pub fn decode(data: &[u8]) -> Option<Self> {
        let f = Fields(data);
        match f.u8(0) & 0x7F {
            0x70 | 0x71 if data.len() >= 14 => {
                let key = SenseKey::from_code(f.u8(2))?;
                let information = f.bit(0, 7).then(|| u64::from(f.u32(3)));
                let additional = AdditionalSense {
                    asc: f.u8(12),
                    ascq: f.u8(13),
                };
                Some(Self {
                    key,
                    additional,
                    information,
                    cdb_field: pointer(CdbField::decode(f, 15), key),
                    format: SenseFormat::Fixed,
                })
            }
            0x72 | 0x73 if data.len() >= 8 => {
                let key = SenseKey::from_code(f.u8(1))?;
                let additional = AdditionalSense {
                    asc: f.u8(2),
                    ascq: f.u8(3),
                };
                let list = data.get(8..)?;
                let information = descriptor(list, 0x00, 10)
                    .map(Fields)
                    .and_then(|body| body.bit(0, 7).then(|| body.u64(2)));
                let field = descriptor(list, 0x02, 6).and_then(|body| CdbField::decode(Fields(body), 2));
                Some(Self {
                    key,
                    additional,
                    information,
                    cdb_field: pointer(field, key),
                    format: SenseFormat::Descriptor,
                })
            }
            _ => None,
        }
    }
}

/// Sense key specific data is a field pointer only with ILLEGAL REQUEST.
fn pointer(field: Option<CdbField>, key: SenseKey) -> Option<CdbField> {
    field.filter(|_| key == SenseKey::IllegalRequest)
}

/// Looks for the first descriptor of type `wanted` with at least `least` bytes after its length in a list of sense
/// data descriptors, and gives those bytes.
fn descriptor(mut list: &[u8], wanted: u8, least: usize) -> Option<&[u8]> {
    while let [kind, length, rest @ ..] = list {
        let body = rest.get(..usize::from(*length))?;
        if *kind == wanted && body.len() >= least {
            return Some(body);
        }
        list = rest.get(usize::from(*length)..)?;
    }
    None
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AdditionalSense { asc, ascq } = self.additional;
        write!(f, "{:02X}/{asc:02X}/{ascq:02X}", self.key as u8)?;
        self.additional.text().map_or(Ok(()), |text| write!(f, " {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn fixed_format_is_18_bytes_with_response_code_70h() {
        let bytes = Sense::STANDBY.encode();
        assert_eq!(
            bytes,
            [0x70, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 4, 0x0B, 0, 0, 0, 0]
        );
    }

    #[test]
    fn a_miscompare_carries_its_offset_with_the_valid_bit() {
        let bytes = Sense::MISCOMPARE.with_information(100).encode();
        assert_eq!(
            bytes,
            [0xF0, 0, 0xE, 0, 0, 0, 100, 10, 0, 0, 0, 0, 0x1D, 0, 0, 0, 0, 0]
        );
        let wide = Sense::MISCOMPARE.with_information(1 << 32).encode_fixed();
        assert_eq!(wide[0], 0x70, "what does not fit is not claimed to be valid");
    }

    #[test]
    fn descriptor_format_carries_64_bits_of_information() {
        let sense = Sense::MISCOMPARE.with_information(0x0102_0304_0506_0708);
        let bytes = sense.with_format(SenseFormat::Descriptor).encode();
        assert_eq!(
            bytes,
            [
                0x72, 0xE, 0x1D, 0, 0, 0, 0, 12, 0, 10, 0x80, 0, 1, 2, 3, 4, 5, 6, 7, 8
            ]
        );
        assert_eq!(
            Sense::decode(&bytes).unwrap().information,
            Some(0x0102_0304_0506_0708)
        );
    }

    #[test]
    fn a_field_of_the_cdb_is_pointed_at_in_either_format() {
        let sense = Sense::INVALID_FIELD_IN_CDB.with_cdb_field(2, 7);
        assert_eq!(
            sense.encode_fixed(),
            [0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xCF, 0, 2]
        );
        let bytes = sense.with_format(SenseFormat::Descriptor).encode();
        assert_eq!(bytes, [0x72, 5, 0x24, 0, 0, 0, 0, 8, 2, 6, 0, 0, 0xCF, 0, 2, 0]);
        let both = sense.with_information(1).with_format(SenseFormat::Descriptor);
        assert_eq!(both.encode()[7], 20);
        assert_eq!(Sense::decode(&both.encode()), Some(both));
        let mut of_parameters = sense.encode_fixed();
        of_parameters[15] &= !0x40;
        assert_eq!(Sense::decode(&of_parameters), Some(Sense::INVALID_FIELD_IN_CDB));
    }

    #[test]
    fn the_codes_are_those_of_the_standards_list() {
        // SPC-4 r37 annex F, the codes an ALUA target cannot do without.
        for (sense, code) in [
            (Sense::LUN_NOT_SUPPORTED, "05/25/00"),
            (Sense::INVALID_OPCODE, "05/20/00"),
            (Sense::INVALID_FIELD_IN_CDB, "05/24/00"),
            (Sense::INVALID_FIELD_IN_PARAMETER_LIST, "05/26/00"),
            (Sense::PARAMETER_LIST_LENGTH_ERROR, "05/1A/00"),
            (Sense::LBA_OUT_OF_RANGE, "05/21/00"),
            (Sense::INVALID_FIELD_IN_INFORMATION_UNIT, "05/0E/03"),
            (Sense::TRANSITION, "02/04/0A"),
            (Sense::STANDBY, "02/04/0B"),
            (Sense::UNAVAILABLE, "02/04/0C"),
            (Sense::READ_ERROR, "03/11/00"),
            (Sense::WRITE_ERROR, "03/0C/00"),
            (Sense::WRITE_PROTECTED, "07/27/00"),
            (Sense::SPACE_ALLOCATION_FAILED, "07/27/07"),
            (Sense::MISCOMPARE, "0E/1D/00"),
            (Sense::INTERNAL_TARGET_FAILURE, "04/44/00"),
        ] {
            assert!(sense.to_string().starts_with(code), "{sense}");
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        for (i, (code, _)) in AdditionalSense::TABLE.iter().enumerate() {
            assert!(AdditionalSense::TABLE[..i].iter().all(|(other, _)| other != code));
        }
    }

    proptest! {
        #[test]
        fn sense_survives_both_formats(key in 0u8..16, asc: u8, ascq: u8, information: Option<u32>) {
            let Some(key) = SenseKey::from_code(key) else { return Ok(()) };
            let mut sense = Sense::new(key, AdditionalSense { asc, ascq });
            sense.information = information.map(u64::from);
            for format in [SenseFormat::Fixed, SenseFormat::Descriptor] {
                let sense = sense.with_format(format);
                prop_assert_eq!(Sense::decode(&sense.encode()), Some(sense));
            }
        }

        #[test]
        fn any_bytes_decode_without_a_panic(data: std::vec::Vec<u8>) {
            let _ = Sense::decode(&data);
        }
    }
}
