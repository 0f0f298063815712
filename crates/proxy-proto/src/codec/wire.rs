//! Reading and writing of plain fields, bounded on both sides.

use crate::error::DecodeError;
use alloc::string::String;
use alloc::vec::Vec;

/// Takes fields from the front of a body.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    kind: u16,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8], kind: u16) -> Self {
        Self { rest: body, kind }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self
            .rest
            .split_at_checked(n)
            .ok_or(DecodeError::Truncated { kind: self.kind })?;
        self.rest = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?
            .try_into()
            .map_err(|_| DecodeError::Truncated { kind: self.kind })
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.bad(field)),
        }
    }

    /// A byte string of at most `limit` bytes.
    pub(super) fn bytes(&mut self, limit: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let n = usize::from(self.u16()?);
        if n > limit {
            return Err(self.bad(field));
        }
        self.take(n)
    }

    pub(super) fn string(&mut self, limit: usize, field: &'static str) -> Result<String, DecodeError> {
        let bytes = self.bytes(limit, field)?;
        core::str::from_utf8(bytes)
            .map(String::from)
            .map_err(|_| self.bad(field))
    }

    pub(super) fn bad(&self, field: &'static str) -> DecodeError {
        DecodeError::Field {
            kind: self.kind,
            field,
        }
    }
}

/// Appends fields to a body.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(&mut self, v: u8) -> &mut Self {
        self.raw(&[v])
    }

    pub(super) fn u16(&mut self, v: u16) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    pub(super) fn u32(&mut self, v: u32) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    pub(super) fn u64(&mut self, v: u64) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    pub(super) fn bytes(&mut self, v: &[u8], limit: usize) -> &mut Self {
        let cut = v
            .get(..v.len().min(limit).min(usize::from(u16::MAX)))
            .unwrap_or_default();
        self.u16(u16::try_from(cut.len()).unwrap_or(u16::MAX)).raw(cut)
    }

    /// Cuts at a character boundary.
    pub(super) fn string(&mut self, v: &str, limit: usize) -> &mut Self {
        let mut end = v.len().min(limit);
        while !v.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        self.bytes(v.get(..end).unwrap_or_default().as_bytes(), limit)
    }
}
