//! The rules between two frameworks, one by one, over a road that delivers at once and in order.

use bytes::Bytes;
use proxy_proto::*;
use std::time::Duration;

const GUID: GuidBytes = *b"\x60\x01\x44\xf0abcdefghijkl";
const T0: Instant = Instant(1_000_000_000);

fn port(name: &str, relative_target_port: u16, node: u16) -> PortRecord {
    PortRecord {
        name: name.into(),
        relative_target_port,
        node,
    }
}

fn lu(epoch: u64, access: AccessState) -> LuRecord {
    LuRecord {
        guid: GUID,
        epoch,
        access,
        path: "/l1".into(),
        vendor: *b"LINTEL  ",
        product: *b"BLOCK           ",
        revision: *b"0001",
        serial: None,
        alias: String::new(),
        block_size: 512,
        blocks: 2048,
        flags: 0,
    }
}

/// Node 0 with one active logical unit and node 1 with none; doors and ALUA not on yet.
fn pair() -> (Peer, Peer) {
    let (mut a, mut b) = (
        Peer::new(PeerConfig::new(0, 100)),
        Peer::new(PeerConfig::new(1, 200)),
    );
    a.set_ports(T0, vec![port("a", 1, 0)]);
    b.set_ports(T0, vec![port("b", 256, 1)]);
    a.set_lus(T0, vec![lu(2, AccessState::Active)]);
    (a, b)
}

fn enable(peer: &mut Peer, node: u16) {
    peer.door_installed(T0);
    peer.set_alua(T0, true, node);
}

fn message_of(bytes: &[u8]) -> Message {
    Envelope::decode(Bytes::copy_from_slice(bytes)).unwrap().message
}

fn deliver(now: Instant, to: &mut Peer, bytes: Vec<u8>) -> Result<Route, Rejected> {
    to.handle(now, Envelope::decode(Bytes::from(bytes)).unwrap())
}

/// Carries everything both ways until nobody has anything to say; names of what was said, and what was rejected.
fn talk(now: Instant, a: &mut Peer, b: &mut Peer) -> (Vec<&'static str>, Vec<Rejected>) {
    let (mut said, mut rejected) = (Vec::new(), Vec::new());
    loop {
        let (from_a, to_b) = (a.poll_transmit(), true);
        let Some((bytes, to_b)) = from_a
            .map(|x| (x, to_b))
            .or_else(|| b.poll_transmit().map(|x| (x, false)))
        else {
            return (said, rejected);
        };
        said.push(message_of(&bytes).name());
        let result = deliver(now, if to_b { b } else { a }, bytes);
        rejected.extend(result.err());
        assert!(said.len() < 1000, "they never stop: {said:?}");
    }
}

fn events(peer: &mut Peer) -> Vec<PeerEvent> {
    std::iter::from_fn(|| peer.poll_event()).collect()
}

/// A pair that knows all of each other, with no event left.
fn established() -> (Peer, Peer) {
    let (mut a, mut b) = pair();
    enable(&mut a, 0);
    enable(&mut b, 1);
    let (_, rejected) = talk(T0, &mut a, &mut b);
    assert_eq!(rejected, []);
    assert_eq!((a.channel(), b.channel()), (Channel::Up, Channel::Up));
    events(&mut a);
    events(&mut b);
    // As the daemon does: a standby logical unit for the one the peer serves.
    b.set_lus(T0, vec![lu(2, AccessState::Standby)]);
    talk(T0, &mut a, &mut b);
    events(&mut a);
    (a, b)
}

fn after(n: u64) -> Instant {
    T0.after(Duration::from_millis(n))
}

#[test]
fn st_033_enabling_registers_every_port_and_logical_unit() {
    let (mut a, mut b) = pair();
    enable(&mut a, 0);
    enable(&mut b, 1);
    let (said, _) = talk(T0, &mut a, &mut b);
    assert_eq!(said.iter().filter(|m| **m == "REGISTER_PORT").count(), 2);
    assert_eq!(said.iter().filter(|m| **m == "REGISTER_LUN").count(), 1);
    let heard = events(&mut b);
    assert!(heard.contains(&PeerEvent::PeerPort(port("a", 1, 0))));
    assert!(heard.contains(&PeerEvent::PeerLun(lu(2, AccessState::Active))));
    assert!(heard.contains(&PeerEvent::InventoryReceived) && heard.contains(&PeerEvent::InventorySent));
}

#[test]
fn st_034_enabling_again_sends_all_registrations_again() {
    let (mut a, mut b) = established();
    a.set_alua(T0, true, 0);
    let (said, _) = talk(T0, &mut a, &mut b);
    assert_eq!(&said[..3], ["REGISTER_PORT", "REGISTER_LUN", "INVENTORY_END"]);
    assert!(
        !events(&mut b)
            .iter()
            .any(|e| matches!(e, PeerEvent::PeerPort(_) | PeerEvent::PeerLun(_))),
        "nothing is new"
    );
}

#[test]
fn st_035_registrations_go_out_when_the_door_appears() {
    let (mut a, mut b) = pair();
    a.set_alua(T0, true, 0);
    enable(&mut b, 1);
    assert_eq!(talk(T0, &mut a, &mut b).1, [Rejected::NoDoor]);
    assert_eq!(a.channel(), Channel::Down);
    a.door_installed(T0);
    talk(T0, &mut a, &mut b);
    assert!(events(&mut b).contains(&PeerEvent::PeerPort(port("a", 1, 0))));
}

#[test]
fn st_029_with_alua_disabled_messages_are_dropped_with_a_reason_and_nothing_is_sent() {
    let (mut a, mut b) = pair();
    enable(&mut a, 0);
    b.door_installed(T0);
    assert_eq!(
        talk(T0, &mut a, &mut b),
        (vec!["HELLO"], vec![Rejected::AluaDisabled])
    );
    let register = Message::RegisterLun {
        generation: 1,
        lu: lu(2, AccessState::Active),
    }
    .encode(100, 1);
    assert_eq!(deliver(T0, &mut b, register), Err(Rejected::AluaDisabled));
    assert_eq!(events(&mut b), []);
}

#[test]
fn hello_is_repeated_each_half_second_until_it_is_answered() {
    let (mut a, mut b) = pair();
    enable(&mut a, 0);
    assert!(a.poll_transmit().is_some() && a.poll_transmit().is_none());
    a.handle_timeout(after(499));
    assert!(a.poll_transmit().is_none());
    assert_eq!(a.poll_timeout(), Some(after(500)));
    a.handle_timeout(after(500));
    assert!(a.poll_transmit().is_some());
    enable(&mut b, 1);
    talk(after(600), &mut a, &mut b);
    assert_eq!(a.channel(), Channel::Up);
    a.handle_timeout(after(1100));
    assert!(a.poll_transmit().is_none(), "no more greeting on a link");
}

#[test]
fn st_116_the_same_node_number_is_refused_and_both_sides_hear_it_once() {
    let (mut a, mut b) = pair();
    enable(&mut a, 0);
    enable(&mut b, 0);
    for t in [0, 500, 1000] {
        a.handle_timeout(after(t));
        b.handle_timeout(after(t));
        talk(after(t), &mut a, &mut b);
    }
    assert_eq!((a.channel(), b.channel()), (Channel::Down, Channel::Down));
    for peer in [&mut a, &mut b] {
        let heard = events(peer);
        assert_eq!(
            heard
                .iter()
                .filter(|e| **e == PeerEvent::PeerRefused(Refusal::SameNode))
                .count(),
            1
        );
        assert_eq!(
            heard
                .iter()
                .filter(|e| **e == PeerEvent::RefusedByPeer(Refusal::SameNode))
                .count(),
            1
        );
    }
}

#[test]
fn st_115_a_peer_without_a_common_version_is_refused() {
    let (_, mut b) = pair();
    let mut a = Peer::new(PeerConfig {
        versions: (2, 3),
        ..PeerConfig::new(0, 100)
    });
    enable(&mut a, 0);
    enable(&mut b, 1);
    let (said, _) = talk(T0, &mut a, &mut b);
    assert!(said.contains(&"REFUSED"));
    assert!(events(&mut b).contains(&PeerEvent::PeerRefused(Refusal::VersionUnsupported)));
    assert!(events(&mut a).contains(&PeerEvent::RefusedByPeer(Refusal::VersionUnsupported)));
    assert_eq!(b.channel(), Channel::Down);
}

#[test]
fn a_loop_in_the_transport_is_noticed() {
    let (mut a, _) = pair();
    enable(&mut a, 0);
    let hello = a.poll_transmit().unwrap();
    assert_eq!(deliver(T0, &mut a, hello), Err(Rejected::Own));
}

#[test]
fn st_113_silence_ends_the_link_after_four_seconds_and_the_grace_after_ten_more() {
    let (mut a, _b) = established();
    for t in (0..4000).step_by(500) {
        a.handle_timeout(after(t));
        assert_eq!(a.channel(), Channel::Up, "after {t} ms");
    }
    a.handle_timeout(after(4000));
    assert_eq!(
        events(&mut a),
        [
            PeerEvent::LinkLost(LinkLoss::Silence),
            PeerEvent::ChannelChanged(Channel::Grace)
        ]
    );
    a.handle_timeout(after(13_999));
    assert_eq!(a.channel(), Channel::Grace);
    a.handle_timeout(after(14_000));
    assert_eq!(events(&mut a), [PeerEvent::ChannelChanged(Channel::Down)]);
}

#[test]
fn heartbeats_keep_an_idle_link_up() {
    let (mut a, mut b) = established();
    for t in (0..60_000).step_by(250) {
        a.handle_timeout(after(t));
        b.handle_timeout(after(t));
        talk(after(t), &mut a, &mut b);
    }
    assert_eq!((a.channel(), b.channel()), (Channel::Up, Channel::Up));
    assert_eq!((a.statistics().losses, b.statistics().losses), (0, 0));
}

#[test]
fn st_110_a_failed_send_is_followed_by_a_new_link_without_anybody_acting() {
    let (mut a, mut b) = established();
    a.send_failed(after(0));
    assert_eq!(a.channel(), Channel::Grace);
    a.handle_timeout(after(500));
    let (said, rejected) = talk(after(500), &mut a, &mut b);
    assert_eq!(rejected, []);
    assert!(said.contains(&"INVENTORY_END"));
    assert_eq!((a.channel(), b.channel()), (Channel::Up, Channel::Up));
    assert!(
        events(&mut b).contains(&PeerEvent::LinkLost(LinkLoss::PeerRenewed)),
        "the peer gives its tasks up, too"
    );
}

#[test]
fn messages_of_an_earlier_link_are_dropped() {
    let (mut a, mut b) = established();
    let late = a.sealer().seal(&Message::AbortTask { task: 1 }).unwrap();
    a.send_failed(after(0));
    a.handle_timeout(after(500));
    talk(after(500), &mut a, &mut b);
    assert_eq!(deliver(after(501), &mut b, late), Err(Rejected::OldLink));
}

#[test]
fn a_missing_message_ends_the_link_after_five_seconds_although_others_arrive() {
    let (mut a, mut b) = established();
    let sealer = a.sealer();
    drop(sealer.seal(&Message::AbortTask { task: 1 }).unwrap());
    let next = sealer.seal(&Message::AbortTask { task: 2 }).unwrap();
    assert!(matches!(
        deliver(after(0), &mut b, next.clone()),
        Ok(Route::Data(_))
    ));
    assert_eq!(deliver(after(1), &mut b, next), Err(Rejected::Duplicate));
    for t in (0..5000).step_by(500) {
        a.handle_timeout(after(t));
        talk(after(t), &mut a, &mut b);
        b.handle_timeout(after(t));
        assert_eq!(b.channel(), Channel::Up, "after {t} ms");
    }
    b.handle_timeout(after(5000));
    assert!(events(&mut b).contains(&PeerEvent::LinkLost(LinkLoss::MessageLost)));
}

#[test]
fn st_112_a_new_boot_id_ends_everything_of_the_old_instance() {
    let (mut a, mut b) = established();
    let of_the_old = a.sealer().seal(&Message::AbortTask { task: 1 }).unwrap();
    let old_hello = {
        a.send_failed(T0);
        a.handle_timeout(after(500));
        a.poll_transmit().unwrap()
    };
    let mut again = Peer::new(PeerConfig::new(0, 101));
    again.set_ports(T0, vec![port("a", 1, 0)]);
    enable(&mut again, 0);
    talk(after(1), &mut again, &mut b);
    let heard = events(&mut b);
    assert_eq!(heard[0], PeerEvent::LinkLost(LinkLoss::PeerRestarted));
    assert!(heard.contains(&PeerEvent::PeerRestarted { old: 100, new: 101 }));
    // The new instance has no logical unit: what it does not list is gone.
    assert!(heard.contains(&PeerEvent::PeerLunRemoved { guid: GUID }));
    assert!(
        !heard.iter().any(|e| matches!(e, PeerEvent::PeerPortRemoved(_))),
        "its port is the same: {heard:?}"
    );
    for late in [of_the_old, old_hello] {
        assert_eq!(
            deliver(after(2), &mut b, late),
            Err(Rejected::UnknownSender { boot_id: 100 })
        );
    }
    assert_eq!(b.channel(), Channel::Up);
}

#[test]
fn st_022_removing_the_door_takes_the_channel_down_at_once_and_the_peers_ports_away() {
    let (mut a, _b) = established();
    a.door_removed(after(0));
    assert_eq!(a.channel(), Channel::Down);
    assert!(events(&mut a).contains(&PeerEvent::PeerPortRemoved("b".into())));
    assert_eq!(a.alua(), (true, 0), "ST-023: ALUA stays enabled");
    assert!(a.poll_transmit().is_none() && a.poll_timeout().is_none());
}

#[test]
fn st_036_disabling_alua_forgets_the_peer_and_says_nothing() {
    let (mut a, mut b) = established();
    b.set_alua(after(0), false, 1);
    let heard = events(&mut b);
    assert!(heard.contains(&PeerEvent::PeerLunRemoved { guid: GUID }));
    assert!(b.poll_transmit().is_none());
    a.set_alua(after(0), false, 0);
    assert!(
        !events(&mut a)
            .iter()
            .any(|e| matches!(e, PeerEvent::PeerLunRemoved { .. })),
        "ST-037: an active one stays"
    );
}

#[test]
fn st_050_ports_come_and_go_while_the_link_is_up() {
    let (mut a, mut b) = established();
    a.set_ports(after(0), vec![port("a", 1, 0), port("a2", 2, 0)]);
    assert_eq!(talk(after(0), &mut a, &mut b).0, ["REGISTER_PORT", "ACCEPTED"]);
    assert_eq!(events(&mut b), [PeerEvent::PeerPort(port("a2", 2, 0))]);
    a.set_ports(after(1), vec![port("a2", 2, 0)]);
    assert_eq!(talk(after(1), &mut a, &mut b).0, ["DEREGISTER_PORT", "ACCEPTED"]);
    assert_eq!(events(&mut b), [PeerEvent::PeerPortRemoved("a".into())]);
}

#[test]
fn st_120_a_refused_port_is_recognised_as_refused() {
    let (mut a, mut b) = established();
    a.set_ports(
        after(0),
        vec![port("a", 1, 0), port("b", 3, 0), port("c", 256, 0)],
    );
    talk(after(0), &mut a, &mut b);
    let heard = events(&mut a);
    assert!(heard.contains(&PeerEvent::PortRefused {
        name: "b".into(),
        why: Refusal::PortNameTaken
    }));
    assert!(heard.contains(&PeerEvent::PortRefused {
        name: "c".into(),
        why: Refusal::RelativePortTaken
    }));
    assert_eq!(events(&mut b), []);
}

#[test]
fn st_052_a_deleted_logical_unit_disappears_from_the_standby_node() {
    let (mut a, mut b) = established();
    a.set_lus(after(0), vec![]);
    talk(after(0), &mut a, &mut b);
    assert_eq!(events(&mut b), [PeerEvent::PeerLunRemoved { guid: GUID }]);
}

#[test]
fn st_053_an_owner_with_a_higher_epoch_ignores_a_stale_deregistration() {
    let (mut a, mut b) = established();
    b.set_lus(after(0), vec![lu(3, AccessState::Active)]);
    // A has not heard of it and deletes what it takes for its own.
    a.set_lus(after(0), vec![]);
    talk(after(0), &mut a, &mut b);
    assert!(
        !events(&mut b)
            .iter()
            .any(|e| matches!(e, PeerEvent::PeerLunRemoved { .. }))
    );
    assert!(events(&mut a).contains(&PeerEvent::LunRefused {
        guid: GUID,
        why: Refusal::NotOwner,
        epoch: 3
    }));
}

#[test]
fn st_106_a_claim_with_a_lower_or_equal_epoch_is_refused_and_reported() {
    for claimed in [1, 2] {
        let (mut a, mut b) = established();
        b.set_lus(after(0), vec![lu(claimed, AccessState::Active)]);
        talk(after(0), &mut a, &mut b);
        let conflict = Conflict {
            guid: GUID,
            local_epoch: 2,
            peer_epoch: claimed,
        };
        let heard = events(&mut a);
        assert!(heard.contains(&PeerEvent::Conflict(conflict)), "{heard:?}");
        assert!(
            !heard.iter().any(|e| matches!(e, PeerEvent::StepDown { .. })),
            "A keeps serving"
        );
        assert!(events(&mut b).contains(&PeerEvent::LunRefused {
            guid: GUID,
            why: Refusal::StaleEpoch,
            epoch: 2
        }));
    }
}

#[test]
fn st_105_the_higher_epoch_wins_and_is_accepted_only_after_the_loser_has_closed() {
    let (mut a, mut b) = established();
    b.set_lus(after(0), vec![lu(3, AccessState::Active)]);
    let (said, _) = talk(after(0), &mut a, &mut b);
    assert_eq!(said, ["LUN_ACTIVE"], "no answer while A is closing");
    let heard = events(&mut a);
    assert!(heard.contains(&PeerEvent::StepDown { guid: GUID, epoch: 3 }));
    assert!(
        heard.iter().any(|e| matches!(e, PeerEvent::Conflict(_))),
        "an alert: both were active"
    );
    a.stepped_down(after(1), &GUID);
    let (said, _) = talk(after(1), &mut a, &mut b);
    assert_eq!(said, ["ACCEPTED", "REGISTER_LUN", "ACCEPTED"]);
    assert_eq!(
        a.peer_lu(&GUID).map(|l| (l.access, l.epoch)),
        Some((AccessState::Active, 3))
    );
    assert_eq!(
        b.peer_lu(&GUID).map(|l| (l.access, l.epoch)),
        Some((AccessState::Standby, 3))
    );
}

#[test]
fn st_087_manual_activation_completes_the_demotion_of_the_other_node() {
    let (mut a, mut b) = established();
    a.lu_changed(after(0), lu(2, AccessState::ActiveToStandby));
    talk(after(0), &mut a, &mut b);
    b.lu_changed(after(1), lu(next_epoch(2, 1), AccessState::Active));
    assert_eq!(talk(after(1), &mut a, &mut b).0, ["LUN_ACTIVE"]);
    let heard = events(&mut a);
    assert_eq!(heard.last(), Some(&PeerEvent::StepDown { guid: GUID, epoch: 3 }));
    assert!(
        !heard.iter().any(|e| matches!(e, PeerEvent::Conflict(_))),
        "A had let go: no alert"
    );
}

#[test]
fn a_planned_hand_over_runs_from_request_to_done() {
    let (mut a, mut b) = established();
    b.request_failover(after(0), GUID, 42).unwrap();
    assert_eq!(
        b.request_failover(after(0), GUID, 43),
        Err(FailoverError::InProgress)
    );
    talk(after(0), &mut a, &mut b);
    assert_eq!(
        events(&mut a),
        [PeerEvent::FailoverRequested {
            guid: GUID,
            token: 42
        }]
    );
    a.drained(after(1), GUID, Bytes::from_static(b"reservations"));
    talk(after(1), &mut a, &mut b);
    let heard = events(&mut b);
    let Some(PeerEvent::Offered { lu, state }) = heard.last() else {
        panic!("{heard:?}")
    };
    assert_eq!((lu.epoch, &state[..]), (3, &b"reservations"[..]));
    b.activated(after(2), GUID, Ok(()));
    talk(after(2), &mut a, &mut b);
    assert!(events(&mut a).contains(&PeerEvent::HandedOver { guid: GUID, epoch: 3 }));
    assert!(events(&mut b).contains(&PeerEvent::FailoverFinished {
        guid: GUID,
        token: 42,
        result: Ok(())
    }));
    assert_eq!(a.peer_lu(&GUID).map(|l| l.access), Some(AccessState::Active));
}

#[test]
fn a_new_owner_that_cannot_activate_gives_the_unit_back_under_a_newer_epoch() {
    let (mut a, mut b) = established();
    b.request_failover(after(0), GUID, 1).unwrap();
    talk(after(0), &mut a, &mut b);
    a.drained(after(1), GUID, Bytes::new());
    talk(after(1), &mut a, &mut b);
    b.activated(after(2), GUID, Err(Refusal::ActivationFailed));
    talk(after(2), &mut a, &mut b);
    let rolled_back = PeerEvent::RollBack {
        guid: GUID,
        epoch: 4,
        why: Refusal::ActivationFailed,
    };
    assert!(events(&mut a).contains(&rolled_back));
}

#[test]
fn an_owner_that_cannot_drain_says_so_and_keeps_the_unit() {
    let (mut a, mut b) = established();
    b.request_failover(after(0), GUID, 1).unwrap();
    talk(after(0), &mut a, &mut b);
    a.drain_failed(after(1), GUID);
    talk(after(1), &mut a, &mut b);
    let refused = PeerEvent::FailoverFinished {
        guid: GUID,
        token: 1,
        result: Err(Refusal::DrainFailed),
    };
    assert!(events(&mut b).contains(&refused));
    a.begin_hand_over(after(2), GUID).unwrap();
}

#[test]
fn an_offer_nobody_answers_renews_the_link_at_its_deadline_and_is_settled_by_the_inventory() {
    let (mut a, mut b) = established();
    a.begin_hand_over(after(0), GUID).unwrap();
    a.drained(after(0), GUID, Bytes::new());
    assert_eq!(
        message_of(&a.poll_transmit().unwrap()).name(),
        "HAND_OVER",
        "and it is lost"
    );
    let mut heard = Vec::new();
    for t in (0..40_000).step_by(250) {
        for peer in [&mut a, &mut b] {
            peer.handle_timeout(after(t));
        }
        talk(after(t), &mut a, &mut b);
        heard.extend(events(&mut a));
    }
    assert!(heard.contains(&PeerEvent::InTransit { guid: GUID }));
    assert!(
        heard.contains(&PeerEvent::RollBack {
            guid: GUID,
            epoch: 4,
            why: Refusal::Stale
        }),
        "{heard:?}"
    );
}
