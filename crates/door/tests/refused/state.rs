//! A procedure runs on several threads, for as long as there are callers.

use std::cell::Cell;
use std::rc::Rc;

use door::{Door, Reply};

fn main() {
    let count = Cell::new(0);
    let _door = Door::builder().create(move |_| {
        count.set(count.get() + 1);
        Reply::empty()
    });

    let shared = Rc::new(1_u8);
    let _door = Door::builder().create(move |_| Reply::bytes([*shared]));

    let local = 1_u8;
    let _door = Door::builder().create(|_| Reply::bytes([local]));

    let mut total = 0_u64;
    let _door = Door::builder().create(move |_| {
        total += 1;
        Reply::empty()
    });
}
