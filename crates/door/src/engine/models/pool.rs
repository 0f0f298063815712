//! A pool: every call finds a thread, as long as there is one.

use super::*;

/// Two threads that take one invocation each, and keep it.
fn keepers(world: &Arc<World>) -> [JoinHandle<(ServerThread, Box<Claimed>)>; 2] {
    [(); 2].map(|()| {
        with(world, |world| {
            let mut thread = world.thread();
            let claimed = thread.park().unwrap();
            (thread, claimed)
        })
    })
}

/// Two calls that need a thread each: one bell may stand for both.
#[test]
fn calls_that_ring_at_once_find_a_thread_each() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let threads = keepers(&world);
        loom::explore();
        world.post();
        world.post();
        let taken = threads.map(|thread| thread.join().unwrap());
        let depleted = taken.iter().any(|(_, claimed)| claimed.depleted());
        assert!(depleted, "nobody was told that no thread waits");
    });
}

/// A thread keeps to the lane it has served, and goes. The client, which did not ring, must not be left.
#[test]
fn a_thread_that_leaves_leaves_no_call_behind() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let leaver = with(&world, |world| {
            let mut thread = world.thread();
            if let Ok(claimed) = thread.park() {
                echo(&mut thread, claimed);
            }
        });
        let stayer = world.server(false);
        for byte in [FIRST, 1] {
            assert_eq!(world.call(byte).unwrap(), byte);
        }
        world.pool.close();
        leaver.join().unwrap();
        stayer.join().unwrap();
    });
}

/// As long as threads doze, one that hears the bells; whoever takes the last one away gets a dozer up.
#[test]
fn a_dozing_thread_is_called_back_to_the_bells() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let threads = [(); 2].map(|()| {
            with(&world, |world| {
                let mut thread = world.thread();
                thread.doze_at_once();
                loop {
                    let claimed = thread.park().unwrap();
                    if claimed.argument().is_empty() {
                        // It keeps this one.
                        return (thread, claimed);
                    }
                    echo(&mut thread, claimed);
                }
            })
        });
        assert_eq!(world.call(FIRST).unwrap(), FIRST);
        // The dozer's client is silent; others call.
        let _silent = Taken::on(&world.client).unwrap();
        world.post();
        world.post();
        let _taken = threads.map(|thread| thread.join().unwrap());
    });
}

/// One kick may stand for two pieces of work.
#[test]
fn work_that_is_queued_at_once_finds_a_thread_each() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let threads = keepers(&world);
        loom::explore();
        for _ in 0..2 {
            world.pool.push(Work::Unreferenced(Arc::clone(&world.door)));
        }
        let _taken = threads.map(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_pool_that_is_closed_gets_everybody_up() {
    check(2, || {
        let world = World::new(Attributes::empty());
        let servers = [true, true].map(|dozes| world.server(dozes));
        assert_eq!(world.call(FIRST).unwrap(), FIRST);
        world.pool.close();
        let served: u32 = servers.map(|server| server.join().unwrap()).iter().sum();
        assert_eq!(served, 1);
    });
}
