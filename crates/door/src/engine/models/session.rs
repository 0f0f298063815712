//! A link that ends: whoever waits on it learns that.

use super::super::abort::Abort;
use super::*;
use crate::sys::model::end_naps;

/// Callers that have waited for so long that one of them watches the link's socket for all.
fn callers(world: &Arc<World>) -> [JoinHandle<Result<u8, Trouble>>; 2] {
    end_naps();
    let callers = [1, 2].map(|byte| with(world, move |world| world.call(byte)));
    loom::explore();
    callers
}

#[test]
fn every_caller_learns_that_the_server_is_gone() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let callers = callers(&world);
        world.server.kill();
        for caller in callers {
            let outcome = caller.join().unwrap();
            assert!(matches!(outcome, Err(Trouble::LinkGone)), "{outcome:?}");
        }
    });
}

/// The one that watches is answered and goes; the other must not be left alone with a server that dies then.
#[test]
fn whoever_stops_watching_leaves_somebody_who_does() {
    check(1, || {
        let world = World::new(Attributes::empty());
        let callers = callers(&world);
        let mut thread = world.thread();
        let claimed = thread.park().unwrap();
        echo(&mut thread, claimed);
        drop(thread);
        world.server.kill();
        let outcomes = callers.map(|caller| caller.join().unwrap());
        let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(answered, 1, "{outcomes:?}");
    });
}

#[test]
fn answers_reach_callers_wherever_they_sleep() {
    check(1, || {
        let world = World::new(Attributes::empty());
        let server = world.server(false);
        for (caller, byte) in callers(&world).into_iter().zip([1, 2]) {
            assert_eq!(caller.join().unwrap().unwrap(), byte);
        }
        loom::stop_exploring();
        world.pool.close();
        assert_eq!(server.join().unwrap(), 2);
    });
}

/// A thread that dozes on a lane whose client has gone is not left there, though nobody closes the pool.
#[test]
fn a_thread_that_dozes_on_a_lane_learns_that_the_client_is_gone() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let servers = [true, true].map(|dozes| world.server(dozes));
        assert_eq!(world.call(FIRST).unwrap(), FIRST);
        world.server.kill();
        while world.pool.has_dozers() {
            loom::thread::yield_now();
        }
        world.pool.close();
        let served: u32 = servers.map(|server| server.join().unwrap()).iter().sum();
        assert_eq!(served, 1);
    });
}

/// No thread serves; the caller sleeps on its word, or watches the socket.
#[test]
fn another_thread_ends_a_call_wherever_it_sleeps() {
    for watches in [false, true] {
        check(3, move || {
            let world = World::new(Attributes::empty());
            let abort = Arc::new(Abort::default());
            if watches {
                end_naps();
            }
            let ended_by = Arc::clone(&abort);
            let caller = with(&world, move |world| {
                let mut request = request(&[1], None);
                request.patience.abort = Some(&ended_by);
                let taken = Taken::on(&world.client).unwrap();
                world.call_with(taken, &request)
            });
            loom::explore();
            abort.fire();
            let outcome = caller.join().unwrap();
            assert!(
                matches!(&outcome, Err(Trouble::Failed(failure)) if !failure.consumed),
                "{outcome:?}"
            );
        });
    }
}
