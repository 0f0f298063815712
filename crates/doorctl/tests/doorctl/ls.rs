//! `doorctl ls`.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Doors, MACHINE, Running, as_nobody, doorctl, good, run, until};

fn entry(list: &serde_json::Value, path: &str) -> Option<serde_json::Value> {
    list.as_array()
        .unwrap()
        .iter()
        .find(|one| one["path"] == path)
        .cloned()
}

#[test]
fn every_attached_door_is_listed_with_its_server() {
    let _nobody_counts = MACHINE.write();
    let doors = Doors::start();
    let list = good(&["ls", "-j"]).json();
    for name in ["upper", "read", "fail", "hang"] {
        let door = entry(&list, &doors.path(name)).unwrap_or_else(|| panic!("{name} in {list}"));
        assert_eq!(door["server"], doors.pid());
        assert_eq!((&door["state"], &door["clients"]), (&"alive".into(), &0.into()));
        assert!(door["command"].as_str().unwrap().contains("role"), "{door}");
    }
    let upper = entry(&list, &doors.path("upper")).unwrap();
    assert_eq!(
        upper["attributes"],
        serde_json::json!(["REFUSE_DESC", "NO_CANCEL"])
    );
    let text = good(&["ls", doors.folder.path().to_str().unwrap()]);
    assert!(text.text().starts_with("PATH"), "{}", text.text());
    assert_eq!(text.text().lines().count(), 5, "{}", text.text());
    assert!(!text.text().contains('\x1b'), "colours are for terminals");
}

#[test]
fn only_what_is_attached_at_a_place_is_listed_when_it_is_named() {
    let (one, other) = (Doors::start(), Doors::start());
    let list = good(&["ls", "-j", one.folder.path().to_str().unwrap()]).json();
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert!(entry(&list, &other.path("upper")).is_none());
    let list = good(&["ls", "-j", &one.path("upper")]).json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    let nothing = run(&["ls", "-j", &one.path("missing")]);
    assert_eq!(nothing.code, Some(1));
}

#[test]
fn clients_are_counted_and_named() {
    let doors = Doors::start();
    let path = doors.path("hang");
    let caller = Running::start(&mut doorctl(&["call", &path]));
    let pid = serde_json::json!([caller.child.id()]);
    until("the caller is seen", || {
        let door = entry(&good(&["ls", "-j", &path]).json(), &path)?;
        (door["clients"] == 1 && door["held_by"] == pid).then_some(())
    });
    let text = good(&["ls", "-v", &path]);
    let line = text
        .text()
        .lines()
        .find(|line| line.starts_with("  held by"))
        .unwrap();
    assert!(line.contains(&caller.child.id().to_string()), "{line}");
}

#[test]
fn an_attachment_whose_server_was_killed_is_shown_as_dead() {
    let mut doors = Doors::start();
    doors.process.child.kill().unwrap();
    doors.process.child.wait().unwrap();
    let folder = doors.folder.path().to_str().unwrap();
    let list = good(&["ls", "-j", folder]).json();
    let upper = entry(&list, &doors.path("upper")).unwrap();
    assert_eq!(
        (&upper["state"], &upper["server"]),
        (&"dead".into(), &serde_json::Value::Null)
    );
    let text = good(&["ls", folder]);
    assert_eq!(text.text().matches("(dead)").count(), 4, "{}", text.text());
}

#[test]
fn a_server_that_does_not_answer_does_not_stop_the_list() {
    let doors = Doors::start();
    doors.process.signal(rustix::process::Signal::STOP);
    let path = doors.path("upper");
    let list = good(&["ls", "-j", &path, "--deadline", "0.05"]).json();
    assert_eq!(entry(&list, &path).unwrap()["state"], "no answer");
}

#[test]
fn an_unprivileged_user_sees_the_doors_and_which_it_may_not_open() {
    let _nobody_counts = MACHINE.write();
    let doors = Doors::start();
    std::fs::set_permissions(doors.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(doors.path("upper"), PermissionsExt::from_mode(0o666)).unwrap();
    let Some(mut command) = as_nobody(doorctl(&["ls", "-j", "-a"])) else {
        return;
    };
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let state = |name: &str| entry(&list, &doors.path(name)).unwrap()["state"].clone();
    assert_eq!(state("upper"), "alive");
    assert_eq!(state("read"), "no permission");
}

#[test]
fn a_door_without_a_path_is_found_by_who_may_look_into_its_server() {
    let _nobody_counts = MACHINE.write();
    let door = door::Door::builder().create(|_| door::Reply::empty()).unwrap();
    let unique = door.info().unwrap().unique;
    let seen = |arguments: &[&str]| {
        let list = good(arguments).json();
        let mut doors = list.as_array().unwrap().iter();
        doors.find(|one| one["unique"] == unique).cloned()
    };
    assert_eq!(seen(&["ls", "-j"]), None);
    if rustix::process::geteuid().is_root() {
        let found = seen(&["ls", "-j", "--all"]).unwrap();
        assert_eq!(found["server"], std::process::id());
        assert_eq!(found["path"], serde_json::Value::Null);
    }
}
