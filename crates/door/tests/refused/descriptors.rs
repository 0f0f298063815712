//! A lent descriptor outlives the call; a given one is gone.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use door::{Call, DoorHandle};

fn main() {
    let handle = DoorHandle::open("/run/door").unwrap();
    let call = {
        let file = File::open("/dev/null").unwrap();
        Call::new(b"").lend(file.as_fd())
    };
    let _ = handle.call_with(call);

    let file = OwnedFd::from(File::open("/dev/null").unwrap());
    let _ = handle.call_with(Call::new(b"").give(file));
    drop(file);

    let call = {
        let argument = vec![1, 2, 3];
        Call::new(&argument)
    };
    let _ = handle.call_with(call);
}
