//! The argument ends with its invocation.

use std::sync::Mutex;

use door::{Door, Invocation, Reply};

fn main() {
    let kept: &'static Mutex<Vec<&'static [u8]>> = Box::leak(Box::default());
    let _door = Door::builder().create(move |call| {
        kept.lock().unwrap().push(call.argument());
        Reply::empty()
    });

    let invocations: &'static Mutex<Vec<Invocation<'static>>> = Box::leak(Box::default());
    let _door = Door::builder().create(move |call| {
        invocations.lock().unwrap().push(call);
        Reply::empty()
    });

    let _door = Door::builder().create(move |call| {
        std::thread::spawn(move || call.is_cancelled());
        Reply::empty()
    });
}
