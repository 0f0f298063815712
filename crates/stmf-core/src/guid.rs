//! The identity of a logical unit: an NAA IEEE Registered Extended name. SPC-4 r37 §7.8.6.6.5.

use core::fmt;
use core::str::FromStr;

/// Sixteen bytes that name a logical unit everywhere and for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseGuidError {
    /// Too few or too many characters.
    Length,
    /// A character that is no hexadecimal digit.
    Digit,
}

impl fmt::Display for ParseGuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a GUID has exactly 32 hexadecimal digits",
            Self::Digit => "a GUID consists of hexadecimal digits only",
        })
    }
}

impl core::error::Error for ParseGuidError {}

impl Guid {
    /// Makes a name of NAA type 6: `oui` (24 bits), `host_id`, `seconds` (its low 32 bits) and `counter`.
    ///
    /// Two names differ as long as one of the four does. `counter` (24 bits used) is for names made in one second.
    #[must_use]
    pub const fn generate(oui: u32, host_id: u32, seconds: u64, counter: u32) -> Self {
        let [_, o0, o1, o2] = oui.to_be_bytes();
        let [h0, h1, h2, h3] = host_id.to_be_bytes();
        let [_, _, _, _, t0, t1, t2, t3] = seconds.to_be_bytes();
        let [_, c0, c1, c2] = counter.to_be_bytes();
        // Four bits of type, the 24 of the company, 36 of the vendor's choice, then 64 more of them.
        let nibbles = [
            0x60 | (o0 >> 4),
            (o0 << 4) | (o1 >> 4),
            (o1 << 4) | (o2 >> 4),
            o2 << 4,
        ];
        let [n0, n1, n2, n3] = nibbles;
        Self([n0, n1, n2, n3, h0, h1, h2, h3, t0, t1, t2, t3, 0, c0, c1, c2])
    }

    /// Is this a name of NAA type 6? Only such a name may identify a logical unit.
    #[must_use]
    pub const fn is_naa6(&self) -> bool {
        let [first, ..] = self.0;
        first >> 4 == 6
    }

    /// The bytes as they stand in VPD page 83h.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
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

impl FromStr for Guid {
    type Err = ParseGuidError;

    /// Exactly 32 digits of either case, without a prefix.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.chars().count() != 32 {
            return Err(ParseGuidError::Length);
        }
        let mut bytes = [0u8; 16];
        for (i, c) in text.chars().enumerate() {
            let digit = c
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
                .ok_or(ParseGuidError::Digit)?;
            if let Some(byte) = bytes.get_mut(i / 2) {
                *byte = (*byte << 4) | digit;
            }
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn a_generated_name_has_type_6_the_company_and_no_bit_lost() {
        let guid = Guid::generate(0x00_144F, 0xC73A_B800, 0x549B_0001, 1);
        assert_eq!(guid.to_string(), "600144F0C73AB800549B000100000001");
        assert!(guid.is_naa6());
    }

    #[test]
    fn st_143_two_names_of_one_second_differ() {
        assert_ne!(Guid::generate(1, 2, 3, 4), Guid::generate(1, 2, 3, 5));
        assert_ne!(Guid::generate(1, 2, 3, 4), Guid::generate(1, 3, 3, 4));
        assert_ne!(Guid::generate(1, 2, 3, 4), Guid::generate(1, 2, 4, 4));
    }

    #[test]
    fn st_140_text_must_be_32_hexadecimal_digits() {
        assert_eq!("6".repeat(31).parse::<Guid>(), Err(ParseGuidError::Length));
        assert_eq!("6".repeat(33).parse::<Guid>(), Err(ParseGuidError::Length));
        assert_eq!(
            std::format!("{}g", "6".repeat(31)).parse::<Guid>(),
            Err(ParseGuidError::Digit)
        );
        assert_eq!("é".repeat(32).parse::<Guid>(), Err(ParseGuidError::Digit));
        assert!(!"5".repeat(32).parse::<Guid>().unwrap().is_naa6());
    }

    proptest! {
        #[test]
        fn text_survives_in_either_case(bytes: [u8; 16]) {
            let guid = Guid(bytes);
            prop_assert_eq!(guid.to_string().parse::<Guid>(), Ok(guid));
            prop_assert_eq!(guid.to_string().to_lowercase().parse::<Guid>(), Ok(guid));
        }
    }
}
