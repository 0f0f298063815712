//! Bytes as hexadecimal digits.

use anyhow::bail;

/// Bytes that were given as digits.
#[derive(Debug, Clone)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

/// What the command line is read with: wrong digits are wrong usage.
pub(crate) fn bytes(digits: &str) -> anyhow::Result<Bytes> {
    read(digits).map(Bytes)
}

fn read(digits: &str) -> anyhow::Result<Vec<u8>> {
    let mut nibbles = Vec::new();
    for digit in digits.chars().filter(|c| !c.is_whitespace()) {
        let Some(nibble) = digit.to_digit(16).and_then(|nibble| u8::try_from(nibble).ok()) else {
            bail!("{digit:?} is no hexadecimal digit");
        };
        nibbles.push(nibble);
    }
    let (pairs, rest) = nibbles.as_chunks::<2>();
    if !rest.is_empty() {
        bail!(
            "{} hexadecimal digits are no whole number of bytes",
            nibbles.len()
        );
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_and_written() {
        assert_eq!(read("00 ff7F").unwrap(), [0, 255, 127]);
        assert_eq!(text(&[0, 255, 127]), "00ff7f");
        assert!(read("").unwrap().is_empty());
        assert!(
            read("0")
                .unwrap_err()
                .to_string()
                .contains("1 hexadecimal digits")
        );
        assert!(read("0g").unwrap_err().to_string().contains("'g'"));
    }
}
