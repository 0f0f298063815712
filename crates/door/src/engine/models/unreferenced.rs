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

fn with(world: &Arc<World>, does: impl FnOnce(&World) + Send + 'static) -> JoinHandle<()> {
    let world = Arc::clone(world);
    spawn(move || does(&world))
}

#[test]
fn it_comes_once_whatever_calls_do_meanwhile() {
    check(3, || {
        let world = World::with_exports(Attributes::UNREF, 2);
        let others = [
            with(&world, World::close),
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
