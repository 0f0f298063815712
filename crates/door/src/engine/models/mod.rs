//! Models of what the threads of clients and servers share: loom tries every order in which they can meet, and every value they can see
//! (`cargo xtask model`).
//!
//! What runs is the engine itself, from the memory of a link up to `park` and a call. Missing are other processes: client and server are
//! threads of one, and the link between them is made here, without a control thread.

mod lane;
mod pool;
mod session;
mod unreferenced;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use loom::thread::{JoinHandle, spawn};

use super::call::{CallRequest, Trouble, conclude, post, summon};
use super::claimed::{Claimed, FinishError};
use super::client::{ClientLink, Taken, Target, split};
use super::errand::Channel;
use super::internal::InternalFd;
use super::layout::{LANES, Lane, Memory, pending};
use super::link::ServerLink;
use super::object::{DoorObject, Export, Reference};
use super::pool::{Pool, Work};
use super::server::socket_pair;
use super::thread::ServerThread;
use super::wait::Patience;
use super::{Attributes, DoorSpec, Limits};
use crate::sys::memory::{Source, VecSink};
use crate::sys::process::Ids;

/// The argument of a call during which orders begin to be tried: what is before it happens in one.
const FIRST: u8 = 0;

/// Checks a model. Threads are interrupted at most `interruptions` times where they would go on: every order takes too long.
fn check(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(interruptions));
    builder.max_branches = 100_000;
    builder.expect_explicit_explore = true;
    let orders = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&orders);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} orders", orders.load(Ordering::Relaxed));
}

/// A door with its pool, and a link to it.
struct World {
    pool: Arc<Pool>,
    door: Arc<DoorObject>,
    server: Arc<ServerLink>,
    client: Arc<ClientLink>,
    target: Target,
    handle: u64,
}

impl World {
    fn new(attributes: Attributes) -> Arc<Self> {
        let pool = Pool::new().unwrap();
        let door = DoorObject::new(DoorSpec {
            attributes,
            procedure_address: 0,
            cookie: 0,
            limits: Limits::default(),
            procedure: None,
        });
        door.set_pool(Arc::clone(&pool));
        let (ours, theirs) = socket_pair().unwrap();
        let (channel, _) = socket_pair().unwrap();
        let channel = Arc::new(Channel::new(InternalFd::new(channel)));
        let (server, _) = ServerLink::new(1, Ids::default(), theirs, &channel, Arc::default()).unwrap();
        let export = Arc::new(Export::new(2, 0, &door, Reference::Own));
        let known = server.add_export(&export, 0).unwrap();
        name_all_words(&server.memory);
        let (client, handle) = ClientLink::of_model(ours, server.memory.clone(), known);
        Arc::new(Self {
            pool,
            door,
            server,
            client: Arc::new(client),
            target: Target::of_model(),
            handle,
        })
    }

    /// One try at a call, with a byte that comes back.
    fn call(&self, byte: u8) -> Result<u8, Trouble> {
        let taken = Taken::on(&self.client).expect("a lane is free");
        self.call_on(taken, byte, None)
    }

    fn call_on(&self, taken: Taken, byte: u8, deadline: Option<Instant>) -> Result<u8, Trouble> {
        self.call_with(taken, &request(&[byte], deadline))
    }

    fn call_with(&self, taken: Taken, request: &CallRequest<'_>) -> Result<u8, Trouble> {
        let mut sink = VecSink::default();
        conclude(
            post(taken, self.handle, request)?,
            &self.target,
            request,
            &mut sink,
        )?;
        Ok(sink.into_parts().0[0])
    }

    /// Posts a call without an argument, and makes sure of a thread as who is about to wait for it does.
    fn post(&self) {
        let taken = Taken::on(&self.client).expect("a lane is free");
        let (index, (_, pool)) = (taken.index, split(self.handle));
        post(taken, self.handle, &request(&[], None)).unwrap();
        summon(&self.client, index, pool);
    }

    fn thread(&self) -> ServerThread {
        ServerThread::serving(Arc::clone(&self.pool), 0)
    }

    /// A thread of the server that serves until the pool is closed, and says how many calls it had.
    fn server(self: &Arc<Self>, dozes: bool) -> JoinHandle<u32> {
        let world = Arc::clone(self);
        spawn(move || {
            let mut thread = world.thread();
            if dozes {
                thread.doze_at_once();
            }
            let mut served = 0;
            while let Ok(claimed) = thread.park() {
                echo(&mut thread, claimed);
                served += 1;
            }
            served
        })
    }
}

fn request(argument: &[u8], deadline: Option<Instant>) -> CallRequest<'_> {
    CallRequest {
        data: Source::from(argument),
        descriptors: &[],
        patience: Patience::until(deadline),
        results: true,
    }
}

/// The procedure: what comes goes back.
fn echo(thread: &mut ServerThread, mut claimed: Box<Claimed>) {
    let argument = claimed.argument().to_vec();
    if argument == [FIRST] {
        loom::explore();
    }
    match claimed.finish(&argument, &[]) {
        Ok(()) | Err(FinishError::NoCaller) => thread.retire(claimed),
        Err(error) => panic!("{error}"),
    }
}

fn with<T: 'static>(world: &Arc<World>, does: impl FnOnce(&World) -> T + Send + 'static) -> JoinHandle<T> {
    let world = Arc::clone(world);
    spawn(move || does(&world))
}

impl Drop for World {
    fn drop(&mut self) {
        // The pool holds the link until the client is gone.
        if !std::thread::panicking() {
            self.server.kill();
        }
    }
}

/// Words of a link come into being when they are named; loom wants to know of them before there are threads.
fn name_all_words(memory: &Memory) {
    pending(memory, 0);
    for index in 0..LANES {
        let lane = Lane::new(memory, index);
        let words = [
            lane.attending(),
            lane.req(),
            lane.flags(),
            lane.request_descriptors(),
            lane.client_cpu(),
            lane.rep(),
            lane.status(),
            lane.reply_descriptors(),
            lane.server_cpu(),
            lane.place(),
            lane.acc(),
            lane.tick(),
            lane.notice(),
            lane.stalled(),
            lane.spilled(),
            lane.offer(),
            lane.sleep(),
            lane.cancel(),
            lane.feed(),
        ];
        let double_words = [
            lane.handle(),
            lane.request_len(),
            lane.reply_len(),
            lane.rd(),
            lane.made(),
            lane.settled(),
            lane.wr(),
            lane.eaten(),
            lane.verdict(),
        ];
        assert_eq!(words.len() + double_words.len(), 28);
        for (memory, offset) in [lane.argument(1), lane.result(1)] {
            memory.write(offset, Source::from(&[][..]));
        }
    }
}
