//! A lane: a call is posted, taken, and answered; whoever sleeps is woken, and who gives up leaves no trace.

use super::super::thread::refuse_retired;
use super::*;

#[test]
fn every_call_is_answered_with_its_own_answer() {
    check(3, || {
        let world = World::new(Attributes::empty());
        let server = world.server(false);
        loom::explore();
        for byte in [1, 2] {
            assert_eq!(world.call(byte).unwrap(), byte);
        }
        world.pool.close();
        assert_eq!(server.join().unwrap(), 2);
    });
}

/// The next call may find a thread on its way to sleep on the lane, asleep, or on its way back to the bells.
#[test]
fn a_thread_that_dozes_on_a_lane_hears_its_client() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let servers = [true, true].map(|dozes| world.server(dozes));
        for byte in [FIRST, 1] {
            assert_eq!(world.call(byte).unwrap(), byte);
        }
        loom::stop_exploring();
        world.pool.close();
        let served: u32 = servers.map(|server| server.join().unwrap()).iter().sum();
        assert_eq!(served, 2);
    });
}

/// A caller that gives up takes its lane again as soon as the server is through with it, and not before.
#[test]
fn an_abandoned_call_is_over_before_its_lane_is_used_again() {
    let past = Instant::now();
    check(2, move || {
        let world = World::new(Attributes::empty());
        // One lane is left.
        let _others = [(); LANES - 1].map(|()| Taken::on(&world.client).unwrap());
        let server = world.server(false);
        loom::explore();
        let first = world.call_on(Taken::on(&world.client).unwrap(), 1, Some(past));
        assert!(matches!(first, Ok(1) | Err(Trouble::Failed(_))), "{first:?}");
        if let Some(taken) = Taken::on(&world.client) {
            assert_eq!(world.call_on(taken, 2, None).unwrap(), 2);
        } else {
            assert!(first.is_err());
        }
        world.pool.close();
        server.join().unwrap();
        // What no thread has taken is refused, as after a revocation.
        world.door.revoke();
        (0..LANES).for_each(|index| refuse_retired(&world.server, index, &world.pool));
        assert!(Taken::on(&world.client).is_some(), "the lane is lost");
    });
}
