//! The static probes are in the file of a program if it was built with the feature `usdt`, and only then. This test's own program is looked
//! at: `cargo test -p door --test probes`, with and without `--features usdt`.

use std::collections::BTreeSet;

use door::{Door, DoorHandle, Reply};

fn word<const N: usize>(file: &[u8], at: usize) -> [u8; N] {
    file[at..at + N].try_into().unwrap()
}

fn number(file: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(word(file, at))).unwrap()
}

/// The section of this name of a 64-bit ELF file; elf(5).
fn section<'a>(file: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    assert_eq!(&file[..6], b"\x7fELF\x02\x01");
    let (headers, size) = (number(file, 40), usize::from(u16::from_le_bytes(word(file, 58))));
    let count = usize::from(u16::from_le_bytes(word(file, 60)));
    let names = headers + size * usize::from(u16::from_le_bytes(word(file, 62)));
    let names = number(file, names + 24);
    (0..count).map(|index| headers + index * size).find_map(|header| {
        let name = names + usize::try_from(u32::from_le_bytes(word(file, header))).unwrap();
        let bytes = &file[number(file, header + 24)..];
        let is_it = file[name..].starts_with(wanted.as_bytes()) && file[name + wanted.len()] == 0;
        is_it.then(|| &bytes[..number(file, header + 32)])
    })
}

/// `provider:name` of each note of a tracer: three addresses, then three strings.
fn probes(mut notes: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    while notes.len() >= 12 {
        let size = |at: usize| usize::try_from(u32::from_le_bytes(word(notes, at))).unwrap();
        let owner = size(0).next_multiple_of(4);
        let description = &notes[12 + owner..12 + owner + size(4)];
        let mut strings = description[24..].split(|byte| *byte == 0);
        let mut next = || String::from_utf8(strings.next().unwrap().to_vec()).unwrap();
        found.insert(format!("{}:{}", next(), next()));
        notes = &notes[12 + owner + size(4).next_multiple_of(4)..];
    }
    found
}

#[test]
fn probes_are_there_with_the_feature_and_only_then() {
    // So that the program has all of the engine.
    let door = Door::builder()
        .create(|call| Reply::bytes(call.argument()))
        .unwrap();
    let handle = DoorHandle::from_fd(door.lend().unwrap()).unwrap();
    assert_eq!(handle.call(b"x").unwrap().data(), b"x");

    let file = std::fs::read("/proc/self/exe").unwrap();
    let found = section(&file, ".note.stapsdt").map(probes).unwrap_or_default();
    let expected = [
        "door:call-entry",
        "door:call-return",
        "door:invocation-start",
        "door:invocation-done",
        "door:thread-create",
        "door:link-up",
        "door:link-down",
        "door:unreferenced",
    ];
    if cfg!(feature = "usdt") {
        assert_eq!(found, expected.map(str::to_owned).into());
    } else {
        assert_eq!(found, BTreeSet::new());
    }
}
