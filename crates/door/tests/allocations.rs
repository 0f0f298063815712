//! A call of a small argument and a small reply allocates nothing, on neither side.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use door::{Call, Door, DoorHandle, Reply};

/// Allocations of all threads: client and server are in this process.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is handed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

const CALLS: usize = 1000;

/// Allocations during a thousand calls, after some that make the link and warm up what is kept. The least of several tries: a door
/// that was made a moment ago is still being taken in by other threads.
fn allocations(mut call: impl FnMut()) -> usize {
    for _ in 0..10 {
        call();
    }
    let mut thousand = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..CALLS).for_each(|_| call());
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    (0..5).map(|_| thousand()).min().unwrap_or(0)
}

// One test: another one at the same time would be counted, too.
#[test]
fn a_thousand_calls_allocate_nothing() {
    let null = Door::builder().create(|_| Reply::empty()).unwrap();
    let small = Door::builder()
        .create(|call| Reply::bytes(call.argument()))
        .unwrap();
    let in_place = Door::builder()
        .create(|mut call| {
            let all = call.argument().len();
            call.reply_in_place(0..all).unwrap()
        })
        .unwrap();
    let buffered = Door::builder()
        .create(|mut call| {
            let mut buffer = call.buffer();
            buffer.extend_from_slice(call.argument());
            Reply::bytes(buffer)
        })
        .unwrap();
    let open = |door: &Door| -> DoorHandle { door.handle().unwrap() };

    let handle = open(&null);
    let count = allocations(|| drop(handle.call(b"").unwrap()));
    assert_eq!(count, 0, "null call");

    let handle = open(&small);
    let count = allocations(|| assert_eq!(handle.call(&[3; 96]).unwrap().data(), [3; 96]));
    assert_eq!(count, 0, "96 bytes each way");

    let (argument, mut room, mut memory) = (vec![7; 100_000], vec![0; 100_000], Vec::new());
    for (door, what) in [(&in_place, "in place"), (&buffered, "in a buffer")] {
        let handle = open(door);
        let count = allocations(|| {
            assert_eq!(handle.call_into(&argument, &mut room).unwrap(), 100_000);
            let call = Call::new(&argument).timeout(std::time::Duration::from_secs(60));
            handle.call_reusing(call, &mut memory).unwrap();
            assert_eq!(memory.len(), 100_000);
        });
        assert_eq!(count, 0, "{what}");
    }
}
