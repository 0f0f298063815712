//! `doorctl call`.

use std::os::fd::AsRawFd as _;

use crate::support::{Doors, doorctl, good, path_in, run, with_input};

#[test]
fn a_call_prints_the_bytes_of_the_answer_and_nothing_else() {
    let doors = Doors::start();
    let upper = doors.path("upper");
    assert_eq!(good(&["call", &upper, "--data", "hello"]).out, b"HELLO");
    assert_eq!(good(&["call", &upper, "--hex", "61 00 62"]).out, b"A\0B");
    assert_eq!(
        good(&["call", &upper, "--hex", "61 00 62", "--hex-output"]).out,
        b"410042\n"
    );
    assert_eq!(good(&["call", &upper]).out, b"");
    let file = doors.path("input");
    std::fs::write(&file, "from a file\n").unwrap();
    assert_eq!(good(&["call", &upper, "--file", &file]).out, b"FROM A FILE\n");
}

#[test]
fn what_is_piped_in_is_the_argument() {
    let doors = Doors::start();
    let upper = doors.path("upper");
    let piped = with_input(doorctl(&["call", &upper]), b"through a pipe");
    assert_eq!((piped.code, piped.text()), (Some(0), "THROUGH A PIPE"));
    let named = with_input(doorctl(&["call", &upper, "--file", "-"]), b"by name");
    assert_eq!(named.text(), "BY NAME");
    let other = with_input(doorctl(&["call", &upper, "--data", "told"]), b"not this");
    assert_eq!(other.text(), "TOLD");
    let file = doors.path("input");
    std::fs::write(&file, "redirected").unwrap();
    let output = doorctl(&["call", &upper])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"REDIRECTED");
}

#[test]
fn json_tells_bytes_text_and_descriptors() {
    let doors = Doors::start();
    let json = good(&["call", &doors.path("upper"), "--json", "--data", "hi"]).json();
    assert_eq!(
        json,
        serde_json::json!({ "bytes": 2, "hex": "4849", "text": "HI", "descriptors": [] })
    );
}

/// Runs the program with the file open as descriptor 7, as a shell does for `7<FILE`.
fn with_descriptor_7(file: &str, arguments: &[&str]) -> crate::support::Outcome {
    let program = env!("CARGO_BIN_EXE_doorctl");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" 7<\"$FILE\"", program])
        .args(arguments);
    command.env("FILE", file).stdin(std::process::Stdio::null());
    command.output().unwrap().into()
}

#[test]
fn descriptors_are_passed_listed_and_saved() {
    let doors = Doors::start();
    let (read, file) = (doors.path("read"), doors.path("letter"));
    std::fs::write(&file, "dear door").unwrap();
    let listed = with_descriptor_7(&file, &["call", &read, "--pass-fd", "7"]);
    assert_eq!(
        (listed.code, listed.text()),
        (Some(0), "dear door"),
        "{}",
        listed.err
    );
    assert!(
        listed
            .err
            .contains(&format!("descriptor 0 of the answer: file {file}")),
        "{}",
        listed.err
    );

    let copy = doors.path("copy");
    let wish = format!("0={copy}");
    let saved = with_descriptor_7(&file, &["call", &read, "--pass-fd", "7", "--save-fd", &wish]);
    assert_eq!((saved.code, saved.err.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "dear door");

    let shown = with_descriptor_7(&file, &["call", &read, "--pass-fd", "7", "--save-fd", "0=-"]);
    assert_eq!(shown.text(), "dear doordear door");
    let told = with_descriptor_7(&file, &["call", &read, "--pass-fd", "7", "-j"]).json();
    assert_eq!(
        told["descriptors"],
        serde_json::json!([{ "door": false, "kind": "file", "name": file }])
    );

    let missing = with_descriptor_7(&file, &["call", &read, "--pass-fd", "7", "--save-fd", "1=x"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("1 descriptors came"), "{}", missing.err);
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    let doors = Doors::start();
    let outcome = run(&["call", &doors.path("read"), "--pass-fd", "987"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.err.contains("descriptor 987: not open"),
        "{}",
        outcome.err
    );
    // Close-on-exec: it does not reach the program.
    let file = std::fs::File::open("/dev/null").unwrap();
    let number = file.as_raw_fd().to_string();
    assert_eq!(
        run(&["call", &doors.path("read"), "--pass-fd", &number]).code,
        Some(1)
    );
}

#[test]
fn a_call_the_door_refuses_exits_with_4_and_tells_the_limit() {
    let doors = Doors::start();
    let big = run(&["call", &doors.path("upper"), "--data", &"x".repeat(5000)]);
    assert_eq!(big.code, Some(4));
    assert!(big.err.contains("it takes 0 to 4096 bytes"), "{}", big.err);
    let file = doors.path("letter");
    std::fs::write(&file, "").unwrap();
    let refused = with_descriptor_7(&file, &["call", &doors.path("upper"), "--pass-fd", "7"]);
    assert_eq!(refused.code, Some(4), "{}", refused.err);
    let many = [
        "call",
        &doors.path("read"),
        "--pass-fd",
        "7",
        "--pass-fd",
        "7",
        "--pass-fd",
        "7",
    ];
    let many = with_descriptor_7(&file, &many);
    assert_eq!(many.code, Some(4));
    assert!(many.err.contains("it takes 2"), "{}", many.err);
}

#[test]
fn a_call_without_an_answer_exits_with_3() {
    let mut doors = Doors::start();
    let failed = run(&["call", &doors.path("fail")]);
    assert_eq!(failed.code, Some(3));
    assert!(failed.err.contains("the procedure failed"), "{}", failed.err);
    let late = run(&["call", &doors.path("hang"), "--deadline", "0.05"]);
    assert_eq!(late.code, Some(3));
    assert!(late.err.contains("no answer within 50.0 ms"), "{}", late.err);

    // A server that is killed while the procedure runs.
    let hang = doors.path("hang");
    let running =
        |doors: &Doors| good(&["info", &doors.path("hang"), "-j"]).json()["statistics"]["running"].clone();
    let before = running(&doors).as_u64().unwrap();
    let call = std::thread::spawn(move || run(&["call", &hang]));
    crate::support::until("the call", || {
        (running(&doors).as_u64() > Some(before)).then_some(())
    });
    doors.process.child.kill().unwrap();
    let killed = call.join().unwrap();
    assert_eq!(killed.code, Some(3), "{}", killed.err);
}

#[test]
fn a_path_with_blanks_and_a_long_one_can_be_called() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("d".repeat(120)).join("with blank");
    std::fs::create_dir_all(&deep).unwrap();
    let door = door::Door::builder()
        .create(|call| door::Reply::bytes(call.argument()))
        .unwrap();
    let path = path_in(&deep, "a door");
    let _attached = door.attach(&path).unwrap();
    assert_eq!(good(&["call", &path, "--data", "x"]).out, b"x");
}
