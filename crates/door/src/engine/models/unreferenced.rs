//! The unreferenced invocation: once for each time the last reference but one goes, or only the first time; never during a call.

use super::*;

impl World {
    fn with_exports(attributes: Attributes, exports: u32) -> Arc<Self> {
        let world = Self::new(attributes);
        world.door.reference_added(Reference::Own);
        (0..exports).for_each(|_| world.door.reference_added(Reference::Export));
        loom::explore();
        world
    }

    fn close(&self) {
        self.door.reference_dropped(Reference::Export);
    }

    /// What threads of the pool do with what is queued: how often the procedure ran.
    fn deliver(&self) -> u32 {
        let mut delivered = 0;
        while let Some(work) = self.pool.pop() {
            let Work::Unreferenced(door) = work else {
                panic!("{work:?} instead")
            };
            if door.begin_unreferenced() {
                delivered += 1;
                Claimed::unreferenced(&door).finish(&[], &[]).unwrap();
            }
        }
        delivered
    }
}

#[test]
fn it_comes_once_whatever_calls_do_meanwhile() {
    check(3, || {
        let world = World::with_exports(Attributes::UNREF, 2);
        let others = [
            with(&world, |world| world.close()),
            with(&world, |world| {
                world.door.begin();
                world.door.end();
            }),
        ];
        world.close();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(world.deliver(), 1);
        // Once and for all.
        world.door.reference_added(Reference::Export);
        world.close();
        assert_eq!(world.deliver(), 0);
    });
}

/// A drop before the procedure has begun needs no invocation of its own; one after that does.
#[test]
fn dr_175_a_drop_during_the_invocation_is_told_afterwards() {
    check(3, || {
        let world = World::with_exports(Attributes::UNREF_MULTI, 2);
        world.close();
        world.close();
        world.door.reference_added(Reference::Export);
        world.close();
        let other = with(&world, |world| {
            let begun = world.door.statistics().unreferenced;
            world.door.reference_added(Reference::Export);
            world.close();
            begun
        });
        let first = world.deliver();
        let begun_before_the_drop = other.join().unwrap();
        let delivered = first + world.deliver();
        if begun_before_the_drop == 1 {
            assert_eq!(delivered, 2);
        } else {
            assert!((1..=2).contains(&delivered), "{delivered}");
        }
        // Nothing is owed any more.
        world.door.begin();
        world.door.end();
        assert_eq!(world.deliver(), 0);
    });
}

#[test]
fn it_waits_for_the_end_of_the_last_call() {
    check(3, || {
        let world = World::with_exports(Attributes::UNREF_MULTI, 2);
        world.door.begin();
        world.door.begin();
        let others = [
            with(&world, |world| world.close()),
            with(&world, |world| world.door.end()),
        ];
        world.close();
        let early = world.deliver();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!((early, world.deliver()), (0, 0), "a call is in progress");
        world.door.end();
        assert_eq!(world.deliver(), 1);
    });
}

#[test]
fn a_revoked_door_is_not_told() {
    check(3, || {
        let world = World::with_exports(Attributes::UNREF, 2);
        let other = with(&world, |world| world.close());
        world.close();
        world.door.revoke();
        let delivered = world.deliver();
        other.join().unwrap();
        assert_eq!(delivered + world.deliver(), 0);
    });
}
