//! What is shown, byte for byte as stmfadm(1M) shows it: 4 spaces, labels of 18 characters (13 in view entries).

use std::fmt::{Display, Write as _};

use admin_proto::{
    AccessState, Channel, ConfigurationState, FailoverKind, Group, GroupKind, LuDetails, LuState,
    ProxyStatus, ServiceState, ServiceStatus, Target, TargetState, ViewEntry,
};

use crate::sys::local_time;

/// One line: indent, label padded to `width`, value. Writing to a `String` cannot fail.
fn line(text: &mut String, indent: usize, width: usize, label: &str, value: impl Display) {
    let _ = writeln!(text, "{:indent$}{label:<width$}: {value}", "");
}

const fn lu_state(state: LuState) -> &'static str {
    match state {
        LuState::Online => "Online",
        LuState::Offline => "Offline",
        LuState::Onlining => "Onlining",
        LuState::Offlining => "Offlining",
        LuState::Unregistered => "unregistered",
    }
}

const fn target_state(state: TargetState) -> &'static str {
    match state {
        TargetState::Online => "Online",
        TargetState::Offline => "Offline",
        TargetState::Onlining => "Onlining",
        TargetState::Offlining => "Offlining",
    }
}

const fn channel(state: Channel) -> &'static str {
    match state {
        Channel::Up => "up",
        Channel::Connecting => "connecting",
        Channel::Down => "down",
    }
}

const fn access_state(state: AccessState) -> &'static str {
    match state {
        AccessState::Active => "Active",
        AccessState::ActiveToStandby => "Active->Standby",
        AccessState::Standby => "Standby",
        AccessState::StandbyToActive => "Standby->Active",
    }
}

/// A logical unit with its properties.
pub(crate) fn logical_unit(details: &LuDetails) -> String {
    let LuDetails { summary, disk, .. } = details;
    let mut text = format!("LU Name: {}\n", summary.guid);
    let mut show = |label: &str, value: &str| line(&mut text, 4, 18, label, value);
    show("Operational Status", lu_state(summary.state));
    show(
        "Provider Name",
        summary.provider.as_deref().unwrap_or("unregistered"),
    );
    show("Alias", summary.alias.as_deref().unwrap_or("-"));
    show("View Entry Count", &summary.view_entries.to_string());
    let Some(access) = summary.access else { return text };
    let disk = disk.as_ref().filter(|_| access == AccessState::Active);
    let mut property = |label: &str, value: Option<&str>| match disk {
        Some(_) => show(label, value.unwrap_or("not set")),
        None => show(label, "prop unavailable in standby"),
    };
    let switch = |on| if on { "Enabled" } else { "Disabled" };
    property("Data File", disk.map(|disk| disk.data_file.as_str()));
    property("Meta File", disk.and_then(|disk| disk.meta_file.as_deref()));
    property("Size", disk.map(|disk| disk.size.to_string()).as_deref());
    property(
        "Block Size",
        disk.map(|disk| disk.block_size.to_string()).as_deref(),
    );
    property("Management URL", disk.and_then(|disk| disk.mgmt_url.as_deref()));
    property("Vendor ID", disk.map(|disk| disk.vendor.as_str()));
    property("Product ID", disk.map(|disk| disk.product.as_str()));
    property("Serial Num", disk.and_then(|disk| disk.serial.as_deref()));
    property("Write Protect", disk.map(|disk| switch(disk.write_protected)));
    property("Writeback Cache", disk.map(|disk| switch(disk.write_cache)));
    show("Access State", access_state(access));
    text
}

/// A target port; with `verbose` its properties and sessions.
pub(crate) fn target(target: &Target, verbose: bool) -> String {
    let mut text = format!("Target: {}\n", target.name);
    if !verbose {
        return text;
    }
    line(&mut text, 4, 18, "Operational Status", target_state(target.state));
    line(&mut text, 4, 18, "Provider Name", &target.provider);
    line(&mut text, 4, 18, "Alias", target.alias.as_deref().unwrap_or("-"));
    line(&mut text, 4, 18, "Protocol", "iSCSI");
    line(&mut text, 4, 18, "Sessions", target.sessions.len());
    for session in &target.sessions {
        line(&mut text, 8, 0, "Initiator", &session.initiator);
        line(&mut text, 12, 0, "Alias", session.alias.as_deref().unwrap_or("-"));
        line(&mut text, 12, 0, "Logged in since", local_time(session.since));
    }
    text
}

/// A group; with `verbose` its members.
pub(crate) fn group(kind: GroupKind, group: &Group, verbose: bool) -> String {
    let label = match kind {
        GroupKind::Host => "Host Group",
        GroupKind::Target => "Target Group",
    };
    let mut text = format!("{label}: {}\n", group.name);
    for member in group.members.iter().filter(|_| verbose) {
        line(&mut text, 8, 0, "Member", member);
    }
    text
}

/// A view entry.
pub(crate) fn view(entry: &ViewEntry) -> String {
    let mut text = format!("View Entry: {}\n", entry.index);
    line(
        &mut text,
        4,
        13,
        "Host group",
        entry.host_group.as_deref().unwrap_or("All"),
    );
    line(
        &mut text,
        4,
        13,
        "Target group",
        entry.target_group.as_deref().unwrap_or("All"),
    );
    line(&mut text, 4, 13, "LUN", entry.lun);
    text
}

/// A value that may not be known.
fn known(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The state of the service: the four lines administrators know, then what is new here.
pub(crate) fn service(status: &ServiceStatus) -> String {
    let mut text = String::new();
    let mut show = |label: &str, value: &str| line(&mut text, 0, 18, label, value);
    show(
        "Operational Status",
        match status.service {
            ServiceState::Online => "online",
            ServiceState::Offline => "offline",
            ServiceState::Onlining => "onlining",
            ServiceState::Offlining => "offlining",
        },
    );
    show(
        "Config Status",
        match status.configuration {
            ConfigurationState::None => "uninitialized",
            ConfigurationState::Init => "initializing",
            ConfigurationState::InitDone => "initialized",
        },
    );
    show(
        "ALUA Status",
        if status.alua_enabled {
            "enabled"
        } else {
            "disabled"
        },
    );
    show("ALUA Node", &status.alua_node.to_string());
    show("Proxy Channel", channel(status.proxy_channel));
    show("Peer Node", &known(status.peer_node));
    show("Peer Version", status.peer_version.as_deref().unwrap_or("-"));
    let last = status.last_failover.as_ref().map(|last| {
        let kind = match last.kind {
            FailoverKind::Planned => "planned",
            FailoverKind::Forced => "forced",
        };
        let (guid, owner, took) = (last.guid, last.owner, last.duration_ms);
        format!(
            "{guid} {kind} to node {owner}, {}, {took} ms",
            local_time(last.at)
        )
    });
    show("Last Failover", &known(last));
    text
}

/// The proxy service; with `verbose` its counters.
pub(crate) fn proxy(status: &ProxyStatus, verbose: bool) -> String {
    let mut text = String::new();
    let mut show = |label: &str, value: &str| line(&mut text, 0, 18, label, value);
    let door = match (status.door_installed, status.holder_pid) {
        (true, Some(pid)) => format!("installed by process {pid}"),
        (true, None) => "installed".to_owned(),
        (false, _) => "not installed".to_owned(),
    };
    let boot = |id| format!("{id:016x}");
    show("Proxy Door", &door);
    show("Proxy Channel", channel(status.channel));
    show("Local Node", &status.node.to_string());
    show("Local Boot", &boot(status.boot_id));
    show("Local Protocol", &status.protocol.to_string());
    show("Peer Node", &known(status.peer_node));
    show("Peer Boot", &known(status.peer_boot_id.map(boot)));
    show("Peer Protocol", &known(status.peer_protocol));
    if !verbose {
        return text;
    }
    let counters = &status.counters;
    for (label, value) in [
        ("Upcalls", counters.upcalls),
        ("Upcalls Failed", counters.upcall_failures),
        ("Upcalls Not Ready", counters.upcall_again),
        ("Upcall Bytes", counters.upcall_bytes),
        ("Posts", counters.posts),
        ("Posts Refused", counters.post_failures),
        ("Post Bytes", counters.post_bytes),
        ("Tasks Sent", counters.tasks_sent),
        ("Tasks Received", counters.tasks_received),
        ("Tasks Failed", counters.task_failures),
        ("Tasks Outstanding", counters.tasks_outstanding),
        ("Channel Ups", counters.channel_ups),
        ("Channel Losses", counters.channel_losses),
    ] {
        show(label, &value.to_string());
    }
    text
}

#[cfg(test)]
mod tests;
