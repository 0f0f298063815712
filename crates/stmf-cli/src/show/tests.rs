use admin_proto::{DiskProperties, Guid, LastFailover, LuSummary, ProxyCounters, Session};

use super::*;

fn guid() -> Guid {
    "600144F0C73AB8000000549B00010001".parse().unwrap()
}

fn details(access: Option<AccessState>) -> LuDetails {
    let disk = DiskProperties {
        data_file: "/dev/zvol/rdsk/tank/v1".into(),
        meta_file: None,
        size: 10_737_418_240,
        block_size: 512,
        mgmt_url: None,
        vendor: "SUN".into(),
        product: "COMSTAR".into(),
        revision: "1.0".into(),
        serial: None,
        write_protected: false,
        write_cache: true,
    };
    let summary = LuSummary {
        guid: guid(),
        state: if access.is_some() {
            LuState::Online
        } else {
            LuState::Unregistered
        },
        provider: access.map(|_| "sbd".into()),
        alias: access.map(|_| "/dev/zvol/rdsk/tank/v1".into()),
        access,
        view_entries: 1,
    };
    LuDetails {
        summary,
        disk: (access == Some(AccessState::Active)).then_some(disk),
        epoch: 1,
    }
}

#[test]
fn an_active_logical_unit_is_shown_as_the_manual_shows_it() {
    let expected = "\
LU Name: 600144F0C73AB8000000549B00010001
    Operational Status: Online
    Provider Name     : sbd
    Alias             : /dev/zvol/rdsk/tank/v1
    View Entry Count  : 1
    Data File         : /dev/zvol/rdsk/tank/v1
    Meta File         : not set
    Size              : 10737418240
    Block Size        : 512
    Management URL    : not set
    Vendor ID         : SUN
    Product ID        : COMSTAR
    Serial Num        : not set
    Write Protect     : Disabled
    Writeback Cache   : Enabled
    Access State      : Active
";
    assert_eq!(logical_unit(&details(Some(AccessState::Active))), expected);
}

#[test]
fn st_054_a_standby_logical_unit_says_that_its_properties_are_unavailable() {
    let text = logical_unit(&details(Some(AccessState::Standby)));
    assert_eq!(text.matches(": prop unavailable in standby\n").count(), 10);
    assert!(text.contains("    Alias             : /dev/zvol/rdsk/tank/v1\n"));
    assert!(text.ends_with("    Access State      : Standby\n"));
}

#[test]
fn an_unregistered_logical_unit_has_views_and_nothing_else() {
    let expected = "\
LU Name: 600144F0C73AB8000000549B00010001
    Operational Status: unregistered
    Provider Name     : unregistered
    Alias             : -
    View Entry Count  : 1
";
    assert_eq!(logical_unit(&details(None)), expected);
}

#[test]
fn a_target_is_shown_with_its_sessions() {
    let port = Target {
        name: "iqn.2010-08.org.illumos:02:7f3c".into(),
        provider: "iscsit".into(),
        state: TargetState::Online,
        alias: None,
        relative_target_port: 1,
        sessions: vec![Session {
            initiator: "iqn.1993-08.org.debian:01:abc".into(),
            alias: Some("host1".into()),
            since: 1_772_446_272,
        }],
    };
    let expected = format!(
        "\
Target: iqn.2010-08.org.illumos:02:7f3c
    Operational Status: Online
    Provider Name     : iscsit
    Alias             : -
    Protocol          : iSCSI
    Sessions          : 1
        Initiator: iqn.1993-08.org.debian:01:abc
            Alias: host1
            Logged in since: {}
",
        local_time(1_772_446_272)
    );
    assert_eq!(target(&port, true), expected);
    assert_eq!(target(&port, false), "Target: iqn.2010-08.org.illumos:02:7f3c\n");
}

#[test]
fn groups_and_views_are_shown_as_the_manual_shows_them() {
    let esx = Group {
        name: "esx".into(),
        members: vec!["iqn.1998-01.com.vmware:esx1".into()],
    };
    assert_eq!(
        group(GroupKind::Host, &esx, true),
        "Host Group: esx\n        Member: iqn.1998-01.com.vmware:esx1\n"
    );
    assert_eq!(group(GroupKind::Target, &esx, false), "Target Group: esx\n");
    let entry = ViewEntry {
        index: 0,
        host_group: Some("esx".into()),
        target_group: None,
        lun: 0,
    };
    let expected = "View Entry: 0\n    Host group   : esx\n    Target group : All\n    LUN          : 0\n";
    assert_eq!(view(&entry), expected);
}

#[test]
fn st_166_list_state_begins_with_the_four_lines_administrators_know() {
    let mut status = ServiceStatus {
        service: ServiceState::Online,
        configuration: ConfigurationState::InitDone,
        alua_enabled: true,
        alua_node: 0,
        proxy_channel: Channel::Connecting,
        peer_node: None,
        peer_version: None,
        last_failover: None,
    };
    let expected = "\
Operational Status: online
Config Status     : initialized
ALUA Status       : enabled
ALUA Node         : 0
Proxy Channel     : connecting
Peer Node         : -
Peer Version      : -
Last Failover     : -
";
    assert_eq!(service(&status), expected);
    status.last_failover = Some(LastFailover {
        guid: guid(),
        kind: FailoverKind::Forced,
        owner: 1,
        at: 0,
        duration_ms: 31,
    });
    let last = format!(
        "Last Failover     : 600144F0C73AB8000000549B00010001 forced to node 1, {}, 31 ms\n",
        local_time(0)
    );
    assert!(service(&status).ends_with(&last));
}

#[test]
fn the_proxy_shows_its_counters_when_asked() {
    let status = ProxyStatus {
        door_installed: true,
        holder_pid: Some(7),
        channel: Channel::Up,
        node: 0,
        boot_id: 0xabc,
        protocol: 1,
        peer_node: Some(1),
        peer_boot_id: None,
        peer_protocol: Some(1),
        counters: ProxyCounters {
            channel_losses: 5,
            ..ProxyCounters::default()
        },
    };
    let expected = "\
Proxy Door        : installed by process 7
Proxy Channel     : up
Local Node        : 0
Local Boot        : 0000000000000abc
Local Protocol    : 1
Peer Node         : 1
Peer Boot         : -
Peer Protocol     : 1
";
    assert_eq!(proxy(&status, false), expected);
    let verbose = proxy(&status, true);
    assert!(verbose.starts_with(expected) && verbose.ends_with("Channel Losses    : 5\n"));
    assert_eq!(verbose.lines().count(), 8 + 13);
}
