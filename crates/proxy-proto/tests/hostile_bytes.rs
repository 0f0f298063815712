//! Bytes nobody of ours has written.

mod common;
mod messages;

use bytes::Bytes;
use proptest::prelude::*;
use proxy_proto::{DecodeError, Envelope, HEADER_BYTES, Message};

fn decode(bytes: &[u8]) -> Result<Envelope, DecodeError> {
    Envelope::decode(Bytes::copy_from_slice(bytes))
}

#[test]
fn one_byte_more_or_less_refuses_a_message() {
    for message in messages::every_message() {
        let mut bytes = message.encode(1, 2);
        bytes.push(0);
        assert!(
            matches!(decode(&bytes), Err(DecodeError::Long { .. })),
            "{}",
            message.name()
        );
        bytes.truncate(bytes.len() - 2);
        assert!(
            matches!(decode(&bytes), Err(DecodeError::Short { .. })),
            "{}",
            message.name()
        );
    }
}

#[test]
fn fields_appended_to_a_body_are_skipped() {
    for message in messages::every_message() {
        let mut bytes = message.encode(1, 2);
        let body = u32::from_le_bytes(bytes[32..36].try_into().unwrap());
        bytes[32..36].copy_from_slice(&(body + 3).to_le_bytes());
        let end = HEADER_BYTES + body as usize;
        bytes.splice(end..end, [1, 2, 3]);
        assert_eq!(decode(&bytes).unwrap().message, message);
    }
}

#[test]
fn a_body_cut_at_any_field_refuses_the_message() {
    for message in messages::every_message() {
        let whole = message.encode(1, 2);
        let body = u32::from_le_bytes(whole[32..36].try_into().unwrap()) as usize;
        for cut in 1..=body {
            let mut bytes = whole.clone();
            let end = HEADER_BYTES + body;
            bytes.drain(end - cut..end);
            bytes[32..36].copy_from_slice(&u32::try_from(body - cut).unwrap().to_le_bytes());
            assert!(
                decode(&bytes).is_err(),
                "{} without its last {cut} bytes",
                message.name()
            );
        }
    }
}

#[test]
fn another_version_is_refused_except_in_hello() {
    for message in messages::every_message() {
        let mut bytes = message.encode(1, 2);
        bytes[4] = 2;
        let hello = matches!(message, Message::Hello(_));
        assert_eq!(decode(&bytes).is_ok(), hello, "{}", message.name());
    }
}

#[test]
fn st_117_claimed_lengths_take_no_memory() {
    let mut bytes = Message::Ping.encode(1, 2);
    for at in [32, 36] {
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(decode(&bytes), Err(DecodeError::TooBig { .. })));
        bytes[at..at + 4].copy_from_slice(&0u32.to_le_bytes());
    }
}

#[test]
fn data_after_a_message_that_carries_none_is_refused() {
    let mut bytes = Message::Ping.encode(1, 2);
    bytes[36] = 1;
    bytes.push(0);
    assert_eq!(decode(&bytes), Err(DecodeError::UnexpectedData { kind: 2 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn st_118_any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn st_118_changed_messages_are_decoded_or_refused(which in 0usize..25, changes in proptest::collection::vec((0usize..400, any::<u8>()), 1..6)) {
        let mut bytes = messages::every_message()[which].encode(1, 2);
        for (at, value) in changes {
            // Past the magic and version, or all would stop there.
            let at = 6 + at % (bytes.len() - 6);
            bytes[at] = value;
        }
        if let Ok(envelope) = decode(&bytes) {
            // What was understood is understood again when it is said again.
            let again = envelope.message.encode(envelope.boot_id, envelope.message_id);
            prop_assert_eq!(Envelope::decode(Bytes::from(again)).unwrap(), envelope);
        }
    }
}
