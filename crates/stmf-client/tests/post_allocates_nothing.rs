//! Posting is on the path of every proxied command: it allocates nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    os::fd::AsFd,
};

use admin_proto::{Answer, Reply, StmfStatus, encode_answer};
use door::{Door, Invocation};
use stmf_client::Client;

thread_local! {
    /// Allocations of this thread; the procedures run on others.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is handed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: promised by the caller.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_thousand_posts_of_4_kib_allocate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let session_door = Door::builder()
        .create(|_: Invocation<'_>| door::Reply::bytes(StmfStatus::Success.to_word()))
        .unwrap();
    let control = Door::builder()
        .refuse_descriptors(false)
        .create(move |_: Invocation<'_>| {
            let answer = encode_answer(&Answer::good(Reply::ProxySession { session: 1 }));
            door::Reply::bytes(answer).give(session_door.lend().unwrap())
        })
        .unwrap();
    let _attachment = control.attach(&path).unwrap();
    let transport = Door::builder()
        .create(|_: Invocation<'_>| door::Reply::empty())
        .unwrap();
    let session = Client::connect(Some(&path))
        .unwrap()
        .init_proxy_door(transport.as_fd())
        .unwrap();

    let message = [7; 4096];
    session.post(&message).unwrap(); // the first call makes the link to the server
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        session.post(&message).unwrap();
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
