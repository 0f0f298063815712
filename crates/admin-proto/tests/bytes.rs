//! The documents on the control door, byte for byte: what one release wrote, the next must read.

use admin_proto::{
    AccessState, Answer, Channel, ConfigurationState, CreateLu, DecodeError, DiskProperties, FailoverKind,
    Group, GroupKind, Guid, LastFailover, LuCounters, LuDetails, LuName, LuState, LuSummary,
    MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, ModifyLu, ProxyCounters, ProxyStatus, Reply, Request, ServiceState,
    ServiceStatus, Session, Statistics, StmfStatus, Target, TargetCounters, TargetState, View, ViewEntry,
    decode_answer, decode_request, encode_answer, encode_request,
};

const GUID_TEXT: &str = "600144F0C73AB8000000549B00010001";

fn guid() -> Guid {
    GUID_TEXT.parse().unwrap()
}

/// One of every request, with its bytes between the braces of `"request":{…}`.
fn requests() -> Vec<(Request, String)> {
    let guid = guid();
    let name = || String::from("iqn.2026-01.org.example:a");
    let create = CreateLu {
        data_file: Some("/s/d".into()),
        meta_file: Some("/s/m".into()),
        guid: Some(guid),
        alias: Some("a".into()),
        size: Some(u64::MAX),
        block_size: Some(4096),
        write_protect: Some(true),
        write_cache_disable: Some(false),
        vendor: Some("V".into()),
        product: Some("P".into()),
        serial: Some("S".into()),
        company_id: Some(0x144f),
        host_id: Some(7),
        mgmt_url: Some("http://x".into()),
    };
    let mut modify = ModifyLu::new(LuName::File("/s/d".into()));
    modify.size = Some(1 << 30);
    modify.write_protect = Some(false);
    let view = View {
        host_group: Some("h".into()),
        target_group: None,
        lun: Some(0),
    };
    let plain = |request, text: &str| (request, text.replace("GUID", GUID_TEXT));
    vec![
        plain(Request::GetState {}, r#""type":"get_state""#),
        plain(
            Request::SetServiceOnline { online: false },
            r#""type":"set_service_online","online":false"#,
        ),
        plain(Request::GetAluaState {}, r#""type":"get_alua_state""#),
        plain(
            Request::SetAluaState {
                enabled: true,
                node: 1,
            },
            r#""type":"set_alua_state","enabled":true,"node":1"#,
        ),
        plain(Request::InitProxyDoor {}, r#""type":"init_proxy_door""#),
        plain(
            Request::DestroyProxyDoor { session: 9 },
            r#""type":"destroy_proxy_door","session":9"#,
        ),
        plain(
            Request::CreateLu(create),
            r#""type":"create_lu","data_file":"/s/d","meta_file":"/s/m","guid":"GUID","alias":"a","size":18446744073709551615,"block_size":4096,"write_protect":true,"write_cache_disable":false,"vendor":"V","product":"P","serial":"S","company_id":5199,"host_id":7,"mgmt_url":"http://x""#,
        ),
        plain(Request::CreateLu(CreateLu::default()), r#""type":"create_lu""#),
        plain(
            Request::ModifyLu(modify),
            r#""type":"modify_lu","lu":{"file":"/s/d"},"size":1073741824,"write_protect":false"#,
        ),
        plain(
            Request::ModifyLu(ModifyLu::new(LuName::Guid(guid))),
            r#""type":"modify_lu","lu":{"guid":"GUID"}"#,
        ),
        plain(
            Request::DeleteLu {
                guid,
                keep_views: true,
            },
            r#""type":"delete_lu","guid":"GUID","keep_views":true"#,
        ),
        plain(
            Request::ImportLu { path: "/s/d".into() },
            r#""type":"import_lu","path":"/s/d""#,
        ),
        plain(
            Request::LuStandby { guid },
            r#""type":"lu_standby","guid":"GUID""#,
        ),
        plain(
            Request::Failover { guid, force: true },
            r#""type":"failover","guid":"GUID","force":true"#,
        ),
        plain(Request::OnlineLu { guid }, r#""type":"online_lu","guid":"GUID""#),
        plain(
            Request::OfflineLu { guid },
            r#""type":"offline_lu","guid":"GUID""#,
        ),
        plain(Request::ListLus {}, r#""type":"list_lus""#),
        plain(
            Request::LuProperties { guid },
            r#""type":"lu_properties","guid":"GUID""#,
        ),
        plain(
            Request::CreateGroup {
                kind: GroupKind::Host,
                name: "h".into(),
            },
            r#""type":"create_group","kind":"host","name":"h""#,
        ),
        plain(
            Request::DeleteGroup {
                kind: GroupKind::Target,
                name: "t".into(),
            },
            r#""type":"delete_group","kind":"target","name":"t""#,
        ),
        plain(
            Request::AddGroupMember {
                kind: GroupKind::Host,
                group: "h".into(),
                member: name(),
            },
            r#""type":"add_group_member","kind":"host","group":"h","member":"iqn.2026-01.org.example:a""#,
        ),
        plain(
            Request::RemoveGroupMember {
                kind: GroupKind::Host,
                group: "h".into(),
                member: name(),
            },
            r#""type":"remove_group_member","kind":"host","group":"h","member":"iqn.2026-01.org.example:a""#,
        ),
        plain(
            Request::ListGroups {
                kind: GroupKind::Target,
            },
            r#""type":"list_groups","kind":"target""#,
        ),
        plain(
            Request::AddView {
                guid,
                view: view.clone(),
            },
            r#""type":"add_view","guid":"GUID","view":{"host_group":"h","lun":0}"#,
        ),
        plain(
            Request::RemoveView { guid, index: 3 },
            r#""type":"remove_view","guid":"GUID","index":3"#,
        ),
        plain(
            Request::ListViews { guid },
            r#""type":"list_views","guid":"GUID""#,
        ),
        plain(
            Request::ValidateView { view },
            r#""type":"validate_view","view":{"host_group":"h","lun":0}"#,
        ),
        plain(Request::ListTargets {}, r#""type":"list_targets""#),
        plain(
            Request::OnlineTarget { name: name() },
            r#""type":"online_target","name":"iqn.2026-01.org.example:a""#,
        ),
        plain(
            Request::OfflineTarget { name: name() },
            r#""type":"offline_target","name":"iqn.2026-01.org.example:a""#,
        ),
        plain(Request::ListProxy {}, r#""type":"list_proxy""#),
        plain(Request::Stats {}, r#""type":"stats""#),
    ]
}

#[test]
fn every_request_has_these_bytes_and_is_read_back() {
    for (request, inner) in requests() {
        let bytes = format!(r#"{{"version":1,"request":{{{inner}}}}}"#);
        assert_eq!(String::from_utf8(encode_request(&request)).unwrap(), bytes);
        assert_eq!(decode_request(bytes.as_bytes()), Ok(request));
    }
}

#[test]
fn a_request_with_an_unknown_field_is_refused() {
    for (request, inner) in requests() {
        let bytes = format!(r#"{{"version":1,"request":{{{inner},"novelty":1}}}}"#);
        let refused = decode_request(bytes.as_bytes());
        assert!(
            matches!(refused, Err(DecodeError::Malformed(_))),
            "{request:?}: {refused:?}"
        );
    }
    for bytes in [
        r#"{"version":1,"request":{"type":"get_state"},"novelty":1}"#,
        r#"{"version":1,"request":{"type":"make_coffee"}}"#,
        r#"{"version":1,"request":{"type":"get_state"}} "#.trim_end().strip_suffix('}').unwrap(),
        r#"{"version":1,"request":{"type":"list_views","guid":"600144F0C73AB8000000549B0001000"}}"#,
        "",
        "[]",
    ] {
        let error = decode_request(bytes.as_bytes()).unwrap_err();
        assert_eq!(error.status(), StmfStatus::InvalidArg, "{bytes}");
    }
}

#[test]
fn another_version_is_refused_before_anything_else_is_looked_at() {
    let bytes = br#"{"version":2,"request":{"type":"make_coffee"},"novelty":1}"#;
    assert_eq!(decode_request(bytes), Err(DecodeError::Version { found: 2 }));
    assert_eq!(
        decode_answer(br#"{"version":2}"#),
        Err(DecodeError::Version { found: 2 })
    );
    let answer = Answer::from(DecodeError::Version { found: 2 });
    assert_eq!(answer.status, StmfStatus::Error);
    assert!(answer.message.unwrap().contains("version 2"));
}

#[test]
fn an_oversized_request_is_refused_unread() {
    let bytes = vec![b' '; MAX_REQUEST_BYTES + 1];
    let expected = DecodeError::TooLong {
        length: MAX_REQUEST_BYTES + 1,
        limit: MAX_REQUEST_BYTES,
    };
    assert_eq!(decode_request(&bytes), Err(expected));
}

#[test]
fn an_oversized_answer_becomes_a_failure_that_says_so() {
    let answer = Answer::failed(StmfStatus::Error, "x".repeat(MAX_ANSWER_BYTES));
    let sent = decode_answer(&encode_answer(&answer)).unwrap();
    assert_eq!(sent.status, StmfStatus::Error);
    assert!(sent.message.unwrap().contains("ask for less"));
}

#[test]
fn a_short_request_may_leave_its_options_out() {
    let bytes = format!(
        r#"{{"version":1,"request":{{"type":"delete_lu","guid":"{}"}}}}"#,
        GUID_TEXT.to_lowercase()
    );
    assert_eq!(
        decode_request(bytes.as_bytes()),
        Ok(Request::DeleteLu {
            guid: guid(),
            keep_views: false
        })
    );
}

/// One of every reply, every optional field filled.
fn replies() -> Vec<(Reply, String)> {
    let summary = LuSummary {
        guid: guid(),
        state: LuState::Online,
        provider: Some("sbd".into()),
        alias: Some("a".into()),
        access: Some(AccessState::Standby),
        view_entries: 1,
    };
    let counters = ProxyCounters {
        upcalls: 1,
        tasks_sent: 2,
        channel_losses: 3,
        ..ProxyCounters::default()
    };
    let counters_text = r#"{"upcalls":1,"upcall_failures":0,"upcall_again":0,"upcall_bytes":0,"posts":0,"post_failures":0,"post_bytes":0,"tasks_sent":2,"tasks_received":0,"task_failures":0,"tasks_outstanding":0,"channel_ups":0,"channel_losses":3}"#;
    let summary_text = r#"{"guid":"GUID","state":"online","provider":"sbd","alias":"a","access":"standby","view_entries":1}"#;
    let disk = DiskProperties {
        data_file: "/s/d".into(),
        meta_file: Some("/s/m".into()),
        size: 1 << 30,
        block_size: 512,
        mgmt_url: Some("http://x".into()),
        vendor: "SUN".into(),
        product: "COMSTAR".into(),
        revision: "1.0".into(),
        serial: Some("s".into()),
        write_protected: false,
        write_cache: true,
    };
    let entry = ViewEntry {
        index: 2,
        host_group: Some("h".into()),
        target_group: Some("t".into()),
        lun: 5,
    };
    let entry_text = r#""index":2,"host_group":"h","target_group":"t","lun":5"#;
    let plain = |reply, text: &str| {
        let text = text
            .replace("COUNTERS", counters_text)
            .replace("SUMMARY", summary_text);
        (
            reply,
            text.replace("ENTRY", entry_text).replace("GUID", GUID_TEXT),
        )
    };
    vec![
        plain(
            Reply::Service(ServiceStatus {
                service: ServiceState::Online,
                configuration: ConfigurationState::InitDone,
                alua_enabled: true,
                alua_node: 0,
                proxy_channel: Channel::Connecting,
                peer_node: Some(1),
                peer_version: Some("0.1.0".into()),
                last_failover: Some(LastFailover {
                    guid: guid(),
                    kind: FailoverKind::Planned,
                    owner: 1,
                    at: 1_772_446_272,
                    duration_ms: 31,
                }),
            }),
            r#""type":"service","service":"online","configuration":"init_done","alua_enabled":true,"alua_node":0,"proxy_channel":"connecting","peer_node":1,"peer_version":"0.1.0","last_failover":{"guid":"GUID","kind":"planned","owner":1,"at":1772446272,"duration_ms":31}"#,
        ),
        plain(
            Reply::Alua {
                enabled: false,
                node: 0,
            },
            r#""type":"alua","enabled":false,"node":0"#,
        ),
        plain(
            Reply::ProxySession { session: 9 },
            r#""type":"proxy_session","session":9"#,
        ),
        plain(Reply::Lu { guid: guid() }, r#""type":"lu","guid":"GUID""#),
        plain(
            Reply::Lus {
                lus: vec![summary.clone()],
            },
            r#""type":"lus","lus":[SUMMARY]"#,
        ),
        plain(
            Reply::LuDetails(LuDetails {
                summary,
                disk: Some(disk),
                epoch: 4,
            }),
            r#""type":"lu_details","summary":SUMMARY,"disk":{"data_file":"/s/d","meta_file":"/s/m","size":1073741824,"block_size":512,"mgmt_url":"http://x","vendor":"SUN","product":"COMSTAR","revision":"1.0","serial":"s","write_protected":false,"write_cache":true},"epoch":4"#,
        ),
        plain(
            Reply::Groups {
                groups: vec![Group {
                    name: "h".into(),
                    members: vec!["iqn.x".into()],
                }],
            },
            r#""type":"groups","groups":[{"name":"h","members":["iqn.x"]}]"#,
        ),
        plain(Reply::View(entry.clone()), r#""type":"view",ENTRY"#),
        plain(
            Reply::Views { views: vec![entry] },
            r#""type":"views","views":[{ENTRY}]"#,
        ),
        plain(
            Reply::Targets {
                targets: vec![Target {
                    name: "iqn.x".into(),
                    provider: "pppt".into(),
                    state: TargetState::Onlining,
                    alias: Some("a".into()),
                    relative_target_port: 256,
                    sessions: vec![Session {
                        initiator: "iqn.i".into(),
                        alias: Some("h".into()),
                        since: 5,
                    }],
                }],
            },
            r#""type":"targets","targets":[{"name":"iqn.x","provider":"pppt","state":"onlining","alias":"a","relative_target_port":256,"sessions":[{"initiator":"iqn.i","alias":"h","since":5}]}]"#,
        ),
        plain(
            Reply::Proxy(ProxyStatus {
                door_installed: true,
                holder_pid: Some(7),
                channel: Channel::Up,
                node: 0,
                boot_id: u64::MAX,
                protocol: 1,
                peer_node: Some(1),
                peer_boot_id: Some(8),
                peer_protocol: Some(1),
                counters,
            }),
            r#""type":"proxy","door_installed":true,"holder_pid":7,"channel":"up","node":0,"boot_id":18446744073709551615,"protocol":1,"peer_node":1,"peer_boot_id":8,"peer_protocol":1,"counters":COUNTERS"#,
        ),
        plain(
            Reply::Statistics(Statistics {
                uptime_seconds: 60,
                logical_units: vec![LuCounters {
                    guid: guid(),
                    commands: 1,
                    check_conditions: 2,
                    reads: 3,
                    read_bytes: 4,
                    writes: 5,
                    write_bytes: 6,
                    proxied: 7,
                }],
                targets: vec![TargetCounters {
                    name: "iqn.x".into(),
                    sessions: 1,
                    logins: 2,
                    login_failures: 3,
                    commands: 4,
                }],
                proxy: counters,
            }),
            r#""type":"statistics","uptime_seconds":60,"logical_units":[{"guid":"GUID","commands":1,"check_conditions":2,"reads":3,"read_bytes":4,"writes":5,"write_bytes":6,"proxied":7}],"targets":[{"name":"iqn.x","sessions":1,"logins":2,"login_failures":3,"commands":4}],"proxy":COUNTERS"#,
        ),
    ]
}

#[test]
fn every_reply_has_these_bytes_and_is_read_back() {
    for (reply, inner) in replies() {
        let bytes = format!(r#"{{"version":1,"status":0,"reply":{{{inner}}}}}"#);
        let answer = Answer::good(reply);
        assert_eq!(String::from_utf8(encode_answer(&answer)).unwrap(), bytes);
        assert_eq!(decode_answer(bytes.as_bytes()), Ok(answer));
    }
}

#[test]
fn an_answer_with_an_unknown_field_is_read_all_the_same() {
    for (reply, inner) in replies() {
        let bytes = format!(r#"{{"version":1,"status":0,"reply":{{{inner},"novelty":1}},"novelty":{{}}}}"#);
        assert_eq!(decode_answer(bytes.as_bytes()), Ok(Answer::good(reply)));
    }
}

#[test]
fn a_failure_carries_its_code_and_may_carry_a_reply() {
    let mut answer = Answer::failed(StmfStatus::FileInUse, "active here");
    answer.reply = Some(Reply::Lu { guid: guid() });
    let bytes = format!(
        r#"{{"version":1,"status":33024,"message":"active here","reply":{{"type":"lu","guid":"{GUID_TEXT}"}}}}"#
    );
    assert_eq!(String::from_utf8(encode_answer(&answer)).unwrap(), bytes);
    assert_eq!(decode_answer(bytes.as_bytes()), Ok(answer));
    let unknown = decode_answer(br#"{"version":1,"status":33999}"#).unwrap();
    assert_eq!(unknown, Answer::from(StmfStatus::Error));
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = decode_request(&bytes);
        let _ = decode_answer(&bytes);
    }
}
