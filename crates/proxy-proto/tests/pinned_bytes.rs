//! The bytes of version 1, for ever: a change here is a new version.

mod common;
mod messages;

use bytes::Bytes;
use proxy_proto::{DataFrame, Envelope, Message};

const BOOT: u64 = 0x0102_0304_0506_0708;
const ID: u64 = 0x1112;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_bytes_of_every_message_are_those_of_version_1() {
    let pinned: Vec<&str> = include_str!("pinned_v1.txt").lines().collect();
    let now: Vec<String> = messages::every_message()
        .iter()
        .map(|m| format!("{} {}", m.name(), hex(&m.encode(BOOT, ID))))
        .collect();
    assert_eq!(pinned.len(), 25, "one line per message type");
    for (pinned, now) in pinned.iter().zip(&now) {
        assert_eq!(pinned, now);
    }
    assert_eq!(pinned.len(), now.len());
}

#[test]
fn a_ping_is_the_header_written_out_by_hand() {
    let by_hand = [
        "4c4e5450",         // magic LNTP
        "0100",             // version
        "0200",             // type
        "0807060504030201", // boot id
        "1211000000000000", // message id
        "0000000000000000", // task
        "00000000",         // body
        "00000000",         // data
    ];
    assert_eq!(hex(&Message::Ping.encode(BOOT, ID)), by_hand.concat());
}

#[test]
fn what_is_encoded_decodes_to_the_same() {
    for message in messages::every_message() {
        let envelope = Envelope::decode(Bytes::from(message.encode(BOOT, ID))).unwrap();
        assert_eq!((envelope.boot_id, envelope.message_id), (BOOT, ID));
        assert_eq!(envelope.message, message);
    }
}

#[test]
fn a_frame_filled_in_place_is_the_same_message() {
    let mut frame = DataFrame::data_in(BOOT, ID, 77, 4096, 4);
    frame.data_mut().copy_from_slice(b"read");
    let message = Message::DataIn {
        task: 77,
        offset: 4096,
        data: Bytes::from_static(b"read"),
    };
    assert_eq!(frame.into_bytes(), message.encode(BOOT, ID));
}

#[test]
fn data_is_sliced_not_copied() {
    let bytes = Bytes::from(
        Message::DataIn {
            task: 1,
            offset: 0,
            data: Bytes::from(vec![9; 4096]),
        }
        .encode(BOOT, ID),
    );
    let range = bytes.as_ptr_range();
    let Message::DataIn { data, .. } = Envelope::decode(bytes.clone()).unwrap().message else {
        panic!("not data")
    };
    assert!(range.contains(&data.as_ptr()));
}
