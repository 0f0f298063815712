//! The program on a living door of this process.

use std::process::{Command, Output};

use door::{Attachment, Door, Invocation, Reply};

struct Live {
    path: String,
    _attachment: Attachment,
    _door: Door,
    _folder: tempfile::TempDir,
}

/// A door that answers with its argument in upper case; with a descriptor beside it when the argument is empty.
fn live() -> Live {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upper").to_str().unwrap().to_owned();
    let door = Door::builder()
        .max_argument_bytes(4096)
        .create(|call: Invocation<'_>| {
            let reply = Reply::bytes(call.argument().to_ascii_uppercase());
            if call.argument().is_empty() {
                reply.give(std::fs::File::open("/dev/null").unwrap())
            } else {
                reply
            }
        })
        .unwrap();
    let attachment = door.attach(&path).unwrap();
    Live {
        path,
        _attachment: attachment,
        _door: door,
        _folder: folder,
    }
}

fn doorctl(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_doorctl"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn a_call_prints_the_bytes_of_the_answer_and_nothing_else() {
    let live = live();
    assert_eq!(doorctl(&["call", &live.path, "--data", "hello"]).stdout, b"HELLO");
    assert_eq!(
        doorctl(&["call", &live.path, "--hex", "61 00 62"]).stdout,
        b"A\0B"
    );
    let file = format!("{}.in", live.path);
    std::fs::write(&file, "from a file\n").unwrap();
    assert_eq!(
        doorctl(&["call", &live.path, "--file", &file]).stdout,
        b"FROM A FILE\n"
    );
}

#[test]
fn json_tells_bytes_text_and_descriptors() {
    let live = live();
    let output = doorctl(&["call", &live.path, "--json", "--data", "hi"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "bytes": 2, "hex": "4849", "text": "HI", "descriptors": [] })
    );
    let output = doorctl(&["call", &live.path, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["descriptors"], serde_json::json!([{ "door": false }]));
    let output = doorctl(&["call", &live.path]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 descriptors came with the answer"));
}

#[test]
fn info_tells_who_serves_the_door_and_its_limits() {
    let live = live();
    let output = doorctl(&["info", &live.path, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["target"], std::process::id());
    assert_eq!(json["data_max"], 4096);
    let text = String::from_utf8(doorctl(&["info", &live.path]).stdout).unwrap();
    assert!(
        text.starts_with(&format!("Server process    : {}\n", std::process::id())),
        "{text}"
    );
    assert!(text.contains("REFUSE_DESC"), "{text}");
}

#[test]
fn an_argument_the_door_does_not_take_is_an_error() {
    let live = live();
    let output = Command::new(env!("CARGO_BIN_EXE_doorctl"))
        .args(["call", &live.path, "--data", &"x".repeat(5000)])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("size limits"));
}
