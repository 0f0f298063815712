//! `doorctl bench`.

use crate::support::{Doors, good, run};

#[test]
fn bench_measures_the_door_and_a_socket_in_the_same_run() {
    let doors = Doors::start();
    let json = good(&[
        "bench",
        &doors.path("upper"),
        "--seconds",
        "0.3",
        "--size",
        "100",
        "--threads",
        "2",
        "-j",
    ])
    .json();
    assert_eq!(
        (&json["argument_bytes"], &json["reply_bytes"]),
        (&100.into(), &100.into())
    );
    for side in ["door", "socket"] {
        let side = &json[side];
        let number = |key: &str| side[key].as_u64().unwrap();
        assert!(number("calls") > 0);
        assert!(
            number("p50_ns") <= number("p99_ns") && number("p99_ns") <= number("max_ns"),
            "{side}"
        );
    }
    // It really called.
    let told = good(&["info", &doors.path("upper"), "-j"]).json();
    assert_eq!(
        told["statistics"]["calls"].as_u64().unwrap(),
        json["door"]["calls"].as_u64().unwrap() + 1
    );
    let text = good(&["bench", &doors.path("upper"), "--seconds", "0.05"]);
    assert!(
        text.text()
            .contains("in the time of one round trip over a socket"),
        "{}",
        text.text()
    );
}

#[test]
fn bench_of_a_door_that_refuses_or_hangs_ends_with_an_error() {
    let doors = Doors::start();
    let refused = run(&["bench", &doors.path("upper"), "--size", "5000"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("size limits"), "{}", refused.err);
    let hangs = run(&["bench", &doors.path("hang"), "--deadline", "0.05"]);
    assert!(hangs.err.contains("deadline"), "{}", hangs.err);
}
