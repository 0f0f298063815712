//! Between the types of the control door and those of C.

use std::ffi::{CStr, c_char};

use admin_proto::{StmfStatus, View, ViewEntry};
use stmf_client::ClientError;

use crate::types::{Name, StmfDevid, StmfViewEntry};

/// The status of an error, which is never success.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(crate) fn status_of(error: ClientError) -> StmfStatus {
    error.status()
}

/// Fills a fixed field with a text, cut to leave room for the NUL, never inside a character.
pub(crate) fn name_of(text: &str) -> Name {
    let mut name = [0; 256];
    let end = (0..=text.len().min(255))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    for (slot, byte) in name.iter_mut().zip(text.bytes().take(end)) {
        *slot = c_char::from_ne_bytes([byte]);
    }
    name
}

/// The text of a fixed field; `InvalidArg` without a NUL in it, or when it is not UTF-8.
pub(crate) fn text_of(name: &Name) -> Result<String, StmfStatus> {
    let bytes = name.map(|c| c.to_ne_bytes()[0]);
    let text = CStr::from_bytes_until_nul(&bytes).map_err(|_| StmfStatus::InvalidArg)?;
    text.to_str()
        .map(str::to_owned)
        .map_err(|_| StmfStatus::InvalidArg)
}

/// A device identifier holding `name`; `InvalidArg` when it is longer than 255 bytes.
pub(crate) fn devid_of(name: &str) -> Result<StmfDevid, StmfStatus> {
    let mut devid = StmfDevid {
        ident_length: 0,
        ident: [0; 255],
    };
    devid.ident_length = u8::try_from(name.len()).map_err(|_| StmfStatus::InvalidArg)?;
    devid
        .ident
        .get_mut(..name.len())
        .ok_or(StmfStatus::InvalidArg)?
        .copy_from_slice(name.as_bytes());
    Ok(devid)
}

/// The name in a device identifier.
pub(crate) fn devid_text(devid: &StmfDevid) -> Result<String, StmfStatus> {
    let ident = devid
        .ident
        .get(..usize::from(devid.ident_length))
        .filter(|ident| !ident.is_empty());
    let text = ident.and_then(|ident| std::str::from_utf8(ident).ok());
    text.map(str::to_owned).ok_or(StmfStatus::InvalidArg)
}

/// The view a caller asks for; a LUN is the first two of 8 bytes, without the addressing method.
pub(crate) fn view_of(entry: &StmfViewEntry) -> Result<View, StmfStatus> {
    let group = |all, name| {
        if all != 0 {
            Ok(None)
        } else {
            text_of(name).map(Some)
        }
    };
    Ok(View {
        host_group: group(entry.all_hosts, &entry.host_group)?,
        target_group: group(entry.all_targets, &entry.target_group)?,
        lun: (entry.lun_valid != 0).then(|| u16::from_be_bytes([entry.lun[0] & 0x3f, entry.lun[1]])),
    })
}

/// A view entry as C has it. LUNs from 256 on use flat space addressing (SAM-5 §4.7.7.3).
pub(crate) fn entry_of(view: &ViewEntry) -> StmfViewEntry {
    let [high, low] = view.lun.to_be_bytes();
    let method = if high == 0 { 0 } else { 0x40 };
    let name = |group: &Option<String>| group.as_deref().map_or([0; 256], name_of);
    StmfViewEntry {
        index_valid: 1,
        index: view.index,
        all_hosts: view.host_group.is_none().into(),
        host_group: name(&view.host_group),
        all_targets: view.target_group.is_none().into(),
        target_group: name(&view.target_group),
        lun_valid: 1,
        lun: [high | method, low, 0, 0, 0, 0, 0, 0],
    }
}

/// A fixed field of INQUIRY, padded with spaces.
pub(crate) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (slot, byte) in field.iter_mut().zip(text.bytes()) {
        *slot = byte;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_keeps_its_nul() {
        let name = name_of(&format!("{}é", "a".repeat(254)));
        assert_eq!(text_of(&name).unwrap(), "a".repeat(254));
        assert_eq!(text_of(&name_of("esx")).unwrap(), "esx");
        assert_eq!(text_of(&[1; 256]), Err(StmfStatus::InvalidArg));
    }

    #[test]
    fn a_device_identifier_holds_1_to_255_bytes() {
        assert_eq!(devid_text(&devid_of("iqn.x").unwrap()).unwrap(), "iqn.x");
        assert!(devid_of(&"x".repeat(255)).is_ok());
        assert_eq!(devid_of(&"x".repeat(256)).err(), Some(StmfStatus::InvalidArg));
        assert_eq!(devid_text(&devid_of("").unwrap()), Err(StmfStatus::InvalidArg));
    }

    #[test]
    fn a_lun_survives_the_way_through_c_with_its_addressing_method() {
        for (lun, bytes) in [
            (0, [0, 0]),
            (255, [0, 255]),
            (256, [0x41, 0]),
            (16383, [0x7f, 0xff]),
        ] {
            let entry = entry_of(&ViewEntry {
                index: 1,
                host_group: Some("h".into()),
                target_group: None,
                lun,
            });
            assert_eq!(entry.lun[..2], bytes);
            assert_eq!(
                (entry.index_valid, entry.index, entry.all_hosts, entry.all_targets),
                (1, 1, 0, 1)
            );
            let view = view_of(&entry).unwrap();
            assert_eq!(
                view,
                View {
                    host_group: Some("h".into()),
                    target_group: None,
                    lun: Some(lun)
                }
            );
        }
    }
}
