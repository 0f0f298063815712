//! `doorctl top`.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Doors, MACHINE, good};

/// Calls the door all the time while `body` runs.
fn while_called<T>(path: &str, body: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let door = door::DoorHandle::open(path).unwrap();
            while !over.load(Ordering::Relaxed) {
                door.call(b"x").unwrap();
            }
        });
        let result = body();
        over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn top_shows_rates_of_the_doors_that_are_called_most_first() {
    let _nobody_lists_all = MACHINE.read();
    let doors = Doors::start();
    let folder = doors.folder.path().to_str().unwrap();
    let (text, json) = while_called(&doors.path("upper"), || {
        (
            good(&["top", "--once", "--interval", "0.2", folder]),
            good(&["top", "--count", "2", "--interval", "0.2", "-j", folder]),
        )
    });
    let lines: Vec<&str> = text.text().lines().collect();
    assert_eq!(lines.len(), 5, "{}", text.text());
    assert!(lines[0].trim_start().starts_with("CALLS/S"), "{}", lines[0]);
    assert!(lines[1].contains(&doors.path("upper")), "{}", lines[1]);
    assert!(!text.text().contains('\x1b'));

    let rounds: Vec<serde_json::Value> = json
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        let first = &round[0];
        assert_eq!(first["path"], doors.path("upper"));
        assert!(first["calls_per_second"].as_f64().unwrap() > 0.0, "{first}");
        assert!(first["run_time_p50_ns"].as_u64().is_some(), "{first}");
        assert_eq!(
            (&first["clients"], &first["errors_per_second"]),
            (&1.into(), &0.0.into())
        );
        assert_eq!(round[1]["calls_per_second"], 0.0);
    }
}
