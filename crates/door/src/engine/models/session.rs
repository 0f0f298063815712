//! A link that ends: whoever waits on it learns that.

use super::*;
use crate::sys::model::end_naps;

/// Callers that have waited for so long that one of them watches the link's socket for all.
fn callers(world: &Arc<World>) -> [JoinHandle<Result<u8, Trouble>>; 2] {
    end_naps();
    [1, 2].map(|byte| {
        let world = Arc::clone(world);
        spawn(move || world.call(byte))
    })
}

#[test]
fn every_caller_learns_that_the_server_is_gone() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let callers = callers(&world);
        loom::explore();
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
    check(2, || {
        let world = World::new(Attributes::empty());
        let callers = callers(&world);
        let mut thread = world.thread();
        let claimed = thread.park().unwrap();
        loom::explore();
        echo(&mut thread, claimed);
        drop(thread);
        world.server.kill();
        let outcomes = callers.map(|caller| caller.join().unwrap());
        let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(answered, 1, "{outcomes:?}");
    });
}
