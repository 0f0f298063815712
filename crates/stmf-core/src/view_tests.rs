use super::*;
use alloc::string::ToString;
use alloc::vec::Vec;
use proptest::prelude::*;

const I1: &str = "iqn.1993-08.org.debian:01:i1";
const TARGET: &str = "iqn.2026-01.org.x:a";

fn guid(n: u8) -> Guid {
    Guid([0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n])
}

fn lun(number: u16) -> Lun {
    Lun::new(number).unwrap()
}

fn entry(host_group: Option<&str>, target_group: Option<&str>, number: Option<u16>) -> ViewEntry {
    ViewEntry {
        host_group: host_group.map(ToString::to_string),
        target_group: target_group.map(ToString::to_string),
        lun: number.map(lun),
    }
}

/// Groups hg1 (with I1), hg2, tg1 (with TARGET), tg2.
fn views() -> Views {
    let mut views = Views::new();
    for name in ["hg1", "hg2"] {
        views.create_host_group(name).unwrap();
    }
    for name in ["tg1", "tg2"] {
        views.create_target_group(name).unwrap();
    }
    views.add_host_group_member("hg1", I1).unwrap();
    views.add_target_group_member("tg1", TARGET, false).unwrap();
    views
}

fn seen(views: &Views, initiator: &str, target: &str, online: &[u8]) -> Vec<(u16, Guid)> {
    let online = online.iter().map(|n| guid(*n)).collect();
    views
        .lun_map(initiator, target, &online)
        .iter()
        .map(|(lun, guid)| (lun.number(), guid))
        .collect()
}

#[test]
fn st_122_the_lowest_free_lun_and_index_are_assigned() {
    let mut views = views();
    for (n, number) in [(1, 0), (2, 1), (3, 3)] {
        assert_eq!(
            views.add_view(guid(n), entry(Some("hg1"), None, Some(number))),
            Ok((0, lun(number)))
        );
    }
    assert_eq!(
        views.add_view(guid(4), entry(Some("hg1"), None, None)),
        Ok((0, lun(2)))
    );
    assert_eq!(
        views.add_view(guid(4), entry(Some("hg2"), None, None)),
        Ok((1, lun(0))),
        "no overlap with hg1"
    );
    views.remove_view(guid(4), 0).unwrap();
    assert_eq!(
        views.add_view(guid(4), entry(Some("hg1"), Some("tg1"), None)),
        Ok((0, lun(2)))
    );
}

#[test]
fn st_123_a_logical_unit_is_not_seen_twice_by_one_nexus() {
    let mut views = views();
    views
        .add_view(guid(1), entry(Some("hg1"), None, Some(0)))
        .unwrap();
    assert_eq!(
        views.add_view(guid(1), entry(None, None, None)),
        Err(ViewError::Conflict)
    );
    assert_eq!(
        views.add_view(guid(1), entry(None, Some("tg1"), Some(5))),
        Err(ViewError::Conflict)
    );
    assert!(views.add_view(guid(1), entry(Some("hg2"), None, None)).is_ok());
}

#[test]
fn st_124_a_lun_is_not_given_twice_in_overlapping_maps() {
    let mut views = views();
    views.add_view(guid(1), entry(None, None, Some(0))).unwrap();
    assert_eq!(
        views.add_view(guid(2), entry(Some("hg1"), None, Some(0))),
        Err(ViewError::LunInUse)
    );
    assert_eq!(
        views.add_view(guid(2), entry(Some("hg1"), Some("tg1"), Some(1))),
        Ok((0, lun(1)))
    );
    assert_eq!(
        views.add_view(guid(3), entry(Some("hg1"), Some("tg2"), Some(1))),
        Ok((0, lun(1)))
    );
}

#[test]
fn st_125_st_126_groups_must_exist_and_a_lun_ends_at_16383() {
    let mut views = views();
    let mut add = |wanted| views.add_view(guid(1), wanted);
    assert_eq!(
        add(entry(Some("nobody"), None, None)),
        Err(ViewError::InvalidHostGroup)
    );
    assert_eq!(
        add(entry(None, Some("nobody"), None)),
        Err(ViewError::InvalidTargetGroup)
    );
    let unaddressable = ViewEntry {
        lun: Some(Lun::UNADDRESSABLE),
        ..ViewEntry::default()
    };
    assert_eq!(add(unaddressable), Err(ViewError::NoLun));
    assert_eq!(add(entry(None, None, Some(16383))), Ok((0, Lun::MAX)));
}

#[test]
fn st_127_a_view_of_an_unregistered_logical_unit_waits_for_it() {
    let mut views = views();
    views.add_view(guid(1), entry(None, None, None)).unwrap();
    assert_eq!(seen(&views, I1, TARGET, &[]), []);
    assert_eq!(seen(&views, I1, TARGET, &[1]), [(0, guid(1))]);
}

#[test]
fn an_initiator_sees_its_group_and_all_hosts_and_a_stranger_only_the_latter() {
    let mut views = views();
    views.add_view(guid(1), entry(None, None, Some(0))).unwrap();
    views
        .add_view(guid(2), entry(Some("hg1"), Some("tg1"), Some(1)))
        .unwrap();
    views
        .add_view(guid(3), entry(Some("hg1"), Some("tg2"), Some(2)))
        .unwrap();
    views
        .add_view(guid(4), entry(Some("hg2"), None, Some(3)))
        .unwrap();
    let online = [1, 2, 3, 4];
    assert_eq!(seen(&views, I1, TARGET, &online), [(0, guid(1)), (1, guid(2))]);
    assert_eq!(seen(&views, "iqn.x:stranger", TARGET, &online), [(0, guid(1))]);
    assert_eq!(seen(&views, I1, "iqn.x:other", &online), [(0, guid(1))]);
}

#[test]
fn st_130_an_initiator_is_in_one_group_only() {
    let mut views = views();
    assert_eq!(views.add_host_group_member("hg2", I1), Err(GroupError::Exists));
    assert_eq!(views.add_host_group_member("hg1", I1), Err(GroupError::Exists));
    assert_eq!(
        views.add_host_group_member("hg2", &I1.to_uppercase()),
        Err(GroupError::Exists)
    );
    assert_eq!(
        views.add_host_group_member("nobody", "iqn.x:y"),
        Err(GroupError::NotFound)
    );
    assert_eq!(
        views.remove_host_group_member("hg2", I1),
        Err(GroupError::NotFound)
    );
    assert_eq!(views.remove_host_group_member("hg1", I1), Ok(()));
    assert_eq!(views.add_host_group_member("hg2", I1), Ok(()));
}

#[test]
fn st_131_target_groups_change_only_while_the_target_is_offline() {
    let mut views = views();
    assert_eq!(
        views.add_target_group_member("tg2", "iqn.x:t", true),
        Err(GroupError::TargetOnline)
    );
    assert_eq!(views.add_target_group_member("tg2", "iqn.x:t", false), Ok(()));
    assert_eq!(
        views.remove_target_group_member("tg2", "iqn.x:t", true),
        Err(GroupError::TargetOnline)
    );
    assert_eq!(views.remove_target_group_member("tg2", "iqn.x:t", false), Ok(()));
}

#[test]
fn st_132_a_group_in_use_stays() {
    let mut views = views();
    views
        .add_view(guid(1), entry(Some("hg1"), Some("tg1"), None))
        .unwrap();
    assert_eq!(views.delete_host_group("hg1"), Err(GroupError::InUse));
    assert_eq!(views.delete_target_group("tg1"), Err(GroupError::InUse));
    assert_eq!(views.delete_host_group("nobody"), Err(GroupError::NotFound));
    assert_eq!(views.remove_all_views(guid(1)), 1);
    assert_eq!(views.delete_host_group("hg1"), Ok(()), "members or not");
}

#[test]
fn st_133_names_of_groups() {
    let mut views = Views::new();
    for name in ["*x", "", &"x".repeat(256)] {
        assert_eq!(views.create_host_group(name), Err(GroupError::InvalidName));
        assert_eq!(views.create_target_group(name), Err(GroupError::InvalidName));
    }
    assert_eq!(views.create_host_group(&"x".repeat(255)), Ok(()));
    assert_eq!(views.create_host_group("A"), Ok(()));
    assert_eq!(views.create_host_group("a"), Ok(()), "names are case-sensitive");
    assert_eq!(views.create_host_group("a"), Err(GroupError::Exists));
}

#[test]
fn st_135_validation_says_what_adding_would_and_creates_nothing() {
    let mut views = views();
    views.add_view(guid(1), entry(None, None, Some(0))).unwrap();
    let before = views.clone();
    assert_eq!(
        views.validate_view(Some(guid(2)), &entry(Some("hg1"), None, None)),
        Ok(lun(1))
    );
    assert_eq!(
        views.validate_view(None, &entry(None, None, Some(0))),
        Err(ViewError::LunInUse)
    );
    assert_eq!(
        views.validate_view(Some(guid(1)), &entry(None, None, None)),
        Err(ViewError::Conflict)
    );
    assert_eq!(views, before);
}

#[test]
fn when_every_lun_is_taken_there_is_none() {
    let mut views = Views::new();
    for number in 0..=16383u16 {
        let [high, low] = number.to_be_bytes();
        let name = Guid([0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, high, low]);
        views.views.insert(
            (name, 0),
            View {
                host_group: None,
                target_group: None,
                lun: lun(number),
            },
        );
    }
    assert_eq!(
        views.add_view(guid(1), entry(None, None, None)),
        Err(ViewError::NoLun)
    );
}

#[test]
fn names_are_compared_in_canonical_form() {
    assert_eq!(canonical_name("IQN.2026-01.Org.X:A"), "iqn.2026-01.org.x:a");
    assert_eq!(canonical_name("EUI.02004567a425678d"), "eui.02004567A425678D");
    assert_eq!(canonical_name("wwn.50014380a"), "wwn.50014380A");
    assert_eq!(canonical_name("Other"), "Other");
    assert_eq!(canonical_name("éé"), "éé");
    let mut views = views();
    views.add_view(guid(1), entry(Some("hg1"), None, None)).unwrap();
    assert_eq!(seen(&views, &I1.to_uppercase(), TARGET, &[1]).len(), 1);
}

#[test]
fn a_stored_configuration_is_checked_like_any_other() {
    let mut views = views();
    views
        .add_view(guid(1), entry(Some("hg1"), Some("tg1"), Some(4)))
        .unwrap();
    views.add_view(guid(1), entry(Some("hg2"), None, None)).unwrap();
    views.remove_view(guid(1), 0).unwrap();
    let groups = |groups: Vec<(&str, &Group)>| {
        groups
            .into_iter()
            .map(|(name, members)| (name.to_string(), members.clone()))
            .collect()
    };
    let mut stored = Restored {
        host_groups: groups(views.host_groups().collect()),
        target_groups: groups(views.target_groups().collect()),
        views: views
            .views()
            .map(|(guid, index, view)| ((guid, index), view.clone()))
            .collect(),
    };
    assert_eq!(
        Views::restore(stored.clone()),
        Ok(views),
        "indexes with gaps are kept"
    );
    stored.views.insert(
        (guid(2), 7),
        View {
            host_group: None,
            target_group: None,
            lun: lun(0),
        },
    );
    let refused = Views::restore(stored);
    assert_eq!(refused, Err(RestoreError::View(guid(2), 7, ViewError::LunInUse)));
}

proptest! {
    /// Whatever is added and removed, no nexus sees one LUN twice or one logical unit twice.
    #[test]
    fn every_map_is_unambiguous(
        steps in proptest::collection::vec((0u8..6, 0usize..3, 0usize..3, prop::option::of(0u16..4), any::<bool>()), 0..60),
    ) {
        let mut views = views();
        let (hosts, targets) = ([None, Some("hg1"), Some("hg2")], [None, Some("tg1"), Some("tg2")]);
        for (n, host, target, number, remove) in steps {
            if remove {
                let _ = views.remove_view(guid(n), 0);
            } else {
                let _ = views.add_view(guid(n), entry(hosts[host], targets[target], number));
            }
        }
        let online: BTreeSet<Guid> = (0..6).map(guid).collect();
        for (initiator, host) in [(I1, Some("hg1")), ("iqn.x:stranger", None)] {
            let applicable = views.views().filter(|(_, _, view)| {
                let host_fits = view.host_group.is_none() || view.host_group.as_deref() == host;
                host_fits && view.target_group.as_deref() != Some("tg2")
            });
            let map = views.lun_map(initiator, TARGET, &online);
            prop_assert_eq!(map.len(), applicable.count(), "no entry hides another");
            let guids: BTreeSet<Guid> = map.iter().map(|(_, guid)| guid).collect();
            prop_assert_eq!(guids.len(), map.len());
        }
    }
}
