//! `doorctl info`.

use crate::support::{Doors, good, run};

#[test]
fn info_tells_who_serves_the_door_and_its_limits() {
    let doors = Doors::start();
    let json = good(&["info", &doors.path("upper"), "--json"]).json();
    assert_eq!(json["target"], doors.pid());
    assert_eq!(json["data_max"], 4096);
    let outcome = good(&["info", &doors.path("upper")]);
    let start = format!("Server process    : {} (", doors.pid());
    assert!(outcome.text().starts_with(&start), "{}", outcome.text());
    assert!(outcome.text().contains("REFUSE_DESC"), "{}", outcome.text());
}

#[test]
fn info_tells_what_the_door_has_been_doing() {
    let doors = Doors::start();
    for _ in 0..3 {
        good(&["call", &doors.path("upper"), "--data", "12345"]);
    }
    run(&["call", &doors.path("upper"), "--data", &"x".repeat(5000)]);
    run(&["call", &doors.path("fail")]);
    let told = good(&["info", &doors.path("upper"), "-j"]).json()["statistics"].clone();
    assert_eq!(
        (&told["calls"], &told["bytes_in"], &told["refused"]),
        (&3.into(), &15.into(), &1.into())
    );
    assert!(told["run_time_p50_ns"].as_u64().unwrap() > 0, "{told}");
    let failed = good(&["info", &doors.path("fail")]);
    assert!(
        failed.text().contains("0 aborted by the caller, 1 failed"),
        "{}",
        failed.text()
    );
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let doors = Doors::start();
    doors.process.signal(rustix::process::Signal::STOP);
    let outcome = run(&["info", &doors.path("upper"), "--deadline", "0.05"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("deadline"), "{}", outcome.err);
}
