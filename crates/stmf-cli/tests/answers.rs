//! The program against a control door with a few logical units, as a user sees it.

use std::process::{Command, Output};

use admin_proto::{
    AccessState, Answer, ConfigurationState, Guid, LuDetails, LuState, LuSummary, Reply, Request,
    ServiceState, ServiceStatus, StmfStatus, ViewEntry, decode_request, encode_answer,
};
use door::{Attachment, Door, Invocation};

const ACTIVE: &str = "600144F0C73AB8000000549B00010001";
const STANDBY: &str = "600144F0C73AB8000000549B00010002";

fn summary(text: &str, access: AccessState) -> LuSummary {
    LuSummary {
        guid: text.parse().unwrap(),
        state: LuState::Online,
        provider: Some("sbd".into()),
        alias: None,
        access: Some(access),
        view_entries: 0,
    }
}

fn serve(request: Request) -> Answer {
    let lus = vec![
        summary(ACTIVE, AccessState::Active),
        summary(STANDBY, AccessState::Standby),
    ];
    let known = |guid: Guid| lus.iter().find(|lu| lu.guid == guid).cloned();
    match request {
        Request::GetState {} => Answer::good(Reply::Service(ServiceStatus {
            service: ServiceState::Offline,
            configuration: ConfigurationState::InitDone,
            alua_enabled: false,
            alua_node: 0,
            proxy_channel: admin_proto::Channel::Down,
            peer_node: None,
            peer_version: None,
            last_failover: None,
        })),
        Request::ListLus {} => Answer::good(Reply::Lus { lus }),
        Request::LuProperties { guid } => match known(guid) {
            Some(summary) => Answer::good(Reply::LuDetails(LuDetails {
                summary,
                disk: None,
                epoch: 1,
            })),
            None => StmfStatus::NotFound.into(),
        },
        Request::DeleteLu { guid, .. } | Request::OnlineLu { guid } if known(guid).is_some() => {
            Answer::done()
        }
        Request::CreateLu(create) => {
            assert_eq!(create.size, Some(1 << 30));
            Answer::good(Reply::Lu {
                guid: ACTIVE.parse().unwrap(),
            })
        }
        Request::ModifyLu(_) => StmfStatus::AccessStateSet.into(),
        Request::AddView { view, .. } => match view.lun {
            Some(3) => Answer::failed(StmfStatus::LunInUse, format!("LUN 3 is {STANDBY}")),
            lun => Answer::good(Reply::View(ViewEntry {
                index: 0,
                host_group: view.host_group,
                target_group: None,
                lun: lun.unwrap_or(0),
            })),
        },
        Request::ListViews { .. } => Answer::good(Reply::Views { views: Vec::new() }),
        _ => StmfStatus::NotFound.into(),
    }
}

struct Daemon {
    control: String,
    _attachment: Attachment,
    _door: Door,
    _folder: tempfile::TempDir,
}

fn daemon() -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control").to_str().unwrap().to_owned();
    let procedure = |call: Invocation<'_>| {
        door::Reply::bytes(encode_answer(&serve(decode_request(call.argument()).unwrap())))
    };
    let door = Door::builder().create(procedure).unwrap();
    let attachment = door.attach(&control).unwrap();
    Daemon {
        control,
        _attachment: attachment,
        _door: door,
        _folder: folder,
    }
}

impl Daemon {
    /// Runs stmfadm: exit status, what it printed, what it complained of.
    fn stmfadm(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stmfadm"));
        let Output {
            status,
            stdout,
            stderr,
        } = command
            .args(arguments)
            .env("STMF_CONTROL", &self.control)
            .output()
            .unwrap();
        (
            status.code(),
            String::from_utf8(stdout).unwrap(),
            String::from_utf8(stderr).unwrap(),
        )
    }
}

#[test]
fn list_lu_names_them_and_notes_that_the_service_is_offline() {
    let note = "stmfadm: STMF service is offline\n".to_owned();
    let expected = format!("LU Name: {ACTIVE}\nLU Name: {STANDBY}\n");
    assert_eq!(daemon().stmfadm(&["list-lu"]), (Some(0), expected, note));
}

#[test]
fn list_lu_gives_json_when_asked() {
    let (status, out, _) = daemon().stmfadm(&["list-lu", "-j", "-v", &STANDBY.to_lowercase()]);
    let json = out.parse::<serde_json::Value>().unwrap();
    assert_eq!(status, Some(0));
    assert_eq!(json[0]["summary"]["guid"], STANDBY);
    assert_eq!(json[0]["summary"]["access"], "standby");
}

#[test]
fn every_operand_is_tried_and_the_failures_are_counted() {
    let unknown = ACTIVE.replace('1', "2");
    let (status, out, err) = daemon().stmfadm(&["delete-lu", &unknown, "60", ACTIVE]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert_eq!(
        err,
        format!("stmfadm: {unknown}: not found\nstmfadm: 60: must be 32 hexadecimal digits long\n")
    );
}

#[test]
fn create_lu_prints_the_guid() {
    let (status, out, err) = daemon().stmfadm(&["create-lu", "-s", "1g", "-p", "alias=x", "/s/d"]);
    assert_eq!(
        (status, out, err.as_str()),
        (Some(0), format!("Logical unit created: {ACTIVE}\n"), "")
    );
    let (status, _, err) = daemon().stmfadm(&["create-lu", "-s", "1x", "/s/d"]);
    assert_eq!((status, err.as_str()), (Some(1), "stmfadm: 1x: invalid size\n"));
}

#[test]
fn st_055_a_standby_logical_unit_cannot_be_modified() {
    let (status, _, err) = daemon().stmfadm(&["modify-lu", "-p", "alias=x", STANDBY]);
    assert_eq!(status, Some(1));
    assert_eq!(
        err,
        format!("stmfadm: {STANDBY}: cannot modify while in standby mode\n")
    );
}

#[test]
fn online_lu_waits_until_it_is_online() {
    assert_eq!(
        daemon().stmfadm(&["online-lu", ACTIVE]),
        (Some(0), String::new(), String::new())
    );
}

#[test]
fn views_have_the_known_messages() {
    let daemon = daemon();
    let (status, _, err) = daemon.stmfadm(&["add-view", "-n", "3", ACTIVE]);
    assert_eq!(status, Some(1));
    assert!(
        err.ends_with(&format!(
            "stmfadm: 3: LUN already in use\n    LUN 3 is {STANDBY}\n"
        )),
        "{err}"
    );
    let (status, out, _) = daemon.stmfadm(&["add-view", "-h", "esx", ACTIVE]);
    assert_eq!((status, out.as_str()), (Some(0), ""));
    let (_, _, err) = daemon.stmfadm(&["list-view", "-l", ACTIVE]);
    assert!(
        err.ends_with(&format!("stmfadm: {ACTIVE}: no views found\n")),
        "{err}"
    );
    let (_, _, err) = daemon.stmfadm(&["remove-view", "-l", ACTIVE]);
    assert_eq!(err, format!("stmfadm: {ACTIVE}: no view entries specified\n"));
}
